"""A run is examined before it costs anything: what it would do, and all that is wrong with it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.run import load_run
from tools.train import check
from tools.train.check import examine, report

CONF = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"


@pytest.fixture
def words(tool: Callable, tmp_path: Path) -> list[str]:
    """Overrides that keep a test's files below tmp_path, with the sample's rows there."""
    assert tool("data", "conf/task/sample.yaml", "--out", tmp_path).returncode == 0
    return [f"output_dir={tmp_path}/tiny-qwen2-sample-ner-lora-sft", f"dataset_dir={tmp_path}/alpaca"]


def test_the_page_shows_values_with_their_origin_and_what_the_run_will_do(tool: Callable, words: list[str], tmp_path: Path) -> None:
    done = tool("check", CONF, *words, "conf/overlay/smoke.yaml", "lora_rank=16", "max_steps=40")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert lines["lora_rank"] == ["16", "command", "line", "8"]
    assert lines["max_samples"] == ["64", "conf/overlay/smoke.yaml", "null"]
    assert lines["max_steps"] == ["40", "command", "line", "-1"]
    assert lines["learning_rate"] == ["0.002", "run", "5e-05"]
    assert "seed" not in lines, "as by default"
    assert "40 steps = 10 epochs of 4, effective batch 16 (16 a device × 1 accumulated × 1 processes)" in done.stdout
    assert f"llamafactory-cli train {tmp_path}/tiny-qwen2-sample-ner-lora-sft/run.yaml" in done.stdout
    assert re.search(r"GPU +about \S+ GB without gradient checkpointing, \S+ GB with it: weights 7.58 MB, 374,784 trained parameters", done.stdout)
    assert "sample train: 2,000 rows" in done.stdout, "the data doctor's page follows"
    assert "seed" in report(examine(load_run(Path(CONF), words)), everything=True)


def test_all_that_is_wrong_is_told_at_once(tool: Callable, words: list[str]) -> None:
    done = tool(
        "tools.train.check", CONF, *words, "lora_rnk=8", "stage=sfty", "eval_strategy=no", "template=qwne", "lora_rank=-1", "learning_rate=.nan"
    )
    assert done.returncode == 2
    for message in (
        "unknown key 'lora_rnk'. Did you mean 'lora_rank'?",
        "`stage: \"sfty\"`: not one of its choices. Did you mean 'sft'?",
        "`eval_strategy: false`: YAML reads a bare yes or no as true or false; quote it",
        "unknown template 'qwne'. Did you mean 'qwen'?",
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
        ("load_best_model_at_end=true save_strategy=epoch", "LLaMA-Factory refuses it: --load_best_model_at_end requires"),
        ("save_strategy=steps save_steps=1 num_train_epochs=999999", "free, and the run's .* checkpoints take"),
    ],
)
def test_what_llamafactory_would_find_late_or_never_is_found_now(tool: Callable, words: list[str], word: str, message: str) -> None:
    done = tool("check", CONF, *words, *word.split())
    assert (done.returncode, bool(re.search(message, done.stderr))) == (2, True), done.stderr


def test_a_run_that_passed_isnt_asked_of_llamafactory_again(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run = load_run(Path(CONF), words)
    assert examine(run).problems == []
    monkeypatch.setattr(check.parse, "parser_problems", lambda run: ["asked"])
    assert examine(run).problems == []
    assert examine(load_run(Path(CONF), [*words, "lora_alpha=7"])).problems == ["asked"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLaMA-Factory's own parser, which takes seconds to import, has nothing to say."""
    monkeypatch.setattr(check.parse, "parser_problems", lambda run: [])


@pytest.mark.usefixtures("quick")
def test_a_model_without_safetensors_has_a_plan_and_no_estimate(words: list[str], tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree("models/tiny-qwen2", base, ignore=shutil.ignore_patterns("*.safetensors"))
    found = examine(load_run(Path(CONF), [*words, f"model_name_or_path={base}"]))
    assert found.plan
    assert found.estimate is None
    assert any("no safetensors files" in remark for remark in found.remarks)


@pytest.mark.usefixtures("quick")
def test_a_dataset_elsewhere_is_said_not_to_be_examined(words: list[str], tmp_path: Path) -> None:
    info = json.loads((tmp_path / "alpaca/dataset_info.json").read_text())
    (tmp_path / "alpaca/dataset_info.json").write_text(json.dumps({**info, "alpaca_sample_hub": {"hf_hub_url": "a/b"}}))
    found = examine(load_run(Path(CONF), [*words, "dataset=alpaca_sample_hub"]))
    assert (found.problems, found.plan) == ([], None)
    assert "alpaca_sample_hub: not a local Alpaca file" in found.remarks[0]
