"""Whatever bytes a file holds, a reader ends in rows and bad rows, never in an exception."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.data.raw.row import BadRow, FileReading, RawRow, misplaced
from tools.data.readers import READERS
from tools.example import Entity

KINDS = {"json", "encoding", "truncated", "type", "unannotated", "named"}
PERSON = {"label": "PER", "text": "张三", "start": 0, "end": 2}
LABELLED = {"start": 0, "end": 2, "text": "张三", "labels": ["PER"]}
# One row or more of each format, as JSON values; the others are below.
VALID: dict[str, list[Any]] = {
    "ccfbdci": [{"text": "张三", "entities": [{"start_idx": 0, "end_idx": 2, "entity_text": "张三", "entity_label": "PER"}]}],
    "classification": [{"text": "张三", "category": ["a", "b"], "output": "a"}, {"text": "张三", "label": "a"}],
    "cluener": [{"text": "张三", "label": {"name": {"张三": [[0, 1]]}}}],
    "doccano": [
        {"text": "张三", "label": [[0, 2, "PER"]]},
        {"data": "张三", "label": ["a"]},
        {"text": "张三", "entities": [{"label": "PER", "start_offset": 0, "end_offset": 2}]},
    ],
    "jsonl": [{"text": "张三", "entities": [PERSON]}, {"text": "张三", "label": "a", "options": ["a"]}],
    "spans": [
        {"text": "张三", "entities": [[0, 2, "PER"]]},
        ["张三", {"entities": [["PER", 0, 2]]}],
        {"originalText": "张三", "spans": [{"start_pos": 0, "end_pos": 2, "label_type": "PER"}], "answer": "accept"},
        {"text": "张三", "entities": [{"offset": 0, "length": 2, "type": "PER", "entity": "张三"}, {"span": [0, 1], "type": "X"}]},
        {"text": "张三", "label": {"PER": ["张三"], "X": [[0, 1]]}},
    ],
    "instruction": [
        {"instruction": "找", "input": "张三", "output": '[{"label": "PER", "text": "张三"}]'},
        {"instruction": "找", "input": "张三来", "output": "PER：张三"},
        {"instruction": "找", "input": "张三", "output": "无"},
    ],
    "iepile": [
        {"task": "NER", "instruction": '{"schema": ["PER"], "input": "张三"}', "output": '{"PER": ["张三"]}'},
        {"instruction": '{"schema": ["PER", "X"], "input": "张三"}', "input": "", "output": '{"X": "NAN"}'},
    ],
    "uie": [
        {"content": "张三", "result_list": [{"text": "张三", "start": 0, "end": 2}], "prompt": "PER"},
        {"content": "张三", "result_list": [], "prompt": "X"},
        {"content": "好", "result_list": [{"text": "正", "start": -4, "end": -3}], "prompt": "情感[正，负]"},
    ],
    "tokens": [{"tokens": ["张", "三", "来"], "ner_tags": ["B-PER", "I-PER", "O"]}, {"text": "张三", "labels": ["B-PER", "I-PER"]}],
    "label_studio": [
        {"data": {"text": "😀张三"}, "annotations": [{"result": [{"type": "labels", "value": {**LABELLED, "start": 2, "end": 4}}]}]},
        {
            "data": {"a": "张三", "b": "x"},
            "completions": [{"was_cancelled": True}, {"result": [{"to_name": "a", "type": "choices", "value": {"choices": ["a"]}}]}],
        },
        {"text": "张三", "label": [LABELLED], "sentiment": "a", "annotation_id": 1},
    ],
}
# The same for formats that aren't JSON, as whole files.
LINES = {
    "marked": ["[@张三#PER*]说\n走", "{{PER:张三}}说\n", "<PER>张三</PER>说\n<ORG>甲乙</ORG>\n"],
    "slash_tags": ["张三/PER 说/O\n走/O 了/O\n", "张_B-PER 三_I-PER\n"],
    "bio": ["张 B-PER\n三 I-PER\n\n， O\n", "张\tn\tPER-B\n\u3000\tw\tPER-E\n\n-DOCSTART- O\n", "张|||S_PER\n||||O\n"],
    "fasttext": ["__label__a 张三\n", "张三 __label__a\n\n__label__b 李四\n"],
    "table": ['text,label\n张三,a\n"李四,",b\n', "text_a\tlabel\n张三\tB-PER I-PER\n", "n,Word,Tag,sentence\n1,张,B-PER,1\n2,三,I-PER,1\n"],
}

quick = settings(
    max_examples=50,
    deadline=None,
    database=None,  # a run depends on no run before it
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_every_reader_is_tried() -> None:
    assert set(VALID) | set(LINES) | {"brat"} == set(READERS)  # brat's are two files: test_brat.py


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder) / "raw"


def check(reader: str, file: Path, data: bytes) -> list[RawRow | BadRow]:
    file.write_bytes(data)
    rows = list(READERS[reader](file, FileReading()))
    last = (data.count(b"\n") or data.count(b"\r")) + 1
    lines = [row.line for row in rows]
    assert all(1 <= line <= last for line in lines)
    assert lines == sorted(lines)
    for row in rows:
        check_bad(row) if isinstance(row, BadRow) else check_good(row)
    return rows


def check_bad(row: BadRow) -> None:
    assert row.kind in KINDS
    assert row.reason
    assert len(row.reason) < 500
    assert "\n" not in row.reason


def check_good(row: RawRow) -> None:
    assert isinstance(row, RawRow)
    assert isinstance(row.text, str)
    assert row.label is None or isinstance(row.label, str)
    assert row.options is None or all(isinstance(option, str) for option in row.options)
    for entity in row.entities:
        assert isinstance(entity, Entity)
        assert isinstance(entity.label, str)
        assert isinstance(entity.text, str)
        assert type(entity.start) is type(entity.end) is int
    assert isinstance(misplaced(row), list)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.sampled_from([10**30, 2**53 + 1, -1.5, float("nan"), float("inf")])
    | st.text(max_size=3)
    | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "label", "labels", "start", "end", "value", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def valid_files(draw: st.DrawFn, reader: str) -> bytes:
    """A few whole rows in their format."""
    if reader in LINES:
        return draw(st.sampled_from(LINES[reader])).encode()
    rows = draw(st.lists(st.sampled_from(VALID[reader]), min_size=1, max_size=3))
    indent = draw(st.sampled_from([None, 1])) if reader == "label_studio" else None
    if reader == "label_studio" and draw(st.booleans()):
        return json.dumps(rows, ensure_ascii=draw(st.booleans()), indent=indent).encode()
    return "\n".join(json.dumps(row, ensure_ascii=draw(st.booleans())) for row in rows).encode() + draw(st.sampled_from([b"", b"\n", b"\n\n"]))


@st.composite
def damaged_files(draw: st.DrawFn, reader: str) -> bytes:
    """A whole file that something happened to."""
    data = draw(valid_files(reader))
    for damage in draw(st.lists(st.sampled_from(["cut", "flip", "put", "drop", "crlf", "mark", "twice", "gbk", "utf16"]), min_size=1, max_size=3)):
        place = draw(st.integers(0, len(data)))
        if damage == "cut":
            data = data[:place]
        elif damage == "flip" and place < len(data):
            data = data[:place] + bytes([data[place] ^ 1 << draw(st.integers(0, 7))]) + data[place + 1 :]
        elif damage == "put":
            data = (
                data[:place]
                + draw(st.binary(max_size=4) | st.sampled_from([b"\0", b"\xff\xfe", b"\n", b"]", b"[" * 3000, b"9" * 5000]))
                + data[place:]
            )
        elif damage == "drop":
            data = data[:place] + data[place + draw(st.integers(1, 9)) :]
        else:
            data = converted(data, damage)
    return data


def converted(data: bytes, damage: str) -> bytes:
    text = data.decode("utf-8", "replace")
    return {
        "crlf": data.replace(b"\n", b"\r\n"),
        "mark": b"\xef\xbb\xbf" + data,
        "twice": data + data,
        "gbk": text.encode("gb18030"),
        "utf16": text.encode("utf-16"),
    }.get(damage, data)


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """The path to each part of a JSON value."""
    yield ()
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for rest in places(value[key]):
            yield (key, *rest)


def replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = replaced(value[place[0]], place[1:], new)
    return copy


@st.composite
def mistyped_rows(draw: st.DrawFn, reader: str) -> Any:
    """A whole row, one part of which is another value."""
    row = draw(st.sampled_from(VALID[reader]))
    return replaced(row, draw(st.sampled_from(list(places(row)))), draw(json_values))


@pytest.mark.parametrize("reader", [*VALID, *LINES])
def test_whole_files_are_whole_rows_with_or_without_a_mark_and_crlf(reader: str, file: Path) -> None:
    @quick
    @given(valid_files(reader))
    def try_it(data: bytes) -> None:
        rows = check(reader, file, data)
        assert rows
        assert all(isinstance(row, RawRow) and not misplaced(row) for row in rows)
        assert check(reader, file, converted(data, "mark")) == rows
        assert check(reader, file, converted(data, "crlf")) == rows

    try_it()


@pytest.mark.parametrize("reader", [*VALID, *LINES])
def test_damaged_files_are_rows_and_bad_rows(reader: str, file: Path) -> None:
    @quick
    @given(damaged_files(reader))
    def try_it(data: bytes) -> None:
        check(reader, file, data)

    try_it()


@pytest.mark.parametrize("reader", [*VALID, *LINES])
def test_arbitrary_bytes_are_rows_and_bad_rows(reader: str, file: Path) -> None:
    @quick
    @given(st.binary(max_size=80) | st.text(' \t\r\n\u3000甲乙BIEOS-_|,[]{}:"x1\ufeff\0', max_size=60).map(str.encode))
    def try_it(data: bytes) -> None:
        check(reader, file, data)

    try_it()


@pytest.mark.parametrize("reader", VALID)
def test_a_row_with_any_value_in_any_field_is_a_row_or_a_bad_row(reader: str, file: Path) -> None:
    @quick
    @given(mistyped_rows(reader))
    def try_it(row: Any) -> None:
        rows = [row]
        assert len(check(reader, file, json.dumps(rows).encode())) == 1

    try_it()
