"""The notebook classification.ipynb runs from top to bottom. It has a file of its own, so that both workers of `make test` train one notebook each."""

from pathlib import Path

import pytest

from tests.notebooks.execution import checkout, execute, processes_in, score

STEPS = 100


@pytest.mark.timeout(3600)
def test_the_classification_notebook_runs_from_the_raw_data_to_a_score_that_training_earned(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "checkout")
    execute("classification", folder, STEPS)
    base, adapter = (score(folder, "tiny-qwen2-topics-cls-lora-sft", f"topics_dev{ending}") for ending in ("-base", ""))
    assert (base["rows"], adapter["rows"], adapter["failures"]["missing"]) == (300, 300, 0)
    assert base["accuracy"] < 0.3
    assert adapter["accuracy"] > base["accuracy"] + 0.2
    assert sum(sum(row.values()) for row in adapter["confusion"].values()) == 300
    assert processes_in(folder) == []
