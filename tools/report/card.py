"""Writes the model card: a README.md in English and Chinese that describes one of a run's models, its scores and its use.

In: a trained run's folder, its task and its evaluations. Out: README.md in the model's folder, with the Hugging Face hub's metadata at its head. An evaluation
that is missing or stale is named with the command that makes it.

    ./ner card conf/tiny-qwen2-sample-ner-lora-sft.yaml
    ./ner card conf/tiny-qwen2-sample-ner-lora-sft.yaml --which merged --base-model Qwen/Qwen2.5-7B-Instruct --license apache-2.0
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tools.conf.run import Run, run_from
from tools.conf.task import Task, find_task
from tools.errors import ToolError
from tools.files import read_text, write_text
from tools.report.card_facts import LABELS, OPTIONS, Facts, gather
from tools.report.card_metadata import metadata
from tools.report.card_public import public, public_text
from tools.text import visible

NAME = "README.md"
TEMPLATE = Path(__file__).with_suffix(".md")
MARK = "<!-- `make card` writes this page anew. To keep your own changes, remove this line. -->"
# A README.md that has one of these is written over: a card of ours, and what nobody filled in of transformers' Trainer and of PEFT.
GENERATED = (
    MARK,
    "## Model description\n\nMore information needed\n\n## Intended uses & limitations\n\nMore information needed\n",
    "<!-- Provide a quick summary of what the model is/does. -->\n\n\n\n## Model Details\n",
)


def card(facts: Facts, license: str | None = None, datasets: Sequence[str] = ()) -> str:
    """Returns the card. The same facts give the same bytes. Raises ToolError for a name or licence that the hub wouldn't take."""
    from shlex import quote

    import jinja2
    import yaml

    quoted = partial(json.dumps, ensure_ascii=False)
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.ChainableUndefined, keep_trailing_newline=True)
    environment.globals |= {"cell": cell, "code": code, "fence": fence, "number": _number, "whole": "{:,}".format, "quote": quote, "quoted": quoted}
    body = environment.from_string(read_text(TEMPLATE)).render(
        **vars(facts),
        english=lambda english, chinese: english,
        chinese=lambda english, chinese: chinese,
        most_labels=LABELS,
        options_mark=OPTIONS,
        public_text=public_text,
        run_yaml=yaml.safe_dump(public(facts.run.values), allow_unicode=True, sort_keys=False, width=1000).rstrip(),
    )
    text = re.sub(r"\n{3,}", "\n\n", body).strip()
    return f"---\n{metadata(facts, license, datasets).to_yaml()}\n---\n\n{MARK}\n\n{text}\n"


def write(
    run: Run,
    task: Task,
    word: str,
    split: str,
    base_model: str | None = None,
    license: str | None = None,
    datasets: Sequence[str] = (),
    fresh: bool = False,
) -> Path:
    """Writes the card of the variant `word` into its folder; returns its path.

    Raises ToolError where somebody else wrote the README.md that is there, unless `fresh`, and as `gather` and `card` do.
    """
    facts = gather(run, task, word, split, base_model)
    path = facts.variant.folder / NAME
    there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else MARK
    if not fresh and not any(part in there for part in GENERATED):
        raise ToolError(f"{path}: somebody wrote it, so it stays. To write over it: {facts.variant.command('card')} ARGS=--fresh")
    write_text(path, card(facts, license, datasets))
    return path


def cell(text: Any) -> str:
    """Returns foreign text for a table's cell or a sentence: on one line, without meaning to Markdown or HTML, invisible characters written out."""
    line = visible(re.sub(r"\r?\n|\t", " ", str(text)))
    return re.sub(r"([\\`*\[\]<>|&~$#!]|(?<!\w)_|_(?!\w))", r"\\\1", line).strip()  # inside a word, _ means nothing


def code(text: Any) -> str:
    """Returns text as inline code for a table's cell; as a plain cell where it has a character that inline code in a table can't hold."""
    line = str(text)
    return f"`{line}`" if line.isprintable() and line.strip() and not re.search(r"[`|\\]", line) else cell(line)


def fence(text: str, language: str) -> str:
    """Returns a block of code that no backticks in the text can end."""
    marks = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{marks}{language}\n{text}\n{marks}"


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "–"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares what the hub's metadata needs and the run doesn't tell."""
    parser.add_argument("--base-model", metavar="OWNER/NAME", help="the base model's name on the Hugging Face hub, where the run doesn't tell it")
    parser.add_argument(
        "--license", metavar="ID", help="the weights' licence by the hub's identifier (default: the one of base model and data, or unknown)"
    )
    parser.add_argument("--dataset", action="append", default=[], metavar="OWNER/NAME", help="a data set's name on the hub; may be given again")
    parser.add_argument("--fresh", action="store_true", help="write over a README.md that somebody else wrote (make: ARGS=--fresh)")


def main(args: argparse.Namespace) -> None:
    """Writes the card and prints its path."""
    if args.which == "base":
        raise ToolError("--which base: the base model has a card of its own. Choose adapter, best, merged or merged-awq, for example.")
    if args.base_model is not None and args.base_model.count("/") != 1:
        raise ToolError(f"--base-model {args.base_model}: not owner/name, as in Qwen/Qwen2.5-7B-Instruct.")
    run = run_from(args)
    print(write(run, find_task(args.task or run.task), args.which, args.split, args.base_model, args.license, args.dataset, args.fresh))
