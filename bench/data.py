"""Measures what reading, converting and checking data costs on this machine, as a table.

In: CLUENER2020's train split. Out: a Markdown page with the speed of the converter against bare `json.loads` + `json.dumps`, the seconds of the whole command,
and wall time and peak memory of converting and checking a tenth of --rows and all of them (the split over and over, each text made new by a running number).

    .venv/train/bin/python -m bench.data --data data/dataset/clue.train.jsonl
    .venv/train/bin/python -m bench.data --data data/dataset/clue.train.jsonl --rows 20000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.chain import machine
from tools.conf.task import load_task
from tools.data.convert import convert
from tools.errors import WANTING, ToolError, run
from tools.files import need_file, write_text

TASK = "conf/task/clue.yaml"
# Runs a verb and leaves the process's highest resident memory (kB) in a file; wait4's ru_maxrss would count what the parent held at the fork.
PEAK = """
import atexit, re, runpy, sys
peak = sys.argv.pop(1)
atexit.register(lambda: open(peak, "w").write(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]))
runpy.run_module("tools", run_name="__main__", alter_sys=True)
"""


@dataclass
class Times:
    """The cost of several turns of the same work: wall-clock seconds and this process's CPU seconds. Other programs lengthen the first far more than the second."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Measures what runs in the block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


@dataclass(frozen=True)
class Speed:
    """The same rows through bare JSON and through the whole conversion, a pair of turns at a time."""

    rows: int
    bare: Times
    converted: Times


@dataclass(frozen=True)
class Cost:
    """One command on one number of rows: wall-clock seconds, and the most memory that was resident, in MB (10^6 bytes)."""

    command: str
    rows: int
    seconds: float
    peak: float


def speed(data: Path, repeats: int) -> Speed:
    """Measures conversion against bare JSON over the same bytes in this process; the two take turns, so that both see the same machine."""
    task = load_task(Path(TASK), _only(data))
    bare, converted, rows = Times(), Times(), 0
    for _ in range(repeats):
        with bare.turn(), open(data, "rb") as lines:
            for line in lines:
                json.dumps(json.loads(line))
        with TemporaryDirectory() as out, converted.turn():
            rows = convert(task, Path(out))[0].rows
    return Speed(rows, bare, converted)


def whole_command(data: Path, repeats: int) -> float:
    """Returns the seconds of `./ner data` from start to end, the best of `repeats`."""
    taken = Times()
    for _ in range(repeats):
        with TemporaryDirectory() as out, taken.turn():
            _call([sys.executable, "-m", "tools", "data", TASK, *_only(data), "--out", out])
    return min(taken.wall)


def size(data: Path, rows: int) -> Iterator[Cost]:
    """Measures what converting and checking cost at that many rows."""
    with TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw.jsonl", Path(folder) / "out"
        multiply(data, rows, raw)
        yield _cost("data", rows, [TASK, *_only(raw), "--out", str(out)], Path(folder))
        yield _cost("check", rows, [TASK, *_only(raw), "--out", str(out / "check")], Path(folder))


def multiply(data: Path, rows: int, out: Path) -> None:
    """Writes `rows` rows of `data`, over and over; a running number behind each text makes it new and leaves every offset right."""
    originals = [json.loads(line) for line in data.read_text(encoding="utf-8").split("\n") if line.strip()]
    with open(out, "w", encoding="utf-8") as lines:
        for number in range(rows):
            row = originals[number % len(originals)]
            lines.write(json.dumps({**row, "text": f"{row['text']}{number}"}, ensure_ascii=False) + "\n")


def report(fast: Speed, command: float, costs: list[Cost]) -> str:
    """Returns the Markdown page."""
    lines = [
        "# Data",
        "",
        f"{machine()}, Python {sys.version.split()[0]}. Made by `.venv/train/bin/python -m bench.data`; wall-clock, the best of several turns.",
        "",
        f"| CLUENER2020, train, {fast.rows:,} rows | measured | target |",
        "|---|---|---|",
        f"| bare `json.loads` + `json.dumps` of each line | {min(fast.bare.wall):.3f} s | |",
        f"| conversion in the same process, files and all | {min(fast.converted.wall):.3f} s | |",
        f"| speed of the second as a share of the first's | {min(fast.bare.wall) / min(fast.converted.wall):.2f} | at least 0.33 |",
        f"| the same in CPU time | {min(fast.bare.cpu) / min(fast.converted.cpu):.2f} | |",
        f"| `./ner data`, start-up included | {command:.2f} s | under 2 s |",
    ]
    if costs:
        lines += [
            "",
            "The same rows over and over, each with a new text; one turn. Targets: time in proportion to the rows, memory below 400 MB.",
            "",
            "| command | rows | s | µs a row | peak memory, MB |",
            "|---|---|---|---|---|",
        ]
    for cost in sorted(costs, key=lambda cost: (cost.command, cost.rows)):
        lines.append(f"| `./ner {cost.command}` | {cost.rows:,} | {cost.seconds:.1f} | {cost.seconds / cost.rows * 1e6:.0f} | {cost.peak:.0f} |")
    return "\n".join(lines) + "\n"


def _cost(verb: str, rows: int, words: list[str], folder: Path) -> Cost:
    taken, peak = Times(), folder / "peak"
    with taken.turn():
        _call([sys.executable, "-c", PEAK, str(peak), verb, *words], (0, WANTING) if verb == "check" else (0,))
    return Cost(verb, rows, taken.wall[0], int(peak.read_text()) * 1024 / 1e6)


def _call(command: list[str], allowed: tuple[int, ...] = (0,)) -> None:
    """Runs a tool to its end. Raises ToolError for an exit code that is not among `allowed`: the doctor may find faults."""
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode not in allowed or "Traceback" in done.stderr:
        raise ToolError(f"{' '.join(command[3:])}: exit code {done.returncode}:\n{done.stderr[-2000:]}")


def _only(data: Path) -> list[str]:
    return [f"raw.train={data}", "raw.dev=null"]


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.data", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="CLUENER2020's train.jsonl")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N", help="rows of the large file; 0 leaves it out (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="turns of which the best counts (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("bench/results/data.md"), metavar="FILE", help="the page (default: %(default)s)")
    args = parser.parse_args()
    need_file(args.data, "Name CLUENER2020's train.jsonl: --data FILE")
    fast = speed(args.data, args.repeats)
    command = whole_command(args.data, args.repeats)
    costs = [cost for rows in (args.rows // 10, args.rows) if rows > 0 for cost in size(args.data, rows)]
    page = report(fast, command, costs)
    write_text(args.out, page)
    print(page)


if __name__ == "__main__":
    run(main)
