"""Every run file against the installed LLaMA-Factory's own parser."""

import importlib
from pathlib import Path

import pytest

from tools.conf import RUNS, SERVE, load_run
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
    known = arguments.known_keys()
    assert {"lora_rank", "model_name_or_path", "cutoff_len", "learning_rate", "ray_num_workers"} <= set(known)
    assert arguments.known_keys() == known == arguments._ask()


def test_an_unknown_key_is_guessed() -> None:
    run = load_run(RUNS / "tiny-qwen2-sample-ner-lora-sft.yaml", ["lora_rnk=8", "group_by_length=true"])
    problems = arguments.problems(run)
    assert len(problems) == 2
    assert "unknown key 'lora_rnk'. Did you mean 'lora_rank'?" in problems[0]
