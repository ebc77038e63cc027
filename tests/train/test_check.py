"""A run is examined before it costs anything: what it would do, and all that is wrong with it."""

import argparse
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.train import check, native_parser
from tools.train.check import is_run, report
from tools.train.examination import examine
from tools.train.machine import visible_gpus
from tools.train.native_parser import Objections

CONF = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"


@pytest.fixture
def words(dataset: Path, tmp_path: Path) -> list[str]:
    """Overrides that keep a test's files below tmp_path."""
    shutil.copytree(dataset.parent, tmp_path, dirs_exist_ok=True)
    return [f"output_dir={tmp_path}/tiny-qwen2-sample-ner-lora-sft", f"dataset_dir={tmp_path}/alpaca"]


def test_the_page_shows_values_with_their_origin_and_what_the_run_will_do(tool: Callable, words: list[str], tmp_path: Path) -> None:
    done = tool("check", CONF, *words, "conf/overlay/smoke.yaml", "lora_rank=16", "max_steps=40", "bf16=true")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert lines["lora_rank"] == ["16", "command", "line", "8"]
    assert lines["max_samples"] == ["64", "conf/overlay/smoke.yaml", "null"]
    assert lines["max_steps"] == ["40", "command", "line", "-1"]
    assert lines["learning_rate"] == ["0.002", "run", "5e-05"]
    assert "seed" not in lines, "as by default"
    assert "40 steps = 10 epochs of 4, effective batch 16 (16 a device × 1 accumulated × 1 processes)" in done.stdout
    assert f"python -m tools.train.engines.llamafactory_engine {tmp_path}/tiny-qwen2-sample-ner-lora-sft/run.yaml" in done.stdout
    assert re.search(r"GPU +about \S+ GB without gradient checkpointing, \S+ GB with it: weights 7.58 MB, 374,784 trained parameters", done.stdout)
    assert "sample train: 2,000 rows" in done.stdout, "the data doctor's page follows"
    if not visible_gpus():
        assert "LLaMA-Factory refuses the run on this machine: Your setup doesn't support bf16/gpu" in done.stdout
        assert "Without a GPU, use_cpu=true trains on the CPU." in done.stdout
        assert "nothing is wrong with the run, but with this machine" in done.stdout


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("raw", "code", "said"),
    [
        ({"train": "{sample}[:-100]", "dev": "{sample}[-100:]"}, 0, "nothing is wrong with the run. next: make train CONF="),
        (
            {"train": "{sample}", "dev": "nowhere.jsonl"},
            0,
            "raw data  not examined, nowhere.jsonl isn't here. Converted from elsewhere? make check TASK=sample",
        ),
        ({"train": "nowhere.jsonl"}, 0, "nothing is wrong with the run. next: make train CONF="),
        ({"train": "{sample}", "dev": "{sample}[-100:]"}, 1, "but with its raw data. next: mend the errors above, then make data TASK=sample"),
    ],
    ids=["slices", "one file isn't here", "none is here", "dev rows are trained on"],
)
def test_the_raw_files_are_examined_where_they_are_here_and_the_last_line_fits_the_exit_code(
    raw: dict[str, str], code: int, said: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    values = {split: value.format(sample="data/dataset/sample.train.jsonl") for split, value in raw.items()}
    task = find_task("sample").model_copy(update={"raw": values})
    monkeypatch.setattr(check, "find_task", lambda name: task)
    parser = argparse.ArgumentParser()
    check.add_options(parser)
    assert check.check_run(load_run(Path(CONF), [*words, "bf16=false", "use_cpu=true"]), parser.parse_args([])) == code
    assert said in capsys.readouterr().out


@pytest.mark.usefixtures("quick")
def test_every_value_can_be_listed(words: list[str]) -> None:
    assert "seed" in report(examine(load_run(Path(CONF), words)), everything=True)


def test_the_first_file_tells_a_task_from_a_run(tool: Callable, tmp_path: Path) -> None:
    assert is_run([CONF, "conf/overlay/fast.yaml", "lora_rank=8"])
    assert is_run(["lora_rank=8", CONF])
    assert not is_run(["conf/task/sample.yaml"])
    assert not is_run([])
    done = tool("check", "conf/task/sample.yaml", "--out", tmp_path)
    assert (done.returncode, "sample train: 2,000 rows" in done.stdout) == (0, True), done.stderr
    for word, message in (("conf/overlay/fast.yaml", "neither a run"), ("conf/nope.yaml", f"no such file. Runs:.*{CONF}.*Tasks:.*sample.yaml")):
        done = tool("check", word)
        assert (done.returncode, bool(re.search(message, done.stderr))) == (2, True), done.stderr


@pytest.mark.usefixtures("quick")
def test_data_of_two_conversions_is_refused_with_the_command_that_writes_it_again(words: list[str], tmp_path: Path) -> None:
    with open(tmp_path / "examples/sample_train.jsonl", "a") as file:
        file.write("\n")
    [problem] = examine(load_run(Path(CONF), words)).problems
    assert "examples/sample_train.jsonl: doesn't belong to" in problem
    assert "make data TASK=sample" in problem


def test_all_that_is_wrong_is_told_at_once(tool: Callable, words: list[str]) -> None:
    done = tool("check", CONF, *words, "lora_rnk=8", "stage=sfty", "eval_strategy=no", "template=qwne", "lora_rank=-1", "learning_rate=.nan")
    assert done.returncode == 2
    for message in (
        "unknown key 'lora_rnk'. Did you mean 'lora_rank'?",
        "`stage: \"sfty\"`: not one of its choices. Did you mean 'sft'?",
        "`eval_strategy: false`: YAML reads a bare yes or no as true or false; quote it",
        "`template: \"qwne\"`: not one of its choices. Did you mean 'qwen'?",
        "`lora_rank: -1`: must be above 0.",
        "not a number to train with",
    ):
        assert message in done.stderr, message


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "cutoff_len=120",
            r"alpaca_sample_train.json: [\d,]+ of 2,000 rows are longer than cutoff_len 120 and would lose the end of their prompt: row 2 \(\d+\)",
        ),
        ("report_to=wandbb", "report_to: wandbb: no such package here"),
        ("load_best_model_at_end=true save_strategy=epoch", "LLaMA-Factory refuses the run: --load_best_model_at_end requires"),
        ("save_strategy=steps save_steps=1 num_train_epochs=999999", "free, and the run's .* checkpoints take"),
    ],
)
def test_what_llamafactory_would_find_late_or_never_is_found_now(tool: Callable, words: list[str], word: str, message: str) -> None:
    done = tool("check", CONF, *words, *word.split())
    assert (done.returncode, bool(re.search(message, done.stderr))) == (2, True), done.stderr


