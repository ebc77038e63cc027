"""Runs: merge order, LLaMA-Factory's own reading, and one clear message for a broken file."""

from pathlib import Path

import pytest

from tools.conf.overlays import RUNS, SERVE
from tools.conf.run import load_run
from tools.errors import ToolError

RUN = "model_name_or_path: models/x\ndataset: alpaca_toy_train\noutput_dir: data/outputs/run\nlora_rank: 8\nlearning_rate: 1.0e-4\n"


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    return path


def test_numbers_are_read_as_llamafactory_reads_them(run_file: Path) -> None:
    assert load_run(run_file, ["learning_rate=5e-5"]).values["learning_rate"] == 5e-5


def test_the_task_of_a_run_is_read_from_its_dataset(run_file: Path) -> None:
    assert load_run(run_file).task == "toy"
    assert load_run(run_file, ["dataset=alpaca_my_task_train"]).task == "my_task"
    with pytest.raises(ToolError, match="names no single task"):
        _ = load_run(run_file, ["dataset='alpaca_a_train,alpaca_b_train'"]).task


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (RUN + "lora_rank: 9\n", [], r"run\.yaml:6: found duplicate key lora_rank"),
        (RUN + "x: [1\n", [], r"run\.yaml:\d+: "),
        ("- 1\n", [], "must hold `key: value` lines"),
        ("lora_rank: 8\n", [], "`model_name_or_path` is missing"),
        (RUN + "hf_hub_token: abc\n", [], "`hf_hub_token` is a secret"),
        (RUN, ["output_dir=elsewhere/other"], "must end in the run's name"),
        (RUN, ["lora_rank"], "neither key=value nor an overlay"),
        (RUN, ["missing.yaml"], "missing.yaml: no such file"),
        (RUN, ["a=[1"], "not readable as YAML|can't lay"),
        (RUN + "x: ${nowhere}\n", [], "nowhere"),
    ],
)
def test_a_broken_run_is_one_clear_message(tmp_path: Path, text: str, words: list[str], message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ToolError, match=message):
        load_run(path, words)


def test_a_missing_run_lists_the_runs_that_are_there_and_no_server_defaults() -> None:
    with pytest.raises(ToolError, match="no such file") as error:
        load_run(Path("conf/nope.yaml"))
    assert "tiny-qwen2-sample-ner-lora-sft.yaml" in str(error.value)
    assert "serve" not in str(error.value)


def test_every_run_is_named_after_its_file_and_runs_natively() -> None:
    paths = [path for path in RUNS.glob("*.yaml") if not path.name.startswith(SERVE)]
    assert len(paths) >= 4
    for path in paths:
        assert load_run(path).output_dir == Path("data/outputs") / path.stem
        assert "${" not in path.read_text(), "LLaMA-Factory doesn't resolve interpolations"
        sections = [line for line in path.read_text().splitlines() if line.startswith("### ")]
        assert sections == ["### model", "### method", "### dataset", "### output", "### train", "### eval"]


def test_run_then_overlays_in_order_then_words(run_file: Path, tmp_path: Path) -> None:
    for name, rank in (("one", 16), ("two", 32)):
        (tmp_path / f"{name}.yaml").write_text(f"lora_rank: {rank}\nfrom_{name}: true\n")
    one, two = str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")
    assert load_run(run_file, [one, two]).values["lora_rank"] == 32
    assert load_run(run_file, [two, one]).values["lora_rank"] == 16
    values = load_run(run_file, ["lora_rank=64", one, two]).values
    assert (values["lora_rank"], values["from_one"], values["from_two"]) == (64, True, True)
