"""Lists a task's evaluations by micro F1, in blocks that may be compared.

In: evaluations. Out: a table for the terminal or in Markdown, leaderboard.md and leaderboard.csv.

    ./ner compare --task sample
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tools.files import Transaction
from tools.report.evaluations import MUST_BE_EQUAL, Evaluation, differences
from tools.text import columns, padded

HEADINGS = ("Run", "Micro F1", "95 % interval", "Macro F1", "Unseen F1", "Rows", "Base model")


def leaderboard(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Returns the evaluations in blocks that may be compared: the newest task version first, in a block the highest micro F1 first."""

    def order(one: Evaluation) -> tuple[Any, ...]:
        return one.meta.task, -one.meta.task_version, *map(str, one.key[1:]), -one.score["micro"]["f1"], one.name

    return [list(block) for _, block in groupby(sorted(evaluations, key=order), key=lambda one: one.key)]


def _heading(block: Sequence[Evaluation], before: Sequence[Evaluation] | None) -> str:
    meta = block[0].meta
    heading = f"{meta.task} {meta.split}: task version {meta.task_version}, examples {meta.examples_sha256[:8]}, prompt {str(meta.prompt_sha256)[:8]}"
    if before and before[0].meta.task == meta.task:
        heading += f" – not comparable with the block above: {'; '.join(differences(before[0], block[0]))}"
    return heading


def _cells(one: Evaluation) -> list[str]:
    micro, low, high, macro, unseen, rows = _figures(one)
    between = "–" if low is None else f"{low:.4f}–{high:.4f}"
    return [one.name, f"{micro:.4f}", between, f"{macro:.4f}", "–" if unseen is None else f"{unseen:.4f}", f"{rows:,}", one.meta.base_model or "–"]


def _figures(one: Evaluation) -> tuple[Any, ...]:
    """Returns micro F1, its interval's ends, macro F1, unseen F1 and rows; None for what the score doesn't hold."""
    score = one.score
    low, high = score["intervals"]["micro"] if "intervals" in score else (None, None)
    return score["micro"]["f1"], low, high, score["macro"]["f1"], score["unseen"]["f1"] if "unseen" in score else None, score["rows"]


def table(blocks: Sequence[Sequence[Evaluation]], problems: Sequence[str] = (), markdown: bool = False) -> str:
    """Returns the blocks as text or Markdown tables, each under a heading that says why it stands apart; `problems` are listed at the end."""
    lines: list[str] = []
    for number, block in enumerate(blocks):
        heading = _heading(block, blocks[number - 1] if number else None)
        rows = [list(HEADINGS), *map(_cells, block)]
        if markdown:
            lines += [f"## {heading}", "", _bar(rows[0]), _bar(["---"] * len(HEADINGS)), *map(_bar, rows[1:]), ""]
        else:
            widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
            lines += [heading, *("  ".join(map(padded, row, widths)).rstrip() for row in rows), ""]
    if problems:
        lines += ["Left out:", *(f"- {problem}" for problem in problems)]
    return "\n".join(lines).rstrip()


def _bar(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def save_leaderboard(blocks: Sequence[Sequence[Evaluation]], problems: Sequence[str], out: Path) -> None:
    """Writes leaderboard.md and leaderboard.csv into `out`. Two lines of the CSV compare where their first columns (MUST_BE_EQUAL) are equal."""
    with Transaction() as new:
        new.open(out / "leaderboard.md").write(table(blocks, problems, markdown=True) + "\n")
        lines = csv.writer(new.open(out / "leaderboard.csv"), lineterminator="\n")
        lines.writerow([*MUST_BE_EQUAL, "run", "variant", "micro_f1", "low", "high", "macro_f1", "unseen_f1", "rows", "base_model", "folder"])
        for one in (one for block in blocks for one in block):
            variant = one.name.partition(":")[2] or "adapter"
            lines.writerow([*one.key, one.variant.run, variant, *_figures(one), one.meta.base_model or "", one.folder])
