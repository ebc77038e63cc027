"""The shared forward is held against transformers' own: the same loss and the same gradients, for less work."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tools.conf.run import load_run
from tools.conf.task import load_task
from tools.data.convert import convert
from tools.files import ROOT
from tools.train.engines import fused_lora, shared_prefix
from tools.train.sharing import LEAST, TESTED, TokenRow, shared_tokens, shared_work

SIZES = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32, "decoder_sparse_step": 1}
Batch = dict[str, Tensor]


def causal(kind: str, **settings: Any) -> PreTrainedModel:
    torch.manual_seed(1)
    sizes = SIZES | {"head_dim": 16, "pad_token_id": 0} | (EXPERTS if "moe" in kind else {})
    model: PreTrainedModel = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**sizes, **settings}), attn_implementation="sdpa")
    return model


def with_lora(model: PreTrainedModel, **settings: Any) -> Any:
    return get_peft_model(model, LoraConfig(**{"r": 8, "target_modules": "all-linear", "init_lora_weights": False, **settings}))


def batch(prefix: int, side: str = "right", rows: int = 5, seed: int = 0) -> Batch:
    """Rows of a common beginning, a question and an answer of their own, padded to a multiple of 8 on one side. Questions may be empty behind one."""
    torch.manual_seed(seed)
    common = torch.randint(3, 300, (prefix,))
    parts = [(torch.randint(3, 300, (number * 3 % 7 + (prefix == 0),)), torch.randint(3, 300, (1 + number * 5 % 11,))) for number in range(rows)]
    width = -(-max(prefix + len(question) + len(answer) for question, answer in parts) // 8) * 8
    ids, mask, labels = torch.zeros(rows, width, dtype=torch.long), torch.zeros(rows, width, dtype=torch.long), torch.full((rows, width), -100)
    for number, (question, answer) in enumerate(parts):
        row = torch.cat([common, question, answer])
        place = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        ids[number, place], mask[number, place] = row, 1
        labels[number, place] = torch.cat([torch.full((prefix + len(question),), -100), answer])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def step(model: Any, rows: dict[str, Any]) -> tuple[float, Tensor]:
    """The loss, and the gradients of all trained parameters in one vector."""
    model.train()
    model.zero_grad()
    output = model(**rows)
    output.loss.backward()
    return output.loss.item(), torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


def share(model: Any) -> int:
    """Replaces the forwards, as the callback does; returns how many LoRA layers were fused."""
    fused = fused_lora.fuse(model)
    shared_prefix.share(model.get_base_model() if hasattr(model, "get_base_model") else model)
    return fused


def assert_equal(model: Any, rows: dict[str, Any], tolerance: float = 1e-5) -> None:
    """Loss and gradients stay the same when the forwards are replaced, and the work doesn't."""
    loss, gradient = step(model, rows)
    share(model)
    ours, ours_gradient = step(model, rows)
    assert ours == pytest.approx(loss, rel=tolerance)
    assert float((ours_gradient - gradient).norm() / gradient.norm()) < tolerance


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("prefix", [0, 5, 40])
@pytest.mark.parametrize("kind", TESTED)
def test_loss_and_gradients_are_those_of_the_whole_batch(kind: str, prefix: int, side: str) -> None:
    assert_equal(with_lora(causal(kind)), batch(prefix, side))


CASES: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "a row alone": lambda: (with_lora(causal("qwen2")), batch(40, rows=1)),
    "no padding, and no mask": lambda: (with_lora(causal("qwen3")), unpadded()),
    "rows that are equal": lambda: (with_lora(causal("qwen2")), equal()),
    "labels within the prompt": lambda: (with_lora(causal("qwen2")), on_prompt()),
    "accumulated batches count their labels together": lambda: (with_lora(causal("qwen2")), {**batch(40), "num_items_in_batch": torch.tensor(71)}),
    "gradient checkpointing": lambda: (checkpointed(), batch(40)),
    "a window of attention": lambda: (with_lora(causal("mistral", sliding_window=12)), batch(40)),
    "full tuning": lambda: (causal("qwen2", tie_word_embeddings=True), batch(40)),
    "DoRA": lambda: (with_lora(causal("qwen2"), use_dora=True), batch(40)),
    "rsLoRA and a trained embedding": lambda: (with_lora(causal("qwen2"), use_rslora=True, modules_to_save=["embed_tokens", "lm_head"]), batch(40)),
}


def unpadded() -> Batch:
    torch.manual_seed(0)
    ids = torch.cat([torch.randint(3, 300, (20,)).expand(3, -1), torch.randint(3, 300, (3, 12))], 1)
    return {"input_ids": ids, "labels": ids.masked_fill(torch.arange(32) < 25, -100)}


def equal() -> Batch:
    return {name: tensor[:1].repeat(4, 1) for name, tensor in batch(40).items()}


def on_prompt() -> Batch:
    rows = batch(40)
    return {**rows, "labels": rows["input_ids"].masked_fill(rows["attention_mask"] == 0, -100)}


def checkpointed() -> Any:
    model = with_lora(causal("qwen2"))
    model.enable_input_require_grads()
    model.get_base_model().gradient_checkpointing_enable({"use_reentrant": True})
    return model


@pytest.mark.parametrize("case", CASES)
def test_nothing_changes_for(case: str) -> None:
    assert_equal(*CASES[case]())


