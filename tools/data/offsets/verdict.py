"""Holds what a file says about its offsets, and how a message puts it.

In: the readings that the file speaks for, the reasons and some spans. Out: lines, and the words that answer; whether a task's files can have one answer.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from tools.data.offsets.units import OWN, Case


class Verdict(NamedTuple):
    """What a file says about its offsets: `take` is the reading that it speaks for one-sidedly, `readings` are those that it speaks for at all.

    Where it speaks for several, or not clearly, `take` is empty and the user has to choose. `sentences` are the reasons, without which the reading in force stands;
    `cases` are spans with what a message says of them; `doubt` is a sentence on offsets that stand, and `against` has the readings that the file clearly refuses.
    """

    take: str = ""
    readings: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    cases: tuple[tuple[Case, str], ...] = ()
    doubt: str = ""
    against: frozenset[str] = frozenset()

    @property
    def stops(self) -> bool:
        """Whether the file speaks against the reading in force, so that nothing may be made of it before the task says `offsets`."""
        return bool(self.sentences)

    @property
    def answers(self) -> list[str]:
        """The values of a task's `offsets` to choose from: the one that the file speaks for, or all that it leaves open."""
        return [self.take] if self.take else [*self.readings, OWN]

    def lines(self, path: Path) -> list[str]:
        """Returns the reasons and the cases, one a line."""
        return [
            *(f"{path}: {sentence}" for sentence in self.sentences),
            *(f"  {case.item or f'line {case.line}'}: {message}" for case, message in self.cases),
        ]

    def advice(self, task: Path) -> str:
        """Returns how to answer, as a sentence; `task` is the task file."""
        written, words = (" or ".join(f"offsets{sign}{answer}" for answer in self.answers) for sign in (": ", "="))
        first = "Write" if self.readings else "Correct the offsets in the file. Where they are right all the same, write"
        return f"{first} {written} in {task}, or lay it over this once: {words} (make: ARGS=offsets={self.answers[0]})"


ONE_EACH = "The files count offsets in different ways, and a task has one. Make a task of one of them, mend it with make check TASK=… ARGS=--fix, and name its copy here"


def disagree(verdicts: Collection[Verdict]) -> bool:
    """Returns whether one file refuses the reading that another speaks for, or two speak for different ones."""
    taken = {verdict.take for verdict in verdicts if verdict.take}
    return len(taken) > 1 or any(taken & verdict.against for verdict in verdicts)
