"""A file that no reader reads is described, with the way to a format that one reads."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import real
from tests.data.scaffold.conftest import CLUENER, TEXT, everything, lines, made
from tools.conf.task import find_task
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
        (gzip.compress(b"x", mtime=0), "no reader reads it"),
        (b"PK\x03\x04" + bytes(30), "It is a zip archive"),
        (b"PAR1\x15" + bytes(30), "It is Parquet: pandas.read_parquet"),
        (b"\x80\x04\x95" + bytes(30), "It is a Python pickle, which could run anything"),
        (b"SQLite format 3\0" + bytes(30), "It is an SQLite database"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(30), "It is an old Office file (.xls, .doc)"),
        (b"<!DOCTYPE html>\n<html><body>x</body></html>\n", "It looks like a web page or table in HTML"),
        (b"<?xml version='1.0'?>\n<corpus><s>x</s></corpus>\n", "It looks like XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (lines(*[{"text": TEXT, "spo_list": [{"subject": "张三", "predicate": "住", "object": "北京"}]}] * 3), "they aren't trained here"),
        (
            lines(*[{"context": "张 三 在 北 京", "query": "人名", "start_position": [0], "end_position": [1], "entity_label": "PER"}] * 2),
            "BERT-MRC's rows",
        ),
        (json.dumps({"mine_train": {"file_name": "mine.json"}}, indent=2).encode(), "LLaMA-Factory's dataset_info.json"),
        (lines(*[{"prompt": TEXT, "predict": "[]", "label": "[]"}] * 2), "LLaMA-Factory's generated_predictions.jsonl"),
        ("评论,分数\n好看,0\n难看,1\n好看了,0\n".encode(), "numbers=[NAME0,NAME1]"),
        ("甲,乙,丙\n好看了,1,0\n难看了,0,1\n又好看,1,0\n".encode(), "hold 0 or 1, a column for each class"),
        ("今天天气很好。\n".encode() * 20, "'今天天气很好。'"),
        ("今天天气很好。\n".encode() * 20, "texts without annotation, one a line"),
        ("".join(f"{'体育娱乐'[n % 2 * 2 :][:2]} 今天的第{n}条消息\n" for n in range(12)).encode(), "Its lines begin with few words, such as '体育'"),
        (
            "".join(f"今天的第{n}条消息，{'体育娱乐'[n % 2 * 2 :][:2]}\n" for n in range(12)).encode(),
            "Its lines end with few words, such as '体育', and '，'",
        ),
        (("李 B-PER\n四 I-PER\n来 X\n\n" * 9).encode(), "columns of tokens and tags, but:"),
        (("李 B-PER B-PER\n四 I-PER I-PER\n来 O O\n\n" * 9).encode(), "In this command: --set fields.tags=2 (make"),
        ("- 在[北京](city)的天气\n".encode() * 9, "as in Rasa's Markdown"),
        ("李雷 NR (PER*)\n在 P *\n北京 NR (LOC*\n市 NN *)\n\n".encode() * 9, "as in OntoNotes (CoNLL-2012)"),
        (json.dumps({f"今天的第{n}条消息": "体育" for n in range(12)}, indent=1).encode(), "It looks like a string for each key"),
        (b"6551_!_101_!_news_culture_!_x_!_\n" * 3, "sed 's/_!_/\\t/g'"),
        (b"<table border=1>\n<tr><td>x</td></tr></table>\n", "save its table as CSV"),
        (json.dumps([{"instruction": "x", "input": "y", "output": "[]"}]).encode(), "no entity and no class in its 1 rows"),
        (b"[" * 5000, "no reader reads it"),
        (b"[1, 2", "no reader reads it"),
        (b"[{", "no reader reads it"),
        (lines({"text": "好看", "label": 1}, {"text": "难看", "label": 0}), "numbers=[NAME0,NAME1]"),
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


def test_a_reader_that_was_asked_for_and_reads_nothing_is_an_error(checkout: Path, give: Callable[..., Path]) -> None:
    with pytest.raises(ToolError, match=r"(?s)the reader doccano reads no row of it.*it reads 1 of the first 1 rows: --reader cluener takes them"):
        made(give(lines(CLUENER)), reader="doccano")
    with pytest.raises(ToolError, match=r"unknown reader 'cluner'\. Did you mean 'cluener'"):
        made(give(lines(CLUENER)), reader="cluner")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{'text': '李雷在北京', 'label': [[0, 2, 'PER']]}\n", "it is Python's repr"),
        ("[{'text': '李雷在北京', 'label': [[0, 2, 'PER']]}]", "it is Python's repr"),
        ('{"text": "李雷在北京", "label": {"PER": {"李雷": [[0, 1]]}, "PER": {"北京": [[3, 4]]}}}\n', "the key 'PER' stands twice"),
        ('{"data": [{"text": "李雷在北京", "label": [[0, 2, "PER"]]}, {"text": "韩', "the file ends in the middle of this row"),
        ('{"train": [{"text": "李雷"}], "dev": [{"text": "北京"}]}', "several lists of rows, 'train', 'dev'"),
    ],
)
def test_what_begins_like_json_is_judged_by_the_readers_of_json_and_the_first_thing_said_is_what_matters(
    checkout: Path, give: Callable[..., Path], data: str, said: str
) -> None:
    with pytest.raises(ToolError) as error:
        made(give(data.encode()))
    _, verdict, *rest = str(error.value).splitlines()
    assert said in verdict
    assert rest == ["The known formats: docs/own-data.md"]


def test_strings_of_the_text_by_label_are_named_and_not_called_unannotated(checkout: Path, give: Callable[..., Path]) -> None:
    rows = [{"id": str(n), "text": f"林晓在第{n}天去了杭州", "人名": ["林晓"], "地名": ["杭州"]} for n in range(3)]
    with pytest.raises(ToolError) as error:
        made(give(lines(*rows)))
    assert "strings of the text in a field for each label" in str(error.value)


def test_a_reader_that_finds_no_annotation_is_not_proposed(checkout: Path, give: Callable[..., Path]) -> None:
    rows = [{"text": f"林晓在第{n}天", "entities": [] if n % 2 else [{"position": "0,2", "label": "PER"}]} for n in range(8)]
    with pytest.raises(ToolError) as error:
        made(give(lines(*rows)))
    assert "takes them" not in str(error.value)
