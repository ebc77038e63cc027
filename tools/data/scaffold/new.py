"""Makes a new task from a data file: guesses its reader, collects its labels, writes task file, prompt and run, and runs the data doctor.

In: a raw file, and a second one for dev where there is one. Out: `conf/task/<task>.yaml`, `data/prompts/<task>_prompt.txt` and
`conf/<model>-<task>-<ner|cls>-lora-sft.yaml`: all three or none, and never over an existing file. A raw file outside the checkout is copied to `data/dataset/`. The verb
then prints the doctor's page, as `make check` does, and the next commands. The exit code is 1 where the doctor finds damage (the files stay), or no reader reads the file.

    ./ner new contracts --from ~/contracts.json
    ./ner new contracts --from train.txt --dev dev.txt --reader bio --model Qwen/Qwen2.5-7B-Instruct
    ./ner new contracts --from table.csv --set fields.text=正文 fields.label=类别
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.chat import prompt
from tools.conf.run import Run, load_run
from tools.conf.task import DATASET, KINDS, TASKS, Task, find_task, load_task
from tools.data.doctor.examine import check
from tools.data.faults import alike
from tools.data.raw.row import LONE_SURROGATE, FileReading, RawRow
from tools.data.readers import READERS
from tools.data.scaffold import new_run
from tools.data.scaffold.chat_format import chat_format, said_format
from tools.data.scaffold.labels import doubt, kind_of, labels_of
from tools.data.scaffold.new_run import ChosenBase
from tools.data.scaffold.new_task import Draft, prompt_text, task_text
from tools.data.scaffold.raw_files import Raw, heed_offsets, raws_of, share_for_dev
from tools.data.scaffold.said import Said, option, said
from tools.data.scaffold.unread import PAGE
from tools.data.sources import Source, of_kind
from tools.errors import ToolError
from tools.example import Example
from tools.files import Transaction, replacing
from tools.text import fold, one_line, quoted

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
SHOWN = 20  # labels on the screen


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options."""
    parser.add_argument("name", metavar="NAME", help="the task's name (make: TASK=…)")
    parser.add_argument("--from", dest="source", type=Path, required=True, metavar="FILE", help="the annotated data")
    parser.add_argument("--dev", type=Path, metavar="FILE", help="more of it, held out to evaluate on (default: a tenth of the texts of --from)")
    parser.add_argument("--reader", metavar="READER", help=f"the file's format, one of {', '.join(READERS)} (default: guessed from the rows)")
    parser.add_argument(
        "--kind", choices=KINDS, help="the task's kind, where the data has both entities and classes, or where its labels look like something else"
    )
    parser.add_argument(
        "--set",
        dest="words",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="what the reader has to know: fields.text=正文, numbers=[O,B-PER,I-PER], offsets=utf-16; written into the task file",
    )
    parser.add_argument(
        "--label-order", choices=("frequency", "first"), default="frequency", help="most frequent first, or as they appear (default: %(default)s)"
    )
    usual = f"{new_run.USUAL} where it is in {new_run.MODELS}/, else {new_run.TINY}"
    parser.add_argument("--model", metavar="MODEL", help=f"the base model: a folder, or owner/name on a hub (default: {usual})")
    parser.add_argument(
        "--template", metavar="NAME", help="LLaMA-Factory's name for the base model's chat format, for a model that isn't one of Qwen's text models"
    )


