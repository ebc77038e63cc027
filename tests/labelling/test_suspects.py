"""Likely label errors: found, ordered, explained, written."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import browser, opened
from tests.labelling.toy_town import LABELS, marked, rows
from tools.conf.task import load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.example import Example
from tools.files import read_json
from tools.labelling.exchange import send
from tools.labelling.string_evidence import ModelAnswer
from tools.labelling.suspect import Suspect
from tools.labelling.suspects import TEMPLATE, Rows, page, rows_of, sheets, suspects, table
from tools.report.static_page import static_page
from tools.text import visible

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]  # the fixture

Write = Callable[..., Path]
WRONG = {
    5: ("林晓说，天气很好。", [("company", "林晓")]),  # another label
    40: ("李云飞说，天气很好。", []),  # missing
    80: ("在青石镇，周建国见到了百川银行的人。", [("address", "青石"), ("name", "周建国"), ("company", "百川银行")]),  # another border
    120: ("陈一鸣说，天气很好。", [("name", "陈一鸣"), ("company", "天气")]),  # no entity
}


def with_mistakes(count: int = 600) -> list[Example]:
    made = rows(count)
    for number, (text, entities) in WRONG.items():
        made[number - 1] = marked(f"toy-train-{number:06d}", text, *entities)
    return made


def written(folder: Path, examples: list[Example]) -> Rows:
    """A task with these rows as its train split, converted."""
    (folder / "rows.jsonl").write_text("".join(f"{row.to_json()}\n" for row in examples), encoding="utf-8")
    (folder / "prompt.txt").write_text("找出实体：\n{text}\n", encoding="utf-8")
    values = {
        "kind": "ner",
        "raw": {"train": str(folder / "rows.jsonl")},
        "reader": "jsonl",
        "system": "你是专家。",
        "prompt": str(folder / "prompt.txt"),
        "labels": LABELS,
    }
    (folder / "toy.yaml").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    task = load_task(folder / "toy.yaml")
    convert(task, folder)
    return rows_of(task, folder)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Rows with the mistakes of WRONG."""
    return written(tmp_path_factory.mktemp("toy"), with_mistakes())


@pytest.fixture(scope="module")
def found(held: Rows) -> list[Suspect]:
    """Their suspects, without a model."""
    return suspects(held, {})[0]


def test_the_mistakes_of_a_consistent_file_are_the_worst_suspects_and_each_says_why(found: list[Suspect]) -> None:
    assert {one.id for one in found[:4]} == {f"toy-train-{number:06d}" for number in WRONG}
    by_id = {int(one.id[-6:]): one for one in found[:4]}
    assert {number: one.kind for number, one in by_id.items()} == {5: "label", 40: "missing", 80: "border", 120: "extra"}
    assert str(by_id[5].instead) == "林晓 [name]" and str(by_id[40].instead) == "李云飞 [name]" and str(by_id[80].instead) == "青石镇 [address]"
    assert by_id[5].why.string == "林晓" and by_id[5].why.places[0].label == "name" and by_id[5].why.places[0].ids
    assert by_id[5].id not in by_id[5].why.places[0].ids
    assert all(0 <= one.score <= 1 for one in found) and [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_the_list_is_the_same_at_each_call_and_no_longer_than_asked(held: Rows, found: list[Suspect]) -> None:
    assert suspects(held, {})[0] == found
    assert suspects(held, {}, least=0.5, limit=2)[0] == found[:2]


def test_a_models_answer_is_evidence_and_its_suggestion_counts(held: Rows) -> None:
    given = list(held.read())
    right = rows(600)
    answers = {
        one.id: ModelAnswer({(entity.label, entity.start, entity.end): 0.95 for entity in truth.entities})
        for one, truth in zip(given, right, strict=True)
    }
    answers["toy-train-000120"] = ModelAnswer({("name", 0, 3): 0.95})
    for number, (text, _) in WRONG.items():
        if number != 120:
            names = [("name", name) for name in ("林晓", "李云飞", "周建国") if name in text]
            more = [("address", "青石镇"), ("company", "百川银行")] if number == 80 else []
            truth = marked("x", text, *names, *more)
            answers[f"toy-train-{number:06d}"] = ModelAnswer({(one.label, one.start, one.end): 0.95 for one in truth.entities})
    found, _ = suspects(held, answers)
    by_id = {int(one.id[-6:]): one for one in found[:4]}
    assert set(by_id) == {*WRONG}
    assert by_id[120].kind == "extra" and by_id[120].why.model == {"label": ""}
    assert by_id[5].why.model["confidence"] == 0.95 and str(by_id[5].instead) == "林晓 [name]"


def test_too_few_labels_to_learn_from_are_told_and_never_taken_for_right_ones(write_task: Write, tmp_path: Path) -> None:
    few = load_task(write_task())
    convert(few, tmp_path)
    with pytest.raises(ToolError, match=r"^\d entities are too few to learn what a wrong label looks like.*Nothing was judged"):
        suspects(rows_of(few, tmp_path), {})


def test_the_sheets_hold_the_present_annotation_and_the_suggestion(held: Rows, found: list[Suspect], tmp_path: Path) -> None:
    first = sheets(held, found[:4], "consistency")
    wrong = {sheet.example.id: sheet for sheet in first}["toy-train-000005"]
    assert [one.label for one in wrong.example.entities] == ["company"]
    assert wrong.suggestion is not None and [(one.label, one.text) for one in wrong.suggestion.entities] == [("name", "林晓")]
    assert "林晓" in wrong.note
    path = send("label_studio", held.task, first, tmp_path / "toy")
    [one] = [each for each in read_json(path) if each["data"]["example"].startswith("toy-train-000005@")]
    assert one["annotations"][0]["result"][0]["value"]["labels"] == ["company"] and one["predictions"][0]["result"][0]["value"]["labels"] == ["name"]
    assert '<Label value="company"' in path.with_suffix(".xml").read_text(encoding="utf-8")


def test_a_task_without_examples_is_refused_with_the_command_that_writes_them(tool: Callable[..., CompletedProcess[str]], held: Rows) -> None:
    done = tool("suspects", held.task.path)
    assert done.returncode == 2 and "make data TASK=toy" in done.stderr  # they aren't in data/dataset


def test_a_classification_task_and_folds_need_a_run(tool: Callable[..., CompletedProcess[str]], held: Rows) -> None:
    done = tool("suspects", "conf/task/topics.yaml")
    assert done.returncode == 2 and "--run" in done.stderr and "make check TASK=topics" in done.stderr
    done = tool("suspects", held.task.path, "--folds", 3)
    assert done.returncode == 2 and "--run" in done.stderr


def test_a_run_of_another_task_is_refused(tool: Callable[..., CompletedProcess[str]], held: Rows) -> None:
    done = tool("suspects", held.task.path, "--run", "conf/tiny-qwen2-clue-ner-lora-sft.yaml")
    assert done.returncode == 2 and "trains clue, and can't judge toy" in done.stderr


def test_examples_of_another_conversion_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, rows(3)).files["train"]
    path.write_text(path.read_text(encoding="utf-8").replace("，", "、"), encoding="utf-8")
    with pytest.raises(ToolError, match="doesn't belong to"):
        rows_of(load_task(tmp_path / "toy.yaml"), tmp_path)