def test_a_run_that_passed_isnt_asked_of_llamafactory_again(words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers = [Objections(here="no bf16 here"), Objections("refused"), Objections("refused")]
    monkeypatch.setattr(native_parser, "ask", lambda run: answers.pop(0))
    run = load_run(Path(CONF), words)
    assert [(found.problems, found.here) for found in (examine(run), examine(run))] == [([], ["no bf16 here"])] * 2
    assert examine(load_run(Path(CONF), [*words, f"output_dir={tmp_path}/elsewhere/{run.name}"])).here == ["no bf16 here"], "the folder is no matter"
    changed = load_run(Path(CONF), [*words, "lora_alpha=7"])
    assert [examine(changed).problems, examine(changed).problems] == [["refused"]] * 2, "what was refused is asked again"


@pytest.mark.usefixtures("quick")
def test_a_model_without_safetensors_has_a_plan_and_no_estimate(words: list[str], tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree("models/tiny-qwen2", base, ignore=shutil.ignore_patterns("*.safetensors"))
    found = examine(load_run(Path(CONF), [*words, f"model_name_or_path={base}"]))
    assert found.plan
    assert found.estimate is None
    assert any("memory and disk aren't estimated" in remark for remark in found.remarks)


@pytest.mark.usefixtures("quick")
def test_a_dataset_elsewhere_is_said_not_to_be_examined(words: list[str], tmp_path: Path) -> None:
    info = json.loads((tmp_path / "alpaca/dataset_info.json").read_text())
    (tmp_path / "alpaca/dataset_info.json").write_text(json.dumps({**info, "alpaca_sample_hub": {"hf_hub_url": "a/b"}}))
    found = examine(load_run(Path(CONF), [*words, "dataset=alpaca_sample_hub"]))
    assert (found.problems, found.plan) == ([], None)
    assert "alpaca_sample_hub: not a local Alpaca file" in found.remarks[0]


def test_a_prompt_that_isnt_the_served_one_is_told_before_tokens_are_counted_or_the_parser_asked(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_parser, "ask", lambda run: pytest.fail("the parser was asked"))
    found = examine(load_run(Path(CONF), [*words, "template=llama3", "cutoff_len=9"]))
    [problem] = found.problems
    assert "`template: llama3` isn't the base model's own chat format" in problem
    assert found.plan is None


def test_long_rows_and_the_parsers_objections_are_told_together(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_parser, "ask", lambda run: Objections("refused"))
    *long, last = examine(load_run(Path(CONF), [*words, "cutoff_len=120"])).problems
    assert len(long) == 2, "both datasets have longer rows"
    assert last == "refused"
