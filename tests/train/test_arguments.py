"""Every run file against the installed LLaMA-Factory's own parser."""

import importlib
from pathlib import Path

import pytest

from tools.conf.overlays import RUNS, SERVE
from tools.conf.run import load_run
from tools.train import arguments

CONFS = sorted(path for path in RUNS.rglob("*.yaml") if path.parent == RUNS and not path.name.startswith(SERVE))
OVERLAYS = sorted(str(path) for path in (RUNS / "overlay").rglob("*.yaml"))


def test_there_are_runs_to_test() -> None:
    assert {
        "Qwen2.5-7B-Instruct-clue-ner-lora-sft",
        "Qwen2.5-7B-Instruct-clue-ner-lora-sft-peft",
        "tiny-qwen2-clue-ner-lora-sft",
        "tiny-qwen2-sample-ner-lora-sft",
    } <= {path.stem for path in CONFS}
    assert OVERLAYS


@pytest.mark.parametrize("overlays", [[], *([overlay] for overlay in OVERLAYS)], ids=lambda words: Path(words[0]).stem if words else "plain")
@pytest.mark.parametrize("path", CONFS, ids=lambda path: path.stem)
def test_llamafactorys_own_parser_takes_the_run(path: Path, overlays: list[str]) -> None:
    parser = importlib.import_module("llamafactory.hparams.parser")
    # transformers refuses bf16 where there is neither a GPU nor use_cpu: the one thing about this machine that isn't about the run.
    run = load_run(path, [*overlays, "use_cpu=true"])
    model, data, training, finetuning, _ = parser._parse_train_args(run.values)
    assert (model.model_name_or_path, data.dataset, finetuning.finetuning_type) == (run.base_model, [run.values["dataset"]], "lora")
    assert Path(training.output_dir) == run.output_dir
    assert finetuning.lora_rank == run.values["lora_rank"]


def test_known_keys_are_those_that_the_parser_takes() -> None:
    known = arguments.arguments()
    assert {"lora_rank", "model_name_or_path", "cutoff_len", "learning_rate", "ray_num_workers"} <= set(known)
    assert arguments.arguments() == known == arguments.ask()["llamafactory"]
    assert known["lora_rank"] == {"types": ["int"], "options": [], "default": 8}
    assert known["stage"]["options"] == ["pt", "sft", "rm", "ppo", "dpo", "kto"]


@pytest.mark.parametrize("key", arguments.RENAMED)
def test_a_key_of_an_older_transformers_is_told_with_its_new_name(key: str) -> None:
    known = arguments.arguments()
    assert key not in known
    assert arguments.RENAMED[key].partition(":")[0] in known
    [problem] = arguments.problems(load_run(CONFS[0], [f"{key}=true"]))
    assert f"unknown key '{key}'. It is now `{arguments.RENAMED[key]}`. LLaMA-Factory would refuse the run." in problem


@pytest.mark.parametrize("path", CONFS, ids=lambda path: path.stem)
def test_our_own_runs_have_no_problems(path: Path) -> None:
    assert arguments.problems(load_run(path)) == []


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lora_rnk=8", "unknown key 'lora_rnk'. Did you mean 'lora_rank'?"),
        ("group_by_length=true", "unknown key 'group_by_length'"),
        ("stage=sfty", "not one of its choices. Did you mean 'sft'?"),
        ("flash_attn=fa9", "not one of its choices. Did you mean 'fa3'?"),
        ("lora_rank=abc", "must be int, this is str"),
        ("lora_rank=8.5", "must be int, this is float"),
        ("learning_rate=fast", "must be float, this is str"),
        ("bf16='yes please'", "must be bool, this is str"),
        ("eval_strategy=no", "quote it"),
        ("save_strategy=stpes", "not one of its choices. Did you mean 'steps'?"),
        ("lr_scheduler_type=cosin", "Did you mean 'cosine'?"),
    ],
)
def test_a_key_or_value_that_llamafactory_would_choke_on_is_named(word: str, message: str) -> None:
    [problem] = arguments.problems(load_run(RUNS / "tiny-qwen2-sample-ner-lora-sft.yaml", [word]))
    assert message in problem


@pytest.mark.parametrize(
    "word",
    [
        "learning_rate=1",
        "eval_strategy='no'",
        "lora_target='q_proj,v_proj'",
        "report_to=none",
        "report_to=[none]",
        "resume_from_checkpoint=null",
        "save_steps=0.5",
        "warmup_steps=0.1",
        "dataset=[a,b]",
        "run_name=7",
        "deepspeed=ds.json",
        "model_name_or_path=models/x",
    ],
)
def test_what_llamafactory_takes_is_let_through(word: str) -> None:
    assert arguments.problems(load_run(RUNS / "tiny-qwen2-sample-ner-lora-sft.yaml", [word])) == []
