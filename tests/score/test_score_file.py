from pathlib import Path
from typing import Any

import pytest

from tools.errors import ToolError
from tools.files import write_json
from tools.score.score_file import Figures, Score, read_score, write_score

FIGURES: Figures = {"tp": 1, "fp": 0, "fn": 0, "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
INTERVALS = {"method": "bootstrap", "samples": 9, "seed": 1, "level": 0.95, "micro": [0.1, 0.9], "macro": [0.1, 0.9], "labels": {"a": [0.1, 0.9]}}
SCORE: Score = {
    "task": "toy",
    "version": 1,
    "split": "dev",
    "protocol": "set",
    "rows": 1,
    "labels": {"a": FIGURES},
    "micro": FIGURES,
    "macro": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "labels": 1},
    "span": FIGURES,
    "failures": {"unparsable": 0, "truncated": 0, "missing": 0, "unknown_label": 0, "ungrounded": 0},
}


def test_a_score_is_read_as_it_was_written_and_an_older_one_may_lack_later_keys(tmp_path: Path) -> None:
    write_score(tmp_path, SCORE)
    assert read_score(tmp_path) == SCORE
    whole: Score = {**SCORE, "strict": {"micro": FIGURES}, "parsing": {"lines": 1}, "predictions_sha256": "ab" * 32}
    write_score(tmp_path, whole)
    assert read_score(tmp_path) == whole


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": True}, "version: "),
        ({"rows": "1"}, "rows: "),
        ({"micro": {**FIGURES, "f1": True}}, "micro.f1: "),
        ({"micro": {"f1": 1.0}}, "micro.precision: "),
        ({"labels": None}, "labels: "),
        ({"labels": {"a": 1}}, "labels.a: "),
        ({"macro": {}}, "macro.precision: "),
        ({"intervals": {"micro": [0, "1"]}}, "intervals."),
        ({"intervals": {**INTERVALS, "micro": [0.1]}}, "intervals.micro: "),
        ({"intervals": {**INTERVALS, "labels": {"a": [0.1, 0.2, 0.3]}}}, "intervals.labels.a: "),
        ({"intervals": {**INTERVALS, "macro": [float("nan"), 1.0]}}, "intervals.macro.0: "),
        ({"intervals": {**INTERVALS, "level": 1.0}}, "intervals.level: "),
        ({"micro": {**FIGURES, "tp": -5}}, "micro.tp: "),
        ({"micro": {**FIGURES, "f1": 1.5}}, "micro.f1: "),
    ],
)
def test_a_file_that_is_no_score_is_named_with_the_place_and_the_next_command(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    write_json(tmp_path / "score.json", {**SCORE, **change})
    with pytest.raises(ToolError, match=r"score\.json: not a score: " + place) as raised:
        read_score(tmp_path)
    assert raised.value.exit_code == 1 and "make eval" in str(raised.value)


@pytest.mark.parametrize("content", ["[]", "null", "3"])
def test_other_json_is_no_score(tmp_path: Path, content: str) -> None:
    (tmp_path / "score.json").write_text(content)
    with pytest.raises(ToolError, match="not a score: the file: "):
        read_score(tmp_path)


def test_a_folder_without_a_score_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"no such file\. To make it: make eval") as raised:
        read_score(tmp_path)
    assert raised.value.exit_code == 2
