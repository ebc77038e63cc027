import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.data.raw.lines import Line, json_lines, text_lines
from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.errors import ToolError


def lines(tmp_path: Path, data: bytes) -> list[Line | BadRow]:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    return list(text_lines(path))


def rows(tmp_path: Path, data: bytes) -> list[RawRow | BadRow]:
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    return list(json_lines(lambda line, row, _: RawRow(line, json.dumps(row), []))(path, FileReading()))


def bad(tmp_path: Path, data: bytes) -> BadRow:
    """The only bad row, which is the last."""
    *good, last = rows(tmp_path, data)
    assert isinstance(last, BadRow)
    assert not any(isinstance(row, BadRow) for row in good)
    return last


def test_numbers_count_blank_lines_and_only_lf_ends_a_line(tmp_path: Path) -> None:
    data = "\n  一 \r\n \t\r\n二\u2028三\u0085四\u3000\n\u3000\n五"
    assert lines(tmp_path, data.encode()) == [
        Line(2, "  一 ", True),
        Line(4, "二\u2028三\u0085四\u3000", True),
        Line(5, "\u3000", True),
        Line(6, "五", False),
    ]


def test_a_file_without_lf_has_the_lines_of_old_macs(tmp_path: Path) -> None:
    assert lines(tmp_path, "一\r二\r\r三".encode()) == [Line(1, "一", True), Line(2, "二", True), Line(4, "三", False)]
    assert lines(tmp_path, "一\r二\n三".encode()) == [Line(1, "一\r二", True), Line(2, "三", False)]
    assert rows(tmp_path, b'{"a": 1}\r{"a": 2}\r') == [RawRow(1, '{"a": 1}', []), RawRow(2, '{"a": 2}', [])]


def test_a_byte_order_mark_is_dropped_at_the_start_only(tmp_path: Path) -> None:
    assert lines(tmp_path, "\ufeff一\n\ufeff二\n".encode()) == [Line(1, "一", True), Line(2, "二", True)]
    assert lines(tmp_path, "\ufeff".encode()) == []


def test_an_empty_file_has_no_lines_and_a_missing_one_is_a_message(tmp_path: Path) -> None:
    assert lines(tmp_path, b"") == []
    with pytest.raises(ToolError, match="no such file"):
        list(text_lines(tmp_path / "none.txt"))
    with pytest.raises(ToolError, match="is a folder"):
        list(text_lines(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_wide_file_is_one_bad_row_that_names_the_command(tmp_path: Path, encoding: str) -> None:
    [row] = lines(tmp_path, "一 O\n二 O\n".encode(encoding))
    assert isinstance(row, BadRow)
    assert (row.line, row.kind) == (1, "encoding")
    assert f"iconv -f {encoding.upper()} -t UTF-8" in row.reason


def test_big_endian_utf16_is_known_too(tmp_path: Path) -> None:
    [row] = lines(tmp_path, b"\xfe\xff" + "一 O\n".encode("utf-16-be"))
    assert isinstance(row, BadRow)
    assert "iconv -f UTF-16 -t UTF-8" in row.reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("西医诊断".encode("gb18030"), "looks like GBK"),
        ("西医诊断".encode()[:-1], "the text before it is UTF-8"),  # a byte is lost: that is no GBK, though it may decode as such
        (b"caf\xe9", "may be cut off or not text"),
        (b"\xff\xfe\xff", "may be cut off or not text"),
        ("西\0医".encode(), "a NUL character at column 2"),
    ],
)
def test_a_line_that_is_not_utf8_is_bad_alone_and_says_what_it_looks_like(tmp_path: Path, raw: bytes, reason: str) -> None:
    first, second, third = lines(tmp_path, b"1\n" + raw + b"\n3")
    assert (first, third) == (Line(1, "1", True), Line(3, "3", False))
    assert isinstance(second, BadRow)
    assert (second.line, second.kind) == (2, "encoding")
    assert reason in second.reason


def test_a_file_cut_in_the_middle_of_a_character_is_truncated(tmp_path: Path) -> None:
    for cut in (1, 2):
        first, last = lines(tmp_path, "一\n二三".encode()[:-cut])
        assert first == Line(1, "一", True)
        assert isinstance(last, BadRow)
        assert (last.line, last.kind) == (2, "truncated")
        assert "the file ends in the middle of this row" in last.reason


def test_a_file_cut_at_any_byte_keeps_its_whole_rows_and_names_the_cut(tmp_path: Path) -> None:
    data = '{"文": 1}\n{"文": ["甲", true]}'.encode()
    for cut in range(data.index(b"\n") + 2, len(data)):
        row = bad(tmp_path, data[:cut])
        assert (row.line, row.kind) == (2, "truncated"), data[:cut]
        assert row.reason.startswith("the file ends in the middle of this row")


def test_broken_json_within_a_file_is_bad_and_the_next_row_is_read(tmp_path: Path) -> None:
    first, second = rows(tmp_path, b"{broken\n{}\n")
    assert isinstance(first, BadRow)
    assert (first.kind, "not JSON" in first.reason, "column 2" in first.reason) == ("json", True, True)
    assert second == RawRow(2, "{}", [])


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (b"[" * 100_000 + b"\n", "json", "nested too deeply"),
        (b'{"a": ' * 100_000, "json", "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", "json", "too many digits"),
        (b'{"a": "\0"}\n', "encoding", "NUL"),
        (b'{"a": "\t"}\n', "json", "control character"),
        (b'{"a": 1} {}\n', "json", "Extra data"),
        (b"NaN\n", "type", "a JSON object is needed, this is nan"),
        (b"[1]\n", "type", "a JSON object is needed, this is [1]"),
        (b'"x"', "type", "a JSON object is needed, this is 'x'"),
        (b"null\n", "type", "this is None"),
    ],
)
def test_what_is_not_a_json_object_is_a_bad_row(tmp_path: Path, data: bytes, kind: str, reason: str) -> None:
    row = bad(tmp_path, b"{}\n" + data)
    assert (row.line, row.kind) == (2, kind)
    assert reason in row.reason


@pytest.mark.parametrize(
    "value", ['{"a": 1, "b": 2, "a": 3}', '[{"name": {"甲": [[0, 0]]}, "name": {"乙": [[1, 1]]}}]', ' {"a": {"k": "x", "k": "y"}}']
)
def test_a_key_that_stands_twice_with_different_values_loses_none_in_silence(tmp_path: Path, value: str) -> None:
    first, second, third = rows(tmp_path, f'{value}\n{{"a": [1], "a": [1]}}\n{value}\n'.encode())
    for row, kind in ((first, "json"), (third, "json")):
        assert isinstance(row, BadRow)
        assert (row.kind, "stands twice in one object" in row.reason) == (kind, True)
    assert isinstance(second, RawRow)


def test_what_json_allows_passes_unharmed(tmp_path: Path) -> None:
    data = rb'{"a": NaN, "b": [Infinity, 1e999], "c": 1, "c": 1, "d": "\ud800 \u0000 \ud83d\ude00"}'
    [row] = rows(tmp_path, data)
    assert row == RawRow(1, json.dumps(json.loads(data)), [])


@pytest.mark.parametrize("damage", [lambda data: data[:-4], lambda data: data[:2], lambda data: data[:20] + b"xx" + data[22:]])
def test_a_compressed_file_that_is_damaged_or_cut_is_a_message(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    (path := tmp_path / "raw.jsonl.gz").write_bytes(damage(gzip.compress(b"line\n" * 1000)))
    with pytest.raises(ToolError, match="the compressed file is damaged or incomplete"):
        list(text_lines(path))
