"""A card's facts are those of the run's folder: stale evaluations, older models and other prompts are told apart."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.report.conftest import ADAPTER, LABELS, ROWS, Trained, card_of, merge
from tools.conf.task import Task, load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.files import read_json, write_json
from tools.predict.predictions import META
from tools.report.card import NAME, write


@pytest.fixture
def task(write_task: Callable[..., Path]) -> Task:
    return load_task(write_task(ROWS, labels=LABELS, source="made up; Apache-2.0"))


def test_a_prompt_that_training_did_not_see_is_said_to_be_another(task: Task, trained: Trained) -> None:
    run = trained(task)
    task.prompt.write_text("换了：{text}\n")
    text = card_of(run, task)
    assert "made with another prompt than the task has now" in text and "提示词与任务现在的不同" in text
    convert(task, run.dataset)  # now the files on the disk aren't the trained ones
    text = card_of(run, task)
    assert "whether they were made with this prompt couldn't be checked" in text and "not known: changed since, or not here" in text


def test_missing_torn_and_stale_evaluations_are_named_and_never_shown_as_figures(task: Task, trained: Trained, scored: Callable[..., Path]) -> None:
    run = trained(task)
    text = card_of(run, task)
    assert "no up-to-date evaluation of this model on the split dev.** `make eval CONF=conf/a.yaml`" in text and "model-index" not in text
    folder = scored(run, task)
    f1 = f"{read_json(folder / 'score.json')['micro']['f1']:.4f}"
    scored(run, task, "base", errors=1.0)
    scored(run, task, decoding="schema", errors=0.1)
    merge(run)
    scored(run, task, "merged", errors=0.4)
    text = card_of(run, task)
    assert f1 in text and "| adapter | schema |" in text and "| merged | free |" in text
    assert "out of date" not in text
    meta = read_json(folder / META)
    for change in ({"task_version": 0}, {"prompt_sha256": "00"}, {"examples_sha256": "00"}, {"base_model": "models/other"}, {"adapter_sha256": "00"}):
        write_json(folder / META, {**meta, **change})
        score = read_json(folder / "score.json")
        write_json(folder / "score.json", {**score, "version": change.get("task_version", task.version)})
        text = card_of(run, task)
        assert "the model has changed since: `make eval CONF=conf/a.yaml`" in text, change
        assert "no up-to-date evaluation" in text and f"**{f1}**" not in text
        write_json(folder / "score.json", score)
    write_json(folder / META, meta)
    (run.output_dir / "adapter_model.safetensors").write_bytes(b"trained anew")
    text = card_of(run, task)
    # the adapter, its schema decoding and the merged model; the base model is what it was
    assert text.count("out of date") == 3 and "| base | free | dev | 0" in text
    (folder / "score.json").unlink()
    assert "| adapter | free | dev |" not in card_of(run, task)


def test_merged_and_quantised_models_have_cards_of_their_own_and_stale_ones_none(task: Task, trained: Trained, scored: Callable[..., Path]) -> None:
    run = trained(task)
    merge(run)
    score = read_json(scored(run, task, "merged", errors=0.2) / "score.json")
    path = write(run, task, "merged", "dev", base_model="Qwen/Base-7B")
    head = yaml.safe_load(path.read_text().split("---")[1])
    assert path == run.variant("merged").folder / NAME and (head["library_name"], head["base_model_relation"]) == ("transformers", "finetune")
    assert head["model-index"][0]["results"][0]["metrics"][0]["value"] == score["micro"]["f1"]
    assert "vllm serve . --served-model-name a" in path.read_text() and "PeftModel" not in path.read_text()
    quantised = run.variant("merged-awq").folder
    write_json(quantised / "config.json", {})
    record = read_json(run.variant("merged").record) | {
        "method": "awq",
        "scheme": "W4A16, asymmetric",
        "group_size": 64,
        "calibration": {"rows": 256},
    }
    write_json(quantised / "quantize.json", record)
    path = write(run, task, "merged-awq", "dev", base_model="Qwen/Base-7B")
    head = yaml.safe_load(path.read_text().split("---")[1])
    assert head["base_model_relation"] == "quantized" and "awq" in head["tags"] and "awq: W4A16, asymmetric, groups of 64" in path.read_text()
    assert "** `make eval CONF=conf/a.yaml WHICH=merged-awq`" in path.read_text()
    (run.output_dir / "adapter_model.safetensors").write_bytes(b"trained anew")
    before = path.read_bytes()
    for which in ("merged", "merged-awq"):
        with pytest.raises(ToolError, match="older adapter"):
            write(run, task, which, "dev")
    assert path.read_bytes() == before


def test_the_best_checkpoints_card_stands_in_its_own_folder(task: Task, trained: Trained, scored: Callable[..., Path]) -> None:
    run = trained(task)
    best = run.output_dir / "checkpoint-5"
    for name, content in (("adapter_config.json", json.dumps({**ADAPTER, "r": 60})), ("adapter_model.safetensors", "others")):
        best.mkdir(exist_ok=True)
        (best / name).write_text(content)
    run.variant("best").write_best({"checkpoint": "checkpoint-5"})
    scored(run, task, "best")
    path = write(run, task, "best", "dev")
    text = path.read_text()
    assert path == best / NAME and "the weights of checkpoint-5, not those of the last step" in text and "--max-lora-rank 64 " in text
    assert "make serve CONF=conf/a.yaml WHICH=best" in text and "model-index" in text


def test_an_adapter_that_vllm_refuses_has_no_serving_command(task: Task, trained: Trained) -> None:
    text = card_of(trained(task, adapter={"use_dora": True}), task)
    assert "vLLM doesn't take this adapter" in text and "vllm serve" not in text
    prefix = card_of(trained(task, "b", adapter={"peft_type": "PREFIX_TUNING", "r": None}, finetuning_type="prefix"), task)
    assert 'ARGS="--engine hf"' in prefix and "vllm serve" not in prefix and "p-tuning-v2" in prefix and "LoRA" not in prefix.split("###")[1]
    assert "--max-lora-rank 16 " in card_of(trained(task, "c"), task)  # the adapter's rank is 12


def test_a_run_without_an_adapter_or_a_manifest_says_so(task: Task, trained: Trained) -> None:
    run = trained(task)
    (run.output_dir / "manifest.json").unlink()
    assert "There is no manifest.json" in card_of(run, task)
    for name in ("adapter_model.safetensors", "train_results.json"):
        (run.output_dir / name).rename(run.output_dir / f"{name}.gone")
        with pytest.raises(ToolError, match=r"make train CONF=conf/a\.yaml") as lacking:
            write(run, task, "adapter", "dev")
        assert lacking.value.exit_code == 2
