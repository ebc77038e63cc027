"""UIE's rows, one a text and label, become one example a text; relations are passed over and said."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.uie import read_uie

TEXT = "张三在北京大学工作"


def asked(prompt: str, *found: str, text: str = TEXT) -> dict[str, Any]:
    return {
        "content": text,
        "result_list": [{"text": one, "start": text.index(one), "end": text.index(one) + len(one)} for one in found],
        "prompt": prompt,
    }


def read(tmp_path: Path, rows: list[Any]) -> tuple[list[RawRow | BadRow], FileReading]:
    path, reading = tmp_path / "a.txt", FileReading()
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return list(read_uie(path, reading)), reading


def seen(rows: list[RawRow | BadRow]) -> list[list[tuple[str, str]]]:
    return [[(e.label, e.text) for e in row.entities] for row in rows if isinstance(row, RawRow)]


def test_the_rows_of_a_text_are_joined(tmp_path: Path) -> None:
    rows, reading = read(tmp_path, [asked("人名", "张三"), asked("人名", text="下雨了"), asked("机构", "北京大学"), asked("时间")])
    assert ([row.line for row in rows], seen(rows)) == ([1, 2], [[("人名", "张三"), ("机构", "北京大学")], []])
    assert [*reading.applied] == ["the rows of one text, one a label, are one row"]


def test_a_text_of_a_list_on_one_line_is_named_by_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([asked("人名", text="下雨了"), asked("人名", "张三"), asked("机构", "北京大学")]), encoding="utf-8")
    assert [row.item for row in read_uie(path, FileReading())] == ["row 1", "row 2"]


def test_a_prompt_about_an_entity_of_the_text_asks_for_a_relation(tmp_path: Path) -> None:
    rows, reading = read(
        tmp_path,
        [asked("人名", "张三"), asked("张三的单位", "北京大学"), asked("人名", "李四", text="李四在上海"), asked("李四的单位", text="李四在上海")],
    )
    assert seen(rows) == [[("人名", "张三")], [("人名", "李四")]]
    assert any("'张三的单位', ask for relations" in rule for rule in reading.applied)


def test_subjects_that_are_no_entities_of_their_own_are_told_by_their_number(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, [asked("张三的单位", "北京大学"), asked("李四的单位", "上海", text="李四在上海")])
    assert seen(rows) == [[], []]


def test_a_label_with_de_stays_a_label(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, [asked("公司的名称", "天府公司", text="天府公司成立了"), asked("公司的名称", "蓝星", text="蓝星成立了")])
    assert seen(rows) == [[("公司的名称", "天府公司")], [("公司的名称", "蓝星")]]


def test_a_prompt_with_options_asks_for_a_class(tmp_path: Path) -> None:
    prompt = "情感倾向[正向，负向]"
    row = {"content": "很好吃", "result_list": [{"text": "正向", "start": -7, "end": -5}], "prompt": prompt}
    assert read(tmp_path, [row])[0] == [RawRow(1, "很好吃", [], "正向", ["正向", "负向"])]
    other = {**row, "result_list": [{"text": "负向", "start": -4, "end": -2}]}
    [bad] = read(tmp_path, [row, other])[0]
    assert isinstance(bad, BadRow)
    assert "two classes" in bad.reason
    [bad] = read(tmp_path, [{**row, "result_list": []}])[0]
    assert isinstance(bad, BadRow)
    assert bad.kind == "unannotated"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"content": TEXT, "prompt": "人名"}, "no 'result_list'"),
        ({"content": TEXT, "result_list": [], "prompt": 1}, "'prompt' must be a string"),
        ({"text": TEXT, "result_list": [], "prompt": "人名"}, "no 'content'"),
        ({"content": TEXT, "result_list": [{"text": "张三"}], "prompt": "人名"}, "no 'start'"),
    ],
)
def test_other_rows_are_refused_and_the_rest_is_read(tmp_path: Path, row: Any, reason: str) -> None:
    rows, _ = read(tmp_path, [row, asked("人名", "张三")])
    bad, good = rows
    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert seen([good]) == [[("人名", "张三")]]
