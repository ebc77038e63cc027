import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.train.test_checkpoints import make_checkpoint
from tools.conf.run import Run, load_run
from tools.conf.task import find_task
from tools.errors import ToolError
from tools.train.train import move_away, only_one, reason, starting_point, to_yaml

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
        "make download MODEL=Qwen/Qwen2.5-7B",
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


def interrupted(tmp_path: Path, **values: object) -> Run:
    """A run of which a checkpoint is there, begun with the sample run's values."""
    run = load_run(Path(CONF), [f"output_dir={tmp_path}/tiny-qwen2-sample-ner-lora-sft"])
    make_checkpoint(run.output_dir / "checkpoint-2")
    run.resolved.write_text(to_yaml({**run.values, "resume_from_checkpoint": None, "logging_steps": 5, **values}))
    return run


def test_an_interrupted_run_goes_on_from_its_newest_whole_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = interrupted(tmp_path)
    make_checkpoint(run.output_dir / "checkpoint-4")
    (run.output_dir / "checkpoint-4/optimizer.pt").write_bytes(b"PK")
    log = run.output_dir / "trainer_log.jsonl"
    log.write_text('{"current_steps": 2}\n{"current_steps": 3}\n{"curr')
    assert starting_point(run) == run.output_dir / "checkpoint-2"
    assert "checkpoint-4: not whole (optimizer.pt:" in capsys.readouterr().out
    assert (run.output_dir / "torn-checkpoint-4").is_dir()
    assert log.read_text() == '{"current_steps": 2}\n'


@pytest.mark.parametrize(("key", "then"), [("lora_rank", 8), ("learning_rate", 1e-4), ("max_steps", 5), ("seed", 1)])
def test_a_checkpoint_of_another_training_isnt_gone_on_from(tmp_path: Path, key: str, then: float) -> None:
    run = interrupted(tmp_path, **{key: then})
    with pytest.raises(ToolError, match=rf"`{key}` is .* began with {then}.*FRESH=1"):
        starting_point(run)


def test_a_checkpoint_of_other_data_isnt_gone_on_from(tmp_path: Path) -> None:
    run = interrupted(tmp_path)
    prompt = str(find_task("sample").prompt)
    (run.output_dir / "manifest.json").write_text(json.dumps({"sha256": {prompt: "0" * 64}}))
    with pytest.raises(ToolError, match=rf"{prompt}: not what the interrupted training"):
        starting_point(run)


def test_a_checkpoint_that_the_user_names_must_be_whole(tmp_path: Path) -> None:
    run = load_run(Path(CONF), [f"resume_from_checkpoint={tmp_path}/checkpoint-2"])
    with pytest.raises(ToolError, match=r"not a whole checkpoint: no trainer_state\.json"):
        starting_point(run)
    make_checkpoint(tmp_path / "checkpoint-2")
    assert starting_point(run) == tmp_path / "checkpoint-2"


def test_two_trainings_of_one_run_dont_meet(tmp_path: Path) -> None:
    run = interrupted(tmp_path)
    with only_one(run), pytest.raises(ToolError, match="another training of this run is under way"), only_one(run):
        pass
    with only_one(run):
        pass


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
