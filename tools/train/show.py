"""Shows one row's way into training: raw line, example, Alpaca row, chat text, and each token with its input id, attention mask and label.

In: a run, and the number of a row in one of its splits. Out: the row at each step, on the page. The ids and labels are LLaMA-Factory's, cut to `cutoff_len` as it cuts.

    ./ner show conf/tiny-qwen2-sample-ner-lora-sft.yaml
    ./ner show conf/tiny-qwen2-topics-cls-lora-sft.yaml --row 7 --split dev --all
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from tools.chat.formats import format_of
from tools.chat.prompt import AlpacaRow
from tools.chat.token_ids import IGNORED, base_tokenizer, trained_ids
from tools.conf.run import DATASET_NAME, Run, dataset_names, run_from
from tools.conf.task import find_task
from tools.data import stamp
from tools.data.raw.lines import text_lines
from tools.data.raw.row import BadRow, RawRow, place_of
from tools.data.sources import Source, sources_of, split_of
from tools.errors import ToolError, all_at_once
from tools.example import Example, read_examples
from tools.text import columns, padded, visible, whole_number
from tools.train.arguments import with_defaults
from tools.train.datasets import Dataset, datasets

ENDS = 6  # tokens that are shown at either end of a long stretch without loss
LONGEST_CHARACTER = 8  # tokens that one character may take
LONGEST_TEXT = 2_000  # characters of a line, a turn or an answer
RAW_LINES = 20  # of one row of a raw file
TITLES = ["position", "token", "input id", "attention mask", "label"]


@dataclass(frozen=True)
class TrainedRow:
    """A row as training sees it: `ids` and `labels` of one length. `cut` is the number of tokens that `cutoff_len` took from prompt and from answer."""

    ids: list[int]
    labels: list[int]
    prompt: int
    cut: tuple[int, int]

    @property
    def mask(self) -> list[int]:
        """The attention mask: 1 everywhere. Zeros come with the padding of a batch."""
        return [1] * len(self.ids)

    @property
    def trained(self) -> int:
        """The number of tokens that have a loss."""
        return sum(label != IGNORED for label in self.labels)


def trained_row(run: Run, row: AlpacaRow) -> TrainedRow:
    """Returns a row's ids and labels as SupervisedDatasetProcessor (llamafactory/data/processor/supervised.py) makes them. Raises ToolError as `trained_ids` does."""
    prompt, answer = trained_ids(run)(row)
    whole, limit = (len(prompt), len(answer)), int(with_defaults(run)["cutoff_len"])
    if sum(whole) > limit:
        from llamafactory.data.processor.processor_utils import infer_seqlen

        form = format_of(run)
        end = int(bool(form and form.efficient_eos))  # the token that LLaMA-Factory adds behind what it has cut
        kept = infer_seqlen(whole[0], whole[1] - end, limit - end)
        prompt, answer = prompt[: kept[0]], answer[: kept[1]] + answer[whole[1] - end :]
    masked = prompt if run.values.get("train_on_prompt") is True else [IGNORED] * len(prompt)
    return TrainedRow(prompt + answer, masked + answer, len(prompt), (whole[0] - len(prompt), whole[1] - len(answer)))


def token_texts(ids: Sequence[int], decode: Callable[[list[int]], str]) -> list[str]:
    """Returns each token's text as Python quotes it. Where several tokens are one character, each is that character and its place among them: `'叶' 1/3`."""
    texts: list[str] = []
    while len(texts) < len(ids):
        start = len(texts)
        for size in range(1, LONGEST_CHARACTER + 1):
            text = decode(list(ids[start : start + size]))
            if "\ufffd" not in text or start + size >= len(ids):
                break
        else:
            size, text = 1, decode([ids[start]])
        texts += [repr(text)] if size == 1 else [f"{text!r} {number}/{size}" for number in range(1, size + 1)]
    return texts


