"""Tells a raw file's encoding from all of its bytes, and writes a UTF-8 copy of a file in another encoding.

In: a file. Out: its encoding; for UTF-16, UTF-32, GBK, Big5, Shift-JIS or EUC, a copy that the readers can read.

The bytes of most encodings decode as GB18030 too, so a file is read in each, and what it would say is weighed: the share of characters that are common in the language.
Common are the first level of each standard (GB 2312, Big5, JIS X 0208), KS X 1001's syllables, kana and punctuation. charset-normalizer takes EUC-JP for Korean.

    >>> encoding_of(Path("data/dataset/sample.train.jsonl"))
    'utf-8'
"""

from __future__ import annotations

import codecs
import io
import re
import shutil
from functools import cache
from pathlib import Path

from tools.data.raw.binary import what_binary
from tools.data.raw.lines import files_of, open_raw, wide_encoding
from tools.errors import WANTING, ToolError
from tools.text import quoted

CHUNK = 1 << 20
SAMPLE = 1 << 16  # characters beyond ASCII that are weighed
LIKELY, CLEARLY = 0.75, 0.15  # the share that an encoding must have, and its lead over the next
# Chinese bytes decode as these too, but so many characters of it are never all syllables, or all of the first level with kana among them.
_NARROW, CERTAIN, MANY = ("euc-jp", "cp949"), 0.97, 20
LEGACY = ("gb18030", "big5hkscs", "cp932", "euc-jp", "cp949")
_PUNCTUATION = frozenset("，。、；：？！“”‘’（）《》〈〉「」『』【】〔〕…—～·　％－＋／") | {chr(point) for point in range(0xFF10, 0xFF5B)}
_LATIN = frozenset("’‘“”–—…€£°") | {chr(point) for point in range(0xC0, 0x100)}
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def encoding_of(path: Path) -> str:
    """Returns Python's name for the encoding of a whole file: 'utf-8', also with some damaged bytes; 'utf-8-sig' with a byte-order mark; 'gb18030'; 'utf-16' …

    A file is in another encoding than UTF-8 if all of it decodes in that and no line is Chinese in UTF-8: damaged UTF-8 often decodes as GB18030 too. A file that isn't
    text is 'utf-8', and so are brat's pairs, which are read where they are. Raises ToolError, with what the file would say in each, where two encodings are about as likely.
    """
    if files_of(path) != [path] or what_binary(path):
        return "utf-8"
    with open_raw(path) as file:
        head = file.read(4096)
    if wide := wide_encoding(head).lower() or _unmarked_utf16(head):
        return wide
    if not _decodes(path, "utf-8") and not _has_chinese_utf8(path) and (legacy := _legacy(path)):
        return legacy
    return "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"


def other_than_utf8(encoding: str) -> str:
    """Returns the sentence about a whole file that is in another encoding than UTF-8, with the command that converts it."""
    name = encoding.upper().replace("16-", "16")  # iconv's
    return f"the whole file is {name}; convert it with `iconv -f {name} -t UTF-8`."


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


def _legacy(path: Path) -> str:
    """Returns the encoding in which a file that isn't UTF-8 says something; empty if it decodes in none. Raises ToolError where it isn't clear which."""
    samples = {codec: _sample(path, codec) for codec in LEGACY if _decodes(path, codec)}
    shares = {codec: _share(sample, codec) for codec, sample in samples.items()}
    ranked = sorted(shares, key=lambda codec: -shares[codec])
    if not ranked or shares[ranked[0]] < LIKELY:
        latin = _sample(path, "cp1252") if _decodes(path, "cp1252") else ""
        if latin and sum(character in _LATIN for character in latin) > LIKELY * len(latin):
            return "cp1252"
        return "gb18030" if ranked[:1] == ["gb18030"] else _ask(path, {codec: samples[codec] for codec in ranked[:3]}) if ranked else ""
    close = [codec for codec in ranked if shares[codec] > shares[ranked[0]] - CLEARLY and (codec not in _NARROW or shares[codec] > CERTAIN)]
    certain = [codec for codec in close if codec in _NARROW and len(samples[codec]) >= MANY]
    close = certain or close
    return close[0] if len(close) == 1 else _ask(path, {codec: samples[codec] for codec in close})


def _ask(path: Path, samples: dict[str, str]) -> str:
    readings = [f"as {codec.upper()}: {quoted(sample[:40])}" for codec, sample in samples.items()]
    raise ToolError(
        f"{path}: its encoding isn't clear; it would say, {'; '.join(readings)}. Convert it from the right one: iconv -f {next(iter(samples)).upper()} -t UTF-8 FILE > NEW",
        WANTING,
    )


def _sample(path: Path, codec: str) -> str:
    """Returns the first characters of a file beyond ASCII."""
    with open_raw(path) as raw:
        text = io.TextIOWrapper(raw, encoding=codec, errors="replace").read(4 * SAMPLE)
    return "".join(character for character in text if not character.isascii())[:SAMPLE]


def _share(sample: str, codec: str) -> float:
    """Returns the share of characters that are common in the language of an encoding. Japanese without kana isn't likely to be Japanese."""
    common = _common(codec)
    share = sum(character in common for character in sample) / max(len(sample), 1)
    is_japanese = codec in ("cp932", "euc-jp")
    return share / 2 if is_japanese and 10 * sum("\u3041" <= character <= "\u30ff" for character in sample) < len(sample) else share


@cache
def _common(codec: str) -> frozenset[str]:
    if codec == "cp949":
        return _rows("euc-kr", 0xB0, 0xC8, 0xA1) | _PUNCTUATION
    if codec in ("cp932", "euc-jp"):
        return _rows("euc-jp", 0xB0, 0xCF, 0xA1) | _rows("euc-jp", 0xA4, 0xA5, 0xA1) | _PUNCTUATION | {"ー", "々"}
    chinese = _rows("gb2312", 0xB0, 0xD7, 0xA1) | _rows("big5", 0xA4, 0xC6, 0x40)
    return frozenset(filter(_CHINESE.match, chinese)) | _PUNCTUATION


def _rows(codec: str, first: int, last: int, low: int) -> frozenset[str]:
    """Returns the characters of an encoding whose first byte is within [first, last] and whose second is at least `low`."""
    pairs = (bytes((lead, trail)).decode(codec, "ignore") for lead in range(first, last + 1) for trail in range(low, 0xFF))
    return frozenset(pair for pair in pairs if len(pair) == 1)


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
