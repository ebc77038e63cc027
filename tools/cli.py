"""Declares the command line: one table of verbs, and the options that several verbs share.

In: a verb and its words. Out: the verb's module is imported, its `add_options(parser)` declares what is its own, and its `main(args)` does the work.

    ./ner --help
    ./ner train --help
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from tools.errors import ToolError, choices
from tools.text import paint, whole_number
from tools.variant import WORDS, variant_word


class Verb(NamedTuple):
    """One command. `shared` are keys of SHARED; `passes_on` says that options it doesn't know go on to another program."""

    step: str
    module: str
    help: str
    shared: tuple[str, ...] = ()
    passes_on: bool = False


FIRST, DATA, TRAIN, EXPORT, SERVE, EVALUATE = "First steps", "1. Data", "2. Train", "3. Export", "4. Serve", "5. Evaluate"
ASKS = ("run", "which", "task", "split", "port", "url", "concurrency")
VERBS = {
    "setup": Verb(FIRST, "tools.setup", "install the environments in .venv/"),
    "demo": Verb(FIRST, "tools.demo", "run the whole chain on the embedded model and the sample data"),
    "clean": Verb(FIRST, "tools.clean", "remove caches, generated data and reports; never raw files, models or runs"),
    "download": Verb(DATA, "tools.train.download", "download a base model from ModelScope"),
    "new": Verb(DATA, "tools.data.scaffold.new", "write a task, its prompt and its run from an annotated file"),
    "data": Verb(DATA, "tools.data.convert", "convert raw annotation to examples, Alpaca files and dataset_info.json"),
    "check": Verb(DATA, "tools.train.check", "say what is wrong with raw files, or with a run and what it will cost"),
    "show": Verb(DATA, "tools.train.show", "show one row's way from raw line to token ids and labels", ("run",)),
    "annotate": Verb(
        DATA,
        "tools.labelling.preannotate",
        "annotate unlabelled texts with a run for annotators, those first that would teach it most",
        ("which", "task", "port", "url", "concurrency"),
    ),
    "suspects": Verb(DATA, "tools.labelling.suspects", "list likely label errors, the worst first", ("port", "concurrency")),
    "merge": Verb(DATA, "tools.labelling.merge", "take annotators' corrections back into a task's raw files"),
    "train": Verb(TRAIN, "tools.train.train", "train a LoRA adapter, or go on where an interrupted training stopped", ("run",)),
    "best": Verb(
        TRAIN, "tools.evaluate.best", "score every checkpoint of a run and record the best", ("run", "task", "split", "port", "concurrency")
    ),
    "export": Verb(EXPORT, "tools.train.export", "merge an adapter into the base model", ("run", "which")),
    "quantize": Verb(EXPORT, "tools.train.quantize", "quantise the merged model to 4 or 8 bits", ("run",)),
    "serve": Verb(SERVE, "tools.serve.serve", "serve a model with vLLM's OpenAI API on 127.0.0.1", ("run", "which", "port"), passes_on=True),
    "web": Verb(SERVE, "tools.web.web", "open a page that annotates a sentence or a file, and shows scores", ("run", "which", "task", "port", "url")),
    "extract": Verb(
        SERVE,
        "tools.extract.extract",
        "annotate a file of texts: entities with places and confidence",
        ("which", "task", "port", "url", "concurrency"),
    ),
    "eval": Verb(EVALUATE, "tools.evaluate.evaluate", "predict a split, score it, and write the report", ASKS),
    "predict": Verb(EVALUATE, "tools.predict.predict", "ask a model for every row of a split", ASKS),
    "calibrate": Verb(EVALUATE, "tools.extract.calibrate", "learn how sure a model's entities are, and thresholds for a precision", ASKS),
    "score": Verb(EVALUATE, "tools.score.score", "score predictions against examples"),
    "report": Verb(EVALUATE, "tools.report.report", "write an evaluation as one HTML page", ("run", "which", "task", "split")),
    "compare": Verb(EVALUATE, "tools.report.compare", "compare runs row by row, or list a task's leaderboard"),
    "gate": Verb(
        EVALUATE, "tools.evaluate.quality_gate", "refuse a run that is worse than a baseline beyond chance", ("run", "which", "task", "split")
    ),
    "parity": Verb(
        EVALUATE, "tools.evaluate.parity", "hold merged and quantised models against their adapter", ("run", "task", "split", "port", "concurrency")
    ),
    "curve": Verb(
        EVALUATE, "tools.evaluate.learning_curve", "train on shares of the rows: would more data help?", ("run", "split", "port", "concurrency")
    ),
    "card": Verb(EVALUATE, "tools.report.card", "write a model card in English and Chinese", ("run", "which", "task", "split")),
}
CONCURRENCY = 64


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("conf", nargs="?", type=Path, metavar="conf/<run>.yaml", help="the run (make: CONF=…)")
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value", help="laid over the run in the order given (make: ARGS=…)")


