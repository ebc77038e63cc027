from pathlib import Path

import pytest

from tools.data.doctor.findings import BY_HAND, COLOURS, ERROR, EXAMPLES, KINDS, NOTE, WARNING, Findings, Place
from tools.text import one_line, quoted

HERE = Path("raw.jsonl")


def place(line: int, split: str = "train") -> Place:
    return Place(split, HERE, line)


def test_all_are_counted_and_the_first_few_are_kept() -> None:
    findings = Findings()
    for line in range(1, 101):
        findings.add("json", place(line, "train" if line < 90 else "dev"), f"fault {line}")
    (found,) = findings.report()
    assert (found["count"], found["by_split"]) == (100, {"train": 89, "dev": 11})
    assert found["examples"] == [{"file": "raw.jsonl", "line": line, "message": f"fault {line}"} for line in range(1, EXAMPLES + 1)]
    assert (findings.total(ERROR), findings.total(WARNING), findings.total(NOTE)) == (100, 0, 0)


def test_the_most_serious_comes_first_whatever_was_found_first() -> None:
    findings = Findings()
    for kind in reversed(KINDS):
        findings.add(kind, place(1), "x")
    severities = [found["severity"] for found in findings.report()]
    assert severities == sorted(severities, key=list(COLOURS).index)
    assert [found["kind"] for found in findings.report()] == list(KINDS)


def test_the_table_has_a_line_for_each_kind_and_says_what_each_split_has() -> None:
    findings = Findings()
    assert list(findings.table()) == []
    findings.add("json", place(3), "x")
    findings.add("json", place(4, "dev"), "y")
    findings.detail("json", "a detail")
    findings.advise("json", "Do that.")
    head, line, first, second, advice = findings.table()
    assert head.split() == ["severity", "count", "what", "first", "place"]
    assert line.split("  ")[0] == "error"
    assert line.endswith("rows of unreadable JSON (a detail): train 1, dev 1  raw.jsonl:3")
    assert (first.strip(), second.strip()) == ("raw.jsonl:3: x", "raw.jsonl:4: y")
    assert advice.endswith("leaves them out. Do that.")


def test_a_row_is_named_where_its_line_does_not_tell_it_from_others() -> None:
    findings = Findings()
    findings.add("type", Place("train", HERE, 1, "task 17"), "x")
    _, line, example, _ = findings.table()
    assert line.endswith("  raw.jsonl:1 (task 17)")
    assert example.strip() == "raw.jsonl:1 (task 17): x"
    assert findings.report()[0]["examples"] == [{"file": "raw.jsonl", "line": 1, "item": "task 17", "message": "x"}]


def test_errors_that_no_copy_can_mend_are_told_apart() -> None:
    findings = Findings()
    findings.add("cutoff", place(1), "x")
    findings.add("duplicate", place(1), "x")
    assert not findings.mendable()
    findings.add("offsets", place(1), "x")
    assert findings.mendable()
    assert {kind for kind in KINDS if KINDS[kind].severity == ERROR} >= BY_HAND


@pytest.mark.parametrize(
    ("message", "shown"),
    [("甲\n乙", "甲\\n乙"), ("\x1b[2J", "\\x1b[2J"), ("\ud800", "\\ud800"), ("甲\u3000乙", "甲\u3000乙"), ("a" * 400, "a" * 299 + "…")],
)
def test_a_message_is_one_short_line_of_printable_text(message: str, shown: str) -> None:
    assert one_line(message) == shown


def test_a_long_string_is_quoted_short() -> None:
    assert (quoted("甲"), quoted("甲" * 61)) == ("'甲'", f"'{'甲' * 59}…'")
