"""Answering in this process: the embedded model with random adapters, whose answers depend on everything that could go wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools import cli
from tools.chat import prompt
from tools.conf.run import Run, load_run
from tools.conf.task import Task, find_task, load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.example import read_examples
from tools.predict.engines import Options, hf
from tools.predict.predict import predict
from tools.predict.questions import SAMPLING, Asking
from tools.train.engines import peft_engine

BASE = Path("models/tiny-qwen2")
ROWS = 7
KINDS = ("LORA", "PREFIX_TUNING", "P_TUNING")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    convert(load_task(Path("conf/task/sample.yaml"), [f"raw.dev=data/dataset/sample.dev.jsonl[:{ROWS}]", "raw.train=null"]), folder)
    return folder


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an adapter of each kind, of random weights."""
    import torch
    from peft import LoraConfig, PrefixTuningConfig, PromptEncoderConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapters")
    configs = (
        LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False),
        PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=6),
        PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=6, encoder_hidden_size=16),
    )
    for kind, config in zip(KINDS, configs, strict=True):
        torch.manual_seed(1)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), config)
        for name, weight in model.named_parameters():
            if weight.requires_grad and "lora_A" not in name:
                torch.nn.init.normal_(weight, std=0.7 if kind == "LORA" else 5)
        model.save_pretrained(folder / kind)
        (folder / kind / "train_results.json").write_text("{}")
    return folder


