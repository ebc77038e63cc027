import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow, misplaced
from tools.data.raw.ticket import ticket
from tools.data.readers.label_studio import read_label_studio
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
    return list(read_label_studio(path, FileReading()))


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
        ({"data": {"text": "x"}, "annotations": None, "predictions": TASK["annotations"]}, "named", "no annotation"),
        ({"data": {"text": "x"}, "annotations": [{"was_cancelled": True, "result": []}]}, "turned-down", "1 cancelled"),
        ({"text": "x", "id": 1}, "type", "no annotation"),
        ({"annotations": []}, "type", "no 'data' object"),
        ({"data": {"text": "x"}, "annotations": 1}, "type", "'annotations' must be a list of objects"),
        ({"data": {"text": "x"}, "annotations": [{}]}, "type", "no 'result'"),
        ({"data": {"text": "x"}, "annotations": [{"result": [1]}]}, "type", "'result' must be a list of objects"),
        ({"data": {"a": "x", "b": "y"}, "annotations": [{"result": []}]}, "named", "the text isn't clear"),
        ({"data": {"n": 1}, "annotations": [{"result": []}]}, "type", "the text isn't clear"),
        (task(["x"]), "type", "the text isn't clear"),
        (task("x", choices("a", "b")), "several", "one choice is needed, the task has 2"),
        (task("x", choices("a"), choices("b")), "several", "one choice is needed, the task has 2"),
        (task("x", {"type": "labels"}), "type", "no 'value' object"),
        (task("x", {"type": "labels", "value": {"start": 0, "end": 1, "text": "x"}}), "type", "no 'labels'"),
        (task("x", {"type": "labels", "value": {"start": "0", "end": 1, "labels": ["a"]}}), "type", "'start' must be a whole number"),
        (task("x", {"type": "labels", "value": {"start": True, "end": 1, "labels": ["a"]}}), "type", "'start' must be a whole number"),
        (task("x", {"type": "labels", "value": {"start": 0, "end": 1, "text": 1, "labels": ["a"]}}), "type", "'text' must be a string"),
        (task("x", {"type": "choices", "value": {"choices": "a"}}), "type", "'choices' must be a list of strings"),
        (task("x", {"type": "hypertextlabels", "value": {"start": "/p[1]", "hypertextlabels": ["a"]}}), "named", "'hypertextlabels' aren't offsets"),
        ({"question": "x", "label": "a"}, "type", "without the 'annotation_id'"),
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
        list(read_label_studio(tmp_path / "none.json", FileReading()))


def spoken(tmp_path: Path, rows: list[Any], **fields: str) -> tuple[list[RawRow | BadRow], FileReading]:
    """The rows of an export on one line, and what the reader has to say about it."""
    path, reading = tmp_path / "a.json", FileReading(fields)
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return list(read_label_studio(path, reading)), reading


def of(annotator: Any, *result: Any, **more: Any) -> dict[str, Any]:
    return {"completed_by": annotator, "result": list(result), **more}


LONG, SHORT = span(0, 4, "北京大学", "ORG"), span(0, 2, "北京", "LOC")


def told(number: int, *annotations: Any) -> dict[str, Any]:
    return {"id": number, "data": {"text": "北京大学很大"}, "annotations": list(annotations)}


def strings_of(rows: list[RawRow | BadRow]) -> list[list[str]]:
    return [[entity.text for entity in row.entities] if isinstance(row, RawRow) else [row.reason] for row in rows]


def test_every_row_is_named_by_its_task_even_a_bad_one(tmp_path: Path) -> None:
    rows, _ = spoken(tmp_path, [told(17, of(1, LONG)), told(18), {"id": "a-1", "data": {"text": 1}, "annotations": [of(1)]}, {"data": {"text": "x"}}])
    assert [row.item for row in rows] == ["task 17", "task 18", "task a-1", "row 4"]


