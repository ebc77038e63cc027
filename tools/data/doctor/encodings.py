"""Tells a raw file's encoding from all of its bytes, and writes a UTF-8 copy of a file in another encoding.

In: a file. Out: its encoding; for UTF-16, UTF-32 or GBK, a copy that the readers can read.

    >>> encoding_of(Path("data/dataset/sample.train.jsonl"))
    'utf-8'
"""

from __future__ import annotations

import codecs
import io
import re
import shutil
from pathlib import Path

from tools.data.readers.lines import open_raw, wide_encoding

CHUNK = 1 << 20
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def encoding_of(path: Path) -> str:
    """Returns Python's name for the encoding of a whole file: 'utf-8', also with some damaged bytes; 'utf-8-sig' with a byte-order mark; 'gb18030'; 'utf-16' …

    A file is GBK if all of it decodes as GB18030 and no line is Chinese in UTF-8: damaged UTF-8 often decodes as GB18030 too.
    """
    with open_raw(path) as file:
        head = file.read(4096)
    if wide := wide_encoding(head).lower() or _unmarked_utf16(head):
        return wide
    if not _decodes(path, "utf-8") and _decodes(path, "gb18030") and not _has_chinese_utf8(path):
        return "gb18030"
    return "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"


def write_as_utf8(path: Path, codec: str, copy: Path) -> None:
    """Writes `path`, which is in `codec`, to `copy` in UTF-8, line for line. Bytes that don't decode become U+FFFD."""
    with open_raw(path) as raw, open(copy, "w", encoding="utf-8", newline="") as out:
        shutil.copyfileobj(io.TextIOWrapper(raw, encoding=codec, errors="replace", newline=""), out, CHUNK)


def _unmarked_utf16(head: bytes) -> str:
    """Returns UTF-16's codec for a head without a mark: ASCII among the text leaves a NUL in every other byte."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if 20 * max(even, odd) < len(head) or min(even, odd) * 10 > max(even, odd) or not head:
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _decodes(path: Path, codec: str) -> bool:
    """Returns whether all bytes decode; the file may end within a character."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    try:
        with open_raw(path) as file:
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
    except UnicodeDecodeError:
        return False
    return True


def _has_chinese_utf8(path: Path) -> bool:
    with open_raw(path) as file:
        for line in file:
            try:
                if not line.isascii() and _CHINESE.search(line.decode("utf-8")):
                    return True
            except UnicodeDecodeError:
                pass
    return False
