"""Finds a new task's raw files: the reader of each, and the place below the checkout where the task will name it.

In: the user's files, in any encoding. Out: one Raw a file.

    ./ner new contracts --from train.txt --dev dev.txt --reader bio
"""

from __future__ import annotations

import filecmp
import os
import re
from pathlib import Path
from typing import NamedTuple

from tools.conf.task import DATASET, Shares
from tools.data.doctor.encodings import encoding_of, write_as_utf8
from tools.data.readers import READERS
from tools.data.readers.row import RawRow
from tools.data.scaffold import unread
from tools.data.scaffold.guess import Guess, NoReader, guess
from tools.data.sources import share_of
from tools.errors import WANTING, ToolError
from tools.files import need_file

SHARES = (0.1, 0.2, 0.3, 0.5)  # of a single file that becomes dev: the first that leaves no split empty
FEW = 200  # in a file with fewer rows, a tenth of them may be none


class Raw(NamedTuple):
    """A raw file: its split, the user's path, the place where the task names it, a form of it in UTF-8, and its reader."""

    split: str
    path: Path
    place: Path
    readable: Path
    guess: Guess

    @property
    def is_outside(self) -> bool:
        """Whether it has yet to be copied to its place."""
        return not self.place.exists()


def need_files(files: dict[str, Path]) -> None:
    """Raises ToolError for a file that isn't here, and for one that is given twice."""
    for split, path in files.items():
        need_file(path, f"--{'from' if split == 'train' else 'dev'} names it.")
    if (dev := files.get("dev")) and dev.samefile(files["train"]):
        raise ToolError(f"{dev}: --from and --dev are one file. Without --dev a part of it is held out, the same texts always on the same side.")


def raws_of(name: str, files: dict[str, Path], reader: str | None, folder: Path) -> list[Raw]:
    """Returns a Raw for each split's file. All have the first one's reader. A file in another encoding is converted to UTF-8 below `folder`.

    Raises ToolError (1) where no reader reads a file, and (2) where several do or its place is taken.
    """
    raws: list[Raw] = []
    for split, path in files.items():
        readable, codec = path, encoding_of(path).codec
        if codec != "utf-8":
            readable = folder / f"{split}{path.suffix}"
            write_as_utf8(path, codec, readable)
        try:
            found = guess(readable, raws[0].guess.reader if raws else reader, str(path))
        except NoReader as error:
            raise ToolError(unread.explain(readable, error.trials, str(path)), WANTING) from None
        raws.append(Raw(split, path, _place(name, split, path, len(files) > 1), readable, found))
    return raws


def share_for_dev(raw: Raw) -> float:
    """Returns the share of a single file's texts that becomes dev: a tenth, or more where the file is so small that a tenth might be none."""
    if raw.guess.trial.rows >= FEW:
        return SHARES[0]
    texts = [row.text for row in READERS[raw.guess.reader](raw.readable) if isinstance(row, RawRow)]
    return next((share for share in SHARES if len({share_of(text, Shares.model_validate({"dev": share})) for text in texts}) > 1), SHARES[0])


def _place(name: str, split: str, path: Path, several: bool) -> Path:
    """Returns where the task names a raw file: its own path below the checkout, or one in data/dataset for a file outside."""
    for absolute in (Path(os.path.abspath(path)), path.resolve()):  # noqa: PTH100 - a link below the checkout is as good as a file
        if absolute.is_relative_to(Path.cwd()):
            return absolute.relative_to(Path.cwd())
    suffix = path.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,10}", path.suffix) else ""
    place = DATASET / f"{name}{f'.{split}' if several else ''}{suffix}"
    if place.exists() and not (place.is_file() and filecmp.cmp(path, place, shallow=False)):
        raise ToolError(f"{place}: there already, and kept; {path} would be copied there. Take another name than {name}, or move one of the files.")
    return place
