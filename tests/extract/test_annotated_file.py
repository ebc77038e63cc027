"""A file of texts: what is read, and what is written."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tools.extract.annotate import Annotation
from tools.extract.annotated_file import MAX_ROWS, Fault, harmless, read, record, write_csv
from tools.predict.predictions import Prediction
from tools.web.words import say_fault


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.pdf", b"x", "a .txt, .csv or .jsonl file is needed"),
        ("a.txt", b" \n\n", "there is no text in it"),
        ("a.txt", b"\n" * (MAX_ROWS + 1), "more than 20,000 rows"),
        ("a.csv", "编号,名,文\n1,甲,乙\n".encode(), "Name it `text`. Columns: 编号, 名, 文"),
        ("a.csv", b"", "Columns: "),
        ("a.csv", b'id,text\n1,"a\nb",c\n', "line 2: 3 cells, the header has 2"),
        ("a.csv", b'id,text\n1,a\n2,"open', "line 3: not a CSV row"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 1}\n', "line 2: not a JSON object"),
        ("a.jsonl", b'\n{"text": "a"', "line 2: not a JSON object"),
        ("a.jsonl", b'["text"]', "line 1: not a JSON object"),
        ("a.txt", "好\n\n林".encode() + b"\xff", "line 3: not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_names_itself_and_the_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Fault) as problem:
        read(tmp_path / name)
    assert message in say_fault("en", problem.value)
    assert say_fault("zh", problem.value) != say_fault("en", problem.value)


def test_the_column_of_text_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for data in ("id,Text,名\n1,甲,乙\n", "id,句子,分\n1,甲,-0.5\n2,,7%\n"):
        path.write_text("\ufeff" + data)
        assert read(path).texts[0] == "甲"


def test_a_spreadsheet_runs_nothing(tmp_path: Path) -> None:
    for cell in ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", " =1", "＝1"):
        assert harmless(cell) == f"'{cell}"
    for cell in ("", "1", "-1", "+1.5", "-3,000.5", "3-1", "甲"):
        assert harmless(cell) == cell
    (tmp_path / "a.csv").write_text("text,output\n=cmd|' /C calc'!A0,x\n")
    upload = read(tmp_path / "a.csv")
    found = Annotation("=cmd", Prediction("0", "@x"))
    table = list(csv.reader(io.StringIO(write_csv(tmp_path / "b.csv", upload, [record(upload.texts[0], found, "ner")]).read_text())))
    assert table == [["\ufefftext", "output", "entities", "output_2", "error"], ["'=cmd|' /C calc'!A0", "x", "[]", "'@x", ""]]
