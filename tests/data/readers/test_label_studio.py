import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.readers.label_studio import read_label_studio
from tools.data.readers.row import BadRow, RawRow, Reading, misplaced
from tools.errors import ToolError
from tools.example import Entity


def span(start: int, end: int, text: str | None, *labels: str, **more: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": list(labels)} | ({} if text is None else {"text": text})
    return {"id": "x", "from_name": "label", "to_name": "text", "type": "labels", "value": value, **more}


def choices(*names: str) -> dict[str, Any]:
    return {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": list(names)}}


def task(text: Any, *result: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"text": text}, "annotations": [{"id": 1, "was_cancelled": False, "result": list(result)}], "predictions": [], **more}


def read(tmp_path: Path, data: Any) -> list[RawRow | BadRow]:
    path = tmp_path / "a.json"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode())
    return list(read_label_studio(path, Reading()))


def one(tmp_path: Path, row: Any) -> RawRow | BadRow:
    [found] = read(tmp_path, [row])
    return found


ZHANG = RawRow(1, "张三在北京", [Entity("GPE", "北京", 3, 5), Entity("PER", "张三", 0, 2)])
TASK = task("张三在北京", span(3, 5, "北京", "GPE"), span(0, 2, "张三", "PER"))
MINIMAL = {
    "id": 1,
    "text": "张三在北京",
    "label": [span(3, 5, "北京", "GPE")["value"], span(0, 2, "张三", "PER")["value"]],
    "annotation_id": 1,
    "created_at": "x",
}


@pytest.mark.parametrize(
    "row",
    [
        TASK,
        MINIMAL,
        {"data": {"text": "张三在北京"}, "completions": TASK["annotations"]},  # before version 1.0
        {"data": {"content": "张三在北京", "n": 3}, "annotations": TASK["annotations"]},  # the only string
        {"data": {"text": "张三在北京", "url": "http://x"}, "annotations": TASK["annotations"]},
        task("张三在北京", span(3, 5, None, "GPE"), span(0, 2, None, "PER")),  # some exports have no strings
        task("张三在北京", span(3, 5, "北京", "GPE"), {"type": "relation", "from_id": "a", "to_id": "b"}, span(0, 2, "张三", "PER")),
        {"data": {"text": "张三在北京"}, "annotations": [{"was_cancelled": True, "result": []}, *TASK["annotations"], {"result": []}]},
        {k: v for k, v in MINIMAL.items() if k != "label"} | {"ner": MINIMAL["label"]},
    ],
)
def test_every_form_of_export_gives_the_same_row(tmp_path: Path, row: Any) -> None:
    assert one(tmp_path, row) == ZHANG


def test_a_task_of_several_fields_is_asked_which_one_was_labelled(tmp_path: Path) -> None:
    row = {"data": {"title": "无题", "body": "张三"}, "annotations": [{"result": [span(0, 2, "张三", "PER", to_name="body")]}]}
    assert one(tmp_path, row) == RawRow(1, "张三", [Entity("PER", "张三", 0, 2)])


def test_a_span_with_several_labels_is_several_entities(tmp_path: Path) -> None:
    assert one(tmp_path, task("张三", span(0, 2, "张三", "PER", "NAME"))) == RawRow(
        1, "张三", [Entity("PER", "张三", 0, 2), Entity("NAME", "张三", 0, 2)]
    )


@pytest.mark.parametrize("row", [task("x"), {"text": "x", "label": []}, {"text": "x", "annotation_id": 5, "annotator": 1}])
def test_an_annotated_row_may_have_no_entity(tmp_path: Path, row: Any) -> None:
    assert one(tmp_path, row) == RawRow(1, "x", [])


@pytest.mark.parametrize(
    "row",
    [task("好看", choices("pos")), {"text": "好看", "sentiment": "pos", "annotation_id": 1}, {"text": "好看", "whatever": {"choices": ["pos"]}}],
)
def test_a_choice_is_the_texts_class(tmp_path: Path, row: Any) -> None:
    assert one(tmp_path, row) == RawRow(1, "好看", [], "pos")


