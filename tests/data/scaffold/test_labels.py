"""What was read as labels and looks like something else is a question; labels that differ in their spelling alone are remarked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.scaffold.conftest import TEXT, everything, lines, made
from tools.conf.task import find_task
from tools.errors import ToolError


def texts(*classes: Any, count: int = 24, text: str = "第{}场比赛结束了") -> bytes:
    return lines(*({"text": text.format(n), "label": classes[n % len(classes)]} for n in range(count)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (texts("O O B-LOC I-LOC", "B-PER I-PER O"), "its classes look like tags of tokens ('O O B-LOC I-LOC', 'B-PER I-PER O')"),
        (texts("O\x02O\x02B-LOC", "O"), "its classes look like tags of tokens"),
        (texts("B-PER", "O", "O"), "its classes look like tags of tokens"),
        (
            lines(*({"text": "我在北京天安门广场看升旗"[n % 12], "label": ["LOC", "O"][n % 2]} for n in range(24))),
            "24 of its 24 texts are one character or one word",
        ),
        (texts("NN", "VB", text="word"), "24 of its 24 texts are one character or one word"),
        (
            lines(*({"text": f"第{n}天，张三来了", "label": ["PER:张三", "人物：张三"][n % 2]} for n in range(24))),
            "24 of its 24 classes repeat a string of their text",
        ),
        (texts("A", "B", "C", "D"), "its classes are the letters of a multiple choice ('A', 'B', 'C')"),
        (
            texts("-1", "0", "1"),
            "its classes are numbers ('-1', '0', '1'), which say nothing to a model: the task file's `labels` can give each a name",
        ),
        (
            lines(*[{"text": f"{name}晓第{n}次来了", "label": f"{name}晓"} for n, name in enumerate("林何方秦赵钱孙李周吴郑王" * 3)]),
            "36 of its 36 classes repeat a string",
        ),
        (texts("OOBIOO", "BIOOO"), "its classes look like tags of tokens"),
        (texts("1.5", "2.0"), "its classes are numbers ('1.5', '2.0'), which say nothing to a model: the task file's"),
        (texts("0", "1", "2"), "its classes are numbers ('0', '1', '2')"),
        (texts(*(f"类{n}" for n in range(101)), count=202), "101 labels, e.g. '类0', '类1', '类2'"),
        (texts(*(f"0.{n}1" for n in range(24))), "24 labels, e.g. '0.01', '0.11', '0.21' in 24 annotations"),
        (texts(*(f"标题{n}" for n in range(24))), "24 labels, e.g. '标题0', '标题1', '标题2' in 24 annotations"),
    ],
)
def test_labels_that_look_like_something_else_are_a_question_that_the_kind_answers(
    checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str], data: bytes, said: str
) -> None:
    path, before = give(data), everything(checkout)
    with pytest.raises(ToolError) as error:
        made(path)
    assert said in str(error.value)
    assert 'To take them all the same: --kind classification (make: ARGS="--kind classification").' in str(error.value)
    assert (error.value.exit_code, everything(checkout)) == (2, before)
    made(path, kind="classification")
    assert find_task("toy").kind == "classification"
    assert f"remark: {said}" in capsys.readouterr().out


def test_numbers_are_asked_for_with_the_words_that_name_them(checkout: Path, give: Callable[..., Path]) -> None:
    with pytest.raises(ToolError) as error:
        made(give(texts("0", "2")))
    assert "make: ARGS=\"--set 'numbers=[NAME0,NAME1,NAME2]'\"" in str(error.value)


@pytest.mark.parametrize(
    "classes",
    [
        ["A", "B", "AB", "O"],
        ["体育", "财经"],
        ["好", "O"],
        ["B-side", "live", "studio"],
        ["2023年", "2024年"],
        ["比赛", "比赛/体育 其他"],
        ["A", "B"],
    ],
)
def test_classes_of_texts_are_no_question(checkout: Path, give: Callable[..., Path], classes: list[str]) -> None:
    assert made(give(texts(*classes))) in (0, 1)
    assert set(find_task("toy").labels) == set(classes)


def test_entities_that_nearly_all_have_a_label_of_their_own_are_a_question(checkout: Path, give: Callable[..., Path]) -> None:
    rows = [{"text": f"{TEXT}{n}", "label": {f"张三{n}": {"张三": [[0, 1]]}}} for n in range(30)]
    with pytest.raises(ToolError, match=r"30 labels, .* in 30 annotations.*--kind ner"):
        made(give(lines(*rows)))


def test_labels_that_differ_in_case_width_or_spaces_are_remarked_with_their_numbers(
    checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    made(give(texts("体育", "体育 ", "体 育", "财经", "体育")))
    shown = capsys.readouterr().out
    assert "remark: these labels differ in case, width or spaces alone: '体育' 9, '体育 ' 5, '体 育' 5." in shown
    assert "If they are one, write it in one way: by hand in the raw file" in shown
    made(give(texts("sport", "Sport ")), name="two")
    assert (
        "If they are one, write it in one way: leave 'sport' alone in the task file and the prompt, then make check TASK=two ARGS=--fix"
        in capsys.readouterr().out
    )
