"""The reader of a raw file is guessed from its rows, and the reason names the rows."""

import codecs
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import real
from tests.data.scaffold.conftest import BIO, BMES, CANONICAL, CCFBDCI, CLUENER, OFFSETS, SPANS, STUDIO, TEXT, lines
from tools.data.readers import READERS
from tools.data.scaffold.forms import FORMS
from tools.data.scaffold.guess import NoReader, guess

# The bytes of a file, its reader, and what of the reason must be said.
SHAPES = {
    "cluener": (lines(CLUENER), "cluener", 'line 1 holds `label: {"PER": {"张三": [[0, 1]]}'),
    "ccfbdci": (lines(CCFBDCI), "ccfbdci", "start_idx and end_idx"),
    "doccano": (lines({"id": 1, "text": TEXT, "label": [[0, 2, "PER"], [3, 5, "GPE"]], "Comments": []}), "doccano", '[[0, 2, "PER"], [3, 5, "GPE"]]'),
    "doccano, with relations": (lines({"id": 1, "text": TEXT, "entities": OFFSETS, "relations": []}), "doccano", "start_offset and end_offset"),
    "doccano, of old": (lines({"data": TEXT, "labels": [[0, 2, "PER"], [3, 5, "GPE"]]}), "doccano", "labels: [[0, 2,"),
    "canonical": (lines(CANONICAL), "jsonl", "label, text, start and end"),
    "Label Studio": (json.dumps([STUDIO]).encode(), "label_studio", "the first task holds `annotations:"),
    "Label Studio, over many lines": (json.dumps([STUDIO], indent=2).encode(), "label_studio", ": a task with its results"),
    "Label Studio, a task a line": (lines(STUDIO), "label_studio", "line 1 holds `annotations:"),
    "JSON-MIN": (
        json.dumps([{"id": 1, "text": TEXT, "label": SPANS, "annotation_id": 3}]).encode(),
        "label_studio",
        "the first task holds the fields 'id', 'text', 'label', 'annotation_id'",
    ),
    "BIO": (BIO.encode(), "bio", "line 1 is '张 B-PER': a token, a space and a tag; the tags are without marks"),
    "BIO, CRLF and a mark": (codecs.BOM_UTF8 + BIO.replace("\n", "\r\n").encode(), "bio", "a space and a tag"),
    "BIO that begins like a list": (f"[ O\n{BIO}".encode(), "bio", "line 1 is '[ O'"),
    "BIO that begins like a list of one": (f"[1] O\n{BIO}".encode(), "bio", "a space and a tag"),
    "BMES": (BMES.encode(), "bio", "a token, a tab and a tag; the tags are with marks for an entity's end (BMES, BIOES)"),
    "CoNLL": (BIO.replace(" ", " NN _ ").encode(), "bio", "the first and the last of 4 columns"),
    "rows without annotation first": (lines(*[{"text": "未标注"}] * 300, CLUENER), "cluener", "line 301 holds"),
    "rows without entities first": (lines({"text": "无", "label": {}}, CLUENER), "cluener", "line 2 holds"),
}
CLASSES = {
    "a class": (lines({"text": "好看", "label": "影"}, {"text": "赢了", "label": "体"}), "classification", '`label: "影"`: one string', 0),
    "an output": (lines({"text": "好看", "output": "影"}, {"text": "赢了", "output": "体"}), "classification", '`output: "影"`', 0),
    "options": (lines({"text": "好看", "category": ["影", "体"], "output": "影"}), "classification", "; the options are `category: ", 2),
    "options and a label": (lines({"text": "好看", "category": ["影", "体"], "label": "影"}), "classification", "; the options are `category: ", 2),
    "canonical options": (lines({"text": "好看", "options": ["影", "体"], "label": "影"}), "jsonl", "; the options are `options: ", 2),
    "doccano's class": (lines({"text": "好看", "label": ["影"]}, {"text": "赢了", "label": ["体"]}), "doccano", "or a list of one class", 0),
    "a class, and no entities": (lines({"text": "好看", "label": "影", "entities": []}), "classification", "one string", 0),
    "choices": (
        json.dumps([{"text": "好看", "sentiment": "影", "annotation_id": 1}]).encode(),
        "label_studio",
        "the first task holds the fields 'text', 'sentiment', 'annotation_id'",
        0,
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_reader_of_entities_is_guessed_and_the_reason_is_what_stands_in_the_file(shape: str, give: Callable[..., Path]) -> None:
    data, reader, reason = SHAPES[shape]
    found = guess(give(data))
    assert (found.reader, found.trial.entities) == (reader, {"PER": 1, "GPE": 1})
    assert reason in found.why


@pytest.mark.parametrize("shape", CLASSES)
def test_the_reader_of_classes_is_guessed_and_one_that_sees_the_options_wins(shape: str, give: Callable[..., Path]) -> None:
    data, reader, reason, options = CLASSES[shape]
    found = guess(give(data))
    assert (found.reader, found.trial.classes["影"], len(found.trial.options)) == (reader, 1, options)
    assert reason in found.why


def test_every_reader_has_a_form_that_it_reads_itself(give: Callable[..., Path]) -> None:
    assert set(FORMS) == set(READERS)
    for reader, form in FORMS.items():
        example = form.example.partition("   (")[0].replace("…", "x")
        found = guess(give(example.encode()))
        assert (found.reader, found.trial.refusals) == (reader, 0)


def test_readers_that_give_the_same_rows_are_no_question_but_are_named(give: Callable[..., Path]) -> None:
    found = guess(give(CLASSES["a class"][0]))
    assert (found.reader, found.same) == ("classification", ["doccano", "jsonl", "label_studio"])


@pytest.mark.parametrize(
    ("name", "reader", "labels"),
    [
        ("cluener/train.jsonl", "cluener", 10),
        ("ccfbdci/ccfbdci.jsonl", "ccfbdci", 4),
        ("chinese_medical/medical_eval.txt", "bio", 10),
        ("resume/dev.char.bmes", "bio", 8),
    ],
)
def test_real_files_are_recognised(name: str, reader: str, labels: int) -> None:
    found = guess(real(name))
    assert (found.reader, len(found.trial.entities), found.trial.refusals) == (reader, labels, 0)


def test_no_reader_is_an_error_of_its_own_with_what_was_tried(give: Callable[..., Path]) -> None:
    with pytest.raises(NoReader) as error:
        guess(give(b"x\n"))
    assert {trial.reader for trial in error.value.trials} == set(FORMS)
