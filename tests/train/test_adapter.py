"""An adapter that would change nothing, or a part of what it learned, in the model that it is laid on."""

import json
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from tools.errors import ToolError
from tools.train.adapter import need_applied, need_mergeable, need_trained, unplaced

Q, K = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj"
EXPERT = "model.layers.0.mlp.experts.3.up_proj"


def write(folder: Path, values: dict[str, tuple[float, float]], width: int = 8) -> Path:
    """Write an adapter: layer → (A's value, B's value)."""
    shapes = {"A": (2, width), "B": (4, 2)}
    tensors = {
        f"base_model.model.{layer}.lora_{side}.weight": numpy.full(shapes[side], value, "f")
        for layer, pair in values.items()
        for side, value in zip("AB", pair, strict=True)
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base model of three layers."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    layers = {f"{layer}.weight": numpy.zeros((4, 8), "f") for layer in (Q, K, EXPERT)}
    save_file({**layers, "model.embed_tokens.weight": numpy.zeros((9, 8), "f")}, folder / "model.safetensors")
    return folder


def test_an_adapter_whose_layers_are_all_there_is_let_through(tmp_path: Path, base: Path) -> None:
    need_applied(write(tmp_path, {Q: (1, 1), K: (1, 0)}), base, "")  # K wasn't trained, and Q was
    need_applied(write(tmp_path, {"lm_head": (1, 1)}), base, "")  # tied, and so not stored


def test_layers_that_the_base_model_doesnt_have_are_counted_and_named(tmp_path: Path, base: Path) -> None:
    wrong = K.replace("k_proj", "key_proj")
    with pytest.raises(
        ToolError, match=rf"1 of the 2 layers .* aren't in {base}.*: {wrong}\. That model has {EXPERT}, {K} …\. Was it trained on another"
    ) as error:
        need_applied(write(tmp_path, {Q: (1, 1), wrong: (1, 1)}), base, "Merge it.")
    assert error.value.exit_code == 1
    with pytest.raises(ToolError, match=r"aren't in .* Merge it\.$"):
        need_applied(write(tmp_path, {Q.replace("model.", "model.language_model."): (1, 1)}), base, "Merge it.")
    with pytest.raises(ToolError, match="1 of the 2 layers"):
        need_mergeable(write(tmp_path, {Q: (1, 1), wrong: (1, 1)}), base)
    need_mergeable(write(tmp_path, {Q.replace("model.", "model.language_model."): (1, 1)}), base)


def test_vllm_is_asked_for_its_names_only_where_a_prefix_differs() -> None:
    def asked(names: object) -> dict[str, str]:
        raise AssertionError("a child process of many seconds")

    assert unplaced([Q], [f"{Q}.weight"], asked) == []
    assert unplaced([K, "model.blocks.0.key"], [f"{Q}.weight"], asked) == ["model.blocks.0.key", K]


def test_an_engines_own_names_decide_where_the_files_names_differ() -> None:
    text, vision = "model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"
    as_text = lambda names: {name: name.replace("language_model.", "") for name in names}  # noqa: E731
    as_vision = lambda names: {name: name.replace("model.language_model.", "language_model.model.") for name in names}  # noqa: E731
    for adapter, model in ((text, vision), (vision, text)):
        assert unplaced([adapter], [f"{model}.weight"]) == [adapter]
        assert unplaced([adapter], [f"{model}.weight"], as_vision) == [adapter]
        assert unplaced([adapter], [f"{model}.weight"], as_text) == []
    assert unplaced(["model.layers.0.mlp.experts"], [f"{EXPERT}.weight"]) == [], "experts that an adapter changes together"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({Q: (1, 0), K: (1, -0.0)}, "changes nothing: in each of its 2 layers a matrix is all zero"),
        ({Q: (1, float("nan"))}, "q_proj.lora_B.weight holds values that aren't finite"),
        ({}, "holds no matrix of a LoRA adapter"),
    ],
)
def test_an_adapter_that_holds_nothing_is_refused(tmp_path: Path, values: dict[str, tuple[float, float]], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        need_trained(write(tmp_path, values))


def test_a_layer_of_another_shape_is_another_base_model(tmp_path: Path, base: Path) -> None:
    write(tmp_path, {K: (1, 1)}, width=16)
    with pytest.raises(ToolError, match=f"another base model: {K} takes 16 values and gives 4, in {base} it takes 8 and gives 4"):
        need_applied(tmp_path, base, "")
    (base / "config.json").write_text(json.dumps({"quantization_config": {}}))  # packed weights have other shapes
    need_applied(tmp_path, base, "")


def test_bfloat16_is_read_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "adapter_model.safetensors"
    for value, message in ((0x8000, "changes nothing"), (0x7F80, "aren't finite"), (0x3F80, "")):
        header = {
            f"base_model.model.{Q}.lora_{side}.weight": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [start, start + 8]}
            for side, start in (("A", 0), ("B", 8))
        }
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + b"\x80\x3f" * 4 + value.to_bytes(2, "little") * 4)
        if message:
            with pytest.raises(ToolError, match=message):
                need_trained(tmp_path)
        else:
            assert need_trained(tmp_path) == {Q: {"A": (2, 2), "B": (2, 2)}}
