from pathlib import Path

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow, misplaced
from tools.data.readers.marked import read_marked
from tools.example import Entity


def read(tmp_path: Path, data: str) -> tuple[list[RawRow | BadRow], list[str]]:
    """The rows of a file, and the rules that were applied."""
    path = tmp_path / "a.txt"
    path.write_bytes(data.encode())
    reading = FileReading()
    return list(read_marked(path, reading)), list(reading.applied)


@pytest.mark.parametrize("mark", ["[@{}#{}*]", "[${}#{}*]", "{{{{{1}:{0}}}}}", "<{1}>{0}</{1}>", '<NE TYPE="{1}">{0}</NE>'])
def test_marks_are_taken_out_and_become_entities(tmp_path: Path, mark: str) -> None:
    data = f"{mark.format('李四', '人名')}从{mark.format('广州', 'LOC')}来\n没有\n，{mark.format('#C', 'x')}"
    rows, [rule] = read(tmp_path, data)
    assert rows == [
        RawRow(1, "李四从广州来", [Entity("人名", "李四", 0, 2), Entity("LOC", "广州", 3, 5)]),
        RawRow(2, "没有", []),
        RawRow(3, "，#C", [Entity("x", "#C", 1, 3)]),
    ]
    assert all(misplaced(row) == [] for row in rows if isinstance(row, RawRow))
    assert "marks were taken out" in rule


@pytest.mark.parametrize("line", ["[@李四#人名]来", "[@[@李#姓*]四#人名*]来", "李四#人名*]来", "李四[@来"])
def test_half_a_mark_makes_its_line_bad_and_no_other(tmp_path: Path, line: str) -> None:
    (first, second), _ = read(tmp_path, f"[@李四#人名*]来\n{line}\n")
    assert first == RawRow(1, "李四来", [Entity("人名", "李四", 0, 2)])
    assert isinstance(second, BadRow)
    assert (second.line, second.kind) == (2, "type")


def test_marks_within_marks_are_refused(tmp_path: Path) -> None:
    (first, second), _ = read(tmp_path, "<PER>李四</PER>来\n<ORG><LOC>广州</LOC>大学</ORG>\n")
    assert isinstance(first, RawRow)
    assert isinstance(second, BadRow)


@pytest.mark.parametrize(
    "data", ["<b>李四</b>来<br>\n<p>好</p>\n", "李四[1]来\n", "李四/PER 来/O\n", "<PER>李四</PER>来\n甲\n乙\n丙\n丁\n", "x < y > z\n"]
)
def test_other_text_is_refused_as_a_whole(tmp_path: Path, data: str) -> None:
    [row], _ = read(tmp_path, data)
    assert isinstance(row, BadRow)


def test_tags_of_html_are_text_between_marked_entities(tmp_path: Path) -> None:
    [row], _ = read(tmp_path, "<PER>李四</PER>来了<br>\n")
    assert row == RawRow(1, "李四来了<br>", [Entity("PER", "李四", 0, 2)])
