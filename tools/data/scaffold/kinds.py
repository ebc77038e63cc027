"""Names kinds of files that have no rows to read, or rows of another task: by their JSON fields, or by how their text begins.

In: a file, or the beginning of its text. Out: a sentence that says what it is and what to do with it; empty for a kind that isn't known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tools.data.raw.json_list import first_objects
from tools.data.raw.lines import open_raw
from tools.data.raw.roles import NAMES, key_of
from tools.data.raw.row import shown

FEW = 20  # rows that tell the kind
LARGEST = 1 << 26  # bytes of a JSON object that is read to name it
_TO_EXAMPLES = 'write a text and its entities a row: {"text": "…", "entities": [{"label": "…", "text": "…", "start": 0, "end": 3}]}'
_TO_CLASSES = '{"text": "…", "label": "…"}'
_CHINESE = re.compile("[\u3400-\u9fff]")
_NAME = re.compile(r"\d{1,3}|[^\W\d_][\w-]{0,19}")
_MARKED = re.compile(r"[\t,;|{}<>\[\]]|\b[BIMES]-\w|__|/\w")
Row = Mapping[str, Any]


class FileKind(NamedTuple):
    """A kind of JSON rows: a test of a row, what it looks like, and what to do."""

    test: Callable[[Row], bool]
    name: str
    do: str


def _has(*keys: str) -> Callable[[Row], bool]:
    return lambda row: all(key in row for key in keys)


def _any(*keys: str) -> Callable[[Row], bool]:
    return lambda row: any(row.get(key) not in (None, "", []) for key in keys)


# The first that all rows pass names the file.
ROWS = (
    FileKind(
        _any("spo_list", "relation_list", "triples", "triple_list", "event_list", "event_mentions"),
        "relations or events (DuIE's `spo_list`, DuEE's `event_list` and the like)",
        f"they aren't trained here. For their subjects, objects and arguments as entities, {_TO_EXAMPLES}",
    ),
    FileKind(
        _has("context", "start_position", "end_position"),
        "BERT-MRC's rows (a question for each label, `start_position` and `end_position` of its answers, ends inclusive, in tokens)",
        f"join the rows of one `context`, and {_TO_EXAMPLES}; the label is `entity_label`",
    ),
    FileKind(
        lambda row: _are_strings_by_label(row),
        "strings of the text in a field for each label",
        'put them under one field: {"text": "…", "entities": {"PER": ["…"], "LOC": []}}',
    ),
    FileKind(
        lambda row: "question" in row and ("answers" in row or "answer" in row),
        "questions and their answers",
        f"they are neither entities nor classes; else {_TO_EXAMPLES}",
    ),
    FileKind(
        _has("paragraphs"),
        "documents in paragraphs (spaCy 2's training data, SQuAD)",
        f"take the paragraphs apart: {_TO_EXAMPLES}",
    ),
    FileKind(
        lambda row: any(
            keys <= row.keys() for keys in ({"prompt", "predict", "label"}, {"id", "output", "finish_reason"}, {"custom_id", "response"})
        ),
        "a model's predictions (LLaMA-Factory's generated_predictions.jsonl, this project's, or OpenAI's batch API's)",
        "answers are no annotation: take the raw file that was predicted",
    ),
)
# The same for a file that is one JSON object.
OBJECTS = (
    FileKind(
        lambda row: (
            bool(row)
            and all(isinstance(value, dict) and {"file_name", "hf_hub_url", "ms_hub_url", "script_url"} & value.keys() for value in row.values())
        ),
        "LLaMA-Factory's dataset_info.json",
        "give the data file that it names",
    ),
    FileKind(
        lambda row: "columns" in row and isinstance(row.get("data"), list),
        "a table as pandas' to_json(orient='split') writes it",
        "write its rows: to_json(FILE, orient='records', lines=True, force_ascii=False)",
    ),
    FileKind(lambda row: len(row) > 10 and _are(str, row.values()), "a string for each key", f"write a row for each: {_TO_CLASSES}"),
    FileKind(
        lambda row: len(row) > 1 and _are(list, row.values()) and all(_are(str, texts) for texts in row.values()),
        "a list of strings for each key",
        f"if they are texts by their class, write a row for each: {_TO_CLASSES}",
    ),
)


def parted_by_class(lines: Sequence[str]) -> str:
    """Returns what to do with lines that begin or end with one of a few words and a mark that isn't a tab; empty for others."""
    for mark in (" ", "：", ":", "，"):
        begins, ends = [line.partition(mark)[0] for line in lines], [line.rpartition(mark)[2] for line in lines]
        for words, where, command in (begins, "begin", f"s/{mark}/\\t/"), (ends, "end", f"s/\\(.*\\){mark}/\\1\\t/"):
            are_names = all(mark in line and "\t" not in line and _NAME.fullmatch(word) for word, line in zip(words, lines, strict=True))
            if (
                len(words) > 5
                and are_names
                and 1 < len(set(words)) <= len(words) / 3
                and sum(map(len, lines)) > 4 * len(lines) + sum(map(len, words))
            ):
                return (
                    f"Its lines {where} with few words, such as {shown(words[0])}, and {shown(mark)}. If they are the texts' classes, put a tab between,"
                    f" and `table` reads it: sed '{command}' FILE > FILE.tsv."
                )
    return ""


