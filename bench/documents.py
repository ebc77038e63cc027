"""Measures what cutting a long text into windows costs: a split's sentences, joined into documents, against the same sentences asked one by one.

In: a trained run and a split's examples. Out: F1 of both, by set and by span, counted sentence by sentence, in
bench/results/documents-<run>.md. One server answers all.

    .venv/train/bin/python -m bench.documents conf/tiny-qwen2-sample-ner-lora-sft.yaml
    .venv/train/bin/python -m bench.documents conf/tiny-qwen2-sample-ner-lora-sft.yaml --split heldout --lengths 2000 200000
"""

from __future__ import annotations

import argparse
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.chain import machine
from bench.real import table
from tools.answers import Span
from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.demo import free_port
from tools.errors import run as run_tool
from tools.example import Example, read_examples
from tools.extract.annotate import understood
from tools.files import write_text
from tools.predict.client import engine_of
from tools.predict.predictions import Prediction
from tools.predict.questions import Asking, by_row, combined, questions
from tools.predict.server import serving
from tools.score.counts import Counts
from tools.text import neutralise, whole_number
from tools.train.machine import gpus

BETWEEN = {"nothing": "", "a line end": "\n"}  # what stands between the sentences of a document
ENDS, CLOSING = "。！？!?；;…", "”’」』）)】]》"  # of a sentence


@dataclass(frozen=True)
class Document:
    """Sentences as one text; `starts` are their places in it."""

    whole: Example
    sentences: list[Example]
    starts: list[int]


@dataclass(frozen=True)
class Found:
    """What one way of asking found: each sentence's spans, and the number of questions."""

    spans: dict[str, set[Span]]
    asked: int


def documents(sentences: Sequence[Example], length: int, between: str) -> Iterator[Document]:
    """Yields documents of at least `length` characters, the last one apart."""
    some: list[Example] = []
    for number, one in enumerate(sentences):
        some.append(one)
        if sum(len(sentence.text) + len(between) for sentence in some) >= length or number == len(sentences) - 1:
            starts = [sum(len(before.text) + len(between) for before in some[:place]) for place in range(len(some))]
            yield Document(Example(f"document-{some[0].id}", between.join(sentence.text for sentence in some), []), some, starts)
            some = []


def ask(asking: Asking, url: str | None, port: int, groups: Sequence[Document], cut: bool = True) -> Found:
    """Asks for the documents, and returns what was found in each sentence. An entity belongs to the sentence in which it begins. Unless `cut`, each is asked whole."""
    answers: dict[str, Prediction] = {}

    def keep(prediction: Prediction) -> None:
        answers[prediction.id] = prediction

    with serving(asking.run, asking.variant, url, port) as server:
        engine = engine_of(server, asking, 64)
        asked = list(questions(asking.task, [one.whole for one in groups], asking.decoding, asking.thinking.before, asking.reach if cut else None))
        engine.answer(asked, keep)
    spans: dict[str, set[Span]] = {sentence.id: set() for one in groups for sentence in one.sentences}
    for one, row in zip(groups, by_row(asked), strict=True):
        for label, start, end in understood(asking.task, one.whole, combined(row, answers), asking.thinking).spans:
            place = bisect_right(one.starts, start) - 1
            spans[one.sentences[place].id].add((label, start - one.starts[place], end - one.starts[place]))
    return Found(spans, len(asked))


def counts(found: Found, sentences: Sequence[Example]) -> tuple[Counts, Counts]:
    """Returns the counts by set of (label, string) and by span."""
    by_set, by_span = Counts(), Counts()
    for one in sentences:
        text, gold = neutralise(one.text), {(entity.label, entity.start, entity.end) for entity in one.entities}
        guess = found.spans[one.id]
        for span in gold | guess:
            by_span.add(span in guess, span in gold)
        pairs, wanted = ({(label, text[start:end]) for label, start, end in side} for side in (guess, gold))
        for pair in pairs | wanted:
            by_set.add(pair in pairs, pair in wanted)
    return by_set, by_span


def report(name: str, split: str, rows: list[list[str]], reach: str) -> str:
    """Returns the Markdown page."""
    return (
        "\n".join(
            [
                f"# Long texts with {name}",
                "",
                f"{gpus()[0].name if gpus() else machine()}. Made by `.venv/train/bin/python -m bench.documents`: the sentences of {split}, one by one and joined into documents.",
                f"{reach} An entity that reaches over a sentence's end, or whose string isn't in its window, counts as wrong or not at all.",
                "",
                *table(rows),
                "",
                "F1 is counted sentence by sentence in all rows: sets of (label, string), and spans.",
            ]
        )
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.documents", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("conf", type=Path, metavar="conf/<run>.yaml")
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value")
    parser.add_argument("--split", default="dev", help="default: dev")
    parser.add_argument(
        "--lengths", type=whole_number(1, 1_000_000), nargs="+", default=[500, 2000, 20_000], metavar="N", help="characters a document"
    )
    parser.add_argument(
        "--whole", type=whole_number(1, 1_000_000), nargs="+", default=[], metavar="N", help="characters of documents that are asked whole too"
    )
    parser.add_argument("--rows", type=whole_number(1, 1_000_000), metavar="N", help="the first N sentences (default: all)")
    parser.add_argument("--url", metavar="URL", help="a server that runs already (default: start one)")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), metavar="DIR", help="the page's folder (default: bench/results)")
    args = parser.parse_args()
    run = load_run(args.conf, args.overrides)
    asking = Asking(run, find_task(run.task), args.split, run.variant("adapter"))
    sentences = list(read_examples(asking.source))[: args.rows]
    ended = [one for one in sentences if one.text.rstrip(CLOSING).endswith(tuple(ENDS))]
    rows = [["sentences", "document", "between sentences", "documents", "questions", "F1, set", "F1, span"]]
    with serving(run, asking.variant, args.url, free_port()) as server:
        for name, some in (("all", sentences), ("that end with a sentence's end", ended)):
            ways = [(1, "nothing", False), *((length, between, True) for length in args.lengths for between in BETWEEN)]
            ways += [(length, between, False) for length in args.whole for between in BETWEEN]
            for length, between, cut in ways if some else []:
                groups = list(documents(some, length, BETWEEN[between]))
                found = ask(asking, server.url, 0, groups, cut)
                by_set, by_span = (f"{one.to_dict()['f1']:.4f}" for one in counts(found, some))
                document = "one sentence" if length == 1 else f"{length:,} characters" + ("" if cut else ", asked whole")
                figures = [f"{len(groups):,}", f"{found.asked:,}", by_set, by_span]
                rows.append([f"{len(some):,}, {name}", document, "" if length == 1 else between, *figures])
                print(" | ".join(rows[-1]), flush=True)
    reach = asking.reach
    page = report(run.name, args.split, rows, f"Training showed {reach.longest:,} characters at most; a window has {reach.usual:,}." if reach else "")
    path = args.out / f"documents-{run.name}.md"
    write_text(path, page)
    print(f"\n{page}\n→ {path}")


if __name__ == "__main__":
    run_tool(main)
