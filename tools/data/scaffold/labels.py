"""Chooses a new task's kind and labels, and asks where what was read as labels looks like something else.

In: the raw files' trials. Out: the kind; the labels, counted. A table of tokens read as a table of texts, or a field of free text read as a class, would make a task
that trains without an error: such a file is a question.

    ./ner new contracts --from table.csv --kind classification
"""

from __future__ import annotations

import re
from collections import Counter

from tools.data.raw.row import LONE_SURROGATE, SEVERAL
from tools.data.scaffold.said import Said, option
from tools.data.scaffold.trials import Trial
from tools.data.scaffold.unread import PAGE
from tools.errors import WANTING, ToolError
from tools.text import LONGEST_LABEL, one_line, quoted

MOST = 1000
MANY = 100  # labels; a prompt with more is long, and more often than not the field is no label
ENOUGH = 20  # annotations, from which it tells something that nearly all have a label of their own
FEW = 10  # classes; a topic may stand in most of its texts
MOST_NUMBERS = 20  # that a question names
_TAG = r"(?:[BIEMSLUW][-_]\S+|O)"
_TAGS = re.compile(rf"{_TAG}(?:[\s,\x02]+{_TAG})*|[BIEMSO]{{5,}}")
_LETTERS = "ABCDEFGH"
_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,9})?")


def kind_of(trials: list[Trial], asked: str | None, name: str) -> str:
    """Returns 'ner' or 'classification', by the annotation. Raises ToolError for files with neither, and for files that leave a choice or don't fit `asked`."""
    counts = {"ner": sum(trial.entities.total() for trial in trials), "classification": sum(trial.classes.total() for trial in trials)}
    found = [kind for kind, number in counts.items() if number]
    if not found:
        raise ToolError(f"{name}: no entity and no class in its {sum(trial.rows for trial in trials):,} rows. Annotate some first.", WANTING)
    if asked in found:
        return asked
    if asked or len(found) > 1:
        seen = f"{counts['ner']:,} entities, and {counts['classification']:,} rows with a class"
        raise ToolError(f"{name}: {seen}. Choose {option('--kind', *found)}.")
    return found[0]


def labels_of(trials: list[Trial], kind: str, order: str, name: str) -> Counter[str]:
    """Returns the labels with their counts, without those that no task can have; none where every row has its own options.

    Order 'frequency' is the most frequent first, equals by first appearance; 'first' is by first appearance. Raises ToolError for no label, or more than MOST.
    """
    if kind == "classification" and all(trial.with_options == trial.rows for trial in trials):
        return Counter()
    counts: Counter[str] = sum((trial.entities if kind == "ner" else trial.classes for trial in trials), Counter())
    if kind == "classification":
        counts.update({option: 0 for trial in trials for option in trial.options})
    kept = Counter({label: n for label, n in counts.items() if label.strip() and len(label) <= LONGEST_LABEL and not LONE_SURROGATE.search(label)})
    if len(kept) > MOST:
        raise ToolError(f"{name}: {_many(kept)}: is it the right field? If it is, write the task file by hand: {PAGE}.", WANTING)
    if not kept:
        raise ToolError(f"{name}: every label in it is empty, or far too long to be one.", WANTING)
    return Counter(dict(kept.most_common())) if order == "frequency" else kept


def doubt(trials: list[Trial], kind: str, labels: Counter[str], said: Said) -> str:
    """Returns why labels may not be labels, with the option that gives the right ones where there is one; empty where nothing speaks against them."""
    if (several := sum(trial.refused[SEVERAL] for trial in trials)) * 20 > sum(trial.rows for trial in trials):
        return f"{several:,} of its rows have several classes, and would be left out; a row of this project has one class"
    total, tokens = labels.total(), sum(trial.tokens for trial in trials)
    if kind == "classification" and labels:
        if are_tags(labels):
            return f"its classes look like tags of tokens ({_few(labels)}), not like classes of texts"
        if tokens * 2 > total >= ENOUGH:
            return f"{tokens:,} of its {total:,} texts are one character or one word: it looks like columns of tokens, and their classes ({_few(labels)}) like tags"
        quoting, quoted = (sum(getattr(trial, count) for trial in trials) for count in ("quoting", "quoted"))
        if quoting * 2 > total or (len(labels) > FEW and quoted > 0.8 * total):
            return (
                f"{max(quoting, quoted):,} of its {total:,} classes repeat a string of their text ({_few(labels)}), as entities do, and classes don't"
            )
        if len(labels) > 2 and "".join(sorted(labels)) == _LETTERS[: len(labels)]:
            return f"its classes are the letters of a multiple choice ({_few(labels)}), and what they stand for isn't in the text"
    if len(labels) > MANY:
        return f"{_many(labels)}: they make a long prompt, and more often than not it is another field"
    if total >= ENOUGH and len(labels) > 0.8 * total:
        return f"{_many(labels)} in {total:,} annotations: nearly each has one of its own, as a field of free text has"
    if labels and not said.numbers and all(map(_NUMBER.fullmatch, labels)):
        what = f"its {'classes' if kind == 'classification' else 'labels'} are numbers ({_few(labels)}), which say nothing to a model"
        if kind == "classification" and "0" in labels and labels.keys() <= {str(number) for number in range(MOST_NUMBERS)}:
            names = ",".join(f"NAME{number}" for number in range(max(map(int, labels)) + 1))
            return f"{what}. Their names, from 0 on: {option('--set', f'numbers=[{names}]')}"
        return f"{what}: the task file's `labels` can give each a name"
    if kind == "ner" and any(f"I{label[1:]}" in labels for label in labels if label.startswith(("B-", "B_"))):
        return f"its labels are tags of tokens ({_few(labels)}): each span is a token of an entity. Join them, or write the tags as columns or lists of tokens"
    return ""


def are_tags(classes: Counter[str]) -> bool:
    """Returns whether most classes are tags of tokens: 'B-PER', or 'O O B-PER I-PER'."""
    tags = {label: n for label, n in classes.items() if _TAGS.fullmatch(label)}
    return sum(tags.values()) * 2 > classes.total() and any(label != "O" for label in tags)


def _many(labels: Counter[str]) -> str:
    return f"{len(labels):,} labels, e.g. {_few(labels)}"


def _few(labels: dict[str, int]) -> str:
    return ", ".join(one_line(quoted(label)) for label in [*labels][:3])