def test_the_table_is_one_line_a_suspect_whatever_a_text_holds(tmp_path: Path) -> None:
    made = with_mistakes(300)
    made[4] = marked("toy-train-000005", "林晓\n\x1b[31m说", ("company", "林晓\n\x1b[31m"))
    found, _ = suspects(written(tmp_path, made), {}, least=0.0)
    assert "toy-train-000005" in (shown := table(found))
    assert len(shown.split("\n")) == len(found) + 1 and "\x1b" not in shown


def test_the_page_marks_an_entity_behind_characters_that_it_writes_out(tmp_path: Path) -> None:
    made = with_mistakes(300)
    made[4] = marked("toy-train-000005", "甲\r\n\u200b👨\u200d👩林晓说", ("company", "林晓"))
    rows = written(tmp_path, made)
    found, _ = suspects(rows, {}, least=0.0)
    one = next(one for one in found if one.id == "toy-train-000005" and one.now)
    data = page(rows, [one], 1, "consistency")
    text, now = visible(data["texts"][one.id]), data["suspects"][0]["now"]
    assert "⟨U+200D⟩" in text and text[now["start"] : now["end"]] == "林晓"


def test_the_page_shows_both_readings_in_both_languages_and_runs_nothing_of_a_text(
    browser: "Browser", held: Rows, found: list[Suspect], tmp_path: Path
) -> None:
    data: dict[str, Any] = page(held, found, len(found), "consistency")
    hostile = found[0].id
    data["texts"][hostile] = "😀<img src=x onerror=document.title='x'>" + data["texts"][hostile]
    shift = len(data["texts"][hostile]) - len(next(one.text for one in held.read() if one.id == hostile))
    for side in ("now", "instead"):
        if data["suspects"][0][side]:
            data["suspects"][0][side] = {
                **data["suspects"][0][side],
                "start": data["suspects"][0][side]["start"] + shift,
                "end": data["suspects"][0][side]["end"] + shift,
            }
    file = tmp_path / "suspects.html"
    file.write_text(static_page(TEMPLATE, data), encoding="utf-8")
    with opened(browser, file, locale="en-US") as shown:
        assert shown.locator("article").count() == min(25, len(found))
        first = shown.locator("article").first
        marks = [mark.inner_text() for mark in first.locator("mark").all()]
        assert marks == [one.text for one in (found[0].now, found[0].instead) if one]
        assert shown.locator("img").count() == 0 and shown.title() != "x"
        shown.select_option("#filter-kind", "missing")
        assert {one.get_attribute("data-kind") for one in shown.locator("article").all()} == {"missing"}
        shown.click("#language")
        assert shown.locator("h1").inner_text() == "可能标错的地方"


def test_the_suspects_of_shuffled_rows_are_the_same_places(held: Rows, tmp_path: Path) -> None:
    given = list(held.read())
    random.Random(1).shuffle(given)
    other = tmp_path / "shuffled.jsonl"
    other.write_text("".join(f"{row.to_json()}\n" for row in given), encoding="utf-8")
    found, _ = suspects(Rows(held.task, {"train": other}), {})
    assert {one.id for one in found[:4]} == {f"toy-train-{number:06d}" for number in WRONG}


def test_every_line_of_the_list_is_json_with_the_documented_keys(found: list[Suspect]) -> None:
    for one in found:
        value = json.loads(json.dumps(one.to_dict(), ensure_ascii=False))
        assert set(value) == {"id", "split", "score", "kind", "now", "instead", "why"} and value["split"] == "train"
