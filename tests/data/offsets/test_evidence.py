"""The readings that a file speaks for, and the files that speak for none. A file is made in one reading and weighed without being told."""

import random
from collections import Counter
from itertools import accumulate
from pathlib import Path

import pytest

from tools.data.offsets.evidence import Evidence
from tools.data.offsets.units import BOTH, CRLF, FROM_ONE, FROM_ONE_INCLUSIVE, INCLUSIVE, OWN, UTF16
from tools.data.offsets.verdict import Verdict, disagree
from tools.data.raw.row import RawRow
from tools.example import Entity

NAMES = ["林晓", "何远山", "方舟", "杭州", "苏州市", "Kite Lab", "𠮷田", "《秋水》", "7号楼", "Nova 9"]
BETWEEN = ["在", "去了", "说，", "今天", "和", "喜欢", "，", "。", "住在", "（", "）", " ", "他"]
BREAKS = {"emoji": ["😀", "👍🏽", "👨‍👩‍👧", "🇨🇳"], "lines": ["\r\n"], "both": ["😀", "\r\n"], "signs": ["☀️", "❤️"]}


def units(text: str, reading: str) -> list[int]:
    """The offset of each character, counted in a way of its own."""
    wide, line_end = reading in (UTF16, BOTH), reading in (CRLF, BOTH)
    return [0, *accumulate(2 if wide and c > "\uffff" else 0 if line_end and text[i : i + 2] == "\r\n" else 1 for i, c in enumerate(text))]


def a_row(line: int, text: str, spans: list[tuple[int, int]], reading: str) -> RawRow:
    place = units(text, reading)
    raw = [(place[start], place[end] - (reading == INCLUSIVE)) for start, end in spans]
    return RawRow(line, text, [Entity("x", text[start:end], start, end) for start, end in raw], sliced=True)


def verdict(kind: str, reading: str, rows: int, seed: int, share: float = 0.4) -> Verdict:
    rng, evidence = random.Random(seed), Evidence()
    for line in range(1, rows + 1):
        text, spans = "", []
        for _ in range(rng.randint(1, 4)):
            text += rng.choice(BREAKS[kind]) if rng.random() < share else ""
            text += "".join(rng.sample(BETWEEN, rng.randint(0, 2)))
            spans.append((len(text), len(text := text + rng.choice(NAMES))))
        evidence.add(a_row(line, text + rng.choice(BETWEEN), spans, reading))
    return evidence.verdict()


@pytest.mark.parametrize("kind", BREAKS)
def test_a_file_in_code_points_is_never_read_otherwise(kind: str) -> None:
    found = [verdict(kind, OWN, rows, seed) for rows in (3, 10, 50) for seed in range(25)]
    assert not any(one.take for one in found)
    assert sum(one.stops for one in found) <= 2  # a few rows, of which nothing tells


@pytest.mark.parametrize(
    ("kind", "reading"), [("emoji", UTF16), ("lines", CRLF), ("both", UTF16), ("both", CRLF), ("both", BOTH), ("signs", INCLUSIVE)]
)
def test_a_file_in_another_reading_is_read_so(kind: str, reading: str) -> None:
    found = Counter(verdict(kind, reading, 60, seed).take for seed in range(20))
    assert found[reading] >= 19
    assert found.keys() <= {reading, ""}


@pytest.mark.parametrize(("kind", "reading"), [("emoji", UTF16), ("lines", CRLF)])
def test_few_rows_are_read_so_or_asked_about(kind: str, reading: str) -> None:
    for seed in range(20):
        found = verdict(kind, reading, 5, seed, share=1)
        assert found.stops
        assert reading in found.answers


def test_the_verdict_shows_two_spans_in_both_readings() -> None:
    evidence = Evidence()
    for line, name in enumerate(["林晓", "何远", "方舟"], 1):
        evidence.add(a_row(line, f"编号\r\n甲方：{name}，", [(7, 9)], CRLF))
    found = evidence.verdict()
    assert found.take == CRLF
    assert found.lines(Path("raw.jsonl"))[0].startswith(
        "raw.jsonl: 3 spans are cut out wrongly as code-points and whole as crlf-as-one, 0 the other way round"
    )
    assert [case.line for case, _ in found.cases] == [1, 2]
    assert "'：林' as code-points, '林晓' as crlf-as-one" in found.lines(Path("raw.jsonl"))[1]
    assert found.advice(Path("t.yaml")).startswith("Write offsets: crlf-as-one in t.yaml, or lay it over this once: offsets=crlf-as-one")


def test_spans_that_speak_for_both_readings_are_asked_about() -> None:
    evidence = Evidence()
    for line in range(1, 5):
        evidence.add(a_row(line, "😀：林晓，在", [(2, 4)], UTF16 if line % 2 else OWN))
    found = evidence.verdict()
    assert (found.take, found.answers) == ("", [UTF16, OWN])
    assert "offsets: utf-16 or offsets: code-points" in found.advice(Path("t.yaml"))


def test_a_string_that_is_annotated_elsewhere_tells_where_no_edge_does() -> None:
    evidence = Evidence()
    for line, name in enumerate(["林晓", "何远", "方舟"], 1):
        evidence.add(a_row(2 * line - 1, f"我和{name}去玩", [(2, 4)], OWN))
        evidence.add(a_row(2 * line, f"😀昨天见到{name}去玩", [(5, 7)], UTF16))
    assert evidence.verdict().take == UTF16


def test_a_file_that_mixes_two_ways_of_counting_is_doubted_where_one_prevails() -> None:
    evidence = Evidence()
    for line in range(1, 21):
        evidence.add(a_row(line, "😀：林晓，在", [(2, 4)], UTF16 if line % 5 == 0 else OWN))
    found = evidence.verdict()
    assert not found.stops
    assert "4 spans are cut out wrongly as code-points and whole as utf-16, 16 the other way round: the file may mix" in found.doubt


