"""A new task from a data file: guesses its reader, collects its labels, writes task file, prompt and run, and lets the data doctor look.

In: a raw file (and one for dev, if there is one). Out: `conf/task/<task>.yaml`, `data/prompts/<task>_prompt.txt` and `conf/<model>-<task>-<ner|cls>-lora-sft.yaml`,
all three or none, and none that is there already is touched. A raw file outside the checkout is copied to `data/dataset/`. Then the doctor's page, as
`make check` prints it, and the next commands. Exit code 1 where the doctor finds damage (the files stay), or where no reader reads the file.

    python -m tools.data.scaffold.new contracts --from ~/contracts.json
    python -m tools.data.scaffold.new contracts --from train.txt --dev dev.txt --reader bio --model Qwen/Qwen2.5-7B-Instruct
"""

from __future__ import annotations

import argparse
import filecmp
import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tools.chat import prompt
from tools.conf.run import Run, load_run
from tools.conf.task import DATASET, KINDS, TASKS, Shares, Task, find_task, load_task
from tools.data.doctor.encodings import encoding_of, write_as_utf8
from tools.data.doctor.examine import check
from tools.data.doctor.findings import Place
from tools.data.readers import READERS
from tools.data.readers.row import RawRow
from tools.data.scaffold import new_run, unread
from tools.data.scaffold.guess import FORMS, Guess, NoReader, guess
from tools.data.scaffold.new_run import Base
from tools.data.scaffold.new_task import MANY, Draft, kind_of, labels_of, prompt_path, prompt_text, task_text
from tools.data.sources import of_kind, share_of
from tools.errors import WANTING, ToolError, run
from tools.example import Example
from tools.files import need_file, replacing_file
from tools.text import LONGEST_LABEL, one_line, quoted

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
SHARES = (0.1, 0.2, 0.3, 0.5)  # of a single file that becomes dev: the first that leaves no split empty
FEW = 200  # rows below which a tenth of them may be none
SHOWN = 20  # labels on the screen
CHUNK = 1 << 22


class Raw(NamedTuple):
    """A raw file: the split that it is for, where it lies, where it is named (below the checkout), a UTF-8 form of it, and what stands in it."""

    split: str
    path: Path
    place: Path
    readable: Path
    guess: Guess

    @property
    def is_copied(self) -> bool:
        """Whether it has yet to be put where the task names it."""
        return not self.place.exists()


@dataclass(frozen=True)
class Wish:
    """What the user said, beside name and files."""

    reader: str | None = None
    kind: str | None = None
    order: str = "frequency"
    model: str | None = None
    template: str | None = None


def main() -> int:
    args = _parser().parse_args()
    if not args.name or args.source is None:
        raise ToolError("a new task needs a name and a data file: make new TASK=name FROM=file (without make: NAME --from FILE).")
    return new(args.name, args.source, args.dev, Wish(args.reader, args.kind, args.label_order, args.model, args.template))


def new(name: str, source: Path, dev: Path | None, wish: Wish) -> int:
    """Make a task in the checkout that is the current folder, print what was made, examine it; the doctor's exit code.

    Raises ToolError, having written nothing, where a file can't be read or isn't annotated, or where the task is there already.
    """
    if not NAME.fullmatch(name):
        raise ToolError(
            f"task {quoted(name)}: a task's name is letters, digits, '-' and '_' (a to z, 60 at most), and begins with a letter or digit."
        )
    files = {"train": source.expanduser(), **({"dev": dev.expanduser()} if dev else {})}
    base = new_run.base_model(wish.model)
    template = new_run.template_of(base, wish.template)
    _need_files(name, files, base)
    with TemporaryDirectory(prefix="ner-new-") as folder:
        raws = _raws(name, files, wish.reader, Path(folder))
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
        writers = {raw.place: _copying(raw.path) for raw in raws if raw.is_copied}
        write_new(writers | {file: _writing(text) for file, text in texts.items()})
    for line in [*_about_files(raws, writers), *_about_labels(draft), *_about_run(draft, base, path, longest, list(texts))]:
        print(line)
    print(flush=True)
    return _examine(name, base, path)


def write_new(files: dict[Path, Callable[[Path], None]]) -> None:
    """Files that aren't there yet, each written by its function: they appear together, or none of them does."""
    try:
        with ExitStack() as stack:
            for path, write in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                write(stack.enter_context(replacing_file(path)))
    except BaseException:
        for path in files:
            path.unlink(missing_ok=True)
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.data.scaffold.new", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("name", nargs="?", metavar="NAME", help="the task's name (make: TASK=…)")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="the annotated data (make: FROM=…)")
    parser.add_argument(
        "--dev", type=Path, metavar="FILE", help="more of it, held out to evaluate on (make: DEV=…); default: a tenth of FROM's texts"
    )
    parser.add_argument("--reader", metavar="READER", help=f"which format it is, where that can't be told (make: READER=…): {', '.join(FORMS)}")
    parser.add_argument("--kind", choices=KINDS, help="what the task is about, where the data has both entities and classes")
    parser.add_argument(
        "--label-order", choices=("frequency", "first"), default="frequency", help="most frequent first, or as they appear (default: %(default)s)"
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help=f"the base model: a folder, or owner/name on a hub (make: MODEL=…); default: {new_run.USUAL} if it is in {new_run.MODELS}, else {new_run.TINY}",
    )
    parser.add_argument(
        "--template", metavar="NAME", help="LLaMA-Factory's name for the base model's chat format, where it isn't one of Qwen's text models"
    )
    return parser


