"""Which encoding a raw file is in, told from all of its bytes, and a UTF-8 copy of one that isn't in UTF-8.

In: a file. Out: its encoding; where it is UTF-16, UTF-32 or GBK as a whole, a copy that the readers can read. `python -m tools.data.doctor.examine` uses both.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CHUNK = 1 << 20
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
# UTF-32's mark begins with UTF-16's, so it is asked for first. These codecs drop the mark.
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Encoding(NamedTuple):
    """`codec` is Python's name for it, 'utf-8' also where some bytes of it are damaged; `mark`: a UTF-8 byte-order mark stands at the start."""

    codec: str
    mark: bool = False


def encoding_of(path: Path) -> Encoding:
    """The encoding of a whole file. GBK is one where every line is GB18030 and no line is Chinese in UTF-8: damaged UTF-8 often decodes as GB18030 too."""
    with open(path, "rb") as file:
        head = file.read(4096)
    if wide := next((codec for mark, codec in _MARKS.items() if head.startswith(mark)), "") or _unmarked_utf16(head):
        return Encoding(wide)
    if not _decodes(path, "utf-8") and _is_gb18030(path):
        return Encoding("gb18030")
    return Encoding("utf-8", head.startswith(codecs.BOM_UTF8))


def write_as_utf8(path: Path, codec: str, copy: Path) -> None:
    """Write `path`, which is in `codec`, to `copy` in UTF-8, line for line. What doesn't decode becomes U+FFFD; half a character at the end is left out."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    with open(copy, "w", encoding="utf-8", newline="") as out:
        out.writelines(decoder.decode(chunk) for chunk in _chunks(path))


def _unmarked_utf16(head: bytes) -> str:
    """UTF-16 without a mark: ASCII among the text leaves a NUL in every other byte."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if 20 * max(even, odd) < len(head) or min(even, odd) * 10 > max(even, odd) or not head:
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _decodes(path: Path, codec: str) -> bool:
    """Whether all bytes are of a codec; the file may be cut within the last character."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk)
    except UnicodeDecodeError:
        return False
    return True


def _is_gb18030(path: Path) -> bool:
    return _decodes(path, "gb18030") and not _has_chinese_utf8(path)


def _has_chinese_utf8(path: Path) -> bool:
    with open(path, "rb") as file:
        for line in file:
            try:
                if not line.isascii() and _CHINESE.search(line.decode("utf-8")):
                    return True
            except UnicodeDecodeError:
                pass
    return False


def _chunks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
