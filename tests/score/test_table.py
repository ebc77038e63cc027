from collections.abc import Callable
from pathlib import Path

import pytest

from tests.score.conftest import answer, document_rows, example, result, toy
from tools.conf.task import find_task
from tools.score.table import show

TABLE = {
    "scene": ("0.6933", "0.5678", "0.6243"),
    "position": ("0.8054", "0.7788", "0.7919"),
    "organization": ("0.8102", "0.7820", "0.7959"),
    "name": ("0.8918", "0.9135", "0.9025"),
    "movie": ("0.8705", "0.8067", "0.8374"),
    "government": ("0.8132", "0.8566", "0.8343"),
    "game": ("0.8354", "0.9199", "0.8756"),
    "company": ("0.7931", "0.8169", "0.8048"),
    "book": ("0.8182", "0.8289", "0.8235"),
    "address": ("0.5956", "0.6676", "0.6295"),
}


def test_the_documents_table_comes_out_of_its_integers() -> None:
    scored = result(find_task("clue"), *document_rows())
    shown = {words[0]: tuple(words[1:4]) for line in show(scored).splitlines() if (words := line.split()) and words[0] in TABLE}
    assert shown == TABLE
    assert scored["micro"] | {"precision": 0, "recall": 0, "f1": 0} == {
        "tp": 2387,
        "fp": 632,
        "fn": 595,
        "precision": 0,
        "recall": 0,
        "f1": 0,
        "support": 2982,
    }
    assert scored["micro"]["f1"] == pytest.approx(2 * 2387 / (3019 + 2982), abs=1e-15)
    assert f"{scored['micro']['precision']:.4f} {scored['micro']['recall']:.4f}" == "0.7907 0.8005"
    assert f"{scored['macro']['f1']:.4f}" == "0.7920"
    assert [line.split()[-5:] for line in show(scored).splitlines() if line.strip().startswith("Macro")] == [["Avg.", "-", "-", "0.7920", "-"]]


def test_the_score_of_the_trained_form_alone_stands_beside_the_headline(write_task: Callable[..., Path]) -> None:
    trained = answer([("a", "甲")])
    examples = [example(str(n), "甲", ("a", "甲", 0)) for n in range(5)]
    scored = result(toy(write_task, ["a"]), examples, [trained, f"答案：{trained}", f"答案：{trained}", "嗯", None])
    lines = [line.split() for line in show(scored).splitlines()]
    assert ["Micro", "Avg.", "1.0000", "0.6000", "0.7500", "5"] in lines
    assert ["Strict", "Micro", "1.0000", "0.2000", "0.3333", "5"] in lines and ["Strict", "Macro", "-", "-", "0.3333", "-"] in lines
    assert "answers: 1 in the trained form, 2 read tolerantly, 1 unreadable, 1 missing" in show(scored)
    assert "with those read tolerantly 0.7500 (+0.4167)" in show(scored)
    alike = show(result(toy(write_task, ["a"]), examples, [trained] * 5))
    assert "answers: 5 in the trained form, 0 read tolerantly, 0 unreadable\n" in alike and "strict F1" not in alike