def raw_lines(example: Example, task_name: str, split: str) -> tuple[str, list[str]]:
    """Returns where an example's row stands in the raw file, and its lines there; no lines where the file has none, or holds another text now.

    Raises ToolError where the task or a raw file of it isn't here.
    """
    task = find_task(task_name)
    read, sources = sources_of(task)
    wanted = int(example.id.rpartition("-")[2])
    for name, source in sources.items():
        rows = source.rows(read, f"{task.name} {name}")
        found = next((row for number, row in rows if number == wanted), None)
        if isinstance(found, RawRow) and found.text == example.text and split_of(found, name, task) == split:
            after = next((row.line for _, row in rows if row.line > found.line), None)
            return place_of(source.path, found.line, found.item), _lines(source, found.line, after)
    return (
        f"none of {', '.join(str(source.path) for source in sources.values())} has this text as its row {wanted} now; `make data` reads them anew",
        [],
    )


def _lines(source: Source, first: int, after: int | None) -> list[str]:
    """Returns the lines of a text file from `first` to `after`, without blank ones at the end; none of a folder or a file of bytes."""
    lines: list[str] = []
    for line in text_lines(source.path) if source.path.is_file() else ():
        if isinstance(line, BadRow) or (after is not None and line.line >= after) or len(lines) > RAW_LINES:
            break
        if line.line >= first:
            lines.append(line.text)
    return lines


def page(run: Run, split: str, number: int, everything: bool) -> Iterator[str]:
    """Yields the page's parts, each from what the step before it wrote. Raises ToolError for a split or a row that isn't there."""
    dataset = _dataset(run, split)
    if not 1 <= number <= len(dataset.rows):
        limit = f" (max_samples: {run.values['max_samples']})" if run.values.get("max_samples") else ""
        raise ToolError(f"{dataset.path}: no row {number}; it has {len(dataset.rows):,} rows{limit}, --row counts them from 1.")
    row = dataset.rows[number - 1]
    yield from _before(run, dataset, number)
    yield _part(f"Alpaca row: {dataset.path}, row {number:,} of {len(dataset.rows):,}", *json.dumps(row, ensure_ascii=False, indent=2).splitlines())
    yield from _tokens(run, row, everything)
    if dataset.name not in dataset_names(run.values.get("dataset")):
        yield f"The run doesn't train on {dataset.name}."


def _dataset(run: Run, split: str) -> Dataset:
    """Returns the run's dataset of a split, or else of that name in dataset_info.json. Raises ToolError with everything wrong with it."""
    names = [*dataset_names(run.values.get("dataset")), *dataset_names(run.values.get("eval_dataset"))]
    of_split = [name for name in names if (match := DATASET_NAME.fullmatch(name)) and match["split"] == split]
    own = split == "train" and not any(map(DATASET_NAME.fullmatch, names))  # a user's own entry, whatever its name
    name = of_split[0] if of_split else names[0] if own else f"alpaca_{run.task}_{split}"
    [dataset], _ = datasets(replace(run, values={**run.values, "dataset": name, "eval_dataset": None}))
    all_at_once(dataset.problems or stamp.problems(run.dataset, [name]))
    if not dataset.read:
        raise ToolError(f"{run.path}: dataset {name} isn't a local Alpaca file, and nothing else is read here.")
    return dataset


def _before(run: Run, dataset: Dataset, number: int) -> Iterator[str]:
    """Yields what an Alpaca row was made of: the raw line and the example. Nothing for a dataset that `make data` didn't write."""
    match = DATASET_NAME.fullmatch(dataset.name)
    path = match and run.dataset / "examples" / f"{match['task']}_{match['split']}.jsonl"
    if not (match and path and path.is_file()):
        return
    example = next(islice(read_examples(path), number - 1, None), None)
    if example is None:
        raise ToolError(f"{path}: no row {number}, though {dataset.path} has one. To write both again: make data TASK={match['task']}")
    try:
        place, lines = raw_lines(example, match["task"], match["split"])
    except ToolError as error:
        place, lines = f"not here. {error}", []
    more = ["…"] if len(lines) > RAW_LINES else []
    yield _part(f"raw line: {place}", *lines[:RAW_LINES], *more)
    yield _part(f"example: {path}, line {number:,}", example.to_json())


