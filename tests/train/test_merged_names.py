"""A merged model has its base model's names, whatever transformers wrote."""

from pathlib import Path

import numpy
from safetensors.numpy import load_file, save_file

from tools.files import read_json, write_json
from tools.train.merged_names import INDEX, renamed, restore_names


def test_names_that_transformers_changed_are_the_base_models_again() -> None:
    base = ["model.language_model.layers.0.q", "model.visual.blocks.0", "mtp.fc", "lm_head.weight"]
    assert renamed(["model.language_model.layers.0.q", "model.language_model.visual.blocks.0"], base) == {
        "model.language_model.visual.blocks.0": "model.visual.blocks.0"
    }
    assert renamed(["model.language_model.layers.0.q"], ["model.layers.0.q"]) == {"model.language_model.layers.0.q": "model.layers.0.q"}
    assert renamed(["model.layers.0.q"], ["model.language_model.layers.0.q"]) == {"model.layers.0.q": "model.language_model.layers.0.q"}


def test_names_that_fit_or_could_be_two_stay() -> None:
    assert renamed(["a.b", "c"], ["a.b", "d"]) == {}
    assert renamed(["model.x"], ["model.language_model.x", "language_model.model.x"]) == {}
    assert renamed(["model.language_model.x", "language_model.model.x"], ["model.x"]) == {}


def test_the_files_and_their_index_are_renamed_and_the_tensors_stay(tmp_path: Path) -> None:
    one, two = numpy.arange(6, dtype="f").reshape(2, 3), numpy.ones(5, "<u2")
    base, merged = tmp_path / "base", tmp_path / "merged"
    for folder in (base, merged):
        folder.mkdir()
    save_file({"model.visual.a": one, "model.language_model.b": two}, base / "model.safetensors")
    save_file({"model.language_model.visual.a": one}, merged / "model-1.safetensors", metadata={"format": "pt"})
    save_file({"model.language_model.b": two}, merged / "model-2.safetensors")
    write_json(
        merged / INDEX, {"weight_map": {"model.language_model.visual.a": "model-1.safetensors", "model.language_model.b": "model-2.safetensors"}}
    )
    assert restore_names(merged, base) == 1
    [(name, kept)] = load_file(merged / "model-1.safetensors").items()
    assert (name, kept.tolist()) == ("model.visual.a", one.tolist())
    assert load_file(merged / "model-2.safetensors").keys() == {"model.language_model.b"}
    assert read_json(merged / INDEX)["weight_map"] == {"model.visual.a": "model-1.safetensors", "model.language_model.b": "model-2.safetensors"}
    assert restore_names(merged, base) == 0
