"""A run that looks trained, for the tests of serving."""

import json
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from tests import toy_server
from tools.conf.run import Run

start = toy_server.start  # a fixture


@pytest.fixture
def run_(tmp_path: Path) -> Run:
    """A run with an adapter's weights; its adapter_config.json is the test's to write."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "train_results.json").write_text("{}")
    write_weights(folder, 256)
    return Run(tmp_path / "run.yaml", {"model_name_or_path": "models/tiny-qwen2", "output_dir": str(folder), "cutoff_len": 512})


def write_weights(folder: Path, width: int, layer: str = "model.layers.0.self_attn.q_proj", b: float = 0.5) -> None:
    """Write an adapter of rank 8 for one layer of a model of that width, whose B holds one value."""
    matrices = {"lora_A": numpy.ones((8, width), "f"), "lora_B": numpy.full((width, 8), b, "f")}
    save_file({f"base_model.model.{layer}.{name}.weight": matrix for name, matrix in matrices.items()}, folder / "adapter_model.safetensors")


def write_config(folder: Path, **values: object) -> None:
    """Write an adapter's config."""
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8, **values}))