def test_a_choice_made_for_a_span_is_not_the_texts_class(tmp_path: Path) -> None:
    result = {"type": "choices", "value": {"start": 0, "end": 2, "text": "张三", "choices": ["hero"]}}
    assert one(tmp_path, task("张三", span(0, 2, "张三", "PER"), result)) == RawRow(1, "张三", [Entity("PER", "张三", 0, 2)])


@pytest.mark.parametrize(
    ("text", "stated", "string", "meant"),
    [
        ("😀张三", (1, 3), "张三", (1, 3)),  # code points, since version 1.5
        ("😀张三", (2, 4), "张三", (1, 3)),  # UTF-16 units
        ("😀张😀三😀", (2, 6), "张😀三", (1, 4)),
        ("😀😀", (2, 4), "😀", (1, 2)),
        ("😀三三三", (2, 3), "三", (2, 3)),  # both fit: as stated
        ("张三", (1, 3), "张三", (1, 3)),  # neither fits: as stated
        ("😀张三", (3, 5), "张三", (3, 5)),
        ("😀张三", (1, 4), "\ude00张三", (1, 4)),  # half a character
        ("😀张三", (-2, 3), "张三", (-2, 3)),
        ("😀张三家", (-3, 4), "张三", (-3, 4)),
    ],
)
def test_offsets_in_utf16_units_are_converted_where_only_they_fit(
    tmp_path: Path, text: str, stated: tuple[int, int], string: str, meant: tuple[int, int]
) -> None:
    data = json.dumps([task(text, span(*stated, string, "PER"))]).encode()
    [row] = read(tmp_path, data)
    assert isinstance(row, RawRow)
    assert row.entities == [Entity("PER", string, *meant)]
    assert bool(misplaced(row)) is (text[slice(*meant)] != string or meant[0] < 0)


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        (5, "type", "a JSON object is needed, this is 5"),
        ({"data": {"text": "x"}}, "unannotated", "no annotation"),
        ({"data": {"text": "x"}, "annotations": []}, "unannotated", "no annotation"),
        ({"data": {"text": "x"}, "annotations": None, "predictions": TASK["annotations"]}, "unannotated", "no annotation"),
        ({"data": {"text": "x"}, "annotations": [{"was_cancelled": True, "result": []}]}, "unannotated", "1 cancelled"),
        ({"text": "x", "id": 1}, "unannotated", "no annotation"),
        ({"annotations": []}, "type", "no 'data' object"),
        ({"data": {"text": "x"}, "annotations": 1}, "type", "'annotations' must be a list of objects"),
        ({"data": {"text": "x"}, "annotations": [{}]}, "type", "no 'result'"),
        ({"data": {"text": "x"}, "annotations": [{"result": [1]}]}, "type", "'result' must be a list of objects"),
        ({"data": {"a": "x", "b": "y"}, "annotations": [{"result": []}]}, "type", "the text isn't clear"),
        ({"data": {"n": 1}, "annotations": [{"result": []}]}, "type", "the text isn't clear"),
        (task(["x"]), "type", "the text isn't clear"),
        (task("x", choices("a", "b")), "type", "one choice is needed, the task has 2"),
        (task("x", choices("a"), choices("b")), "type", "one choice is needed, the task has 2"),
        (task("x", {"type": "labels"}), "type", "no 'value' object"),
        (task("x", {"type": "labels", "value": {"start": 0, "end": 1, "text": "x"}}), "type", "no 'labels'"),
        (task("x", {"type": "labels", "value": {"start": "0", "end": 1, "labels": ["a"]}}), "type", "'start' must be a whole number"),
        (task("x", {"type": "labels", "value": {"start": True, "end": 1, "labels": ["a"]}}), "type", "'start' must be a whole number"),
        (task("x", {"type": "labels", "value": {"start": 0, "end": 1, "text": 1, "labels": ["a"]}}), "type", "'text' must be a string"),
        (task("x", {"type": "choices", "value": {"choices": "a"}}), "type", "'choices' must be a list of strings"),
        (task("x", {"type": "hypertextlabels", "value": {"start": "/p[1]", "hypertextlabels": ["a"]}}), "type", "'hypertextlabels' aren't offsets"),
        ({"text": "x", "label": ["a"]}, "type", "'label' must be a list of spans"),
        ({"text": "x", "label": 3}, "type", "'label' must be a list of spans"),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_a_bad_task_is_named_and_the_next_one_is_still_read(tmp_path: Path, row: Any, kind: str, reason: str, lines: bool) -> None:
    rows = [json.dumps(row, ensure_ascii=False), json.dumps(TASK, ensure_ascii=False)]
    first, second = read(tmp_path, ("\n".join(rows) if lines else f"[{rows[0]},\n{rows[1]}]").encode())
    assert second == RawRow(2, ZHANG.text, ZHANG.entities)
    assert isinstance(first, BadRow)
    assert (first.line, first.kind, reason in first.reason) == (1, kind, True), first