@pytest.fixture
def run_(dataset: Path, adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """A run that looks trained, with an adapter of the given kind; its answers are at most 16 tokens long."""
    monkeypatch.setitem(SAMPLING, "max_tokens", 16)

    def make(kind: str = "PREFIX_TUNING", base: Path = BASE) -> Run:
        values = {"model_name_or_path": str(base), "output_dir": str(adapters / kind), "dataset_dir": str(dataset / "alpaca")}
        return Run(tmp_path / f"{kind}.yaml", values)

    return make


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """The sample task with a prompt that the base model follows: it says the sentence again, as far as an adapter lets it."""
    (tmp_path / "prompt.txt").write_text("重复下面这句话：\n{text}")
    return find_task("sample").changed(prompt=tmp_path / "prompt.txt")


def predicted(run: Run, task: Task, split: str, word: str, out: Path, batch_size: int, debug: bool = False, limit: int | None = None) -> Path:
    options = Options(engine="hf", batch_size=batch_size, debug=debug, limit=limit)
    return predict(Asking(run, task, split, run.variant(word)), out, options)


def answers(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def outputs(path: Path) -> list[str]:
    return [row["output"] for row in answers(path)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_answers_as_each_row_alone_and_as_the_trained_forward_pass(run_: Callable[..., Run], task: Task, tmp_path: Path, kind: str) -> None:
    import torch

    run = run_(kind)
    alone = answers(predicted(run, task, "dev", "adapter", tmp_path / "1", 1))
    together = answers(predicted(run, task, "dev", "adapter", tmp_path / "all", ROWS))
    for row in alone + together:
        del row["latency_s"]
    assert alone == together
    assert len({row["prompt_tokens"] for row in alone}) > 3, "rows of several lengths, so a batch is padded"
    # What a batch of prompts sees must be, number by number, what each sees alone, unpadded, in the pass that training makes.
    model = hf.load(run, run.variant("adapter"))
    render = prompt.renderer(task)
    examples = list(read_examples(task.examples("dev", run.dataset)))
    chats = [prompt.messages(task, render(example)) for example in examples]
    texts = [model.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
    padded = model.tokenizer(texts, return_tensors="pt", padding=True)
    first = model.model.generate(**padded, return_dict_in_generate=True, output_logits=True, max_new_tokens=1).logits[0]
    for text, logits in zip(texts, first, strict=True):
        with torch.inference_mode():
            expected = model.model(**model.tokenizer(text, return_tensors="pt")).logits[0, -1]
        assert torch.allclose(logits, expected, atol=1e-3)


def test_predictions_and_their_record_are_a_servers(run_: Callable[..., Run], task: Task, tmp_path: Path) -> None:
    run = run_()
    path = predicted(run, task, "dev", "adapter", tmp_path / "out", 3)
    rows = answers(path)
    assert [row["id"] for row in rows] == [f"sample-dev-{n:06}" for n in range(1, ROWS + 1)]
    assert list(rows[0]) == ["id", "output", "finish_reason", "error", "prompt_tokens", "completion_tokens", "latency_s"]
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}
    assert all(row["completion_tokens"] == 16 for row in rows if row["finish_reason"] == "length")
    meta = json.loads((path.parent / "predictions.meta.json").read_text())
    assert meta["engine"].startswith("transformers 5") and "+ peft 0" in meta["engine"]
    assert (meta["which"], meta["model"], meta["sampling"]["temperature"]) == ("adapter", "PREFIX_TUNING", 0.0)
    assert len(meta["adapter_sha256"]) == 64


def test_each_of_a_runs_models_answers_for_itself(run_: Callable[..., Run], task: Task, tmp_path: Path) -> None:
    # Nothing random makes the tiny model lose its thread before the input: what P-tuning adds is seen in the numbers alone, in the test above.
    kinds = ("LORA", "PREFIX_TUNING")
    said = {kind: outputs(predicted(run_(kind), task, "dev", "adapter", tmp_path / kind, ROWS)) for kind in kinds}
    said["base"] = outputs(predicted(run_(), task, "dev", "base", tmp_path / "base", ROWS))
    assert len({tuple(answer) for answer in said.values()}) == 3


def test_a_models_own_sampling_habits_dont_count(run_: Callable[..., Run], task: Task, tmp_path: Path) -> None:
    base = tmp_path / "base"
    plain = outputs(predicted(run_(), task, "dev", "base", tmp_path / "plain", ROWS))
    shutil.copytree(BASE, base)
    habits = {"do_sample": True, "temperature": 5.0, "top_k": 50, "top_p": 0.9, "repetition_penalty": 3.0, "no_repeat_ngram_size": 1, "max_length": 5}
    own = json.loads((base / "generation_config.json").read_text())
    (base / "generation_config.json").write_text(json.dumps({**own, **habits}))
    assert outputs(predicted(run_(base=base), task, "dev", "base", tmp_path / "habits", ROWS)) == plain
    (base / "generation_config.json").write_text(json.dumps({**own, "eos_token_id": list(range(1, 2112))}))
    stopped = answers(predicted(run_(base=base), task, "dev", "base", tmp_path / "stopped", ROWS))
    assert {(row["completion_tokens"], row["finish_reason"]) for row in stopped} == {(1, "stop")}, "what ends an answer is the model's to say"


def test_debug_shows_the_first_rows_way_from_prompt_to_answer(
    run_: Callable[..., Run], task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_()
    shown = outputs(predicted(run, task, "dev", "adapter", tmp_path / "debug", ROWS, debug=True))
    printed = capsys.readouterr().out
    first = next(read_examples(task.examples("dev", run.dataset)))
    parts = [
        "【DEBUG】构建后的 prompt 文本",
        f"<|im_start|>system\n{task.system}<|im_end|>\n<|im_start|>user\n",
        first.text,
        "<|im_start|>assistant\n",
        "【DEBUG】tokenized 输入内容 (input_ids & attention_mask)",
        "'input_ids': tensor",
        "'attention_mask': tensor",
        "【DEBUG】原始生成的 token IDs",
        "【DEBUG】截断后的生成 token IDs（仅回答部分）",
        "【DEBUG】最终解码结果（JSON 格式实体识别结果）",
        shown[0],
    ]
    place = 0
    for part in parts:
        place = printed.index(part, place) + len(part)
    assert printed.count("【DEBUG】") == 5, "one row is enough to read"
    assert shown == outputs(predicted(run, task, "dev", "adapter", tmp_path / "plain", ROWS))


def test_rows_that_cant_be_asked_are_recorded_and_the_others_answered(run_: Callable[..., Run], task: Task, dataset: Path, tmp_path: Path) -> None:
    run = run_()
    texts = ["正常的句子", "坏\ud800字", "长" * 3000]
    path = dataset / "examples/sample_odd.jsonl"
    path.write_text("".join(json.dumps({"id": f"odd-{n}", "text": text, "entities": []}) + "\n" for n, text in enumerate(texts)))
    good, bad, long = answers(predicted(run, task, "odd", "adapter", tmp_path / "out", 2))
    assert good["error"] is None
    assert isinstance(good["output"], str)
    assert (bad["output"], bad["error"]) == (None, "the text can't be tokenised: it isn't valid Unicode")
    assert (long["output"], "tokens, and the model has room for 2026" in long["error"]) == (None, True), long


def test_a_few_rows_dont_replace_a_whole_split(run_: Callable[..., Run], task: Task, tmp_path: Path) -> None:
    run = run_()
    whole = predicted(run, task, "dev", "base", tmp_path / "out", ROWS)
    before = whole.read_bytes()
    with pytest.raises(ToolError, match=f"holds {ROWS} predictions, --limit 2 would replace them by fewer"):
        predicted(run, task, "dev", "base", tmp_path / "out", 1, limit=2)
    assert whole.read_bytes() == before
    few = answers(predicted(run, task, "dev", "base", tmp_path / "few", 1, limit=2))
    assert [row["output"] for row in few] == outputs(whole)[:2]


@pytest.mark.parametrize(
    ("name", "which", "message"),
    [
        ("train_results.json", "adapter", "training didn't finish: make train CONF="),
        ("adapter_model.safetensors", "adapter", "make train CONF="),
        ("", "merged", "Not merged yet: make export CONF="),
        ("", "checkpoint-40", "no such checkpoint"),
    ],
)
def test_a_model_that_isnt_there_names_the_command_that_makes_it(
    run_: Callable[..., Run], tmp_path: Path, name: str, which: str, message: str
) -> None:
    run = run_()
    copy = tmp_path / "copy"
    shutil.copytree(run.output_dir, copy)
    (copy / name).unlink() if name else None
    with pytest.raises(ToolError, match=message):
        there = Run(run.path, {**run.values, "output_dir": str(copy)})
        hf.load(there, there.variant(which))


def test_a_tokenizer_without_a_chat_template_is_asked_as_the_run_was_trained(run_: Callable[..., Run], task: Task, tmp_path: Path) -> None:
    run, base = run_(), tmp_path / "base"
    shutil.copytree(BASE, base)
    plain = outputs(predicted(run, task, "dev", "base", tmp_path / "plain", ROWS))
    (base / "chat_template.jinja").unlink()
    bare = run_(base=base)
    with pytest.raises(ToolError, match=r"neither the tokenizer of .* nor the run \(`template`\) says how this model is asked"):
        hf.load(bare, bare.variant("base"))
    bare = Run(bare.path, {**bare.values, "template": "qwen"})
    assert outputs(predicted(bare, task, "dev", "base", tmp_path / "bare", ROWS)) == plain


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--debug"], "--debug is an option of --engine hf, not of vllm"),
        (["--limit", "3"], "--limit is an option of --engine hf"),
        (["--engine", "hf", "--url", "http://127.0.0.1:1/v1"], "--url is an option of --engine vllm, not of hf"),
    ],
)
def test_an_option_of_the_other_engine_is_an_error(tool: Callable, words: list[str], message: str) -> None:
    done = tool("eval", "conf/peft/tiny-qwen2-sample-ner-ptuning.yaml", *words)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_a_prefix_is_trained_and_evaluated_without_a_server(
    tool: Callable, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = "conf/peft/tiny-qwen2-sample-ner-ptuning.yaml"
    words = [f"output_dir={tmp_path}/tiny-qwen2-sample-ner-ptuning", f"dataset_dir={dataset}/alpaca", "dataset=alpaca_sample_dev", "max_steps=2"]
    run = load_run(Path(conf), [*words, "eval_dataset=null"])
    run.output_dir.mkdir()
    run.resolved.write_text(json.dumps(run.values))
    peft_engine.train(run.resolved)
    done = tool("eval", conf, *words, "--engine", "hf")
    assert (done.returncode, "Micro Avg." in done.stdout) == (0, True), done.stderr
    score = json.loads((run.output_dir / "eval/sample_dev/score.json").read_text())
    assert (score["rows"], score["failures"]["missing"]) == (ROWS, 0)
    cli.main(["eval", conf, *words, "--engine", "hf", "--limit", "2"])
    assert "predicted, not scored" in capsys.readouterr().out
    assert len((run.output_dir / "eval/sample_dev-first-2/predictions.jsonl").read_text().splitlines()) == 2
    assert len((run.output_dir / "eval/sample_dev/predictions.jsonl").read_text().splitlines()) == ROWS


@pytest.mark.parametrize("own", [True, False], ids=["its own chat template", "LLaMA-Factory's"])
def test_thinking_that_is_turned_off_stands_in_the_prompt(run_: Callable[..., Run], task: Task, tmp_path: Path, own: bool) -> None:
    base = tmp_path / "base"
    shutil.copytree(BASE, base)
    jinja = base / "chat_template.jinja"
    end = "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    jinja.write_text(jinja.read_text() + end) if own else jinja.unlink()
    run, messages = run_(base=base), prompt.messages(task, "甲")
    texts = []
    for values in ({"template": "qwen3", "enable_thinking": False}, {"template": "qwen3"}):
        there = Run(run.path, {**run.values, **values})
        local = hf.load(there, there.variant("base"))
        texts.append(local.tokenizer.decode(hf._encode(local, messages)))
    assert texts[0] == texts[1] + "<think>\n\n</think>\n\n"


@pytest.mark.parametrize(("old", "new"), [("layers.1.self_attn", "layers.1.attention"), ("layers.", "blocks.")])
def test_an_adapter_that_peft_would_apply_in_part_is_refused(adapters: Path, tmp_path: Path, old: str, new: str) -> None:
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "adapter"
    shutil.copytree(adapters / "LORA", folder)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({name.replace(old, new): weight for name, weight in weights.items()}, folder / "adapter_model.safetensors")
    with pytest.raises(ToolError, match=r"matrices .* fit no layer of the other"):
        hf._adapted(AutoModelForCausalLM.from_pretrained(BASE), folder)