def _tokens(run: Run, row: AlpacaRow, everything: bool) -> Iterator[str]:
    found, decode = trained_row(run, row), base_tokenizer(run).decode
    prompt, answer = found.ids[: found.prompt], found.ids[found.prompt :]
    thinks = {key: run.values[key] for key in ("enable_thinking",) if key in run.values}
    settings = ", ".join(f"{key}: {json.dumps(value)}" for key, value in {"template": run.values.get("template"), **thinks}.items())
    yield _part(f"chat text, the prompt ({settings})", *decode(prompt).split("\n"))
    yield _part("chat text, the answer", *decode(answer).split("\n"))
    yield _part("tokens", *_table(found, token_texts(prompt, decode) + token_texts(answer, decode), everything))
    limit, cut = int(with_defaults(run)["cutoff_len"]), found.cut
    length = f"{len(found.ids):,} of cutoff_len {limit:,}; " + (
        f"the last {cut[0]:,} tokens of the prompt and the last {cut[1]:,} of the answer are cut off, and `make train` refuses such a run"
        if any(cut)
        else "nothing is cut"
    )
    yield f"length   {length}\ntrained  {found.trained:,} of {len(found.ids):,} tokens; the others have the label {IGNORED}, which the loss leaves out"


def _table(found: TrainedRow, texts: list[str], everything: bool) -> list[str]:
    """Returns the table of tokens. Of more than 2 * ENDS tokens in a row without loss only the ends are shown, unless `everything` is."""
    values = zip(texts, found.ids, found.mask, found.labels, strict=True)
    rows = [[str(place), visible(text), str(id), str(seen), str(label)] for place, (text, id, seen, label) in enumerate(values)]
    masked = [label == IGNORED for label in found.labels]
    starts = [0, *(place for place, (one, other) in enumerate(pairwise(masked), 1) if one != other), len(rows)]
    shown: list[list[str]] = [TITLES]
    for start, stop in pairwise(starts):
        if everything or not masked[start] or stop - start <= 2 * ENDS + 1:
            shown += rows[start:stop]
            continue
        gap = f"… {stop - start - 2 * ENDS:,} more tokens without loss, label {IGNORED}; all of them: --all"
        shown += [*rows[start : start + ENDS], [gap], *rows[stop - ENDS : stop]]
    widths = [max(columns(row[place]) for row in shown if len(row) > 1) for place in range(len(TITLES))]
    return [_line(row, widths) if len(row) > 1 else f"{'':{widths[0]}}  {row[0]}" for row in shown]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Returns a line of the table: the token's text to the left of its column, numbers to the right."""
    return "  ".join(padded(cell, width if place == 1 else -width) for place, (cell, width) in enumerate(zip(cells, widths, strict=True)))


def _part(title: str, *lines: str) -> str:
    return "\n".join([f"== {title}", *(_short(visible(line)) for line in lines), ""])


def _short(line: str) -> str:
    return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}… ({len(line) - LONGEST_TEXT:,} characters more)"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the words of `./ner show`."""
    parser.add_argument("--row", type=whole_number(1, 10**12), default=1, metavar="N", help="the row of the split, from 1 (default: 1)")
    parser.add_argument("--split", default="train", metavar="NAME", help="the data split (default: train; make: SPLIT=…)")
    parser.add_argument("--all", action="store_true", help="show every token, those without loss too")


def main(args: argparse.Namespace) -> None:
    """Prints the row at each step."""
    for part in page(run_from(args), args.split, args.row, args.all):
        print(part)