def test_annotators_who_disagree_are_counted_and_the_first_one_is_taken(tmp_path: Path) -> None:
    both = [told(7, of(3, LONG), of({"id": 4, "email": "x@y"}, LONG)), told(8, of(3, LONG), of(4, SHORT)), told(9, of(3, SHORT), of(4))]
    rows, reading = spoken(tmp_path, both)
    assert strings_of(rows) == [["北京大学"], ["北京大学"], ["北京"]]
    [(doubt, line)] = reading.doubts.items()
    assert "several annotations: 3 (annotator 3: 3, 4: 3); they disagree in 2, first in task 8." in doubt
    assert ("fields.annotator=4" in doubt, line) == (True, 1)


def test_annotators_who_agree_are_one(tmp_path: Path) -> None:
    rows, reading = spoken(tmp_path, [told(7, of(3, LONG, SHORT), of(4, SHORT, LONG))])
    assert (strings_of(rows), reading.doubts) == ([["北京大学", "北京"]], {})
    assert "tasks with several: 1 (annotator" in next(iter(reading.applied))


def test_the_task_names_the_annotator_who_counts(tmp_path: Path) -> None:
    rows, reading = spoken(tmp_path, [told(8, of(3, LONG), of(4, SHORT)), told(9, of(3, LONG))], annotator="4")
    assert (strings_of(rows), reading.doubts) == ([["北京"], ["北京大学"]], {})


def test_an_annotator_who_is_nobody_is_said(tmp_path: Path) -> None:
    _, reading = spoken(tmp_path, [told(8, of(3, LONG), of(4, SHORT))], annotator="44")
    assert any("none by annotator 44" in doubt for doubt in reading.doubts)


def test_annotations_without_their_annotators_are_counted_all_the_same(tmp_path: Path) -> None:
    [doubt] = spoken(tmp_path, [told(8, {"result": [LONG]}, {"result": [SHORT]})])[1].doubts
    assert "several annotations: 1; they disagree in 1, first in task 8." in doubt
    assert "fields.annotator" not in doubt


def test_the_annotation_marked_as_ground_truth_wins(tmp_path: Path) -> None:
    rows, reading = spoken(tmp_path, [told(8, of(3, LONG), of(4, SHORT, ground_truth=True))])
    assert (strings_of(rows), reading.doubts) == ([["北京"]], {})
    assert any("ground truth" in rule for rule in reading.applied)


def test_a_fault_in_an_annotation_that_does_not_count_leaves_the_task_readable(tmp_path: Path) -> None:
    faulty = {"type": "labels", "value": {"start": 0, "end": 2, "text": "北京"}}
    rows, _ = spoken(tmp_path, [told(8, of(3, faulty), of(4, SHORT, ground_truth=True)), told(9, of(3, faulty), of(4, SHORT))])
    assert strings_of(rows)[0] == ["北京"]
    assert isinstance(rows[1], BadRow)
    assert "no 'labels'" in rows[1].reason


def minimal(number: int, annotator: int, *spans: dict[str, Any]) -> dict[str, Any]:
    labels = {"label": [one["value"] for one in spans]} if spans else {}
    return {"text": f"北京大学很大{number}", "id": number, **labels, "annotator": annotator, "annotation_id": number * 10 + annotator}


def test_json_mins_rows_of_one_task_are_one_row(tmp_path: Path) -> None:
    export = [minimal(5, 1, LONG), minimal(5, 2, SHORT), minimal(6, 1, LONG), minimal(6, 2, LONG), minimal(7, 2)]
    rows, reading = spoken(tmp_path, export)
    assert (strings_of(rows), [row.item for row in rows]) == ([["北京大学"], ["北京大学"], []], ["task 5", "task 6", "task 7"])
    assert "several annotations: 2 (annotator 1: 2, 2: 2); they disagree in 1, first in task 5." in next(iter(reading.doubts))
    assert strings_of(spoken(tmp_path, export, annotator="2")[0]) == [["北京"], ["北京大学"], []]


def test_predictions_are_named_and_taken_only_where_the_task_says_so(tmp_path: Path) -> None:
    tasks = [{**told(1), "predictions": [{"result": [LONG]}]}, {**told(2, of(1, SHORT)), "predictions": [{"result": [LONG]}]}]
    first, second = spoken(tmp_path, tasks)[0]
    assert isinstance(first, BadRow)
    assert (first.kind, "fields.annotator=predictions takes them" in first.reason) == ("named", True)
    assert strings_of([second]) == [["北京"]]
    assert strings_of(spoken(tmp_path, tasks, annotator="predictions")[0]) == [["北京大学"], ["北京"]]
    skipped = {**told(3, of(1, was_cancelled=True)), "predictions": [{"result": [LONG]}]}
    assert "1 cancelled" in str(strings_of(spoken(tmp_path, [skipped], annotator="predictions")[0]))


