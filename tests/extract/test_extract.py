"""A file of texts, annotated by the command."""

from __future__ import annotations

import csv
import json
import math
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import toy_server
from tests.toy_server import ADAPTER, Faulty
from tools.chat.windows import Reach
from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import ToolError
from tools.extract import extract as verb
from tools.extract.confidence import Calibration
from tools.predict import client
from tools.predict.questions import Asking

run_, start, task = toy_server.run_, toy_server.start, toy_server.task  # fixtures

ANSWERS = {"王五": [("name", "王五")], "成都": [("address", "成都")], "火星": [("planet", "火星"), ("name", "赵六")]}


def answered(user: str) -> tuple[int, str]:
    """Answers with the entities that stand in the last line of the prompt, the text."""
    text = user.rpartition("\n")[2]
    pairs = [pair for word, some in ANSWERS.items() if word in text for pair in some]
    return 200, json.dumps([{"label": label, "text": string} for label, string in pairs], ensure_ascii=False)


@pytest.fixture
def call(run_: Run, task: Task, start: Callable[..., Faulty], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Faulty]:
    """Calls the verb with a toy server; keywords replace its options."""
    monkeypatch.setattr(verb, "load_run", lambda path, overrides: run_)
    monkeypatch.setattr(verb, "find_task", lambda name: task)
    monkeypatch.setattr(verb, "current_calibration", lambda run, variant, task: None)
    server = start([ADAPTER], answered)

    def call(file: Path, out: Path, **words: Any) -> Faulty:
        plain = {"engine": "vllm", "threshold": None, "precision": None, "fresh": False, "which": "adapter", "port": 0, "concurrency": 8}
        verb.main(Namespace(file=file, out=out, run=run_.path, overrides=[], task=task.name, url=server.url, **(plain | words)))
        return server

    return call


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_row_keeps_its_own_fields_and_gets_entities_with_places_and_confidence(
    call: Callable[..., Faulty], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file, out = tmp_path / "texts.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"id": 7, "text": "王五去成都，王五", "output": "gold"}\n\n{"text": "到火星"}\n')
    call(file, out)
    first, blank, third = lines(out)
    assert list(first) == ["id", "text", "output", "entities", "output_2", "error"]
    assert (first["id"], first["output"], first["error"]) == (7, "gold", None)
    assert [(one["label"], one["text"], one["start"], one["end"]) for one in first["entities"]] == [
        ("name", "王五", 0, 2),
        ("address", "成都", 3, 5),
        ("name", "王五", 6, 8),
    ]
    assert first["entities"][0]["confidence"] == pytest.approx(math.exp(-0.01 * len("name王五")))
    assert blank == {"text": "", "entities": [], "output_2": None, "error": None}
    assert third["nowhere"] == [{"label": "name", "text": "赵六"}]
    assert not (tmp_path / "out.jsonl.answers").exists()
    told = capsys.readouterr().out
    assert "3 rows in" in told and "4 entities, 0 with an error, 1 blank" in told and "isn't calibrated" in told


def test_a_csv_stays_a_csv_and_parquet_holds_the_same(call: Callable[..., Faulty], tmp_path: Path) -> None:
    import pandas

    file = tmp_path / "texts.csv"
    file.write_text("编号,text\n1,王五去成都\n2,\n")
    call(file, tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text("utf-8-sig").splitlines()))
    assert [(row["编号"], row["text"]) for row in rows] == [("1", "王五去成都"), ("2", "")]
    assert [one["text"] for one in json.loads(rows[0]["entities"])] == ["王五", "成都"]
    call(file, tmp_path / "out.parquet")
    table = pandas.read_parquet(tmp_path / "out.parquet")
    assert list(table["编号"]) == ["1", "2"] and [one["start"] for one in table["entities"][0]] == [0, 3]


def test_a_call_that_was_interrupted_asks_only_what_is_left(call: Callable[..., Faulty], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.2)
    file, out = tmp_path / "texts.txt", tmp_path / "out.jsonl"
    file.write_text("王五\n成都\n停下\n")
    broken = {"停下"}

    def reply(user: str) -> tuple[int, str]:
        return (0, "") if any(word in user for word in broken) else answered(user)

    monkeypatch.setattr(toy_server.Faulty, "reply", property(lambda self: reply, lambda self, value: None), raising=False)
    monkeypatch.setattr(client._Client, "_is_there", _gone)
    with pytest.raises(ToolError, match=r"2 of 3 rows are answered and kept"):
        call(file, out, concurrency=1)
    assert not out.exists() and (tmp_path / "out.jsonl.answers").is_dir()
    broken.clear()
    server = call(file, out)
    assert [sum(word in one["messages"][1]["content"] for one in server.requests) for word in ("王五", "成都")] == [1, 1]
    assert [len(row["entities"]) for row in lines(out)] == [1, 1, 0]


async def _gone(self: object) -> bool:
    return False


def test_a_long_text_is_asked_in_windows_and_its_places_are_the_texts(
    call: Callable[..., Faulty], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Asking, "reach", Reach(8, 8))
    file, out = tmp_path / "texts.jsonl", tmp_path / "out.jsonl"
    text = "王五说：去成都吧。\r\n然后王五回来了。他说成都很好！"
    file.write_text(json.dumps({"text": text}))
    server = call(file, out)
    assert len(server.requests) > 2
    [row] = lines(out)
    assert [(one["text"], one["start"]) for one in row["entities"]] == [("王五", 0), ("成都", 5), ("王五", 13), ("成都", 21)]
    assert all(text[one["start"] : one["end"]] == one["text"] for one in row["entities"])


def test_a_threshold_leaves_out_what_is_unsure(call: Callable[..., Faulty], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = tmp_path / "texts.txt", tmp_path / "out.jsonl"
    file.write_text("王五去成都\n")
    call(file, out, threshold=0.95)  # exp(-0.06) for 王五, exp(-0.09) for 成都, whose label is longer
    assert [one["text"] for one in lines(out)[0]["entities"]] == []
    call(file, out, threshold=0.93)
    assert [one["text"] for one in lines(out)[0]["entities"]] == ["王五"]
    with pytest.raises(ToolError, match=r"isn't calibrated. To calibrate it: \./ner calibrate"):
        call(file, out, precision=0.9)
    found = Calibration((0.0, 1.0), (0.0, 1.0), ((0.93, 0.9),), "dev")
    monkeypatch.setattr(verb, "current_calibration", lambda run, variant, task: found)
    call(file, out, precision=0.9)
    assert [one["text"] for one in lines(out)[0]["entities"]] == ["王五"]
    with pytest.raises(ToolError, match=r"can promise 0\.900 at most"):
        call(file, out, precision=0.99)


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        ("texts.txt", "out.xlsx", r"a result is a \.jsonl, \.csv or \.parquet file"),
        ("texts.txt", "out.csv", r"a \.csv is written for a \.csv; texts\.txt is none"),
        ("texts.pdf", "out.jsonl", r"texts\.pdf: a \.txt, \.csv or \.jsonl file is needed"),
        ("absent.txt", "out.jsonl", r"absent\.txt: no such file"),
    ],
)
def test_what_cannot_be_read_or_written_is_said_before_anything_is_asked(
    call: Callable[..., Faulty], tmp_path: Path, name: str, out: str, message: str
) -> None:
    (tmp_path / "texts.txt").write_text("王五\n")
    (tmp_path / "texts.pdf").write_text("王五\n")
    with pytest.raises(ToolError, match=message):
        call(tmp_path / name, tmp_path / out)
    assert not (tmp_path / out).exists()
