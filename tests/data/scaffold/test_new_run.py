"""The run of a new task names its base model and its chat format, and cuts no row."""

import importlib
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from tests.data.scaffold.conftest import CLUENER, different, lines, made
from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.data.convert import convert
from tools.data.scaffold import new_run
from tools.errors import ToolError
from tools.example import read_examples
from tools.files import ROOT


def test_a_base_model_is_a_folder_or_a_name_and_the_default_says_so(
    checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source = give(different(CLUENER))
    made(source)
    assert "The run trains the embedded tiny-qwen2" in capsys.readouterr().out
    usual = checkout / "models/Qwen2.5-7B-Instruct"
    copytree(ROOT / "models/tiny-qwen2", usual)
    made(source, name="two")
    assert load_run(Path("conf/Qwen2.5-7B-Instruct-two-ner-lora-sft.yaml")).base_model == "models/Qwen2.5-7B-Instruct"
    for word in ("Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "models/Qwen2.5-7B-Instruct/", str(usual)):
        assert (new_run.base_model(word).name, new_run.base_model(word).hub) == ("Qwen2.5-7B-Instruct", "")
    for word in ("models/nope", "nope", "/", "a/b/c"):
        with pytest.raises(ToolError, match="nor owner/name on a hub"):
            new_run.base_model(word)


def test_a_chat_format_that_is_said_is_taken(checkout: Path, give: Callable[..., Path]) -> None:
    assert made(give(different(CLUENER)), model="THUDM/glm-4-9b-chat", template="glm4") == 0
    assert load_run(Path("conf/glm-4-9b-chat-toy-ner-lora-sft.yaml")).values["template"] == "glm4"


@pytest.mark.parametrize(
    ("model", "template", "off"),
    [("Qwen/Qwen3-8B", "qwen3_nothink", None), ("Qwen/Qwen3.5-4B", "qwen3_5", False), ("Qwen/Qwen3.6-27B", "qwen3_6", False)],
)
def test_a_run_says_once_whether_its_model_thinks(checkout: Path, give: Callable[..., Path], model: str, template: str, off: bool | None) -> None:
    assert made(give(different(CLUENER)), model=model) == 0
    values = load_run(Path(f"conf/{Path(model).name}-toy-ner-lora-sft.yaml")).values
    assert (values["template"], values.get("enable_thinking")) == (template, off)


def test_no_row_is_cut_and_none_is_let_grow_beyond_the_model(checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    long = {"text": "长" * 900 + "张三", "entities": [{"label": "PER", "text": "张三", "start": 900, "end": 902}]}
    assert made(give(lines(*({**long, "text": f"{long['text']}{n}"} for n in range(12))))) == 0
    assert load_run(Path("conf/tiny-qwen2-toy-ner-lora-sft.yaml")).values["cutoff_len"] > 900
    assert "tokens, so cutoff_len is" in capsys.readouterr().out
    assert new_run.cutoff_of(673, new_run.base_model("tiny-qwen2")) == 896
    assert new_run.cutoff_of(1900, new_run.base_model("tiny-qwen2")) == 2048


@pytest.fixture(scope="module")
def parser() -> Any:
    return importlib.import_module("llamafactory.hparams.parser")


@pytest.mark.parametrize("model", ["tiny-qwen2", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen3.5-4B"])
@pytest.mark.parametrize("kind", ["ner", "classification"])
def test_llamafactorys_own_parser_takes_the_run_and_the_task_converts(
    checkout: Path, give: Callable[..., Path], parser: Any, kind: str, model: str
) -> None:
    data = different(CLUENER) if kind == "ner" else lines(*({"text": f"文{n}", "label": f"类{n % 3}"} for n in range(12)))
    assert made(give(data), model=model) == 0
    base, short = Path(model).name, "ner" if kind == "ner" else "cls"
    run = load_run(Path(f"conf/{base}-toy-{short}-lora-sft.yaml"))
    source = new_run.TINY_RUN if base == "tiny-qwen2" else new_run.LARGE_NER_RUN
    assert set(run.values) >= set(load_run(source).values) - {"eval_dataset"}, "every knob is stated"
    assert "max_samples" not in run.values
    assert (run.task, run.base_model, str(run.output_dir)) == ("toy", f"models/{base}", f"data/outputs/{base}-toy-{short}-lora-sft")
    parsed, dataset, training, _, _ = parser._parse_train_args({**run.values, "use_cpu": True})
    assert (parsed.model_name_or_path, dataset.dataset, dataset.template) == (run.base_model, ["alpaca_toy_train"], run.values["template"])
    assert Path(training.output_dir) == run.output_dir
    assert sum(split.rows for split in convert(find_task("toy"), checkout / "data/dataset")) == 12
    examples = list(read_examples(find_task("toy").examples("train", checkout / "data/dataset")))
    assert {entity.label for example in examples for entity in example.entities} == ({"PER", "GPE"} if kind == "ner" else set())
    text = run.path.read_text()
    assert not [word for word in ("medical", "ccfbdci", "fudan", "sample_", "2,000", "document", "11,605") if word in text.partition("### model")[2]]
