"""Describes a file that no reader reads: what it is and what to do with it, else the known formats with each reader's first complaint.

In: the file. Out: a message.

    ./ner new contracts --from README.md
"""

from __future__ import annotations

import codecs
import re
import shlex
from itertools import islice
from pathlib import Path

from tools.data.raw.binary import is_workbook, what_binary, what_text
from tools.data.raw.json_faults import LIKE_JSON
from tools.data.raw.lines import Line, open_raw, text_lines
from tools.data.raw.row import SEVERAL, BadRow, shown
from tools.data.scaffold.kinds import is_plain_text, is_unannotated, kind_of_value, parted_by_class
from tools.data.scaffold.said import NOTHING, Said
from tools.data.scaffold.trials import FORMS, Trial, heads
from tools.text import one_line

PAGE = "docs/own-data.md"
FEW = 200  # lines
_TAGGED = re.compile(r"\s[BIMESLUW][-_]\w\S*$")
_ANSWER = re.compile(r"\b(?:fields\.\w+=[^\s(]*[^\s(.,;…]|numbers=\[[^\]]*\])")  # as a reader's question spells it


def explain(path: Path, name: str, reader: str | None, said: Said = NOTHING) -> str:
    """Returns why `reader`, or else every reader, reads nothing of a file that messages call `name`.

    The message names the file for what it is, or asks what a reader needs to know of it. Where neither is known it has each known format with its reader's first complaint.
    """
    title = f"{name}: {f'the reader {reader} reads no row of it' if reader else 'no reader reads it'}."
    if known := _known(path):
        return f"{title}\n{known}\nThe known formats: {PAGE}"
    tried = heads(path, said)
    if verdicts := _verdicts(path, tried):
        return "\n".join([title, *dict.fromkeys(verdicts), *_answer(verdicts), f"The known formats: {PAGE}"])
    if len(bare := [trial for trial in tried if trial.bare > trial.refusals / 2]) == 1 and bare[0].first_bad:
        what = f"It looks like {FORMS[bare[0].reader].name}, and has nothing to learn from: {bare[0].first_bad.reason}"
        return f"{title}\n{what}\nThe known formats: {PAGE}"
    return "\n".join([title, *_formats(path, tried), f"More on each format: {PAGE}"])


def _known(path: Path) -> str:
    """Returns what a file is by its first bytes, its JSON fields or its text, and what to do with it; empty for none of the known kinds."""
    if path.is_dir():
        return ""
    if not is_workbook(path) and (what := what_binary(path)):
        return f"It is {what}."
    with open_raw(path) as file:
        head = file.read(1 << 16).removeprefix(codecs.BOM_UTF8)
    if not head.strip():
        return "It is empty."
    what = what_text(head.decode("utf-8", "replace"))
    return kind_of_value(path) or (what and f"It looks like {what}.")


def _verdicts(path: Path, tried: list[Trial]) -> list[str]:
    """Returns what readers say about the whole file. Of one that was meant to be JSON, only the readers of JSON say it: that it is broken, or all the same."""
    first = next(text_lines(path), None) if path.is_file() else None
    complaints = [(FORMS[trial.reader].is_json, trial.first_bad) for trial in tried if trial.first_bad]
    named = [(is_json, bad.reason) for is_json, bad in complaints if bad.kind == "named"]
    if isinstance(first, Line) and LIKE_JSON.match(first.text):
        of_json = [reason for is_json, reason in named if is_json] or [
            bad.reason for is_json, bad in complaints if is_json and bad.kind in ("json", "truncated")
        ]
        same = {bad.reason for is_json, bad in complaints if is_json}
        if of_json or (len(same) == 1 and len(tried) > 1):
            return of_json or [*same]
    return [reason for _, reason in named] or [bad.reason for _, bad in complaints if bad.kind == SEVERAL]


def _answer(verdicts: list[str]) -> list[str]:
    """Returns the option that answers the readers' questions, with the words that they name; nothing where they ask nothing."""
    answers: dict[str, str] = {}
    for verdict in verdicts:
        for word in _ANSWER.findall(verdict):
            answers.setdefault(word.partition("=")[0], word)
    words = f"--set {shlex.join(answers.values())}"
    return [f'In this command: {words} (make: ARGS="{words}")'] if answers else []


def _formats(path: Path, tried: list[Trial]) -> list[str]:
    """Returns the first line of a file, and each known format with its reader's first complaint."""
    head = list(islice(text_lines(path), FEW)) if path.is_file() else []
    texts = [line.text for line in head if isinstance(line, Line)]
    lines = [f"Its line {line.line}: {one_line(line.reason if isinstance(line, BadRow) else shown(line.text))}" for line in head[:1]]
    if path.is_file() and is_unannotated(path):
        lines.append("It has no annotation to learn from: annotate it first, or rename the field that holds the annotation.")
    if sum(_TAGGED.search(text) is not None for text in texts) > 2:
        lines.append("It looks like columns of tokens and tags, but:")
        tried = [trial for trial in tried if trial.reader == "bio"]
    elif what := parted_by_class(texts):
        return [*lines, what]
    elif texts and is_plain_text(texts):
        lines.append("It looks like texts without annotation, one a line: annotate them first, or give the file that has their annotation.")
    for trial in tried:
        lines += [f"  {trial.reader:14}  {FORMS[trial.reader].example}", *(" " * 18 + complaint for complaint in _complaints(trial))]
    return lines


def _complaints(trial: Trial) -> list[str]:
    """Returns what a reader has against a file: nothing where the file isn't its kind of text at all."""
    bad, found = trial.first_bad, []
    if bad and bad.kind not in ("json", "encoding"):
        found.append(f"{bad.item or f'line {bad.line}'} here: {one_line(bad.reason)}")
    if trial.annotated:
        found.append(f"it reads {trial.rows:,} of the first {trial.rows + trial.refusals:,} rows: --reader {trial.reader} takes them")
    return found
