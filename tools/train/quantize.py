"""Quantises the merged model with llm-compressor, calibrated on the run's own training rows, checks the result, and only then moves it into place.

In: a run whose merged model is fresh. Out: data/outputs/<run>/merged-<method>/, which vLLM loads as it is, with quantize.json, which names its source.

    ./ner quantize conf/tiny-qwen2-sample-ner-lora-sft.yaml --method awq
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.chat.token_ids import trained_ids
from tools.conf.run import Run, run_from
from tools.errors import WANTING, ToolError, all_at_once, choices
from tools.files import ROOT, need_file, one_at_a_time, read_json, replacing, sha256, write_json
from tools.process import call
from tools.text import whole_number
from tools.train.arguments import with_defaults
from tools.train.datasets import datasets
from tools.train.export import check_chat
from tools.train.weights import read_weights, tensors
from tools.variant import QUANTIZATIONS, Variant

PYTHON = ROOT / ".venv" / "quantize" / "bin" / "python"
SCHEMES = {"awq": "W4A16, asymmetric", "gptq": "W4A16, symmetric", "fp8": "FP8_DYNAMIC"}
# The largest share of the merged model's size. Embeddings stay in 16 bits, and are a large part of a small model.
SHARES = {"awq": 0.6, "gptq": 0.6, "fp8": 0.8}
# Weights that share a scale, the usual size first. vLLM's kernels take whole groups only, so it must divide every layer's input.
GROUP_SIZES = (128, 64, 32)
SAMPLES = 256
SEED = 42


def quantize(run: Run, method: str, samples: int = SAMPLES) -> Path:
    """Quantises the merged model, checks the result and puts it in place; returns its folder. The old one stays until the new one is known to be good.

    `samples` training rows calibrate; fp8 needs none. Raises ToolError: exit code 2 when the merged model is missing, stale or quantised already, when
    there are too few rows or there is too little room; 1 when llm-compressor failed or its result isn't whole.
    """
    if method not in QUANTIZATIONS:
        raise ToolError(f"unknown method '{method}'.{choices(method, QUANTIZATIONS)}")
    trained, merged, final = run.trained(), run.variant("merged"), run.variant(f"merged-{method}")
    remote_code = bool(trained.values.get("trust_remote_code"))
    _need_unquantized(Path(trained.base_model))
    with one_at_a_time(run.output_dir, "quantisation"):
        merged.need()
        _need_unquantized(merged.folder)
        need_file(PYTHON, "To install llm-compressor: ./ner setup quantize")
        free, needed = shutil.disk_usage(run.output_dir).free, _bytes(merged.folder) * SHARES[method]
        if free < needed:
            raise ToolError(f"{run.output_dir}: {free / 2**30:.2f} GiB free, the quantised model may take {needed / 2**30:.2f} GiB.")
        group = None if method == "fp8" else group_size(linear_inputs(merged.folder))
        calibration, rows = (None, []) if method == "fp8" else calibrate_on(trained, merged.folder, samples)
        groups = f", groups of {group}" if group else ""
        print(f"{merged.folder} → {final.folder}: {SCHEMES[method]}{groups}, {len(rows)} rows to calibrate on", flush=True)
        with replacing(final.folder) as new:
            _compress(new, merged.folder, method, group, rows, remote_code)
            for path in merged.folder.iterdir():  # tokenizer, chat template, remote code: another release of transformers would write them anew
                if path.is_file() and path != merged.record and ".safetensors" not in path.name and not (new / path.name).exists():
                    shutil.copy(path, new)
            record = _record(merged, new / final.record.name, method, group, calibration)
            check(new, record["bytes"]["merged"])
            write_json(new / final.record.name, record)
    return final.folder


def _record(merged: Variant, versions: Path, method: str, group: int | None, calibration: dict[str, Any] | None) -> dict[str, Any]:
    """Returns quantize.json: the merged model's origin, and how it was quantised. The file `versions` is llm-compressor's, in the new folder."""
    origin = merged.origin()
    assert origin is not None, "need() has read it"
    return {
        **origin.to_dict(),
        "method": method,
        "scheme": SCHEMES[method],
        "group_size": group,
        "merged_sha256": {path.name: sha256(path) for path in _weights(merged.folder)},
        "calibration": calibration,
        "bytes": {"merged": _bytes(merged.folder), "quantized": _bytes(versions.parent)},
        "versions": read_json(versions)["versions"],  # of llm-compressor's own environment
    }


def calibrate_on(run: Run, model: Path, samples: int) -> tuple[dict[str, Any], list[list[int]]]:
    """Returns the record of a seeded choice of training rows, and the rows as training encodes them, prompt and answer, at most `cutoff_len` token ids long.

    Raises ToolError for data that training would refuse too, and when there are fewer rows than asked for.
    """
    train, _ = datasets(run)
    all_at_once([problem for dataset in train for problem in dataset.problems])
    if elsewhere := [dataset.name for dataset in train if not dataset.read]:
        raise ToolError(f"{run.path}: dataset {', '.join(elsewhere)} isn't a local Alpaca file, and calibration reads nothing else.")
    files, rows = [dataset.path for dataset in train if dataset.path], [row for dataset in train for row in dataset.rows]
    if len(rows) < samples:
        raise ToolError(f"{', '.join(map(str, files))}: {len(rows)} rows, {samples} are to calibrate. To take them all: --samples {len(rows)}")
    encode = trained_ids(replace(run, values={**run.values, "model_name_or_path": str(model)}))
    encoded, limit = map(encode, random.Random(SEED).sample(rows, samples)), int(with_defaults(run)["cutoff_len"])
    ids = [[*prompt, *answer][:limit] for prompt, answer in encoded]
    return {"rows": samples, "tokens": sum(map(len, ids)), "seed": SEED, "sha256": {str(path): sha256(path) for path in files}}, ids


def linear_inputs(model: Path) -> dict[str, int]:
    """Returns layer name → input size of every linear layer that is quantised. No weight is read."""
    weights = read_weights(model)
    return {name: width for name, (_, width) in weights.linear().items()} if weights else {}


def group_size(inputs: dict[str, int]) -> int:
    """Returns the largest of GROUP_SIZES that divides every layer's input. Raises ToolError that names a layer which none divides."""
    for size in GROUP_SIZES:
        if all(width % size == 0 for width in inputs.values()):
            return size
    name, width = next((name, width) for name, width in inputs.items() if width % GROUP_SIZES[-1])
    raise ToolError(
        f"{name} has {width} inputs, which groups of {', '.join(map(str, GROUP_SIZES))} don't divide. --method fp8 needs no groups.", WANTING
    )


