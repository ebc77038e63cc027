"""Tells the user what `./ner new` found and wrote.

In: the raw files, the drafted task and the run. Out: lines for the terminal.

    ./ner new contracts --from data/dataset/sample.train.jsonl
"""

from __future__ import annotations

from pathlib import Path

from tools.conf.task import TASKS
from tools.data.scaffold.forms import FORMS
from tools.data.scaffold.new_run import USUAL, ChosenBase, cutoff_of
from tools.data.scaffold.new_task import MANY, Draft
from tools.data.scaffold.raw_files import Raw
from tools.text import LONGEST_LABEL, one_line, quoted

SHOWN = 20  # labels on the screen


def about_files(raws: list[Raw], copied: set[Path]) -> list[str]:
    """Returns each raw file's format with the reason, its numbers of rows, and its copy."""
    lines = []
    for raw in raws:
        trial = raw.guess.trial
        why = "" if raw.split == "dev" else f": {raw.guess.why}"
        lines.append(f"{raw.path}: reader {trial.reader}, {FORMS[trial.reader].name}{why}.")
        if raw.guess.same:
            lines.append(f"  Other readers return the very same rows: {', '.join(raw.guess.same)}.")
        lines.append(
            f"  {trial.rows:,} rows can be read, {trial.refusals:,} can't{' (the doctor gives the reasons, below)' if trial.refusals else ''}."
        )
        if raw.place in copied:
            lines.append(f"  copied unchanged to {raw.place}; the task names that copy.")
    return lines


def about_labels(draft: Draft) -> list[str]:
    """Returns the task's labels with their counts, and a remark on each thing that the user should look at."""
    if not draft.labels:
        return [f"{draft.kind}: every row offers its own options, {draft.offered:,} different ones; the task lists no labels."]
    counted = "entities" if draft.kind == "ner" else "rows"
    shown = ", ".join(f"{one_line(label)} {count:,}" for label, count in list(draft.labels.items())[:SHOWN])
    more = f", and {len(draft.labels) - SHOWN:,} more" if len(draft.labels) > SHOWN else ""
    lines = [f"{draft.kind}: {draft.labels.total():,} {counted}, {len(draft.labels):,} label{'s' * (len(draft.labels) > 1)}: {shown}{more}."]
    renamed = [f"{one_line(quoted(label))} → {quoted(name)}" for label, name in draft.names.items() if label != name]
    if renamed:
        lines.append(f"remark: a prompt can't hold these labels as they are, so prompt and answers have other names: {', '.join(renamed[:SHOWN])}.")
    if draft.dropped:
        shown = ", ".join(one_line(quoted(label)) for label in draft.dropped[:SHOWN])
        lines.append(
            f"remark: left out, since a label can't be empty, longer than {LONGEST_LABEL} characters or half a character: {shown}. The doctor lists the rows."
        )
    if len(draft.labels) > MANY:
        lines.append(f"remark: {len(draft.labels):,} labels make a long prompt; are they labels, or did another field end up there?")
    if len(draft.labels) == 1:
        lines.append("remark: one label only: there is nothing to choose from." if draft.kind == "classification" else "remark: one label only.")
    return lines


def about_run(draft: Draft, base: ChosenBase, run: Path, longest: int | None, written: list[Path]) -> list[str]:
    """Returns the written files, the run's base model and cutoff_len, and what the user has to add by hand."""
    lines = [f"written: {', '.join(map(str, written))}"]
    if base.is_tiny:
        lines.append(
            f"The run trains the embedded {base.name}: every step works on a CPU, and the score will be low. For a GPU, repeat it with --model {USUAL}."
        )
    if longest:
        lines.append(f"The longest row has {longest:,} tokens, so cutoff_len is {cutoff_of(longest, base):,}.")
        if base.positions and longest > base.positions:
            lines.append(f"remark: {base.name} takes {base.positions:,} tokens at most. Leave the longer rows out, or take a model that reads more.")
    elif not base.has_tokenizer:
        lines.append(f"{base.folder} isn't here yet, so no row was measured. After the download: make check TASK={draft.name} CONF={run}")
    lines.append(f"To do by hand: `source` in {TASKS / draft.name}.yaml.")
    if draft.labels:
        lines.append(f"To do by hand: each label's meaning, behind it in {draft.prompt}.")
    return lines
