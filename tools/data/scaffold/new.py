"""Makes a new task from a data file: guesses its reader, collects its labels, writes task file, prompt and run, and runs the data doctor.

In: a raw file, and a second one for dev where there is one. Out: `conf/task/<task>.yaml`, `data/prompts/<task>_prompt.txt` and
`conf/<model>-<task>-<ner|cls>-lora-sft.yaml`: all three or none, and never over an existing file. A raw file outside the checkout is copied to `data/dataset/`. Then come
the doctor's page, as `make check` prints it, and the next commands. The exit code is 1 where the doctor finds damage (the files stay), or no reader reads the file.

    ./ner new contracts --from ~/contracts.json
    ./ner new contracts --from train.txt --dev dev.txt --reader bio --model Qwen/Qwen2.5-7B-Instruct
"""

from __future__ import annotations

import argparse
import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.chat import prompt
from tools.conf.run import Run, load_run
from tools.conf.task import DATASET, KINDS, TASKS, Task, find_task, load_task
from tools.data.doctor.examine import check
from tools.data.doctor.findings import Place
from tools.data.readers import READERS
from tools.data.readers.row import RawRow
from tools.data.scaffold import new_run, unread
from tools.data.scaffold.account import about_files, about_labels, about_run
from tools.data.scaffold.new_run import ChosenBase
from tools.data.scaffold.new_task import Draft, kind_of, labels_of, prompt_text, task_text
from tools.data.scaffold.raw_files import Raw, need_files, raws_of, share_for_dev
from tools.data.sources import of_kind
from tools.errors import ToolError
from tools.example import Example
from tools.files import replacing_file
from tools.text import one_line, quoted

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


@dataclass(frozen=True)
class Wish:
    """The user's options, beside name and files."""

    reader: str | None = None
    kind: str | None = None
    order: str = "frequency"
    model: str | None = None
    template: str | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="the task's name (make: TASK=…)")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="the annotated data")
    parser.add_argument("--dev", type=Path, metavar="FILE", help="more of it, held out to evaluate on (default: a tenth of the texts of --from)")
    parser.add_argument("--reader", metavar="READER", help=f"the file's format, one of {', '.join(READERS)} (default: guessed from the rows)")
    parser.add_argument("--kind", choices=KINDS, help="the task's kind, where the data has both entities and classes")
    parser.add_argument(
        "--label-order", choices=("frequency", "first"), default="frequency", help="most frequent first, or as they appear (default: %(default)s)"
    )
    usual = f"{new_run.USUAL} where it is in {new_run.MODELS}/, else {new_run.TINY}"
    parser.add_argument("--model", metavar="MODEL", help=f"the base model: a folder, or owner/name on a hub (default: {usual})")
    parser.add_argument(
        "--template", metavar="NAME", help="LLaMA-Factory's name for the base model's chat format, for a model that isn't one of Qwen's text models"
    )


def main(args: argparse.Namespace) -> int:
    """Makes the task. Returns the doctor's exit code."""
    if not args.name or args.source is None:
        raise ToolError('a new task needs a name and a data file: ./ner new NAME --from FILE (make new TASK=NAME ARGS="--from FILE").')
    return new(args.name, args.source, args.dev, Wish(args.reader, args.kind, args.label_order, args.model, args.template))


def new(name: str, source: Path, dev: Path | None, wish: Wish) -> int:
    """Makes a task in the current folder, prints what was made, and examines it. Returns the doctor's exit code.

    Raises ToolError, with nothing written, where a file can't be read or isn't annotated, or where the task exists.
    """
    if not NAME.fullmatch(name):
        raise ToolError(
            f"task {quoted(name)}: a task's name is letters, digits, '-' and '_' (a to z, 60 at most), and begins with a letter or digit."
        )
    files = {"train": source.expanduser(), **({"dev": dev.expanduser()} if dev else {})}
    base = new_run.base_model(wish.model)
    template = new_run.template_of(base, wish.template)
    need_files(files)
    with TemporaryDirectory(prefix="ner-new-") as folder:
        raws = raws_of(name, files, wish.reader, Path(folder))
        draft = _draft(name, raws, wish)
        path = new_run.run_path(base, name, draft.kind)
        task = _staged(draft, Path(folder))
        longest = _longest(task, new_run.as_run(path, base, template), raws) if base.has_tokenizer else None
        texts = {
            TASKS / f"{name}.yaml": task_text(draft),
            Path(draft.prompt): prompt_text(draft),
            path: new_run.run_text(base, template, name, draft.kind, longest),
        }
        _need_free(name, list(texts))
        copies = {raw.place: raw.path for raw in raws if raw.is_outside}
        write_new({**copies, **texts})
    for line in [*about_files(raws, set(copies)), *about_labels(draft), *about_run(draft, base, path, longest, list(texts))]:
        print(line)
    print(flush=True)
    return _examine(name, base, path)