def check(model: Path, merged_bytes: int) -> None:
    """Reads every tensor of a quantised model. Raises ToolError (exit code 1) for one that isn't finite, and when the folder isn't whole, or no smaller."""
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
    """Runs tools.train.compress in llm-compressor's own environment. Raises ToolError when it fails."""
    plan = new / ".plan.json"
    write_json(plan, {"model": str(merged), "method": method, "group_size": group, "rows": rows, "trust_remote_code": trust_remote_code})
    quiet = {"LLM_COMPRESSOR_LOG_LEVEL": "ERROR", "TOKENIZERS_PARALLELISM": "false", **({} if sys.stderr.isatty() else {"TQDM_DISABLE": "1"})}
    code = call([PYTHON, "-m", "tools.train.compress", plan, new], {key: value for key, value in quiet.items() if key not in os.environ})
    if code:
        raise ToolError(f"{merged}: llm-compressor stopped with exit code {code}; the reason is in its output above.", WANTING)
    plan.unlink()


def _need_unquantized(model: Path) -> None:
    config = model / "config.json"
    if config.is_file() and read_json(config).get("quantization_config"):
        raise ToolError(
            f"{config}: the model is quantised already, and quantising twice loses twice. Train on the unquantised base model, then make export."
        )


def _weights(model: Path) -> list[Path]:
    return sorted(model.glob("*.safetensors"))


def _bytes(model: Path) -> int:
    return sum(path.stat().st_size for path in _weights(model))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the method and the number of calibrating rows."""
    parser.add_argument("--method", default="awq", metavar="|".join(QUANTIZATIONS), help="4 bits (awq, gptq) or 8 (fp8) (default: awq)")
    parser.add_argument(
        "--samples",
        type=whole_number(1, 1_000_000),
        default=SAMPLES,
        metavar="N",
        help=f"rows of the training data to calibrate on (default: {SAMPLES}; fp8 needs none)",
    )


def main(args: argparse.Namespace) -> None:
    """Quantises the merged model of the run that the words name."""
    run = run_from(args)
    folder = quantize(run, args.method, args.samples)
    variant = run.variant(f"merged-{args.method}")
    size = read_json(variant.record)["bytes"]
    megabytes = f"{size['merged'] / 2**20:,.1f} → {size['quantized'] / 2**20:,.1f} MiB"
    print(f"quantised: {folder}, {megabytes}  next: {variant.command('eval')}")
