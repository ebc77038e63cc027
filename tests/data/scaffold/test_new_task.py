"""Labels of any kind survive the task file, the prompt and the conversion."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.scaffold.conftest import CLUENER, STUDIO, TEXT, different, lines, made
from tools.conf.task import find_task
from tools.data.convert import convert
from tools.data.scaffold.new_task import readable, scalar
from tools.errors import ToolError
from tools.text import LONGEST_LABEL

ODD = [
    "no",
    "on",
    "1",
    "1e-4",
    ".5",
    "0x1F",
    "inf",
    "~",
    "null",
    "a: b",
    "#h",
    "- x",
    "[x]",
    '"q"',
    "it's",
    "back\\slash",
    "with space",
    "人名",
    "😀",
    "\u3000宽",
]
TROUBLE = ["a,b", "{x}", "{text}", "${x}", "???", "new\nline", "<|im_end|>", " edge", "\ttab", "｛x｝", "edge"]


def test_entities_beside_classes_are_a_question_that_the_kind_answers(checkout: Path, give: Callable[..., Path]) -> None:
    choice = {"type": "choices", "value": {"choices": ["好"]}}
    tasks = [{"data": {"text": f"{TEXT}{n}"}, "annotations": [{"result": [*STUDIO["annotations"][0]["result"], choice]}]} for n in range(20)]  # type: ignore[index]
    path = give(json.dumps(tasks).encode())
    with pytest.raises(ToolError, match=r"40 entities, and 20 rows with a class\. Choose --kind ner or --kind classification"):
        made(path)
    assert made(path, kind="ner") == 0
    assert made(path, name="two", kind="classification") == 0
    assert (find_task("toy").labels, find_task("two").labels) == (["PER", "GPE"], ["好"])
    with pytest.raises(ToolError, match=r"24 entities, and 0 rows with a class\. Choose --kind ner "):
        made(give(different(CLUENER)), name="three", kind="classification")


def test_labels_come_most_frequent_first_or_as_they_appear(checkout: Path, give: Callable[..., Path]) -> None:
    path = give(lines(*({"text": f"文{n}", "label": label} for n, label in enumerate("乙甲甲丙丙丙丁"))))
    made(path)
    made(path, name="two", label_order="first")
    assert find_task("toy").labels == ["丙", "甲", "乙", "丁"]
    assert find_task("two").labels == ["乙", "甲", "丙", "丁"]


@pytest.mark.parametrize("kind", ["ner", "classification"])
def test_labels_of_any_kind_survive_the_task_file_the_prompt_and_the_conversion(checkout: Path, give: Callable[..., Path], kind: str) -> None:
    odd = [*ODD, *TROUBLE]
    texts = [(f"第{n}条里的张三", label) for n, label in enumerate(odd * 3)]
    entity = {"text": "张三"}
    rows = [
        {"text": text, "label": label}
        if kind == "classification"
        else {"text": text, "entities": [{**entity, "label": label, "start": len(text) - 2, "end": len(text)}]}
        for text, label in texts
    ]
    assert made(give(lines(*rows))) == 0, "the doctor finds nothing that would damage training"
    task = find_task("toy")
    assert task.labels == odd
    assert all(task.names[label] == label for label in ODD if label == label.strip())
    assert len(set(task.names.values())) == len(odd)
    listed = task.prompt.read_text()
    assert [line[2:] for line in listed.splitlines() if line.startswith("- ")][: len(odd)] == list(task.names.values())
    written = convert(task, checkout / "out")
    assert sum(split.rows for split in written) == len(texts)
    trained = json.loads((checkout / "out/alpaca/alpaca_toy_train.json").read_text())
    assert all(f"\n- {name}\n" in row["input"] for row in trained for name in task.names.values())


def test_what_can_be_no_label_is_left_out_and_listed_by_the_doctor(
    checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = ["", " ", "\\ud800", "长" * (LONGEST_LABEL + 1)]
    rows = [f'{{"text": "文{n}", "label": "{label}"}}\n' for n, label in enumerate(["好", "坏", *bad] * 4)]
    assert made(give("".join(rows).encode())) == 1, "the doctor lists the rows"
    assert find_task("toy").labels == ["好", "坏"]
    assert "label '' is not among the labels of conf/task/toy.yaml" in capsys.readouterr().out


def test_a_single_label_is_remarked(checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    made(give(lines(*({"text": f"文{n}", "label": "类"} for n in range(20)))))
    assert "remark: one label only: there is nothing to choose from." in capsys.readouterr().out


@pytest.mark.parametrize(
    "value", [*ODD, *TROUBLE, "y", "Yes", "e5", "1_000", "\x7f", "\u2028", "\ufeff", "&a", "*a", "!t", "%", "@", "`", "a #b", "|", ">", "=", "<<"]
)
def test_a_scalar_is_read_back_as_the_text_that_it_was(value: str) -> None:
    omegaconf = importlib.import_module("omegaconf")
    assert list(omegaconf.OmegaConf.create(f"{scalar(value)}: 1")) == [value]
    if "${" not in value and value != "???":
        assert omegaconf.OmegaConf.to_container(omegaconf.OmegaConf.create(f"- {scalar(value)}")) == [value]
    assert readable(value).isprintable() or "\u3000" in readable(value)