def test_tasks_of_an_indented_list_have_the_lines_where_they_begin(tmp_path: Path) -> None:
    data = json.dumps([TASK, MINIMAL, 1], ensure_ascii=False, indent=2)
    rows = read(tmp_path, ("\ufeff\n" + data + "\n").encode())
    assert [row.line for row in rows] == [i for i, line in enumerate(("\n" + data).split("\n"), 1) if line in ("  {", "  1")]


@pytest.mark.parametrize("data", [b"[]", b" [ ] \n", b"", b"\n"])
def test_an_empty_export_has_no_rows(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) == []


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_cut_at_any_byte_keeps_its_whole_tasks_and_ends_in_one_truncated_row(tmp_path: Path, indent: int | None) -> None:
    data = json.dumps([task("甲]", span(0, 1, "甲", "X")), task("乙]")], ensure_ascii=False, indent=indent).encode()
    for cut in range(1, len(data)):
        *good, last = read(tmp_path, data[:cut])
        assert isinstance(last, BadRow)
        assert last.kind == "truncated", data[:cut]
        assert [row.text if isinstance(row, RawRow) else row for row in good] == ["甲]", "乙]"][: len(good)]
    assert len(good) == 2  # only the list's end is missing


@pytest.mark.parametrize(
    ("tail", "line", "kind", "reason"),
    [
        (b', {"data": }]', 2, "json", "Expecting value at line 2, column 12"),
        (b",]", 2, "json", "Expecting value"),
        (b" {}]", 2, "json", "',' or ']' is needed"),
        (b" {}", 2, "json", "',' or ']' is needed"),
        (b", nonsense]", 2, "json", "Expecting value"),
        (b"] more", 2, "json", "more text after the list's end: 'more'"),
        (b"]\n]", 3, "json", "more text after the list's end"),
        (b", " + b"[" * 100_000 + b"]", 2, "json", "nested too deeply"),
        (b", " + b"9" * 5000 + b"]", 2, "json", "too many digits"),
        (b', "\xff"]', 2, "encoding", "not UTF-8"),
        (b", \xff]", 2, "encoding", "not UTF-8"),
        (b"]\xff", 2, "encoding", "not UTF-8"),
        (b'] "\xe7\x94', 2, "truncated", "the file ends in the middle"),
        (b', "\0"]', 2, "json", "control character"),
        (b"]\0\0", 2, "json", "more text after"),
    ],
)
def test_a_fault_in_a_list_ends_it_in_one_bad_row(tmp_path: Path, tail: bytes, line: int, kind: str, reason: str) -> None:
    first, last = read(tmp_path, b"[" + json.dumps(TASK).encode() + b"\n" + tail)
    assert first == ZHANG
    assert isinstance(last, BadRow)
    assert (last.line, last.kind, reason in last.reason) == (line, kind, True), last


def test_a_utf16_export_is_one_bad_row(tmp_path: Path) -> None:
    [row] = read(tmp_path, json.dumps([TASK]).encode("utf-16"))
    assert isinstance(row, BadRow)
    assert (row.kind, "iconv" in row.reason) == ("encoding", True)


def test_a_missing_export_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no such file"):
        list(read_label_studio(tmp_path / "none.json", Reading()))