def test_where_nothing_tells_the_reading_stands_and_is_doubted() -> None:
    evidence = Evidence()
    evidence.add(a_row(1, "😀我和林晓去玩", [(3, 5)], OWN))
    found = evidence.verdict()
    assert not found.stops
    assert "1 spans are others if offsets count UTF-16 units" in found.doubt


def weighed(*rows: tuple[str, int, int], label: str = "x") -> Verdict:
    evidence = Evidence()
    for line, (text, start, end) in enumerate(rows, 1):
        evidence.add(RawRow(line, text, [Entity(label, text[start:end], start, end)], sliced=True))
    return evidence.verdict()


CUT, WHOLE = ("见到：林晓，他在", 2, 4), ("见到：林晓，他在", 3, 5)


def test_a_file_whose_spans_are_cut_in_every_reading_is_no_file_of_offsets() -> None:
    found = weighed(*[CUT] * 4)
    assert (found.stops, found.answers) == (True, [OWN])
    assert "4 of 4 spans begin or end within a word" in found.sentences[0]
    assert found.advice(Path("t.yaml")).startswith("Correct the offsets in the file.")
    assert [message.partition(":")[0] for _, message in found.cases] == ["'：林'", "'：林'"]


def test_some_spans_that_are_cut_in_every_reading_are_doubted() -> None:
    found = weighed(*[CUT] * 4, *[WHOLE] * 30)
    assert not found.stops
    assert "4 of 34 spans begin or end within a word" in found.doubt


def test_whole_sentences_and_a_space_at_one_edge_are_no_cut_spans() -> None:
    assert weighed(*[("他来了。我走了。", 0, 4)] * 12).sentences == ()
    spaced = weighed(*[("见到 林晓，他在", 2, 5)] * 12)
    assert (spaced.stops, "12 of 12 spans have a space at one edge" in spaced.doubt) == (False, True)


def test_offsets_that_count_from_one_are_asked_about() -> None:
    found = weighed(*[("据悉，林晓，他在", 4, 6), ("见方舟。", 2, 4)] * 3)
    assert (found.take, found.answers) == ("", [FROM_ONE, OWN])
    inside = weighed(*[(f"{surname}晓来到杭州", 1, 2) for surname in "林何方秦赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"])
    assert (inside.take, inside.answers) == ("", [FROM_ONE, FROM_ONE_INCLUSIVE, OWN])


def test_a_comma_at_a_spans_end_says_nothing_of_an_end_inside_the_span() -> None:
    assert INCLUSIVE not in weighed(*[("据悉，林晓，他在", 4, 6)] * 6).answers


def test_inclusive_ends_are_not_taken_where_other_spans_stay_cut() -> None:
    found = weighed(*[("Rene\u0301说他来了", 0, 4)] * 12, *[CUT] * 6)
    assert (found.take, found.answers) == ("", [INCLUSIVE, OWN])


def test_a_file_that_mixes_ends_inside_and_outside_is_asked_about() -> None:
    found = weighed(*[(f"见{name}来了", 1, 3 - outside) for name in ("林晓", "何远", "方舟") for outside in range(2)])
    assert (found.take, found.answers) == ("", [INCLUSIVE, OWN])
    assert "3 strings are annotated with and without" in found.sentences[0]


def test_spans_of_one_character_that_touch_are_doubted() -> None:
    evidence = Evidence()
    evidence.add(RawRow(1, "见林晓了", [Entity("x", "林", 1, 2), Entity("x", "晓", 2, 3)], sliced=True))
    assert "1 of 2 spans begin where another of their label ends" in evidence.verdict().doubt


def test_a_file_in_which_nothing_tells_of_many_spans_is_asked_about() -> None:
    found = weighed(*[(f"😀我和{name}去玩", 3, 5) for name in ("林晓", "何远", "方舟")])
    assert (found.take, found.answers) == ("", [UTF16, OWN])


def test_rows_with_strings_of_their_own_say_nothing() -> None:
    evidence = Evidence()
    evidence.add(RawRow(1, "😀：林晓", [Entity("x", "林晓", 3, 5)]))
    assert (evidence.spans, evidence.verdict()) == (0, Verdict())


@pytest.mark.parametrize("span", [(-5, -1), (5, 2), (-(2**53), 2**53), (100, 200), (0, 0)])
@pytest.mark.parametrize("text", ["", "甲\ud83d乙", "😀\r\n", "甲"])
def test_any_offsets_are_weighed(text: str, span: tuple[int, int]) -> None:
    evidence = Evidence()
    evidence.add(RawRow(1, text, [Entity("x", "", *span)], sliced=True))
    assert not evidence.verdict().take


def test_files_of_one_task_that_count_differently_disagree() -> None:
    units = weighed(*[("😀：林晓，在", 3, 5)] * 3)
    plain = weighed(*[("😀：林晓，在", 2, 4)] * 3)
    silent = weighed(("林晓在", 0, 2))
    assert (units.take, UTF16 in plain.against) == (UTF16, True)
    assert disagree([units, plain])
    assert not disagree([units, silent])


def test_spans_behind_an_emoji_that_are_cut_in_all_units_count_too() -> None:
    found = weighed(*[("😀见：，林晓，他说：来", 2, 4)] * 6)
    assert (found.stops, found.answers) == (True, [OWN])


def test_a_space_before_half_a_string_hides_nothing() -> None:
    found = weighed(*[row for name in ("林晓", "何远", "方舟") for row in ((f"见 {name}来了", 2, 4), (f"见 {name}来了", 1, 3))])
    assert "annotated with and without" in found.sentences[0]
