import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf import load_run
from tools.train.launch import FINISHED, set_aside, to_yaml

CONF = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Overrides that keep a test's files below tmp_path."""
    return [f"output_dir={tmp_path}/tiny-qwen2-sample-ner-lora-sft", f"dataset_dir={tmp_path}/alpaca"]


def test_all_problems_are_shown_at_once_before_anything_is_written(tool: Callable, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "alpaca").mkdir()
    (tmp_path / "alpaca/dataset_info.json").write_text(
        '{"alpaca_sample_trian": {"file_name": "x.json"}, "alpaca_sample_dev": {"file_name": "gone.json"}}'
    )
    done = tool("tools.train.launch", CONF, *words, "lora_rnk=8", "model_name_or_path=models/Qwen2.5-7B")
    assert done.returncode == 2
    for message in (
        "unknown key 'lora_rnk'. Did you mean 'lora_rank'?",
        "base model models/Qwen2.5-7B: no such folder.",
        "make download MODEL=Qwen/Qwen2.5-7B",
        "no dataset 'alpaca_sample_train'",
        "Did you mean 'alpaca_sample_trian'?",
        "gone.json: no such file",
    ):
        assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["alpaca"]


def test_missing_data_names_the_command_that_writes_it(tool: Callable, words: list[str]) -> None:
    done = tool("tools.train.launch", CONF, *words)
    assert (done.returncode, "dataset_info.json: no such file" in done.stderr, "make data" in done.stderr) == (2, True, True), done.stderr


@pytest.mark.parametrize(
    ("given", "message"), [([], "no run is named"), (["conf/nope.yaml"], "conf/nope.yaml: no such file"), (["conf"], "is a folder")]
)
def test_a_wrong_conf_lists_the_runs(tool: Callable, given: list[str], message: str) -> None:
    done = tool("tools.train.launch", *given)
    assert (done.returncode, message in done.stderr, CONF in done.stderr) == (2, True, True), done.stderr


def test_a_finished_run_is_set_aside_whole(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text("x")
    assert set_aside(folder) is None, "an unfinished run stays where it is"
    (folder / FINISHED[0]).write_text("{}")
    os.utime(folder / FINISHED[0], (0, 0))
    moved = set_aside(folder)
    assert moved is not None
    assert moved.name.startswith("run.1970")
    assert (moved / "adapter_model.safetensors").read_text() == "x"
    assert not folder.exists()


def test_the_resolved_run_is_read_back_as_the_same_values(tmp_path: Path) -> None:
    run = load_run(Path(CONF), ["learning_rate=1e-4", "eval_strategy='no'", "dataset='a,b'", "resume_from_checkpoint=null"])
    path = tmp_path / f"{run.name}.yaml"
    path.write_text(to_yaml(run.values))
    assert load_run(path).values == run.values
    assert json.dumps(run.values["eval_strategy"]) == '"no"'
