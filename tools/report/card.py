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
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.conf.run import Run, run_from
from tools.conf.task import Task, find_task
from tools.errors import ToolError, choices
from tools.files import read_text, write_text
from tools.report.card_facts import LABELS, OPTIONS, Facts, gather, id_problem
from tools.report.card_public import public, public_text
from tools.score.score_file import Score
from tools.text import visible

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

NAME = "README.md"
TEMPLATE = Path(__file__).with_suffix(".md")
MARK = "<!-- `make card` writes this page anew. To keep your own changes, remove this line. -->"
# A README.md that has one of these is written over: a card of ours, or a template of transformers' Trainer or of PEFT that nobody filled in.
GENERATED = (
    MARK,
    "## Model description\n\nMore information needed\n\n## Intended uses & limitations\n\nMore information needed\n",
    "<!-- Provide a quick summary of what the model is/does. -->\n\n\n\n## Model Details\n",
)
# The hub's identifiers of licences (huggingface.co/docs/hub/repositories-licenses) that models and data sets are usually under.
LICENSES = re.findall(
    r"\S+",
    "afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bigscience-bloom-rail-1.0 bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 cc cc-by-2.0 "
    "cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 "
    "cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 eupl-1.1 gemma gfdl gpl "
    "gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 llama2 llama3 llama3.1 llama3.2 llama3.3 mit mpl-2.0 ms-pl ncsa odbl odc-by openrail openrail++ osl-3.0 other pddl "
    "postgresql unknown unlicense wtfpl zlib",
)
VAGUE = {"other", "unknown", "cc", "bsd", "gpl", "lgpl"}  # words that name no single licence in a sentence
METHOD_TAGS = {"PREFIX_TUNING": "p-tuning-v2", "P_TUNING": "p-tuning"}


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


def metadata(facts: Facts, license: str | None = None, datasets: Sequence[str] = ()) -> ModelCardData:
    """Returns the head of the card. `license` and `datasets` (names on the hub) come from the user; else the licence is that of `license_of`.

    A base model stands in it only where its name on a hub is known. Raises ToolError for a name or licence that the hub wouldn't take.
    """
    from huggingface_hub import ModelCardData

    if license is not None and license not in LICENSES:
        raise ToolError(
            f"--license {license}: not an identifier of the hub.{choices(license, LICENSES)} See huggingface.co/docs/hub/repositories-licenses."
        )
    for name in filter(None, [*datasets, facts.base.id]):
        if problem := id_problem(name):
            raise ToolError(f"{name}: not a name on the hub: {problem}")
    variant, results = facts.variant, eval_results(facts, datasets)
    head: dict[str, Any] = {"language": ["zh"], "license": license or license_of(facts), "pipeline_tag": "text-generation", "tags": tags(facts)}
    head["library_name"] = "peft" if variant.is_adapter else "transformers"
    if facts.base.id:
        relation = "adapter" if variant.is_adapter else "quantized" if variant.quantization else "finetune"
        head |= {"base_model": facts.base.id, "base_model_relation": relation}
    if datasets:
        head["datasets"] = list(datasets)
    if results:
        head |= {"metrics": sorted({result.metric_type for result in results}), "model_name": facts.run.name, "eval_results": results}
    return ModelCardData(**head)


def license_of(facts: Facts) -> str:
    """Returns the licence that both the base model's card and the task's `source` name, where `source` names no other; else 'unknown'."""
    words = set(re.findall(r"[a-z0-9][a-z0-9.+-]*[a-z0-9+]", facts.task.source.lower()))
    return facts.base.license if words & set(LICENSES) - VAGUE == {facts.base.license} else "unknown"


def tags(facts: Facts) -> list[str]:
    """Returns the words that a reader may search for."""
    task = ["ner", "named-entity-recognition", "information-extraction"] if facts.task.kind == "ner" else ["text-classification"]
    trained_by = "llama-factory" if facts.run.engine == "llamafactory" else "peft"
    quantised = [str(facts.variant.quantization), "compressed-tensors"] if facts.variant.quantization else []
    served = ["vllm"] if facts.variant.is_merged or not facts.adapter.refused else []
    return [*task, "chinese", METHOD_TAGS.get(facts.adapter.kind, "lora"), trained_by, *quantised, *served]


def eval_results(facts: Facts, datasets: Sequence[str] = ()) -> list[EvalResult]:
    """Returns the model-index: the evaluations of the card's own model that are up to date, grouped by split as the hub groups them."""
    from huggingface_hub import EvalResult

    ner, task = facts.task.kind == "ner", facts.task.name
    own = [one for one in facts.fresh if one.variant.word == facts.variant.word]
    own.sort(key=lambda one: (one.meta.split != facts.split, one.meta.split, one.meta.examples_sha256, one.meta.decoding))
    return [
        EvalResult(
            task_type="token-classification" if ner else "text-classification",
            task_name="Named Entity Recognition" if ner else "Text Classification",
            dataset_type=datasets[0] if len(datasets) == 1 else task,
            dataset_name=task,
            dataset_split=one.meta.split,
            dataset_revision=one.meta.examples_sha256,
            metric_type=kind,
            metric_name=name + (", schema decoding" if one.meta.decoding == "schema" else ""),
            metric_value=value,
        )
        for one in own
        for kind, name, value in _metrics(one.score)
    ]


def _metrics(score: Score) -> Iterator[tuple[str, str, float]]:
    if "accuracy" in score:
        yield "accuracy", "Accuracy", score["accuracy"]
    yield "f1", "F1 (micro)", score["micro"]["f1"]
    yield "f1", "F1 (macro)", score["macro"]["f1"]
    yield "precision", "Precision (micro)", score["micro"]["precision"]
    yield "recall", "Recall (micro)", score["micro"]["recall"]
    if "unseen" in score:
        yield "f1", "F1 (micro, entities unseen in train)", score["unseen"]["f1"]


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
    """Declares the options for what the hub's metadata needs and the run doesn't hold."""
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
