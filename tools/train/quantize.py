"""Quantises the merged model with llm-compressor, calibrated on the run's own rendered rows, checks the result, and only then moves it into place.

In: a run whose merged model is fresh. Out: data/outputs/<run>/merged-<method>/, which vLLM loads as it is, with quantize.json: what it was made from.

    python -m tools.train.quantize conf/tiny-qwen2-sample-ner-lora-sft.yaml --method awq
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

from tools.conf.run import Run, run_from
from tools.errors import WANTING, ToolError, all_at_once, choices, run
from tools.files import ROOT, need_file, read_json, replacing, sha256, write_json
from tools.process import call
from tools.train.datasets import datasets
from tools.train.export import ORIGIN as MERGED_FROM
from tools.train.export import check_chat, need_merged, tensors
from tools.variant import QUANTIZATIONS

PYTHON = ROOT / ".venv" / "quantize" / "bin" / "python"
ORIGIN = "quantize.json"  # in the quantised folder: what it was made from, and how
SCHEMES = {"awq": "W4A16, asymmetric", "gptq": "W4A16, symmetric", "fp8": "FP8_DYNAMIC"}
# At most this share of the merged model's size; the embeddings stay in 16 bits, and in a small model they are a large part.
SHARES = {"awq": 0.6, "gptq": 0.6, "fp8": 0.8}
# Weights that share a scale, the usual size first. vLLM's kernels take whole groups only, so it must divide every layer's input.
GROUP_SIZES = (128, 64, 32)
SAMPLES = 256
SEED = 42


def quantize(this: Run, method: str, samples: int | None = None) -> Path:
    """Quantise, check and put in place; returns the folder. `samples` rows calibrate (SAMPLES unless said), but for fp8, which needs none.

    Raises ToolError: exit code 2 when the merged model is missing, stale or quantised already, when there are too few rows or there is too little room;
    1 when llm-compressor failed or its result isn't whole. What was there before stays until the new one is known to be good.
    """
    if method not in QUANTIZATIONS:
        raise ToolError(f"unknown method '{method}'.{choices(method, QUANTIZATIONS)}")
    trained = this.trained()
    _need_plain(Path(trained.base_model))
    merged = need_merged(this)
    _need_plain(merged)
    need_file(PYTHON, "To install llm-compressor: python3 -m tools.setup quantize")
    size = _bytes(merged)
    _check_room(this.output_dir, int(size * SHARES[method]))
    group = None if method == "fp8" else group_size(linear_inputs(merged, bool(trained.values.get("trust_remote_code"))))
    calibration, rows = (None, []) if method == "fp8" else calibrate_on(trained, merged, samples)
    final = this.quantized(method)
    print(f"{merged} → {final}: {SCHEMES[method]}{f', groups of {group}' if group else ''}, {len(rows)} rows to calibrate on", flush=True)
    with replacing(final) as new:
        _compress(new, merged, method, group, rows, bool(trained.values.get("trust_remote_code")))
        _copy_rest(merged, new)
        record = {
            "run": this.name,
            "method": method,
            "scheme": SCHEMES[method],
            "group_size": group,
            "base_model": trained.base_model,
            **{key: value for key, value in read_json(merged / MERGED_FROM).items() if key in ("adapter", "adapter_sha256")},
            "merged_sha256": {path.name: sha256(path) for path in _weights(merged)},
            "calibration": calibration,
            "bytes": {"merged": size, "quantized": _bytes(new)},
            "versions": read_json(new / ORIGIN)["versions"],  # of llm-compressor's own environment
        }
        check(new, size)
        write_json(new / ORIGIN, record)
    return final


def calibrate_on(this: Run, model: Path, samples: int | None) -> tuple[dict[str, Any], list[list[int]]]:
    """A seeded choice of the run's training rows as token ids, prompt and answer, at most `cutoff_len` long, and the record of it.

    They are rendered with the chat template, so they are what training saw and vLLM sends. Raises ToolError when there are fewer rows than asked for.
    """
    from transformers import AutoTokenizer

    wanted = SAMPLES if samples is None else samples
    if wanted < 1:
        raise ToolError(f"--samples {wanted}: at least one row must calibrate.")
    files, chats = _training_chats(this)
    if len(chats) < wanted:
        raise ToolError(f"{', '.join(map(str, files))}: {len(chats)} rows, {wanted} are to calibrate; say --samples {len(chats)} to take them all.")
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=bool(this.values.get("trust_remote_code")))
    cutoff = int(this.values.get("cutoff_len", 2048))
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in random.Random(SEED).sample(chats, wanted)]
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"][:cutoff] for text in texts]
    return {"rows": wanted, "tokens": sum(map(len, rows)), "seed": SEED, "sha256": {str(path): sha256(path) for path in files}}, rows


def linear_inputs(model: Path, trust_remote_code: bool) -> dict[str, int]:
    """The input size of every linear layer that is quantised, by its name; no weight is read."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
    with torch.device("meta"):
        built = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    return {name: layer.in_features for name, layer in built.named_modules() if isinstance(layer, torch.nn.Linear) and name != "lm_head"}


