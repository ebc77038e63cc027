"""Simulates how often `./ner gate` calls a run worse: without any loss, with a loss of one point of micro F1, and with a loss in one label.

In: nothing; the systems are made up, row by row. Out: bench/results/gate.md. A row has 0 to 6 entities of ten labels, the commonest ten times as frequent as the rarest. Rows
and entities differ in how hard they are, and are as hard for both systems. An entity that is missed brings a false positive of its own label in half of the cases and of any label in a
quarter. Some rows have a spurious entity too. The second system answers a share of the rows anew, and the others as the first does.

    .venv/train/bin/python -m bench.gate
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy
from numpy import ndarray
from numpy.random import Generator, default_rng

from bench.chain import machine
from tools.errors import run as run_tool
from tools.files import write_text
from tools.report.worse import ALPHA, MICRO, Sums, TestedTogether, paired, unpaired
from tools.score.bootstrap import interval, resample
from tools.text import whole_number

SEED, SAMPLES, KEPT_SAMPLES = 42, 200, 500
MOST = 6  # entities a row
LABELS = [f"label {number}" for number in range(1, 11)]
SHARES = numpy.array([1 / number for number in range(1, 11)])
SHARES = SHARES / SHARES.sum()
LOSS = 0.01
ROWS = 10_000
LESS = 3  # times fewer trials where something is lost
CALIBRATION_ROWS = 400_000


@dataclass(frozen=True)
class System:
    """How a system fails: `miss` and `label_miss` move the log-odds of missing an entity (the latter of the label LABELS[index] alone), `spurious` is a share of the rows."""

    miss: float = -1.7
    spurious: float = 0.12
    index: int = 0
    label_miss: float = 0.0


@dataclass(frozen=True)
class Case:
    """A pair of systems on `rows` rows, of which a share `changed` is answered anew. `again` is the second system where it answers anew."""

    name: str
    rows: int
    changed: float
    again: System = System()


def simulate(random: Generator, case: Case) -> tuple[ndarray, ndarray]:
    """Returns the counts of both systems, each an array (rows, labels + 1, 3)."""
    items = random.integers(0, MOST + 1, case.rows)
    row = numpy.repeat(numpy.arange(case.rows), items)
    label = random.choice(len(LABELS), len(row), p=SHARES)
    hard = random.normal(0, 1, case.rows)[row] + random.normal(0, 1, len(row))
    first, second = (answers(random, system, case.rows, row, label, hard) for system in (System(), case.again))
    same = random.random(case.rows) >= case.changed
    second[same] = first[same]
    return first, second


def answers(random: Generator, system: System, rows: int, row: ndarray, label: ndarray, hard: ndarray) -> ndarray:
    """Returns one system's counts: true positives, false positives and false negatives of each row and label."""
    odds = system.miss + system.label_miss * (label == system.index) + 1.2 * hard
    missed, kind = random.random(len(row)) < 1 / (1 + numpy.exp(-odds)), random.random(len(row))
    confused, invented = missed & (kind >= 0.5) & (kind < 0.75), numpy.flatnonzero(random.random(rows) < system.spurious)
    counts = numpy.zeros((rows, len(LABELS) + 1, 3), dtype=numpy.int64)
    for rows_of, labels_of, column in (
        (row[~missed], label[~missed], 0),
        (row[missed], label[missed], 2),
        (row[missed & (kind < 0.5)], label[missed & (kind < 0.5)], 1),
        (row[confused], random.choice(len(LABELS), int(confused.sum()), p=SHARES), 1),
        (invented, random.choice(len(LABELS), len(invented), p=SHARES), 1),
    ):
        numpy.add.at(counts, (rows_of, labels_of, column), 1)
    return counts


def f1(counts: ndarray) -> float:
    """Returns F1 of counts (…, 3)."""
    tp, fp, fn = counts.reshape(-1, 3).sum(axis=0)
    return float(2 * tp / (2 * tp + fp + fn))


