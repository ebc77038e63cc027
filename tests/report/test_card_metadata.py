"""The hub's own library reads the head of a card back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.report.conftest import LABELS, ROWS, Trained, card_of
from tools.conf.run import Run
from tools.conf.task import Task, load_task
from tools.errors import ToolError
from tools.files import sha256, write_json
from tools.report.card import write


@pytest.fixture
def task(write_task: Callable[..., Path]) -> Task:
    return load_task(write_task(ROWS, labels=LABELS, source="made up; Apache-2.0"))


def test_the_hubs_library_reads_back_what_was_written(task: Task, trained: Trained, scored: Callable[..., Path]) -> None:
    from huggingface_hub import ModelCard, metadata_load
    from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

    from tools.report.card_facts import gather
    from tools.report.card_metadata import metadata

    run = trained(task)
    for decoding in ("free", "schema"):
        scored(run, task, decoding=decoding, errors=0.3 if decoding == "free" else 0.1)
    options = {"base_model": "Qwen/Qwen2.5-7B-Instruct", "license": "apache-2.0", "datasets": ["owner/data"]}
    path = write(run, task, "adapter", "dev", **options)
    said = metadata(gather(run, task, "adapter", "dev", options["base_model"]), options["license"], options["datasets"])
    loaded = ModelCard.load(path)
    assert loaded.data.to_dict() == said.to_dict() and loaded.data.eval_results == said.eval_results and len(said.eval_results) == 8
    assert str(loaded).replace("\r\n", "\n") == path.read_text()
    raw = metadata_load(path)
    assert raw == yaml.safe_load(path.read_text().split("\n---\n")[0].removeprefix("---\n"))
    name, results = model_index_to_eval_results(raw["model-index"])
    assert (name, eval_results_to_model_index(name, results)) == ("a", raw["model-index"])
    assert {(one.dataset_split, one.dataset_type) for one in results} == {("dev", "owner/data")}
    assert results[0].dataset_revision == sha256(task.examples("dev", run.dataset))
    assert {key: raw[key] for key in ("base_model", "base_model_relation", "license", "library_name", "pipeline_tag", "language", "datasets")} == {
        **{"base_model": "Qwen/Qwen2.5-7B-Instruct", "base_model_relation": "adapter", "license": "apache-2.0", "library_name": "peft"},
        **{"pipeline_tag": "text-generation", "language": ["zh"], "datasets": ["owner/data"]},
    }


def test_a_base_model_stands_in_the_head_only_where_its_name_on_a_hub_is_known(task: Task, trained: Trained, tmp_path: Path) -> None:
    def head(run: Run) -> Any:
        return yaml.safe_load(card_of(run, task).split("---")[1])

    local = trained(task)
    assert "base_model" not in head(local) and "its name on a hub isn't known" in card_of(local, task) and "`base-7B`" in card_of(local, task)
    write_json(tmp_path / "models/base-7B/download.json", {"hub": "modelscope", "model": "Qwen/Base-7B"})
    assert head(local)["base_model"] == "Qwen/Base-7B" and "its name on ModelScope" in card_of(local, task)
    assert head(trained(task, "b", model_name_or_path="Qwen/Qwen2.5-7B-Instruct"))["base_model"] == "Qwen/Qwen2.5-7B-Instruct"
    assert "base_model" not in head(trained(task, "c", model_name_or_path="models/Gone-7B"))
    cached = "/home/bob/.cache/huggingface/hub/models--Qwen--Qwen2.5-0.5B/snapshots/0123abcd"
    assert head(trained(task, "d", model_name_or_path=cached))["base_model"] == "Qwen/Qwen2.5-0.5B"
    for options, said in (
        ({"license": "apache2"}, "apache-2.0"),
        ({"base_model": "a b/c"}, "not a name on the hub"),
        ({"datasets": ["a//b"]}, "not a name"),
    ):
        with pytest.raises(ToolError, match=said):
            write(local, task, "adapter", "dev", **options)


def test_a_licence_is_named_only_where_base_model_and_data_agree(task: Task, trained: Trained, tmp_path: Path) -> None:
    def licence(run: Run) -> str:
        return str(yaml.safe_load(card_of(run, task).split("---")[1])["license"])

    run = trained(task)
    assert licence(run) == "unknown"
    card = tmp_path / "models/base-7B/README.md"
    card.parent.mkdir(parents=True)
    for text, expected in (
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\nlicense: mit\n---\n", "unknown"),
        ("---\n: {[\n---\n", "unknown"),
    ):
        card.write_text(text)
        assert licence(run) == expected
