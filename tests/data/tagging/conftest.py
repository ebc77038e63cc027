"""A file of tagged tokens, as its reader reads it."""

from pathlib import Path

from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.bio import read_bio


def read(tmp_path: Path, data: str, **fields: str) -> tuple[list[RawRow | BadRow], str]:
    """The rows of a file, and the rules that were applied."""
    path = tmp_path / "a.txt"
    path.write_bytes(data.encode())
    reading = FileReading(fields)
    return list(read_bio(path, reading)), "; ".join(reading.applied)