def test_in_16_bits_both_round_alike() -> None:
    """Under autocast neither is exact: both are held against the same step in float32."""
    rows, exact = batch(40), step(with_lora(causal("qwen2")), batch(40))

    def off(shared: bool) -> float:
        model = with_lora(causal("qwen2"))
        model.get_base_model().to(torch.bfloat16)
        for weight in model.parameters():
            weight.data = weight.data.float() if weight.requires_grad else weight.data
        if shared:
            assert share(model) == 14, "all linear layers of both layers"
        with torch.autocast("cpu", torch.bfloat16):
            _, gradient = step(model, rows)
        return float((gradient - exact[1]).norm() / exact[1].norm())

    assert off(shared=True) < 1.2 * off(shared=False) < 0.1


def test_the_batch_becomes_one_sequence_without_padding() -> None:
    rows = batch(40)
    layout = shared_prefix.layout_of(**{"ids": rows["input_ids"], "mask": rows["attention_mask"], "labels": rows["labels"]})
    lengths = rows["attention_mask"].sum(1).tolist()
    assert layout.shared == 40
    assert layout.ids.shape[1] == 40 + sum(length - 40 for length in lengths)
    assert layout.targets.tolist() == rows["labels"][rows["labels"] >= 0].tolist()
    one = int(lengths[0])
    assert layout.ids[0, :one].tolist() == rows["input_ids"][0, :one].tolist()
    assert layout.positions[0, one] == 40, "the second row goes on behind the shared tokens"


def test_the_plan_counts_what_the_forward_computes() -> None:
    rows = batch(40)
    lengths, answers = rows["attention_mask"].sum(1).tolist(), (rows["labels"] >= 0).sum(1).tolist()
    layout = shared_prefix.layout_of(rows["input_ids"], rows["attention_mask"], rows["labels"])
    planned = [TokenRow(ids[: length - answer].tolist(), answer) for ids, length, answer in zip(rows["input_ids"], lengths, answers, strict=True)]
    assert shared_tokens(planned) == layout.shared
    work = shared_work([[(row.length, row.answer) for row in planned]], layout.shared)
    assert (work.positions, work.logits) == (layout.ids.numel(), layout.targets.numel())


def test_logits_are_taken_where_a_label_is_predicted_and_nowhere_else() -> None:
    model, rows = causal("qwen2"), batch(40)
    shared_prefix.share(model)
    assert model(**rows).logits.numel() == (rows["labels"] >= 0).sum() * 300


def test_fewer_shared_tokens_than_the_least_are_computed_in_each_row() -> None:
    def shared(prefix: int) -> int:
        rows = batch(prefix)
        return shared_prefix.layout_of(rows["input_ids"], rows["attention_mask"], rows["labels"]).shared

    assert (shared(LEAST - 1), shared(LEAST)) == (0, LEAST)


def test_calls_without_labels_go_the_old_way() -> None:
    plain, ours, rows = causal("qwen2").eval(), causal("qwen2").eval(), batch(40)
    shared_prefix.share(ours)
    asked = {"input_ids": rows["input_ids"], "attention_mask": rows["attention_mask"]}
    assert torch.equal(ours(**asked).logits, plain(**asked).logits)
    written = {"input_ids": rows["input_ids"][:1, :40], "max_new_tokens": 5, "do_sample": False}
    assert torch.equal(ours.generate(**written), plain.generate(**written))


def test_only_plain_lora_layers_are_fused() -> None:
    def fused(**settings: Any) -> int:
        return fused_lora.fuse(with_lora(causal("qwen2"), **settings))

    assert fused() == fused(use_rslora=True) == 14
    assert fused(use_dora=True) == fused(lora_dropout=0.1) == fused(lora_bias=True) == 0
    model = with_lora(causal("qwen2"))
    fused_lora.fuse(model)
    rows = {name: tensor[:1] for name, tensor in batch(40).items()}
    with model.disable_adapter():
        assert model(**rows).loss == causal("qwen2")(**rows).loss, "an adapter that is switched off isn't added"


RUN = "tiny-qwen2-sample-ner-lora-sft"


def test_fifty_steps_of_llamafactory_end_in_the_same_loss(float_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    convert(load_task(Path("conf/task/sample.yaml")), tmp_path)
    words = [
        "max_steps=50",
        f"model_name_or_path={float_base}",
        "per_device_train_batch_size=4",
        "max_samples=200",
        "eval_dataset=alpaca_sample_dev",
        "do_eval=true",
        'eval_strategy="no"',
        'save_strategy="no"',
        "seed=3",
    ]
    words += ["logging_steps=10", "plot_loss=false", "preprocessing_num_workers=1", f"dataset_dir={tmp_path}/alpaca", "load_best_model_at_end=false"]

    def losses(name: str, callbacks: list[Any]) -> list[float]:
        out = tmp_path / name / RUN
        values = load_run(Path(f"conf/{RUN}.yaml"), [*words, f"output_dir={out}"]).values
        importlib.import_module("llamafactory.train.tuner").run_exp(values, callbacks)
        state = json.loads((out / "trainer_state.json").read_text())
        evaluated: float = json.loads((out / "eval_results.json").read_text())["eval_loss"]
        return [*(record["loss"] for record in state["log_history"] if "loss" in record), evaluated]

    seen: list[nn.Module] = []

    class Watched(shared_prefix.Sharing):
        def on_init_end(self, *words: Any, model: Any = None, **rest: Any) -> None:
            super().on_init_end(*words, model=model, **rest)
            seen.append(model)

    native, ours = losses("native", []), losses("ours", [Watched()])
    assert ours == pytest.approx(native, rel=1e-3)
    assert seen[0].get_base_model().config._attn_implementation == shared_prefix.NAME, "it was the shared forward that trained"  # type: ignore[operator]
