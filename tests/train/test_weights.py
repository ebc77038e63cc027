"""Headers are read with safetensors' own code, and a torn file is told whatever is missing of it."""

import struct
from pathlib import Path

import pytest

from tools.errors import ToolError
from tools.train.weights import need_whole, read_weights, tensors

BASE = Path("models/tiny-qwen2")


def test_the_headers_hold_every_parameter() -> None:
    from transformers import AutoModelForCausalLM

    model, weights = AutoModelForCausalLM.from_pretrained(BASE), read_weights(BASE)
    assert weights is not None
    assert weights.parameters == model.num_parameters()
    assert weights.bytes == 2 * weights.parameters


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn", "int64", "uint8", "bool"])
def test_a_tensor_takes_as_many_bytes_as_torch_says(tmp_path: Path, dtype: str) -> None:
    import torch
    from safetensors.torch import save_file

    tensor = torch.zeros(3, 5).to(getattr(torch, dtype))
    save_file({"layer.weight": tensor}, tmp_path / "model.safetensors")
    weights = read_weights(tmp_path)
    assert weights is not None
    assert weights.tensors == {"layer.weight": ((3, 5), tensor.nbytes)}
    assert weights.linear() == {"layer": (3, 5)}


@pytest.mark.parametrize("length", [0, 4, 1000, 100_000])
def test_a_torn_weight_file_is_named(tmp_path: Path, length: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((BASE / "model.safetensors").read_bytes()[:length])
    for read in (read_weights, lambda folder: list(tensors(folder)), lambda folder: need_whole(path)):
        with pytest.raises(ToolError, match=r"model\.safetensors: torn, or not a safetensors file"):
            read(tmp_path)


def test_a_file_with_another_header_or_with_more_behind_its_tensors_is_named(tmp_path: Path) -> None:
    for data in (struct.pack("<Q", 11) + b'{"a": "b" }', (BASE / "model.safetensors").read_bytes() + b"x"):
        (tmp_path / "model.safetensors").write_bytes(data)
        with pytest.raises(ToolError, match="not a safetensors file"):
            read_weights(tmp_path)
    assert read_weights(tmp_path / "nowhere") is None
