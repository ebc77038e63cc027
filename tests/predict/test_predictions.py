"""The record of predictions."""

import json
from pathlib import Path

import pytest

from tools.errors import ToolError
from tools.predict.predictions import PredictionsMeta, read_meta, thought_of, write_meta


def test_what_is_written_is_read_and_unknown_keys_are_left_aside(tmp_path: Path) -> None:
    meta = PredictionsMeta("r", "t", 1, "dev", which="merged", merged_sha256="ab", sampling={"temperature": 0.0}, rows=3)
    write_meta(tmp_path / "meta.json", meta)
    assert read_meta(tmp_path / "meta.json") == meta
    values = json.loads((tmp_path / "meta.json").read_text())
    (tmp_path / "meta.json").write_text(json.dumps({**values, "new": 1}))
    assert read_meta(tmp_path / "meta.json") == meta


def test_an_adapters_record_names_no_merged_model(tmp_path: Path) -> None:
    write_meta(tmp_path / "meta.json", PredictionsMeta("r", "t", 1, "dev"))
    assert "merged_sha256" not in json.loads((tmp_path / "meta.json").read_text())


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ("[]", "the file: Input should be"),
        ("{", "the file: Invalid JSON"),
        ('{"run": "r", "task": "t", "split": "dev"}', "task_version: Field required"),
        ('{"run": "r", "task": "t", "task_version": true, "split": "dev"}', "task_version: Input should be a valid integer"),
    ],
)
def test_a_file_that_is_no_record_is_named(tmp_path: Path, values: str, what: str) -> None:
    (tmp_path / "meta.json").write_text(values)
    with pytest.raises(ToolError, match=rf"meta\.json: no record of predictions: {what}"):
        read_meta(tmp_path / "meta.json")


def test_a_record_tells_the_thought_of_the_predictions_beside_it_only(tmp_path: Path) -> None:
    assert thought_of(tmp_path / "predictions.jsonl") == ""
    write_meta(tmp_path / "predictions.meta.json", PredictionsMeta("r", "t", 1, "dev", thought="<think></think>"))
    assert thought_of(tmp_path / "predictions.jsonl") == "<think></think>"
    assert thought_of(tmp_path / "others.jsonl") == ""
