"""Which runs are trained with shared first tokens, and what their plan says."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.conf.run import Run, load_run
from tools.train import sharing
from tools.train.check import report
from tools.train.distributed import ALONE, Processes
from tools.train.examination import examine
from tools.train.plan import make_plan
from tools.train.sharing import LEAST, TokenRow, reasons_for_native, shared_tokens, shared_work

CONF = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"


def run(**values: Any) -> Run:
    return Run(Path("conf/x.yaml"), {"model_name_or_path": "models/tiny-qwen2", "stage": "sft", "do_train": True, **values})


def test_a_usual_run_shares_whatever_its_adapter() -> None:
    for values in ({}, {"use_dora": True}, {"quantization_bit": 4}, {"lora_dropout": 0.1}, {"bf16": True}, {"trust_remote_code": True}):
        assert reasons_for_native(run(**values), ALONE) == []
    assert reasons_for_native(run(deepspeed="conf/deepspeed/zero2.json"), Processes("2")) == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"packing": True}, "`packing` changes the forward or its loss"),
        ({"neftune_noise_alpha": 5}, "`neftune_noise_alpha`"),
        ({"use_dft_loss": True}, "`use_dft_loss`"),
        ({"flash_attn": "disabled"}, "`flash_attn: disabled`"),
        ({"fsdp": "full_shard"}, "FSDP and ZeRO-3"),
        ({"deepspeed": "conf/deepspeed/zero3.json"}, "FSDP and ZeRO-3"),
        ({"stage": "dpo"}, "`stage: sft`"),
    ],
)
def test_a_run_whose_forward_is_another_is_trained_natively(values: dict[str, Any], reason: str) -> None:
    [found] = reasons_for_native(run(**values), ALONE)
    assert reason in found


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "mamba"}, "model type mamba isn't among"),
        ({"model_type": "qwen2", "auto_map": {"AutoModel": "x.Y"}}, "brings code of its own"),
        ({"model_type": "qwen3_moe", "output_router_logits": True}, "`output_router_logits`"),
        ({"model_type": "qwen3", "layer_types": ["full_attention", "linear_attention"]}, "linear_attention layers carry a state"),
        ({"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "layer_types": ["linear_attention"]}}, "qwen3_5_text isn't among"),
    ],
)
def test_a_model_that_no_test_compares_is_trained_natively(config: dict[str, Any], reason: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert reason in " ".join(reasons_for_native(run(model_name_or_path=str(tmp_path), trust_remote_code=True), ALONE))


def test_native_can_be_asked_for() -> None:
    assert reasons_for_native(run(), Processes(native=True)) == ["--native is given"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "TESTED", ())
        assert "isn't among" in reasons_for_native(run(), ALONE)[0]


def test_shared_tokens_are_those_of_all_rows() -> None:
    first = list(range(LEAST + 4))
    rows = [TokenRow([*first, 7, number], 3) for number in range(5)]
    assert shared_tokens(rows) == LEAST + 5
    assert shared_tokens([*rows, TokenRow(first[:LEAST], 3)]) == LEAST
    assert shared_tokens([*rows, TokenRow(first[: LEAST - 1], 3)]) == 0
    assert shared_tokens([]) == 0


def test_the_work_of_an_epoch_is_that_of_its_batches() -> None:
    rows = [TokenRow([1] * 20 + [2], 4)] * 6
    plan = make_plan(run(per_device_train_batch_size=4), [row.length for row in rows], rows=rows)
    assert plan.shared == shared_work([[(25, 4)] * 4, [(25, 4)] * 2], 21)
    assert (plan.shared.positions, plan.shared.logits) == (21 + 4 * 4 + 21 + 2 * 4, 24)
    assert (plan.shared.widest_batch, plan.shared.most_logits) == (37, 16)
    assert make_plan(run(), [25] * 6).shared is None


@pytest.mark.usefixtures("quick")
def test_the_page_says_what_is_shared_or_why_nothing_is(dataset: Path, tmp_path: Path) -> None:
    def line(*words: str, **how: Any) -> str:
        out = f"output_dir={tmp_path}/tiny-qwen2-sample-ner-lora-sft"
        page = report(examine(load_run(Path(CONF), [f"dataset_dir={dataset}", out, *words]), Processes(**how)))
        [found] = [line for line in page.splitlines() if line.startswith("shared ")]
        return found

    assert "tokens of all rows, computed once a batch" in line()
    assert "lora_dropout drops the same of them for all rows" in line("lora_dropout=0.1")
    assert "nothing: one row a device" in line("per_device_train_batch_size=1")
    assert line(native=True) == "shared    nothing: --native is given"
    assert "nothing: `packing` changes the forward" in line("packing=true")
