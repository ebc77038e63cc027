"""Makes the pictures of the README and the docs from a trained run, anew with one command.

In: a run's conf, and what its folder holds: evaluations, training log, calibration, learning curve. Out: the files of PICTURES beside this script, each at most LIMIT
bytes. A picture whose source isn't there yet is left as it is, and the command that makes the source is printed.

    .venv/train/bin/python docs/pictures/make.py --run conf/tiny-qwen2-sample-ner-lora-sft.yaml
    .venv/train/bin/python docs/pictures/make.py web report --run conf/tiny-qwen2-sample-ner-lora-sft.yaml
    .venv/train/bin/python docs/pictures/make.py terminal     # runs ./ner demo, which takes minutes
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.conf.run import Run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUN = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")
LIMIT = 200_000  # bytes of a file: a page shows several
LIGHT_AND_DARK = ("", "-dark")


@dataclass(frozen=True)
class Picture:
    """One picture: its subject, the function of docs/pictures/<module>.py that makes it, its files, and whether it is made only where it is named."""

    subject: str
    module: str
    files: tuple[str, ...]
    only_named: bool = False

    def maker(self) -> Callable[..., None]:
        """Returns the function, which writes all files into a folder. It raises ToolError where the run's folder lacks what it needs."""
        made: Callable[..., None] = importlib.import_module(f"docs.pictures.{self.module}").MAKERS[self.files[0].partition(".")[0]]
        return made


def _files(name: str, kind: str, languages: Sequence[str] = ("",)) -> tuple[str, ...]:
    return tuple(f"{name}{language}{scheme}.{kind}" for language in languages for scheme in LIGHT_AND_DARK)


PICTURES = {
    "chain": Picture("the chain, from raw annotation to the score", "chain", _files("chain", "svg", ("", "-zh"))),
    "web": Picture("the page of make web, with a marked sentence", "pages", _files("web", "png", ("", "-zh"))),
    "report": Picture("the top of an evaluation's report", "pages", _files("report", "png", ("", "-zh"))),
    "training": Picture("loss by step, and F1 where checkpoints were scored", "plots", _files("training", "svg")),
    "reliability": Picture("the reliability diagram of make calibrate", "plots", _files("reliability", "png")),
    "curve": Picture("the learning curve of make curve", "plots", _files("curve", "png")),
    "terminal": Picture("the demo in a terminal, recorded", "terminal", ("terminal.svg",), only_named=True),
}


def make(names: Sequence[str], run: Run, folder: Path, log: Path | None = None) -> list[str]:
    """Makes pictures, prints each file with its size, and returns the complaints: what a run lacks, and files over LIMIT. `log` is an earlier demo's."""
    from tools.errors import ToolError

    problems = []
    for name in names:
        try:
            PICTURES[name].maker()(run, folder, **({"log": log} if name == "terminal" else {}))
        except ToolError as problem:
            problems.append(f"{name}: not made: {problem}")
            continue
        for file in PICTURES[name].files:
            size = (folder / file).stat().st_size
            print(f"{file}  {size / 1000:.0f} KB", flush=True)
            problems += [f"{file}: {size:,} bytes; at most {LIMIT:,}"] if size > LIMIT else []
    return problems


def main(words: Sequence[str] | None = None) -> int:
    """Makes the named pictures, or all but those that are made only where they are named. Returns the exit code, 1 where one couldn't be made."""
    from tools.conf.run import load_run

    parser = argparse.ArgumentParser(description="Makes the pictures of the README and the docs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--run", type=Path, default=RUN, help=f"a trained and evaluated run (default: {RUN})")
    parser.add_argument("--log", type=Path, help="of an earlier `make demo`: terminal is drawn from it, without motion, instead of running the demo")
    args = parser.parse_args(words)
    if unknown := [name for name in args.names if name not in PICTURES]:
        parser.error(f"no picture {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    os.chdir(ROOT)
    problems = make(args.names or [name for name, one in PICTURES.items() if not one.only_named], load_run(args.run, []), HERE, args.log)
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # was this folder; tools/, tests/ and docs/ are imported from the checkout
    sys.exit(main())