def solved(of: Callable[[float], System], changed: float, loss: float, figure: Callable[[ndarray], ndarray] = lambda counts: counts) -> System:
    """Returns the system of a family whose `figure` lies `loss` below the first's on a large sample, by bisection: the larger the number, the worse the system."""
    low, high = -1.0, 6.0
    for _ in range(14):
        middle = (low + high) / 2
        first, second = (figure(counts) for counts in simulate(default_rng(SEED), Case("", CALIBRATION_ROWS, changed, of(middle))))
        low, high = (middle, high) if f1(first) - f1(second) < loss else (low, middle)
    return of(middle)


def kept(counts: ndarray, seed: int) -> dict[str, Sums]:
    """Returns what a score.json keeps of a system: integers and intervals."""
    found = {}
    for name, part in {MICRO: counts.sum(axis=1), **{label: counts[:, k] for k, label in enumerate(LABELS)}}.items():
        patterns, times = numpy.unique(part @ numpy.array([100**2, 100, 1]), return_counts=True)
        parts = numpy.stack([patterns // 100**2, patterns // 100 % 100, patterns % 100], axis=1)
        tp, fp, fn = resample(times, parts, KEPT_SAMPLES, seed).T
        whole = part.sum(axis=0).tolist()
        low, high = interval(2 * tp / numpy.maximum(2 * tp + fp + fn, 1), f1(part) if part.any() else 0.0)
        found[name] = Sums(*whole, low, high)
    return found


@dataclass(frozen=True)
class Measured:
    """What the gate said of each trial of a case: whether micro F1, a label, or anything was worse, whether the label LABELS[index] was, and the loss findable."""

    case: Case
    micro: ndarray
    any_label: ndarray
    one_label: ndarray
    findable: float

    @property
    def refused(self) -> ndarray:
        """The trials in which the run was refused."""
        return self.micro | self.any_label


def measure(case: Case, trials: int, apart: bool = False) -> Measured:
    """Runs the gate's own test on `trials` simulated pairs; with `apart`, the test for a baseline whose predictions aren't kept."""
    begun, said, findable = time.perf_counter(), [], 0.0
    for trial in range(trials):
        first, second = simulate(default_rng((SEED, trial)), case)
        if apart:
            found: TestedTogether = unpaired(kept(first, trial), kept(second, trials + trial))
        else:
            found = paired(first, second, LABELS, samples=SAMPLES, seed=trial)
        labels = [one["verdict"] == "worse" for one in found.labels]
        said.append((found.micro["verdict"] == "worse", any(labels), labels[case.again.index]))
        findable += found.findable / trials
    micro, any_label, one_label = numpy.array(said).T
    result = Measured(case, micro, any_label, one_label, findable)
    print(
        f"{case.name}, {case.rows:,} rows, {case.changed:.0%}{', unpaired' * apart}: {share(result.refused)}, {time.perf_counter() - begun:.0f} s",
        flush=True,
    )
    return result


def share(said: ndarray) -> str:
    """Returns a share of the trials with its standard error of simulation."""
    p = float(said.mean())
    return f"{p:.1%} ± {(p * (1 - p) / len(said)) ** 0.5:.1%}"


def nothing_lost() -> list[Case]:
    """Returns the cases in which no F1 is lower."""
    shifted = solved(lambda number: System(miss=-1.7 + number, spurious=0.01), 1.0, 0.0)
    again = [Case("equal systems", rows, changed) for rows, changed in ((30, 1.0), (300, 0.1), (1000, 0.1), (1000, 1.0), (ROWS, 0.1), (ROWS, 1.0))]
    return [*again, Case("more missed, fewer spurious, the same F1", 1000, 1.0, shifted)]


def lost() -> tuple[list[Case], list[Case]]:
    """Returns the cases with a loss of LOSS in micro F1, and those with a loss in one label's F1 alone."""
    micro = []
    for changed in (0.1, 0.3, 1.0):
        worse = solved(lambda number: System(miss=-1.7 + number), changed, LOSS)
        micro.append(Case("every label", ROWS, changed, worse))
    labels = []
    for index, loss in ((0, 0.02), (4, 0.03), (9, 0.05)):
        worse = solved(lambda number, k=index: System(index=k, label_miss=number), 0.1, loss, lambda counts, k=index: counts[:, k])  # type: ignore[misc]
        labels.append(Case(f"{LABELS[index]} ({SHARES[index]:.0%} of the entities) by {loss:.2f}", ROWS, 0.1, worse))
    return micro, labels


def page(false: list[Measured], micro: list[Measured], labels: list[Measured], apart: list[Measured], trials: int, seconds: float) -> str:
    """Returns the Markdown page."""
    lines = [
        "# The quality gate",
        "",
        f"{machine()}. Made by `.venv/train/bin/python -m bench.gate` on one core in {seconds / 60:.0f} minutes: {trials:,} simulated pairs of systems a line ({trials // LESS:,} where a paired test has a loss to find), seeds ({SEED}, 0) to "
        f"({SEED}, {trials - 1}), level {ALPHA}, {SAMPLES:,} bootstrap samples (the gate itself draws 5,000). A row has 0 to {MOST} entities of {len(LABELS)} labels; the first system's micro F1 is about "
        "0.78. *Answered anew* is the share of the rows that the second system answers independently of the first, given how hard they are; the others have equal answers. "
        "± is the standard error of the simulation.",
        "",
        "## Nothing is lost",
        "",
        "Whatever is called worse here is a false alarm. All of them together may be 5%.",
        "",
        "| the second system | rows | answered anew | micro F1 worse | some label worse | refused |",
        "|---|---|---|---|---|---|",
        *(f"| {_case(one)} | {share(one.micro)} | {share(one.any_label)} | {share(one.refused)} |" for one in false),
        "",
        f"## {LOSS} of micro F1 is lost",
        "",
        "| lost in | rows | answered anew | micro F1 worse | refused | loss that is said to be found in 95% |",
        "|---|---|---|---|---|---|",
        *(f"| {_case(one)} | {share(one.micro)} | {share(one.refused)} | {one.findable:.4f} |" for one in micro),
        "",
        "## One label loses",
        "",
        "| lost in | rows | answered anew | that label worse | refused |",
        "|---|---|---|---|---|",
        *(f"| {_case(one)} | {share(one.one_label)} | {share(one.refused)} |" for one in labels),
        "",
        "## A score.json without predictions",
        "",
        f"The same pairs, of which only the integers and intervals are kept ({KEPT_SAMPLES} samples).",
        "",
        "| the second system | rows | answered anew | micro F1 worse | some label worse | refused |",
        "|---|---|---|---|---|---|",
        *(f"| {_case(one)} | {share(one.micro)} | {share(one.any_label)} | {share(one.refused)} |" for one in apart),
    ]
    return "\n".join(lines) + "\n"


def _case(one: Measured) -> str:
    return f"{one.case.name} | {one.case.rows:,} | {one.case.changed:.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.gate", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--trials", type=whole_number(10, 1_000_000), default=1000, metavar="N", help="pairs of systems a line (default: 1000)")
    args = parser.parse_args()
    begun = time.process_time()
    none, (micro, labels) = nothing_lost(), lost()
    false = [measure(case, args.trials) for case in none]
    found = [[measure(case, args.trials // LESS) for case in cases] for cases in (micro, labels)]
    kept_alone = [Case("equal systems", 30, 1.0), Case("equal systems", 1000, 1.0), Case("equal systems", 1000, 0.1), *micro[:1], *micro[2:]]
    apart = [measure(case, args.trials, apart=True) for case in kept_alone]
    text = page(false, *found, apart, args.trials, time.process_time() - begun)
    write_text(Path("bench/results/gate.md"), text)
    print(text)


if __name__ == "__main__":
    run_tool(main)
