"""A file that no reader reads is described, with the way to a format that one reads."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import real
from tests.data.scaffold.conftest import CLUENER, TEXT, everything, lines, made
from tools.conf.task import find_task
from tools.data.scaffold.raw_files import guess
from tools.data.scaffold.trials import FORMS
from tools.errors import ToolError


def test_the_real_news_are_recognised_and_without_answers_refused(checkout: Path, give: Callable[..., Path]) -> None:
    path = real("fudan_news/argonautz_notebook_10_rows.jsonl")
    before = everything(checkout)
    with pytest.raises(ToolError, match=r"(?s)no annotation to learn from.*  classification .*neither 'output' nor 'label'"):
        made(path)
    assert everything(checkout) == before
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert made(give(lines(*({**row, "output": row["category"][0]} for row in rows)))) in (0, 1)
    task = find_task("toy")
    assert (task.kind, task.reader, task.labels) == ("classification", "classification", [])
    assert "{options}" in task.prompt.read_text()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "It is empty."),
        (b"\n \n\r\n", "It is empty."),
        (bytes(range(256)) * 40, "a NUL character"),
        (gzip.compress(b"x"), "gunzip"),
        (b"PK\x03\x04" + bytes(30), "a zip archive, as .xlsx"),
        ("今天天气很好。\n".encode() * 20, "'今天天气很好。'"),
        ("标题,类别\n好看,电影\n".encode(), "It looks like CSV with the header '标题', '类别'"),
        ("标题\t类别\n好看\t电影\n".encode(), "It looks like tab-separated columns"),
        (json.dumps([CLUENER] * 2).encode(), "with one row a line the reader cluener reads it"),
        (json.dumps([{"instruction": "x", "input": "y", "output": "[]"}]).encode(), "the text isn't clear: there is no string 'text'"),
        (b"[" * 5000, "no reader reads it"),
        (b"[1, 2", "no reader reads it"),
        (b"[{", "no reader reads it"),
        (lines({"text": "好看", "label": 1}), "'label' must be a string, it is 1."),
        (lines({"text": "长" * 2_000_000}), "no annotation to learn from"),
        (lines({"text": TEXT, "entities": []}), "no entity and no class in its 1 rows"),
        (lines(*({"text": f"{n}", "label": f"{n}"} for n in range(1001))), "1,001 labels"),
        (lines({"text": "好看", "label": " "}), "every label in it is empty"),
    ],
)
def test_a_file_that_nothing_can_be_made_of_is_described_and_nothing_is_written(
    checkout: Path, give: Callable[..., Path], data: bytes, said: str
) -> None:
    before = everything(checkout)
    with pytest.raises(ToolError) as error:
        made(give(data))
    assert said in str(error.value)
    assert (error.value.exit_code, len(str(error.value)) < 6000) == (1, True)
    assert everything(checkout) == before


def test_the_formats_are_shown_with_an_example_each_and_where_to_read_more(checkout: Path, give: Callable[..., Path]) -> None:
    with pytest.raises(ToolError) as error:
        made(give("今天天气很好。\n".encode()))
    for form in FORMS.values():
        assert form.example in str(error.value)
    assert "docs/own-data.md" in str(error.value)


def test_the_commands_for_lists_and_tables_do_what_they_say(checkout: Path, give: Callable[..., Path]) -> None:
    table = give('标题,类别,n\n"好看, 真的",电影,1\n赢了,007,2\n'.encode(), "my table.csv")
    rows = give(json.dumps([CLUENER] * 2, ensure_ascii=False).encode(), "my list.json")
    for path in (table, rows):
        with pytest.raises(ToolError) as error:
            made(path)
        line = next(line for line in str(error.value).splitlines() if ".venv/train/bin/python" in line)
        command = line[line.index(".venv/train/bin/python") :].replace(".venv/train/bin/python", sys.executable)
        subprocess.run(command.replace("TEXT", "标题").replace("CLASS", "类别"), shell=True, check=True)
    assert guess(table.with_suffix(".jsonl")).classes == {"电影": 1, "007": 1}
    assert guess(rows.with_suffix(".jsonl")).entities == {"PER": 2, "GPE": 2}


def test_a_reader_that_was_asked_for_and_reads_nothing_is_an_error(checkout: Path, give: Callable[..., Path]) -> None:
    with pytest.raises(ToolError, match=r"(?s)the reader doccano reads no row of it.*it reads 1 of the first 1 rows: --reader cluener takes them"):
        made(give(lines(CLUENER)), reader="doccano")
    with pytest.raises(ToolError, match=r"unknown reader 'cluner'\. Did you mean 'cluener'"):
        made(give(lines(CLUENER)), reader="cluner")