def kind_of_value(path: Path) -> str:
    """Returns what a file of JSON rows, or of one JSON object, is by its fields."""
    rows = first_objects(path, FEW)
    if len(rows) > 1 or (rows and not _is_object(path)):
        return next((_sentence(kind) for kind in ROWS if all(map(kind.test, rows))), "")
    value = _object(path)
    if not isinstance(value, dict):
        return ""
    if kind := next((kind for kind in OBJECTS if kind.test(value)), None):
        return _sentence(kind)
    return next((_sentence(kind) for kind in ROWS if kind.test(value)), "")


def is_unannotated(path: Path) -> bool:
    """Returns whether a file is of JSON rows that have nothing but plain values, and no class."""
    rows = first_objects(path, FEW)
    has_text = any(key_of(key) in tier for row in rows for key in row for tier in NAMES["text"])
    labels = frozenset(["output"]).union(*NAMES["label"])
    has_class = any(isinstance(value, str | int) and value != "" and key_of(key) in labels for row in rows for key, value in row.items())
    return has_text and not has_class and all(_is_plain(value) for row in rows for value in row.values())


def is_plain_text(lines: Sequence[str]) -> bool:
    """Returns whether a file's first lines are mostly Chinese sentences, without a tab, a mark or a tag."""
    chinese = sum(len(_CHINESE.findall(line)) > max(3, len(line) / 2) for line in lines)
    return 2 * chinese > len(lines) and not any(map(_MARKED.search, lines))


def _sentence(kind: FileKind) -> str:
    return f"It looks like {kind.name}: {kind.do}."


def _are_strings_by_label(row: Row) -> bool:
    """Returns whether a row has nothing but a text, its name, and lists of strings of the text."""
    texts = [value for value in row.values() if isinstance(value, str)]
    lists = [value for value in row.values() if isinstance(value, list)]
    return (
        bool(texts)
        and (len(lists) > 1 or any(lists))
        and all(isinstance(one, str) and one in max(texts, key=len) for value in lists for one in value)
    )


def _object(path: Path) -> Any:
    """Returns the value of a file that is one JSON value; None for another, or a large one."""
    with open_raw(path) as file:
        data = file.read(LARGEST)
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _is_object(path: Path) -> bool:
    return isinstance(_object(path), dict)


def _are(kind: type, values: Iterable[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _is_plain(value: Any) -> bool:
    """Returns whether a value can't hold annotation: a string, a number, nothing, or a list of such."""
    return not isinstance(value, dict | list) or (isinstance(value, list) and not any(isinstance(one, dict | list) for one in value))