def _option(name: str, **options: Any) -> Callable[[argparse.ArgumentParser], object]:
    return lambda parser: parser.add_argument(name, **options)


SHARED: dict[str, Callable[[argparse.ArgumentParser], object]] = {
    "run": _run,
    "which": _option(
        "--which",
        type=variant_word,
        default="adapter",
        metavar="MODEL",
        help=f"{', '.join(WORDS)} or checkpoint-<step> (default: adapter; make: WHICH=…)",
    ),
    "task": _option("--task", metavar="NAME", help="default: the task that the run trains"),
    "split": _option("--split", default="dev", metavar="NAME", help="the data split (default: dev; make: SPLIT=…)"),
    "port": _option(
        "--port", type=whole_number(1, 65535), default=8000, metavar="N", help="the server's port on this machine (default: 8000; make: PORT=…)"
    ),
    "url": _option("--url", metavar="URL", help="a server that runs already, such as http://127.0.0.1:8000/v1 (default: start one at --port)"),
    "concurrency": _option(
        "--concurrency", type=whole_number(1, 100_000), default=CONCURRENCY, metavar="N", help=f"requests under way at once (default: {CONCURRENCY})"
    ),
}


class Parser(argparse.ArgumentParser):
    """argparse's parser with this project's errors: exit code 2, the choices, and the next command."""

    def error(self, message: str) -> NoReturn:
        """Raises ToolError with the command that shows the help."""
        raise ToolError(f"{message}. To see the words: {self.prog} --help")


def parser_of(name: str, module: ModuleType) -> Parser:
    """Returns the parser of a verb. Its help is the module's docstring, whose last block is the examples."""
    verb = VERBS[name]
    description, _, examples = (module.__doc__ or "").rstrip().rpartition("\n\n    ")
    parser = Parser(
        prog=f"./ner {name}",
        description=description,
        epilog=f"examples:\n    {examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option in verb.shared:
        SHARED[option](parser)
    if hasattr(module, "add_options"):
        module.add_options(parser)
    return parser


def overview() -> str:
    """Returns the verbs, grouped by step."""
    lines, step = ["usage: ./ner VERB [words]    ./ner VERB --help shows a verb's words and an example"], ""
    for name, verb in VERBS.items():
        if verb.step != step:
            lines += ["", paint(verb.step, "bold", sys.stdout)]
            step = verb.step
        lines.append(f"  {paint(name.ljust(10), 'cyan', sys.stdout)} {verb.help}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int | None:
    """Runs one verb; returns its exit code. Raises ToolError for a verb or an option that doesn't exist."""
    name, *rest = (sys.argv[1:] if words is None else words) or ["--help"]
    if name in ("-h", "--help", "help"):
        print(overview())
        return 0
    if name not in VERBS:
        raise ToolError(f"unknown verb '{name}'.{choices(name, VERBS)} To see them: ./ner --help")
    verb = VERBS[name]
    try:
        module = importlib.import_module(verb.module)
    except ModuleNotFoundError as error:
        if (error.name or "tools").partition(".")[0] == "tools":
            raise
        raise ToolError(f"./ner {name}: the package '{error.name}' isn't installed here. To install what it needs: make setup") from None
    parser = parser_of(name, module)
    known = [word for action in parser._actions for word in action.option_strings]
    if not verb.passes_on and (unknown := [word for word in rest if re.match("--?[a-zA-Z]", word) and word.partition("=")[0] not in known]):
        raise ToolError(f"./ner {name}: unknown option '{unknown[0]}'.{choices(unknown[0].partition('=')[0], known)}")
    args, others = parser.parse_known_intermixed_args(rest)
    if others and not verb.passes_on:
        raise ToolError(f"./ner {name}: takes no word '{others[0]}'. To see the words: ./ner {name} --help")
    args.passed_on = others
    return module.main(args)