def _need_files(name: str, files: dict[str, Path], base: Base) -> None:
    """Raise ToolError for a file that isn't here or is meant twice, and for a task that is."""
    for split, path in files.items():
        need_file(path, "Say where the annotated data is: FROM=…" if split == "train" else "DEV=… names it.")
    if (dev := files.get("dev")) and dev.samefile(files["train"]):
        raise ToolError(f"{dev}: FROM and DEV are one file. Without DEV a part of it is held out, the same texts always on the same side.")
    own = [TASKS / f"{name}.yaml", Path(prompt_path(name))]
    if any(path.exists() for path in own):
        _need_free(name, [*own, *(new_run.run_path(base, name, kind) for kind in KINDS)])


def _need_free(name: str, paths: list[Path]) -> None:
    if there := [str(path) for path in paths if path.exists()]:
        raise ToolError(
            f"{', '.join(there)}: there already, and kept; nothing was written. Take another name than TASK={name}, or remove what is there first."
        )


def _raws(name: str, files: dict[str, Path], reader: str | None, folder: Path) -> list[Raw]:
    """Every file with its reader, which is the first one's; files that aren't in UTF-8 are copied to it below `folder`."""
    raws: list[Raw] = []
    for split, path in files.items():
        readable, codec = path, encoding_of(path).codec
        if codec != "utf-8":
            readable = folder / f"{split}{path.suffix}"
            write_as_utf8(path, codec, readable)
        try:
            found = guess(readable, raws[0].guess.reader if raws else reader, str(path))
        except NoReader as error:
            raise ToolError(unread.explain(readable, error.readings, str(path)), WANTING) from None
        raws.append(Raw(split, path, _place(name, split, path, len(files) > 1), readable, found))
    return raws


def _place(name: str, split: str, path: Path, several: bool) -> Path:
    """Where the task will name a raw file: where it is, if that is below the checkout; else below data/dataset."""
    for absolute in (Path(os.path.abspath(path)), path.resolve()):  # noqa: PTH100 - a link below the checkout is as good as a file
        if absolute.is_relative_to(Path.cwd()):
            return absolute.relative_to(Path.cwd())
    suffix = path.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,10}", path.suffix) else ""
    place = DATASET / f"{name}{f'.{split}' if several else ''}{suffix}"
    if place.exists() and not (place.is_file() and filecmp.cmp(path, place, shallow=False)):
        raise ToolError(f"{place}: there already, and kept; {path} would be copied there. Take another name than TASK={name}, or move one of them.")
    return place


def _draft(name: str, raws: list[Raw], wish: Wish) -> Draft:
    readings = [raw.guess.reading for raw in raws]
    files = " and ".join(str(raw.path) for raw in raws)
    kind = kind_of(readings, wish.kind, files)
    labels, dropped, offered = labels_of(readings, kind, wish.order, files)
    places = {raw.split: str(raw.place) for raw in raws}
    share = None if len(raws) > 1 else _share(raws[0])
    return Draft(name, kind, raws[0].guess.reader, places, labels, share, offered, dropped)


def _share(raw: Raw) -> float:
    """The share of a single file's texts that becomes dev: a tenth, or more of a file so small that a tenth might be none."""
    if raw.guess.reading.rows >= FEW:
        return SHARES[0]
    texts = [row.text for row in READERS[raw.guess.reader](raw.readable) if isinstance(row, RawRow)]
    return next((share for share in SHARES if len({share_of(text, Shares.model_validate({"dev": share})) for text in texts}) > 1), SHARES[0])


def _staged(draft: Draft, folder: Path) -> Task:
    """The task as its file will say it, before anything is written to the checkout. Raises ToolError where the file wouldn't say what is meant."""
    file, prompt = folder / f"{draft.name}.yaml", folder / "prompt.txt"
    file.write_text(task_text(draft), encoding="utf-8")
    prompt.write_text(prompt_text(draft), encoding="utf-8")
    task = load_task(file)
    if (task.labels, task.names, task.raw) != (list(draft.labels), draft.names, draft.raw):
        raise ToolError(f"{draft.name}: YAML can't hold the labels or the raw files' names as they are; write the task file by hand: {unread.PAGE}.")
    return task.changed(prompt=prompt)


