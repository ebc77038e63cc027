"""Of the readers that fit a file, the one that finds most is taken; two that read one row differently are a question."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.scaffold.conftest import CANONICAL, TEXT, different, lines
from tools.data.scaffold.question import difference
from tools.data.scaffold.raw_files import guess
from tools.data.scaffold.said import NOTHING
from tools.data.scaffold.trials import read
from tools.errors import ToolError

SPANS = {"label": [[0, 2, "PER"], [3, 5, "GPE"]]}


def test_a_reader_that_passes_over_what_another_reads_is_no_rival(give: Callable[..., Path]) -> None:
    path = give(different({**CANONICAL, "label": "地点"}))
    one, other = read(path, "jsonl"), read(path, "classification")
    assert (one.entities.total(), other.entities.total(), difference(path, one, other, NOTHING)) == (24, 0, None)
    assert guess(path).reader == "jsonl"


def test_the_row_that_two_readers_read_differently_is_shown_as_each_reads_it(give: Callable[..., Path]) -> None:
    plain = [{"text": f"{TEXT}{n}", **SPANS} for n in range(6)]
    path = give(lines(*plain, {"text": "李四在上海", **SPANS, "output": "沪"}, {"text": "无"}))
    found = difference(path, read(path, "doccano"), read(path, "classification"), NOTHING)
    assert found
    assert (found[0].line, [entity.text for entity in found[0].entities], found[1].label) == (7, ["李四", "上海"], "沪")


def test_rows_on_one_line_are_compared_one_by_one(give: Callable[..., Path]) -> None:
    rows: list[dict[str, Any]] = [{"text": f"{TEXT}{n}", **SPANS, "output": f"类{n % 2}"} for n in range(4)]
    path = give(b"[" + b",".join(line for line in lines(*rows).splitlines()) + b"]")
    with pytest.raises(ToolError, match=r"two readers read its rows differently; row 1 as each reads it"):
        guess(path)


def test_a_reader_that_takes_tags_for_classes_is_no_rival_of_one_that_reads_them(give: Callable[..., Path]) -> None:
    rows = [{"text": f"张 三 在 第 {n} 天", "label": "B-PER I-PER O O O O"} for n in range(12)]
    assert (guess(give(lines(*rows))).reader, guess(give(lines(*rows))).entities) == ("tokens", {"PER": 12})