def test_a_draft_is_no_annotation(tmp_path: Path) -> None:
    assert "1 not submitted" in str(strings_of(spoken(tmp_path, [{**told(1), "drafts": [{"result": [LONG]}]}])[0]))


def several(**data: str) -> dict[str, Any]:
    return {"data": data, "annotations": [{"result": [LONG]}]}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"title": "第一条", "body": "北京大学很大", "note": "无"}, "body"),  # where the strings stand
        ({"text": "第一条", "body": "北京大学很大"}, "body"),
        ({"text": "北京大学很大", "title": "北京大学很大"}, "text"),
        ({"url": "https://example.com/1", "content": "清华大学"}, "content"),  # the only one that isn't an address
    ],
)
def test_the_text_is_where_the_annotated_strings_stand(tmp_path: Path, data: dict[str, str], field: str) -> None:
    [row], reading = spoken(tmp_path, [several(**data)])
    assert isinstance(row, RawRow)
    assert row.text == data[field]
    assert any(field in rule for rule in reading.applied) == (field != "text")


def test_a_string_that_stands_in_another_field_by_chance_settles_nothing(tmp_path: Path) -> None:
    tasks = [
        {
            "data": {"text": f"\r\n去北京{number}", "title": "去北京吗" if number == 1 else "无题"},
            "annotations": [{"result": [span(1, 3, "北京", "LOC")]}],
        }
        for number in range(3)
    ]
    assert [row.text for row in spoken(tmp_path, tasks)[0] if isinstance(row, RawRow)] == ["\r\n去北京0", "\r\n去北京1", "\r\n去北京2"]


def test_where_several_fields_may_be_the_text_the_task_says_which(tmp_path: Path) -> None:
    task = {"data": {"title": "北京大学很大", "body": "北京大学很大。"}, "annotations": [{"result": [LONG]}]}
    [row], _ = spoken(tmp_path, [task])
    assert isinstance(row, BadRow)
    assert "fields.text=title" in row.reason
    assert [row.text for row in spoken(tmp_path, [task], text="body")[0] if isinstance(row, RawRow)] == ["北京大学很大。"]
    assert "no string 'bodi'" in str(strings_of(spoken(tmp_path, [task], text="bodi")[0]))


@pytest.mark.parametrize("text", ["/data/upload/3/b56-0.txt", "https://example.com/news/1", "s3://bucket/1.txt", "0001.txt"])
def test_offsets_into_a_file_elsewhere_are_refused(tmp_path: Path, text: str) -> None:
    for string in ("北京大学", None):
        assert "address of a file" in str(strings_of(spoken(tmp_path, [task(text, span(0, 4, string, "ORG"))])[0]))


def test_an_address_may_be_annotated_itself_and_its_class_is_doubted(tmp_path: Path) -> None:
    assert strings_of(spoken(tmp_path, [task("https://example.com", span(8, 15, "example", "HOST"))])[0]) == [["example"]]
    rows, reading = spoken(tmp_path, [task("https://example.com", choices("bad"))])
    assert ([row.label for row in rows if isinstance(row, RawRow)], len(reading.doubts)) == (["bad"], 1)