def _longest(task: Task, this: Run, raws: list[Raw]) -> int | None:
    """The tokens of the longest row, prompt and answer, by the base model's tokenizer; None where that can't be read, which the doctor will say."""
    from tqdm import tqdm

    from tools.data.doctor.cutoff import Cutoff

    try:
        cutoff = Cutoff(this, task, prompt.renderer(task), lambda place, tokens: None)
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


def _copying(source: Path) -> Callable[[Path], None]:
    def copy(target: Path) -> None:
        from tqdm import tqdm

        size = source.stat().st_size
        with (
            open(source, "rb") as old,
            open(target, "wb") as new,
            tqdm(desc=f"copying {source.name}", total=size, unit="B", unit_scale=True, disable=None, leave=False) as bar,
        ):
            while chunk := old.read(CHUNK):
                new.write(chunk)
                bar.update(len(chunk))
            new.flush()
            os.fsync(new.fileno())

    return copy


def _writing(text: str) -> Callable[[Path], None]:
    return lambda target: _write(target, text)


def _write(target: Path, text: str) -> None:
    with open(target, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _about_files(raws: list[Raw], copied: dict[Path, Callable[[Path], None]]) -> list[str]:
    """Each raw file: its format and why, what can be read of it, and where it is."""
    lines = []
    for raw in raws:
        reading = raw.guess.reading
        why = "" if raw.split == "dev" else f": {in_language(raw.guess.why)}"
        lines.append(f"{raw.path}: reader {reading.reader}, {in_language(FORMS[reading.reader].name)}{why}.")
        if raw.guess.same:
            lines.append(f"  The very same rows come from other readers: {', '.join(raw.guess.same)}.")
        lines.append(f"  {reading.rows:,} rows can be read, {reading.refusals:,} can't{' (the doctor says why, below)' if reading.refusals else ''}.")
        if raw.place in copied:
            lines.append(f"  copied to {raw.place}, as it is; the task names that copy.")
    return lines


def _about_labels(draft: Draft) -> list[str]:
    if not draft.labels:
        return [f"{draft.kind}: every row offers its own options, {draft.offered:,} different ones; the task lists no labels."]
    what = "entities" if draft.kind == "ner" else "rows"
    shown = ", ".join(f"{one_line(label)} {count:,}" for label, count in list(draft.labels.items())[:SHOWN])
    more = f", and {len(draft.labels) - SHOWN:,} more" if len(draft.labels) > SHOWN else ""
    lines = [f"{draft.kind}: {draft.labels.total():,} {what}, {len(draft.labels):,} label{'s' * (len(draft.labels) > 1)}: {shown}{more}."]
    renamed = [f"{one_line(quoted(label))} → {quoted(name)}" for label, name in draft.names.items() if label != name]
    if renamed:
        lines.append(f"remark: a prompt can't hold these labels as they are, so prompt and answers have other names: {', '.join(renamed[:SHOWN])}.")
    if draft.dropped:
        shown = ", ".join(one_line(quoted(label)) for label in draft.dropped[:SHOWN])
        lines.append(
            f"remark: left out, since a label can't be empty, longer than {LONGEST_LABEL} characters or half a character: {shown}. The doctor lists the rows."
        )
    if len(draft.labels) > MANY:
        lines.append(f"remark: {len(draft.labels):,} labels make a long prompt; are they labels, or did another field end up there?")
    if len(draft.labels) == 1:
        lines.append("remark: one label only: there is nothing to choose from." if draft.kind == "classification" else "remark: one label only.")
    return lines


def _about_run(draft: Draft, base: Base, path: Path, longest: int | None, written: list[Path]) -> list[str]:
    lines = [f"written: {', '.join(map(str, written))}"]
    if base.is_tiny:
        lines.append(
            f"The run trains the embedded {base.name}: every step works on a CPU, the score will be low. For a GPU: the same with MODEL={new_run.USUAL}."
        )
    if longest:
        lines.append(f"The longest row has {longest:,} tokens, so cutoff_len is {new_run.cutoff_of(longest, base):,}.")
        if base.positions and longest > base.positions:
            lines.append(f"remark: {base.name} takes {base.positions:,} tokens at most. Leave the longer rows out, or take a model that reads more.")
    elif not base.has_tokenizer:
        lines.append(f"{base.folder} isn't here yet, so no row was measured: make check TASK={draft.name} CONF={path} does it after the download.")
    lines.append(f"To do by hand: `source` in {TASKS / draft.name}.yaml.")
    if draft.labels:
        lines.append(f"To do by hand: in {draft.prompt}, behind each label, what it means.")
    return lines


def _examine(name: str, base: Base, path: Path) -> int:
    """The doctor's page on the new task, then the commands that follow; its exit code."""
    code = check(find_task(name), [], load_run(path) if base.has_tokenizer else None, DATASET / "check" / name)
    if code:
        print("The files that were written stay; mend the data first.")
    if base.hub:
        print(f"then: make download MODEL={base.hub}")
    print(f"then: make train CONF={path}")
    return code


if __name__ == "__main__":
    run(main)
