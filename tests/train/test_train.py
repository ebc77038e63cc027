import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.run import load_run
from tools.errors import ToolError
from tools.files import one_at_a_time
from tools.train.distributed import Processes
from tools.train.examination import Examination
from tools.train.train import move_away, reason, to_yaml, train

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
    done = tool("train", CONF, *words, "lora_rnk=8", "model_name_or_path=models/Qwen2.5-7B")
    assert done.returncode == 2
    for message in (
        "unknown key 'lora_rnk'. Did you mean 'lora_rank'?",
        "base model models/Qwen2.5-7B: no such folder.",
        "make download ARGS=Qwen/Qwen2.5-7B",
        "no dataset 'alpaca_sample_train'",
        "Did you mean 'alpaca_sample_trian'?",
        "gone.json: no such file",
    ):
        assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["alpaca"]


def test_missing_data_names_the_command_that_writes_it(tool: Callable, words: list[str]) -> None:
    done = tool("train", CONF, *words)
    assert (done.returncode, "dataset_info.json: no such file" in done.stderr, "make data" in done.stderr) == (2, True, True), done.stderr


@pytest.mark.parametrize(
    ("given", "message"), [([], "no run is named"), (["conf/nope.yaml"], "conf/nope.yaml: no such file"), (["conf"], "is a folder")]
)
def test_a_wrong_conf_lists_the_runs(tool: Callable, given: list[str], message: str) -> None:
    done = tool("train", *given)
    assert (done.returncode, message in done.stderr, CONF in done.stderr) == (2, True, True), done.stderr


def test_a_folder_is_moved_aside_whole_and_never_over_another(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert move_away(folder) is None
    for content in ("x", "y"):
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_text(content)
        os.utime(folder / "adapter_model.safetensors", (0, 0))
        moved = move_away(folder)
        assert moved is not None
        assert moved.name.startswith("run.1970")
        assert (moved / "adapter_model.safetensors").read_text() == content
        assert not folder.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_the_reason_is_the_last_error_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("step 1\rstep 2\nTraceback (most recent call last):\n  x\ntorch.OutOfMemoryError: CUDA out of memory\n\n[W] bye\n")
    assert reason(log) == f"torch.OutOfMemoryError: CUDA out of memory\nThe whole log: {log}"
    log.write_text(
        "[rank1]: ValueError: no\n  Signal 9 (SIGKILL) received by PID 7\ntorch.distributed.elastic.multiprocessing.errors.ChildFailedError:\n"
    )
    assert reason(log).splitlines()[0] == "Signal 9 (SIGKILL) received by PID 7"
    log.write_text("a\nb\nc\nd\n")
    assert reason(log).splitlines()[:3] == ["b", "c", "d"]


def test_the_resolved_run_is_read_back_as_the_same_values(tmp_path: Path) -> None:
    run = load_run(Path(CONF), ["learning_rate=1e-4", "eval_strategy='no'", "dataset='a,b'", "resume_from_checkpoint=null"])
    path = tmp_path / f"{run.name}.yaml"
    path.write_text(to_yaml(run.values))
    assert load_run(path).values == run.values
    assert json.dumps(run.values["eval_strategy"]) == '"no"'


@pytest.mark.usefixtures("examined")
def test_two_trainings_of_one_run_dont_meet(tmp_path: Path) -> None:
    run = load_run(Path(CONF), [f"output_dir={tmp_path}/{Path(CONF).stem}"])
    with one_at_a_time(run.output_dir, "export"), pytest.raises(ToolError, match=r"in use by export, process \d+.*To start the training, wait"):
        train(run)


@pytest.mark.parametrize("how", [Processes(), Processes("1", nnodes=2, node_rank=1, master_addr="10.0.0.1", master_port=1)])
def test_a_finished_run_is_refused_before_anything_is_examined(tmp_path: Path, how: Processes) -> None:
    run = load_run(Path(CONF), [f"output_dir={tmp_path}/{Path(CONF).stem}", "lora_rnk=8"])
    run.output_dir.mkdir()
    (run.output_dir / "train_results.json").write_text("{}")
    with pytest.raises(ToolError, match=rf"this run is finished.*To start over: make train CONF={CONF} ARGS=--fresh"):
        train(run, how=how)


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examination finds nothing."""
    monkeypatch.setattr("tools.train.train.examine", Examination)


@pytest.mark.usefixtures("examined")
def test_what_only_this_machine_cant_do_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.train.train.examine", lambda run, how: Examination(run, how, here=["no bf16 here"]))
    with pytest.raises(ToolError, match="no bf16 here") as error:
        train(load_run(Path(CONF), [f"output_dir={tmp_path}/{Path(CONF).stem}"]))
    assert error.value.exit_code == 2
