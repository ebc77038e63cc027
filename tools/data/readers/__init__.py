"""Raw annotation formats. A new one is a file here and one entry in READERS.

A reader takes a path and yields one RawRow or BadRow for each row of the file, in order; it never raises for a row's sake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tools.data.readers.cluener import read_cluener
from tools.data.readers.row import BadRow, RawRow

READERS: dict[str, Callable[[Path], Iterator[RawRow | BadRow]]] = {
    "cluener": read_cluener,
}