def main(args: argparse.Namespace) -> int:
    """Makes a task in the current folder, prints what was made, and examines it. Returns the doctor's exit code.

    Raises ToolError, with nothing written, where a file can't be read or isn't annotated, or where the task exists.
    """
    name = args.name
    if not NAME.fullmatch(name):
        raise ToolError(
            f"task {quoted(name)}: a task's name is letters, digits, '-' and '_' (a to z, 60 at most), and begins with a letter or digit."
        )
    base = new_run.base_model(args.model)
    form = said_format(args.template) if args.template else chat_format(base.folder)
    files = {split: path.expanduser() for split, path in (("train", args.source), ("dev", args.dev)) if path}
    with TemporaryDirectory(prefix="ner-new-") as folder:
        asked = said(args.words)
        raws = raws_of(name, files, args.reader, asked, Path(folder))
        # Names of numbers that the reader found beside the file; a copy of the file has no such neighbour.
        asked = asked._replace(numbers=tuple(raws[0].trial.reading.numbers))
        heeded = heed_offsets(raws, asked)
        draft = _draft(name, raws, args.kind, args.label_order, heeded)
        path = new_run.run_path(base, name, draft.kind)
        task = _staged(draft, Path(folder))
        measured = Run(path, {"model_name_or_path": str(base.folder), **form.values, "output_dir": f"data/outputs/{path.stem}"})
        longest = _longest(task, measured, raws) if base.has_tokenizer else None
        copied = [raw for raw in raws if raw.copies]
        texts = {
            TASKS / f"{name}.yaml": task_text(draft),
            Path(draft.prompt): prompt_text(draft),
            path: new_run.run_text(base, form, name, draft.kind, longest),
        }
        _write(raws, texts)
    print(
        *_about_files(raws, copied),
        *_about_labels(draft),
        f"written: {', '.join(map(str, texts))}",
        *_about_run(draft, base, path, longest),
        sep="\n",
    )
    print(flush=True)
    return _examine(name, base, path)


def _draft(name: str, raws: list[Raw], asked: str | None, order: str, heeded: Said) -> Draft:
    """Returns the task to be written. Raises ToolError where its labels look like something else, and no --kind says that they are right."""
    trials = [raw.trial for raw in raws]
    files = " and ".join(str(raw.path) for raw in raws)
    kind = kind_of(trials, asked, files)
    labels = labels_of(trials, kind, order, files)
    if why := doubt(trials, kind, labels, heeded):
        if not asked:
            raise ToolError(f"{files}: {why}. To take them all the same: {option('--kind', kind)}.")
        print(f"remark: {why}.")
    share = None if len(raws) > 1 else share_for_dev(raws[0], heeded)
    return Draft(name, kind, trials[0].reader, {raw.split: str(raw.place) for raw in raws}, labels, share, heeded)


def _staged(draft: Draft, folder: Path) -> Task:
    """Returns the task read back from its text, before the checkout is touched. Raises ToolError where it differs from the draft."""
    file, template = folder / f"{draft.name}.yaml", folder / "prompt.txt"
    file.write_text(task_text(draft), encoding="utf-8")
    template.write_text(prompt_text(draft), encoding="utf-8")
    task = load_task(file)
    read_back = Said(task.fields, tuple(task.numbers), task.offsets)
    if (task.labels, task.names, task.raw, read_back) != (list(draft.labels), draft.names, draft.raw, draft.said):
        raise ToolError(f"{draft.name}: YAML can't hold the labels or the raw files' names as they are; write the task file by hand: {PAGE}.")
    return task.changed(prompt=template)


def _longest(task: Task, run: Run, raws: list[Raw]) -> int | None:
    """Returns the tokens of the longest row, prompt and answer; None where the base model's tokenizer can't be read, which is printed."""
    from tools.chat.token_ids import token_counter

    try:
        count = token_counter(run)
        return max((count([row])[0] for row in _alpaca_rows(task, raws)), default=0)
    except ToolError as error:
        print(f"rows aren't measured: {one_line(str(error))}")
        return None


def _alpaca_rows(task: Task, raws: list[Raw]) -> Iterator[prompt.AlpacaRow]:
    """Yields each row as training sees it, but for rows that no tokenizer takes."""
    render = prompt.renderer(task)
    for raw in raws:
        source = Source(raw.readable, offsets=task.offsets, reading=FileReading(task.fields, task.numbers))
        for _, row in source.rows(READERS[task.reader], f"tokens of {raw.split}"):
            if isinstance(row, RawRow):
                row = of_kind(row, task)
                alpaca = prompt.alpaca(task, Example("", row.text, row.entities, row.label, row.options), render)
                if not LONE_SURROGATE.search(alpaca["input"] + alpaca["output"]):
                    yield alpaca


