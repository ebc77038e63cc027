"""What `new`, `data` and `check` show of a file as it was read: each label's entities in their sentences, and the first row's prompt and answer."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.task import load_task
from tools.data.excerpts import EACH, LABELS, MARKS, Excerpts
from tools.data.raw.row import FileReading, RawRow
from tools.example import Entity
from tools.text import columns

PROMPT = "请找出句子中的实体。\n" + "说明\n\n" * 20 + "句子：{text}\n"


@pytest.fixture
def of(write_task: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The lines that excerpts of some rows print."""
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "asked.txt").write_text(PROMPT)

    def call(*rows: RawRow, words: tuple[str, ...] = (), readings: tuple[FileReading, ...] = ()) -> list[str]:
        excerpts = Excerpts(load_task(write_task(), [f"prompt={tmp_path / 'asked.txt'}", *words]), readings)
        for row in rows:
            excerpts.add(row)
        return [*excerpts.lines()]

    return call


def row(text: str, *strings: str, label: str = "name", line: int = 1) -> RawRow:
    return RawRow(line, text, [Entity(label, string, text.index(string), text.index(string) + len(string)) for string in strings])


def test_an_entity_stands_between_marks_in_its_sentence_and_a_long_sentence_is_cut_around_it(of: Callable[..., list[str]]) -> None:
    long = "这句话前面有很多很多的字，" * 3 + "记者叶老桂说" + "后面也有很多很多的字" * 3
    shown = of(row("叶老桂说", "叶老桂"), row(long, "叶老桂", line=2))
    assert shown[:2] == [
        "some entities of each label, as they were read:",
        "  name 2  【叶老桂】说  …前面有很多很多的字，记者【叶老桂】说后面也有很多很多的字后…",
    ]


def test_three_different_strings_are_shown_before_equal_ones(of: Callable[..., list[str]]) -> None:
    same, other = [row(f"{n}张三在", "张三", line=n) for n in range(1, 6)], [row(f"见{name}。", name) for name in ("李四", "王五", "赵六")]
    assert re.findall("【(.+?)】", " ".join(of(*same, *other))) == ["张三", "李四", "王五"]
    assert re.findall("【(.+?)】", " ".join(of(*same))) == ["张三"] * EACH


@pytest.mark.parametrize("taken", range(len(MARKS)))
def test_marks_that_stand_in_the_text_are_not_taken(of: Callable[..., list[str]], taken: int) -> None:
    others = "".join(marks[0] for marks in MARKS[:taken])
    assert f"{others}{MARKS[taken][0]}张三{MARKS[taken][1]}在" in of(row(f"{others}张三在", "张三"))[1]


def test_what_the_offsets_say_is_shown_with_the_files_string_beside_it(of: Callable[..., list[str]]) -> None:
    shifted = RawRow(1, "叶老桂说", [Entity("name", "叶老桂", 1, 4)])
    beyond = RawRow(2, "叶老桂说", [Entity("name", "说话", 3, 5)])
    shown = " ".join(of(shifted, beyond))
    assert "叶【老桂说】 (in the file: 叶老桂)" in shown
    assert "[3, 5) isn't in the text: 说话" in shown


def test_everything_fits_the_terminal_whatever_the_text_holds(of: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    odd = "甲\u202e乙\n丙\x1b[31m\ud800" + "长" * 5000
    rows = [RawRow(1, odd, [Entity("标签" * 90, odd, 0, len(odd)), Entity("x\n", "\n", 3, 4)])]
    for width in (50, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        shown = of(*rows)
        assert all(line.isprintable() for line in shown)
        assert max(map(columns, shown[:-1])) <= width
    assert "\\u202e乙" in "".join(shown)


def test_many_labels_are_cut_with_their_number(of: Callable[..., list[str]]) -> None:
    shown = of(*(row("张三在", "张三", label=f"L{n}") for n in range(LABELS + 15)))
    assert "  … and 15 other labels" in shown
    assert len(shown) < LABELS + 15
    assert "  … and 980 or more other labels" in of(*(row("张三在", "张三", label=f"L{n}") for n in range(3000)))


def test_a_class_has_the_beginnings_of_three_texts(of: Callable[..., list[str]]) -> None:
    rows = [RawRow(n, f"第{n}场比赛" + "结束了" * 30, [], "体育") for n in range(1, 9)]
    shown = of(*rows, words=("kind=classification", "labels=[体育]"))
    assert shown[0] == "some texts of each class, as they were read:"
    assert re.fullmatch(r"  体育 8  第1场比赛(结束了)+结?束?…  第2场.*…  第3场.*…", shown[1])


def test_the_first_annotated_row_is_shown_as_the_model_sees_it(of: Callable[..., list[str]]) -> None:
    shown = of(row("无"), row("叶老桂说", "叶老桂", line=7))
    at = shown.index("the model is asked (line 7):")
    assert shown[at + 1 :][:2] == ["  请找出句子中的实体。", "  说明"]
    assert shown[-3:] == ["  说明", "  句子：叶老桂说", 'and learns to answer: [{"label": "name", "text": "叶老桂"}]']
    assert any(re.fullmatch(r"  … \d+ more lines", line) for line in shown)


def test_nothing_is_shown_of_nothing_and_no_prompt_is_no_fault(of: Callable[..., list[str]]) -> None:
    assert of() == []
    assert of(row("叶老桂说", "叶老桂"), words=("prompt=/nowhere.txt",))[-1].strip().startswith("name 1")


def test_rules_that_a_reader_applied_are_said_once(of: Callable[..., list[str]]) -> None:
    first, second = FileReading(), FileReading()
    first.apply("the first column counts tokens and was passed over")
    second.apply("the first column counts tokens and was passed over", 9)
    assert of(readings=(first, second)) == ["read as: the first column counts tokens and was passed over"]


def test_data_and_check_print_it(write_task: Callable[..., Path], tool: Callable, tmp_path: Path) -> None:
    for verb in ("data", "check"):
        shown = tool(verb, write_task(), "--out", tmp_path / "out").stdout
        assert ("some entities of each label" in shown, "and learns to answer: [" in shown) == (True, True), shown
