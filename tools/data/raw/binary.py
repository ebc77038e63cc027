"""Names a file that isn't text, or text that has no rows, by how it begins, and says what to do with it. Nothing in it is run: a pickle is never opened.

In: a file, or the beginning of its text. Out: a clause such as 'a zip archive with rows.jsonl: unpack it'; empty for other files.
"""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import BadZipFile, ZipFile

_ZIP = b"PK\x03\x04"
_WORKBOOK = "xl/workbook.xml"
_TO_LINES = "and to_json('rows.jsonl', orient='records', lines=True, force_ascii=False) make JSON Lines of it"
# The formats' own marks, as file(1) has them. The longer ones of a beginning stand first.
_MARKS = {
    b"PAR1\x15": f"Parquet: pandas.read_parquet {_TO_LINES}",
    b"ARROW1\0\0": f"Arrow: pandas.read_feather {_TO_LINES}",
    b"\xff\xff\xff\xff": "an Arrow stream, as Hugging Face's save_to_disk writes it: datasets.load_from_disk, then to_json, make JSON Lines of it",
    b"SQLite format 3\0": f"an SQLite database: pandas.read_sql {_TO_LINES}",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Office file (.xls, .doc) or one with a password: save it as .xlsx or CSV, without a password",
    b"%PDF-": "PDF: it has no rows; take the text out of it and annotate that",
    b"\x93NUMPY": "a numpy array: write its rows as JSON Lines",
    b"\x89HDF": "HDF5: write its rows as JSON Lines",
    **{b"BZh%d1AY&SY" % level: "compressed with bzip2: unpack it with `bunzip2`" for level in range(1, 10)},
    b"\xfd7zXZ": "compressed with xz: unpack it with `unxz`",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it with `unzstd`",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!\x1a\x07": "a RAR archive: unpack it",
    b"PK\x05\x06": "an empty zip archive",
    b"{\\rtf1": "rich text (RTF): save it as plain text",
    **{
        b"\x80" + bytes([protocol]): "a Python pickle, which could run anything when it is opened: have its writer write JSON Lines"
        for protocol in (2, 3, 4, 5)
    },
}

_TEXTS = (
    (r"\s*<(?:!doctype html|html|table)\b", "a web page or table in HTML: open it in a spreadsheet and save its table as CSV or .xlsx"),
    (r"\s*<\?xml\b|\s*<[\w:]+(?:\s[^<>]*)?>\s*<[\w:]+[ />]", "XML: write a script that takes its texts and labels out, as JSON Lines"),
    (r"version https://git-lfs\.github\.com/spec/", "the pointer to a file in Git LFS: get the file itself with `git lfs pull`"),
    (r"[^\n]+_!_[^\n]+_!_", "lines parted by '_!_', as Toutiao's news: make tabs of them, and `table` reads it: sed 's/_!_/\\t/g' FILE > FILE.tsv"),
    (r"(?:--[^\n]*\n|/\*.*?\*/;?|\s)*(?:insert into|create table|drop table|set names)\b", "SQL: export the table as CSV instead"),
    (r"%YAML|---\s*\n\s*\w+:|- \w+: .*\n  \w+:", "YAML: write its rows as JSON Lines"),
    (r"WEBVTT|\s*1\r?\n\d\d:\d\d:\d\d,\d{3} -->", "subtitles, which have no annotation: annotate the text first"),
)


def what_text(head: str) -> str:
    """Returns what a text without rows is by its beginning, and what to do with it; empty for another."""
    return next((what for beginning, what in _TEXTS if re.match(beginning, head, re.IGNORECASE)), "")


def what_binary(path: Path) -> str:
    """Returns what a file is that isn't text, and what to do with it; empty for text."""
    with open(path, "rb") as file:
        head = file.read(16)
    if head.startswith(_ZIP):
        return _about_zip(_names_in(path))
    return next((what for mark, what in _MARKS.items() if head.startswith(mark)), "")


def is_workbook(path: Path) -> bool:
    """Returns whether a file is an Excel workbook (.xlsx), by what it holds."""
    with open(path, "rb") as file:
        return file.read(4) == _ZIP and _WORKBOOK in _names_in(path)


def _names_in(path: Path) -> list[str]:
    try:
        with ZipFile(path) as archive:
            return archive.namelist()
    except (BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def _about_zip(names: list[str]) -> str:
    if _WORKBOOK in names:
        return "an Excel workbook: the reader `table` reads it"
    if "word/document.xml" in names:
        return "a Word document: it has no rows; a table in it can be saved as CSV"
    if "content.xml" in names and "mimetype" in names:
        return "an OpenDocument file (.ods, .odt): save its sheet as .xlsx or CSV"
    if any(name.endswith("data.pkl") for name in names):
        return "a model's or tensor's file (torch.save), no data with annotation"
    files = [name for name in names if not name.endswith("/")]
    return (
        f"a zip archive with {', '.join(files[:5]) or 'nothing that can be listed'}{', …' * (len(files) > 5)}: unpack it, and give one of its files"
    )