def group_size(inputs: dict[str, int]) -> int:
    """The largest of GROUP_SIZES that divides every layer's input. Raises ToolError that names a layer which none divides."""
    for size in GROUP_SIZES:
        if all(width % size == 0 for width in inputs.values()):
            return size
    name, width = next((name, width) for name, width in inputs.items() if width % GROUP_SIZES[-1])
    raise ToolError(
        f"{name} has {width} inputs, which groups of {', '.join(map(str, GROUP_SIZES))} don't divide; METHOD=fp8 needs no groups.", WANTING
    )


def check(model: Path, merged_bytes: int) -> None:
    """Read every tensor of a quantised model. Raises ToolError (exit code 1) for one that isn't finite, and when the folder isn't whole, or no smaller."""
    import torch

    for name, tensor in tensors(model):
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
            raise ToolError(f"{model}: tensor {name} holds values that aren't finite.", WANTING)
    if not read_json(model / "config.json").get("quantization_config"):
        raise ToolError(f"{model}: config.json has no quantization_config; llm-compressor quantised nothing.", WANTING)
    check_chat(model)
    if _bytes(model) >= merged_bytes:
        raise ToolError(f"{model}: {_bytes(model):,} bytes, no smaller than the merged model's {merged_bytes:,}; was anything quantised?", WANTING)


def _compress(new: Path, merged: Path, method: str, group: int | None, rows: list[list[int]], trust_remote_code: bool) -> None:
    """Run tools.train.compress in llm-compressor's own environment."""
    plan = new / ".plan.json"
    write_json(plan, {"model": str(merged), "method": method, "group_size": group, "rows": rows, "trust_remote_code": trust_remote_code})
    quiet = {"LLM_COMPRESSOR_LOG_LEVEL": "ERROR", "TOKENIZERS_PARALLELISM": "false", **({} if sys.stderr.isatty() else {"TQDM_DISABLE": "1"})}
    code = call([PYTHON, "-m", "tools.train.compress", plan, new], {key: value for key, value in quiet.items() if key not in os.environ})
    if code:
        raise ToolError(f"{merged}: llm-compressor stopped with exit code {code}; what it printed above says why.", WANTING)
    plan.unlink()


def _copy_rest(merged: Path, new: Path) -> None:
    """Tokenizer, chat template and remote code as they are in the merged folder: another release of transformers would write them anew."""
    for path in merged.iterdir():
        if path.is_file() and path.name != MERGED_FROM and ".safetensors" not in path.name and not (new / path.name).exists():
            shutil.copy(path, new)


def _need_plain(model: Path) -> None:
    config = model / "config.json"
    if config.is_file() and read_json(config).get("quantization_config"):
        raise ToolError(
            f"{config}: the model is quantised already, and quantising twice loses twice. Train on the unquantised base model, then make export."
        )


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ToolError(f"{folder}: {free / 2**30:.2f} GiB free, the quantised model may take {needed / 2**30:.2f} GiB.")


def _training_chats(this: Run) -> tuple[list[Path], list[list[dict[str, str]]]]:
    """The run's Alpaca files, and each row's messages as LLaMA-Factory reads them. Raises ToolError for data that training wouldn't take either."""
    train, _ = datasets(this)
    all_at_once([problem for dataset in train for problem in dataset.problems])
    if elsewhere := [dataset.name for dataset in train if not dataset.read or not dataset.path]:
        raise ToolError(f"{this.path}: dataset {', '.join(elsewhere)} isn't a local Alpaca file; calibration reads no other.")
    return [dataset.path for dataset in train if dataset.path], [_chat(row) for dataset in train for row in dataset.rows]


def _chat(row: dict[str, str]) -> list[dict[str, str]]:
    system = [{"role": "system", "content": row["instruction"]}] if row["instruction"] else []
    return [*system, {"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["output"]}]


def _weights(model: Path) -> list[Path]:
    return sorted(model.glob("*.safetensors"))


def _bytes(model: Path) -> int:
    return sum(path.stat().st_size for path in _weights(model))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.train.quantize", description=(__doc__ or "").split("\n\n")[0])
    add_run(parser)
    parser.add_argument("--method", default="awq", metavar="|".join(QUANTIZATIONS), help="4 bits (awq, gptq) or 8 (fp8) (default: awq)")
    parser.add_argument("--samples", type=int, metavar="N", help=f"rows of the training data to calibrate on (default: {SAMPLES}; fp8 needs none)")
    args = parser.parse_args()
    this = run_from(args)
    folder = quantize(this, args.method, args.samples)
    size = read_json(folder / ORIGIN)["bytes"]
    print(
        f"quantised: {folder}, {size['merged'] / 2**20:,.1f} → {size['quantized'] / 2**20:,.1f} MiB  next: make eval CONF={this.path} QUANTIZED={args.method}"
    )


if __name__ == "__main__":
    run(main)