def write_new(files: dict[Path, Path | str]) -> None:
    """Writes files that don't exist yet, each a copy of another file or a text. They appear together, or none of them does."""
    try:
        with ExitStack() as stack:
            for path, content in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                new = stack.enter_context(replacing_file(path))
                if isinstance(content, Path):
                    shutil.copyfile(content, new)
                else:
                    new.write_text(content, encoding="utf-8", newline="\n")
    except BaseException:
        for path in files:
            path.unlink(missing_ok=True)
        raise


def _need_free(name: str, paths: list[Path]) -> None:
    if there := [str(path) for path in paths if path.exists()]:
        raise ToolError(
            f"{', '.join(there)}: there already, and kept; nothing was written. Take another name than {name}, or remove what is there first."
        )


def _draft(name: str, raws: list[Raw], wish: Wish) -> Draft:
    trials = [raw.guess.trial for raw in raws]
    files = " and ".join(str(raw.path) for raw in raws)
    kind = kind_of(trials, wish.kind, files)
    labels, dropped, offered = labels_of(trials, kind, wish.order, files)
    places = {raw.split: str(raw.place) for raw in raws}
    share = None if len(raws) > 1 else share_for_dev(raws[0])
    return Draft(name, kind, raws[0].guess.reader, places, labels, share, offered, dropped)


def _staged(draft: Draft, folder: Path) -> Task:
    """Returns the task read back from its text, before the checkout is touched. Raises ToolError where it differs from the draft."""
    file, prompt = folder / f"{draft.name}.yaml", folder / "prompt.txt"
    file.write_text(task_text(draft), encoding="utf-8")
    prompt.write_text(prompt_text(draft), encoding="utf-8")
    task = load_task(file)
    if (task.labels, task.names, task.raw) != (list(draft.labels), draft.names, draft.raw):
        raise ToolError(f"{draft.name}: YAML can't hold the labels or the raw files' names as they are; write the task file by hand: {unread.PAGE}.")
    return task.model_copy(update={"prompt": prompt})


def _longest(task: Task, run: Run, raws: list[Raw]) -> int | None:
    """Returns the tokens of the longest row, prompt and answer; None where the base model's tokenizer can't be read, which is printed."""
    from tqdm import tqdm

    from tools.data.doctor.cutoff import Cutoff

    try:
        cutoff = Cutoff(run, task, prompt.renderer(task), lambda place, tokens: None)
        for raw in raws:
            for row in tqdm(READERS[task.reader](raw.readable), desc=f"tokens of {raw.split}", unit=" rows", disable=None, leave=False):
                if isinstance(row, RawRow):
                    row = of_kind(row, task)
                    cutoff.add(Place(raw.split, raw.path, row.line), Example("", row.text, row.entities, row.label, row.options))
        cutoff.flush()
    except ToolError as error:
        print(f"rows aren't measured: {one_line(str(error))}")
        return None
    return cutoff.longest


def _examine(name: str, base: ChosenBase, path: Path) -> int:
    """Prints the doctor's page on the new task, then the commands that follow. Returns the doctor's exit code."""
    code = check(find_task(name), [], load_run(path) if base.has_tokenizer else None, DATASET / "check" / name)
    if code:
        print("The written files stay; mend the data first.")
    if base.hub:
        print(f"then: make download ARGS={base.hub}")
    print(f"then: make train CONF={path}")
    return code
