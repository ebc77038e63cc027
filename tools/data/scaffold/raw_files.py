"""Finds a new task's raw files: the reader of each, and the place below the checkout where the task will name it.

In: the user's files, in any encoding. Out: one Raw a file.

    ./ner new contracts --from train.txt --dev dev.txt --reader bio
"""

from __future__ import annotations

import filecmp
import os
import re
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tools.conf.task import DATASET, Shares
from tools.data.offsets.verdict import ONE_EACH, disagree
from tools.data.raw.encodings import encoding_of, write_as_utf8
from tools.data.raw.lines import files_of
from tools.data.raw.row import RawRow
from tools.data.readers import READERS
from tools.data.scaffold import unread
from tools.data.scaffold.question import best_of
from tools.data.scaffold.said import NOTHING, Said, option
from tools.data.scaffold.trials import HEAD, Trial, heads, read
from tools.data.sources import need_raw, share_of
from tools.errors import WANTING, ToolError, choices

SHARES = (0.1, 0.2, 0.3, 0.5)  # of a single file that becomes dev: the first that leaves no split empty
FEW = 200  # rows of which some must become dev


class Raw(NamedTuple):
    """A raw file, or folder: its split, the user's path, the place where the task names it, a form of it in UTF-8, and its rows as its reader reads them."""

    split: str
    path: Path
    place: Path
    readable: Path
    trial: Trial

    @property
    def copies(self) -> dict[Path, Path]:
        """Each place to which a file has to be copied, with that file: none where the task names the user's own, or a copy that is there."""
        return {} if self.place.exists() else _copies(self.path, self.place)


def raws_of(name: str, files: dict[str, Path], reader: str | None, said: Said, folder: Path) -> list[Raw]:
    """Returns a Raw for each split's file. All have the first one's reader. A file in another encoding is converted to UTF-8 below `folder`.

    Raises ToolError (1) where no reader reads a file, and (2) where a file isn't here, several readers read it or its place is taken.
    """
    for split, path in files.items():
        need_raw(path, f"--{'from' if split == 'train' else 'dev'} names it.")
    if (dev := files.get("dev")) and dev.samefile(files["train"]):
        raise ToolError(f"{dev}: --from and --dev are one file. Without --dev a part of it is held out, the same texts always on the same side.")
    raws: list[Raw] = []
    for split, path in files.items():
        readable, codec = path, encoding_of(path)
        if not codec.startswith("utf-8"):
            readable = folder / f"{split}{path.suffix}"
            write_as_utf8(path, codec, readable)
        trial = guess(readable, raws[0].trial.reader if raws else reader, str(path), said)
        raws.append(Raw(split, path, _place(f"{name}.{split}" if dev else name, path), readable, trial))
    return raws


def heed_offsets(raws: list[Raw], said: Said) -> Said:
    """Returns what was said, with the reading of offsets that the files speak for; each file's trial reads them so.

    Raises ToolError where they speak for more than one reading.
    """
    verdicts = {raw.path: raw.trial.evidence.verdict() for raw in raws}
    answers = list(dict.fromkeys(answer for verdict in verdicts.values() if verdict.stops for answer in verdict.answers))
    lines = [line for path, verdict in verdicts.items() if verdict.stops for line in verdict.lines(path)]
    if not answers:
        return said
    if disagree(verdicts.values()):
        raise ToolError("\n".join([*lines, f"{ONE_EACH}."]))
    if not any(verdict.readings for verdict in verdicts.values()):
        raise ToolError(
            "\n".join(
                [
                    *lines,
                    f"Correct the file. Where its offsets are right all the same: {option('--set', *(f'offsets={answer}' for answer in answers))}.",
                ]
            )
        )
    if len(answers) > 1 or not all(verdict.take or not verdict.stops for verdict in verdicts.values()):
        choice = option("--set", *(f"offsets={answer}" for answer in answers))
        raise ToolError("\n".join([*lines, f"Only you can tell what its offsets count. Choose {choice}."]))
    said = said._replace(offsets=answers[0])
    print(*lines, f"so offsets are read as {answers[0]}, which the task file says (offsets: {answers[0]}).", sep="\n")
    raws[:] = [raw._replace(trial=read(raw.readable, raw.trial.reader, said=said)) for raw in raws]
    return said


def guess(path: Path, reader: str | None = None, name: str = "", said: Said = NOTHING) -> Trial:
    """Returns the rows of a file as `reader` reads them, or else the only reader that fits the file. Messages call the file `name`.

    Raises ToolError (1) where none reads it, and (2) for an unknown reader, or where several read it, each in its own way.
    """
    if reader and reader not in READERS:
        raise ToolError(f"unknown reader '{reader}'.{choices(reader, READERS)}")
    if reader:
        found = [trial] if (trial := read(path, reader, said=said)).rows else []
    else:
        tried = _heeding(heads(path, said))
        hopeful = [head for head in tried if head.rows] or [head for head in tried if head.refusals == HEAD]
        found = [trial for head in hopeful if (trial := read(path, head.reader, said=said)).fits]
    if not found:
        raise ToolError(unread.explain(path, name or str(path), reader, said), WANTING)
    return best_of(found, path, name or str(path), said)


def _heeding(tried: list[Trial]) -> list[Trial]:
    """Returns the trials that count. Where the reader of classes names the rows as something else, readers that look at classes less closely don't count."""
    is_named = any(head.reader == "classification" and not head.rows and head.refused["named"] for head in tried)
    return [head for head in tried if head.entities or not head.classes] if is_named else tried


def share_for_dev(raw: Raw, said: Said) -> float:
    """Returns the share of a single file's texts that becomes dev: a tenth, or more where the file is so small that a tenth might be none."""
    texts = [row.text for row in islice(READERS[raw.trial.reader](raw.readable, said.reading()), FEW) if isinstance(row, RawRow)]
    return next((share for share in SHARES if len({share_of(text, Shares.model_validate({"dev": share})) for text in texts}) > 1), SHARES[0])


def _place(stem: str, path: Path) -> Path:
    """Returns where the task names a raw file: its own path below the checkout, or `stem` in data/dataset for a file outside."""
    for absolute in (Path(os.path.abspath(path)), path.resolve()):  # noqa: PTH100 - a link below the checkout is as good as a file
        if absolute.is_relative_to(Path.cwd()):
            return absolute.relative_to(Path.cwd())
    suffix = path.suffix if path.is_file() and re.fullmatch(r"\.[A-Za-z0-9]{1,10}", path.suffix) else ""
    place = DATASET / f"{stem}{suffix}"
    for copy, file in _copies(path, place).items():
        if copy.exists() and not (copy.is_file() and filecmp.cmp(file, copy, shallow=False)):
            raise ToolError(
                f"{copy}: there already, and kept; {file} would be copied there. Take another name for the task, or move one of the files."
            )
    return place


def _copies(path: Path, place: Path) -> dict[Path, Path]:
    if path.is_dir():
        return {place / file.relative_to(path): file for file in files_of(path)}
    return {place.with_suffix(file.suffix) if file.suffix != path.suffix else place: file for file in files_of(path)}
