"""Weights in bf16 on a processor without bf16 arithmetic."""

from types import SimpleNamespace

import pytest
import torch

from tools.train.engines import wide_weights
from tools.train.engines.wide_weights import WideWeights


@pytest.fixture
def model() -> torch.nn.Module:
    """A frozen bf16 layer, and a trained one in float32."""
    made = torch.nn.Sequential(torch.nn.Linear(4, 4, dtype=torch.bfloat16), torch.nn.Linear(4, 4))
    made[0].requires_grad_(False)
    return made


def trained(model: torch.nn.Module, slow: bool, bf16: bool, monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    monkeypatch.setattr(wide_weights, "is_slow_in_bf16", lambda: slow)
    WideWeights().on_init_end(SimpleNamespace(bf16=bf16), None, None, model=model)
    return [weight.dtype for weight in model.parameters()]


def test_where_bf16_is_slow_the_same_values_are_held_in_float32(model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    before, places = model[0].weight.detach().float().clone(), [id(weight) for weight in model.parameters()]
    assert trained(model, True, False, monkeypatch) == [torch.float32] * 4
    assert torch.equal(model[0].weight, before) and not model[0].weight.requires_grad
    assert [id(weight) for weight in model.parameters()] == places  # an optimizer or a wrapper that holds them goes on with them


@pytest.mark.parametrize(("slow", "bf16"), [(False, False), (True, True)])
def test_weights_stay_where_bf16_is_quick_or_wanted(model: torch.nn.Module, slow: bool, bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained(model, slow, bf16, monkeypatch) == [torch.bfloat16] * 2 + [torch.float32] * 2
