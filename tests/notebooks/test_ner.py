"""The notebook ner.ipynb runs from top to bottom. It has a file of its own, so that both workers of `make test` train one notebook each."""

from pathlib import Path

import pytest

from tests.notebooks.execution import checkout, execute, processes_in, score, text_of

STEPS = 120


@pytest.mark.timeout(3600)
def test_the_ner_notebook_runs_from_the_raw_data_to_a_score_that_training_earned(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "checkout")
    notebook = execute("ner", folder, STEPS)
    base, adapter = (score(folder, "tiny-qwen2-sample-ner-lora-sft", f"sample_dev{ending}") for ending in ("-base", ""))
    assert (base["rows"], adapter["rows"], adapter["failures"]["missing"]) == (300, 300, 0)
    assert base["micro"]["f1"] < 0.05
    assert adapter["micro"]["f1"] > base["micro"]["f1"] + 0.1
    assert "<mark " in text_of(notebook)
    assert processes_in(folder) == []
