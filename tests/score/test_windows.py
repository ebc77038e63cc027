"""Rows that were asked in windows, and answers that give places of their own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.score.conftest import answer, example, toy
from tools.answers.parse import Parsed
from tools.chat.windows import Reach, windows
from tools.files import write_text
from tools.predict.predictions import Prediction, WindowAnswer
from tools.score import rows as rows_module
from tools.score.places import sides
from tools.score.rows import NO_THOUGHT, rows
from tools.score.score import evaluate

TEXT = "王五去成都。李四去成都。王五回来了。"


def predicted(*outputs: str, id: str = "a") -> Prediction:
    parts = [WindowAnswer(window, output, "stop") for window, output in zip(windows(TEXT, Reach(6, 6)), outputs, strict=True)]
    return Prediction(id, "\n".join(outputs), "stop", parts=tuple(parts))


def test_each_window_answers_for_its_own_part(write_task: Callable[..., Path]) -> None:
    task = toy(write_task, ["name", "address"])
    one = example("a", TEXT, ("name", "王五", 0), ("address", "成都", 3), ("name", "李四", 6), ("address", "成都", 9), ("name", "王五", 12))
    answers = predicted(answer([("name", "王五")]), answer([("name", "李四"), ("address", "成都"), ("name", "赵六")]), answer([]))
    [row] = rows(task, [one], {"a": answers})
    assert set(row.predicted) == {("name", "王五"), ("name", "李四"), ("address", "成都"), ("name", "赵六")}
    both = sides(row, task.names)
    assert both.predicted_spans == {("name", 0, 2), ("name", 6, 8), ("address", 9, 11)}
    assert both.nowhere == ["name"] and row.rules == () and row.failures == ()


def test_an_entity_that_both_sides_of_a_seam_see_counts_once(write_task: Callable[..., Path]) -> None:
    task, text = toy(write_task, ["name"]), "甲" * 10 + "王五六" + "乙" * 10
    found = windows(text, Reach(15, 15))
    assert sum(window.start <= 10 and window.end >= 13 for window in found) > 1
    parts = tuple(
        WindowAnswer(window, answer([("name", "王五六")] if "王五六" in text[window.start : window.end] else []), "stop") for window in found
    )
    [row] = rows(task, [example("a", text, ("name", "王五六", 10))], {"a": Prediction("a", "", "stop", parts=parts)})
    assert row.spans == (("name", 10, 13),) and row.predicted == row.gold


def test_a_fault_of_one_window_is_a_fault_of_the_row(write_task: Callable[..., Path]) -> None:
    task, one = toy(write_task, ["name"]), example("a", TEXT, ("name", "王五", 0))
    [row] = rows(task, [one], {"a": predicted(answer([("name", "王五")]), "我不知道", "[]")})
    assert row.failures == ("unparsable",) and row.predicted == [("name", "王五")]
    [row] = rows(task, [one], {"a": predicted('[{"label": "name", "text": "王五"', "[]", "[]")})
    assert row.failures == ("truncated",) and row.rules
    [row] = rows(task, [one], {"a": predicted("想[]", "[]", "想[]")}, "想")
    assert NO_THOUGHT in row.rules


def test_windows_are_scored_as_they_are_read_from_a_file(write_task: Callable[..., Path], tmp_path: Path) -> None:
    task = toy(write_task, ["name"])
    examples, predictions = tmp_path / "examples.jsonl", tmp_path / "predictions.jsonl"
    gold = [example("a", TEXT, ("name", "王五", 0), ("name", "李四", 6), ("name", "王五", 12)), example("b", "李四", ("name", "李四", 0))]
    write_text(examples, "".join(one.to_json() + "\n" for one in gold))
    answers = [predicted(answer([("name", "王五")]), answer([("name", "李四")]), "[]"), Prediction("b", answer([("name", "李四")]), "stop")]
    write_text(predictions, "".join(one.to_json() + "\n" for one in answers))
    assert json.loads(predictions.read_text().splitlines()[0])["windows"][1]["first"] == 6
    result = evaluate(task, examples, predictions, tmp_path, samples=10)
    assert result["micro"]["f1"] == 1.0 and result["answers"]["trained"] == 2
    assert (result["span"]["tp"], result["span"]["fn"], result["span"]["fp"]) == (3, 1, 0)


def test_places_that_an_answer_gives_are_its_strings_only_places(write_task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    task, one = toy(write_task, ["name"]), example("a", TEXT, ("name", "王五", 12))
    parsed = Parsed([("name", "王五"), ("name", "赵六")], spans=(("name", 12, 14),))
    monkeypatch.setattr(rows_module, "parse", lambda output, task, text, cut: parsed)
    [row] = rows(task, [one], {"a": Prediction("a", "[]", "stop")})
    both = sides(row, task.names)
    assert both.predicted_spans == both.gold_spans == {("name", 12, 14)} and both.nowhere == ["name"]