def _write(raws: list[Raw], texts: dict[Path, str]) -> None:
    """Copies the raw files and writes the texts, all or none. Raises ToolError where one of the texts' files is there already."""
    if there := [str(path) for path in texts if path.exists()]:
        raise ToolError(f"{', '.join(there)}: there already, and kept; nothing was written. Take another name, or remove what is there first.")
    with Transaction() as new, ExitStack() as folders:
        for raw in raws:
            # A folder may have more files than a process may have open.
            folder = folders.enter_context(replacing(raw.place)) if raw.copies and raw.path.is_dir() else None
            for place, file in raw.copies.items():
                copy = folder / place.relative_to(raw.place) if folder else Path(new.open(place).name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        for place, text in texts.items():
            new.open(place).write(text)


def _about_files(raws: list[Raw], copied: list[Raw]) -> Iterator[str]:
    """Yields each raw file's format, an annotation as it was read, the numbers of rows, and the place of a copy."""
    for raw in raws:
        trial = raw.trial
        yield f"{raw.path}: reader {trial.reader}, because {trial.reason}; {trial.sample}"
        if trial.refusals:
            yield f"  {trial.refusals:,} row{'s' * (trial.refusals > 1)} can't be read; the doctor gives the reasons, below."
        if raw in copied:
            yield f"  copied unchanged to {raw.place}; the task names that copy."


def _about_labels(draft: Draft) -> Iterator[str]:
    """Yields the task's labels with their counts, and a remark on each thing that the user should look at."""
    number = len(draft.labels)
    if not number:
        yield f"{draft.kind}: every row offers its own options, so the task lists no labels."
        return
    counted = "entities" if draft.kind == "ner" else "rows"
    shown = ", ".join(f"{one_line(label)} {count:,}" for label, count in list(draft.labels.items())[:SHOWN])
    more = f", and {number - SHOWN:,} more" if number > SHOWN else ""
    yield f"{draft.kind}: {draft.labels.total():,} {counted}, {number:,} label{'s' * (number > 1)}: {shown}{more}."
    renamed = [f"{one_line(quoted(label))} → {quoted(name)}" for label, name in draft.names.items() if label != name]
    if renamed:
        yield f"remark: a prompt can't hold these labels as they are, so prompt and answers have other names: {', '.join(renamed[:SHOWN])}."
    for group in alike(label for label, _ in draft.labels.most_common())[:SHOWN]:
        counts = ", ".join(f"{one_line(quoted(label))} {draft.labels[label]:,}" for label in group)
        first, by_hand = one_line(quoted(group[0])), len({*map(fold, group)}) > 1
        way = (
            "by hand in the raw file"
            if by_hand
            else f"leave {first} alone in the task file and the prompt, then make check TASK={draft.name} ARGS=--fix"
        )
        yield f"remark: these labels differ in case, width or spaces alone: {counts}. If they are one, write it in one way: {way}."
    if number == 1 and draft.kind == "classification":
        yield "remark: one label only: there is nothing to choose from."


def _about_run(draft: Draft, base: ChosenBase, run: Path, longest: int | None) -> Iterator[str]:
    """Yields the run's base model and cutoff_len, and what the user has to add by hand."""
    if base.is_tiny:
        yield f"The run trains the embedded {base.name}: every step works on a CPU, and the score will be low. For a GPU, repeat it with --model {new_run.USUAL}."
    if longest:
        yield f"The longest row has {longest:,} tokens, so cutoff_len is {new_run.cutoff_of(longest, base):,}."
        if base.positions and longest > base.positions:
            yield f"remark: {base.name} takes {base.positions:,} tokens at most. Leave the longer rows out, or take a model that reads more."
    elif not base.has_tokenizer:
        yield f"{base.folder} isn't here yet, so no row was measured. After the download: make check TASK={draft.name} CONF={run}"
    meanings = f", and each label's meaning, behind it in {draft.prompt}" if draft.labels else ""
    yield f"To do by hand: `source` in {TASKS / draft.name}.yaml{meanings}."


def _examine(name: str, base: ChosenBase, path: Path) -> int:
    """Prints the doctor's page on the new task, then the commands that follow. Returns the doctor's exit code."""
    code = check(find_task(name), [], load_run(path) if base.has_tokenizer else None, DATASET / "check" / name)
    if code:
        print("The written files stay; mend the data first.")
    if base.hub:
        print(f"then: make download ARGS={base.hub}")
    print(f"then: make train CONF={path}")
    return code