def test_regions_of_other_data_are_named(tmp_path: Path) -> None:
    html = {
        "type": "hypertextlabels",
        "value": {"start": "/p[1]/text()[1]", "startOffset": 0, "endOffset": 2, "text": "北京", "hypertextlabels": ["LOC"]},
    }
    paragraph = {"type": "paragraphlabels", "value": {"start": "0", "end": "0", "startOffset": 0, "endOffset": 2, "paragraphlabels": ["LOC"]}}
    dialogue = {"data": {"dialogue": [{"author": "甲", "text": "北京"}]}, "annotations": [{"result": [paragraph]}]}
    box = {"type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["LOC"]}}
    reasons = strings_of(
        spoken(tmp_path, [task("<p>北京</p>", html), dialogue, task("北京", box), {"text": "<p>北京</p>", "label": [html["value"]]}])[0]
    )
    for [reason], part in zip(
        reasons, ("places in HTML", "one paragraph of a dialogue", "only 'labels' and 'choices'", "places in HTML"), strict=True
    ):
        assert part in reason


def test_other_results_beside_entities_are_passed_over_and_said(tmp_path: Path) -> None:
    rating = {"type": "rating", "from_name": "stars", "value": {"rating": 4}}
    rows, reading = spoken(tmp_path, [told(1, of(1, LONG, rating, {"type": "relation", "from_id": "a", "to_id": "b"})), told(2, of(1, rating))])
    assert strings_of(rows) == [["北京大学"], []]
    (alone,), _ = spoken(tmp_path, [told(2, of(1, rating))])
    assert isinstance(alone, BadRow)
    assert "results of type 'rating' only" in alone.reason
    assert "results that are neither the text's entities nor its class were passed over: 'rating', 'relation'" in reading.applied


def test_strings_that_the_export_lacks_are_taken_from_the_text_and_marked(tmp_path: Path) -> None:
    rows, _ = spoken(tmp_path, [told(1, of(1, span(0, 2, None, "LOC"))), told(2, of(1, SHORT))])
    assert [row.sliced for row in rows if isinstance(row, RawRow)] == [True, False]


def test_of_several_choices_the_task_names_one(tmp_path: Path) -> None:
    topic = {"from_name": "topic", "type": "choices", "value": {"choices": ["体育"]}}
    [row], _ = spoken(tmp_path, [task("赢了", choices("pos"), topic)])
    assert isinstance(row, BadRow)
    assert "fields.label=sentiment" in row.reason
    assert [row.label for row in spoken(tmp_path, [task("赢了", choices("pos"), topic)], label="topic")[0] if isinstance(row, RawRow)] == ["体育"]


def test_a_bare_string_of_json_min_is_not_taken_for_the_class_unasked(tmp_path: Path) -> None:
    export = [{"text": "赢了", "topic": "体育", "id": 1, "annotator": 1, "annotation_id": 1}]
    assert "fields.label=topic" in str(strings_of(spoken(tmp_path, export)[0]))
    assert [row.label for row in spoken(tmp_path, export, label="topic")[0] if isinstance(row, RawRow)] == ["体育"]
    beside_entities = [minimal(5, 1, LONG), {**minimal(6, 1), "source": "新闻"}]
    assert strings_of(spoken(tmp_path, beside_entities)[0]) == [["北京大学"], []]


def test_a_span_across_a_line_end_is_read_though_the_editor_escapes_the_line_end(tmp_path: Path) -> None:
    row = one(tmp_path, task("甲乙\r\n丙丁", span(1, 5, "乙\\n\\n丙", "GPE")))
    assert isinstance(row, RawRow) and row.entities == [Entity("GPE", "乙\r\n丙", 1, 5)]
    written = one(tmp_path, task("甲乙\\n丙", span(1, 4, "乙\\n", "GPE")))  # a backslash of the text's own
    assert isinstance(written, RawRow) and written.entities == [Entity("GPE", "乙\\n", 1, 4)]


def test_an_annotation_as_it_was_sent_gives_way_to_an_annotators_own(tmp_path: Path) -> None:
    entity = Entity("PER", "张三", 0, 2)
    sent = ticket("toy-train-000001", "张三在北京", [entity], None)
    row = task("张三在北京", span(0, 2, "张三", "PER"))
    row["data"]["example"] = sent
    alone = one(tmp_path, row)
    assert isinstance(alone, RawRow) and alone.entities == [entity] and alone.ticket == sent
    row["annotations"].append({"id": 2, "completed_by": 2, "result": [span(3, 5, "北京", "GPE")]})
    other = one(tmp_path, row)
    assert isinstance(other, RawRow) and other.entities == [Entity("GPE", "北京", 3, 5)]
    assert one(tmp_path, task("张三", example=sent)) == RawRow(1, "张三", [])  # only the task's data has a ticket
