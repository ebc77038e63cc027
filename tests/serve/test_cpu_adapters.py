"""Adapters on a CPU: each token's is that of a product with its own adapter's weights, and the base model's tokens stay as they are. Run in vLLM's environment."""

import subprocess

import pytest

from tools.serve.installed import PYTHON, environment

COMPARED = """
import torch
from vllm.lora.layers import LoRAMapping
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
from tools.serve.cpu_adapters import GroupedAdapters

torch.manual_seed(0)
ids, wide, rank, sizes = [7, None, 9], 48, 8, (32, 16)  # an empty slot between two adapters
a = tuple(torch.randn(3, 1, rank, wide, dtype=torch.bfloat16) / 7 for _ in sizes)
b = tuple(torch.randn(3, 1, size, rank, dtype=torch.bfloat16) / 3 for size in sizes)


def added(kind, asked, prefill):
    wrapper = kind(64, 16, "cpu", lora_config=None)
    lengths = [3 if prefill else 1] * len(asked)
    mapping = LoRAMapping(tuple(one for one, times in zip(asked, lengths) for _ in range(times)), tuple(asked), is_prefill=prefill)
    wrapper.update_metadata(mapping, ids, 3, 100)
    torch.manual_seed(1)
    x = torch.randn(sum(lengths), wide, dtype=torch.bfloat16)
    y = torch.randn(sum(lengths), sum(sizes), dtype=torch.bfloat16)
    before = y.clone()
    wrapper.add_lora_linear(y, x, a, b, 0.5, sizes)
    return x, before, y, torch.tensor(mapping.index_mapping)


for prefill in (True, False):
    for asked in ([7, 7, 7], [9, 7, 9, 7], [7, 0, 9, 0], [0, 0]):
        x, before, y, owners = added(GroupedAdapters, asked, prefill)
        for slot, one in enumerate(ids):
            mine = owners == one if one else torch.zeros_like(owners, dtype=torch.bool)
            exact = torch.cat([0.5 * x[mine].float() @ down[slot, 0].float().T @ up[slot, 0].float().T for down, up in zip(a, b)], 1)
            torch.testing.assert_close(y[mine].float(), before[mine].float() + exact, rtol=2e-2, atol=2e-2)
        assert torch.equal(y[owners == 0], before[owners == 0])
        if 0 not in asked:
            torch.testing.assert_close(y, added(PunicaWrapperCPU, asked, prefill)[2], rtol=1e-2, atol=1e-2)
print("compared")
"""


@pytest.mark.skipif(not PYTHON.exists(), reason="vLLM's environment isn't here: make setup-serve")
def test_each_token_has_its_own_adapter_and_the_base_models_have_none() -> None:
    done = subprocess.run([str(PYTHON), "-c", COMPARED], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip().splitlines()[-1:]) == (0, ["compared"]), done.stderr[-2000:]
