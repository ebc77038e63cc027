"""Reading and writing files so that nothing is ever half-written and every bad line has a name.

Writers go to a temporary neighbour and move it into place at the end; a crash leaves the old file whole.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tools.errors import WANTING, ToolError

try:  # three times as fast where it is installed; what it refuses, json decides
    import orjson

    quick_loads = orjson.loads
except ImportError:

    def quick_loads(line: bytes) -> Any:  # type: ignore[misc]
        return json.loads(line.decode("utf-8"))


ROOT = Path(__file__).resolve().parent.parent  # of the checkout
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Transaction:
    """Several files that appear together or not at all: temporary neighbours, moved into place on a clean exit in the order they were opened.

    >>> with Transaction() as new:
    ...     new.open(Path("a.json")).write("{}")
    """

    def __init__(self) -> None:
        self._files: dict[Path, tuple[IO[str], Path]] = {}
        self._gone: set[Path] = set()

    def __enter__(self) -> Transaction:
        return self

    def open(self, path: Path) -> IO[str]:
        """A UTF-8 text file that becomes `path` (its folder is made) when the transaction ends well; asked for again, the same one."""
        if path in self._files:
            return self._files[path][0]
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_up(path)
        temporary = _temporary(path)
        # A lone surrogate can't be encoded; it is written as the JSON escape that it was read from.
        handle = open(temporary, "w", encoding="utf-8", newline="\n", errors="backslashreplace")  # noqa: SIM115 - closed by __exit__
        self._files[path] = (handle, temporary)
        return handle

    def remove(self, path: Path) -> None:
        """Let `path` be gone when the transaction ends well, unless it is written by then."""
        self._gone.add(path)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            for handle, _ in self._files.values():
                if kind is None:
                    handle.flush()
                    os.fsync(handle.fileno())
                handle.close()
            if kind is None:
                for path, (_, temporary) in self._files.items():
                    os.replace(temporary, path)
                for path in self._gone - self._files.keys():
                    path.unlink(missing_ok=True)
        finally:
            for _, temporary in self._files.values():
                temporary.unlink(missing_ok=True)


@contextmanager
def replacing(final: Path) -> Iterator[Path]:
    """A new, empty folder beside `final` that takes its place when the block ends well, and is gone when it doesn't."""
    new, old = (final.with_name(f".{final.name}.{what}") for what in ("new", "old"))
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        if final.exists():
            os.replace(final, old)
        os.replace(new, final)
    finally:
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replacing_file(final: Path) -> Iterator[Path]:
    """A path beside `final` for a library to write to: the file takes its place when the block ends well, and is gone when it doesn't."""
    _clear_up(final)
    new = _temporary(final)
    try:
        yield new
        os.replace(new, final)
    finally:
        new.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _clear_up(path: Path) -> None:
    """Remove what a killed process left of this file: temporaries whose process is gone."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid = left.name.removesuffix(".tmp").rpartition(".")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            left.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one move."""
    with Transaction() as new:
        new.open(path).write(text)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON (Chinese unescaped) to `path` in one move."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def need_file(path: Path, next_command: str = "") -> Path:
    """`path` itself when it is a file; else a ToolError that says what it is instead, with the command that makes it."""
    hint = f" {next_command}" if next_command else ""
    if path.is_dir():
        raise ToolError(f"{path}: is a folder, a file is needed.{hint}")
    if not path.is_file():
        raise ToolError(f"{path}: no such file.{hint}")
    return path


def read_text(path: Path) -> str:
    """The whole of a UTF-8 file (a byte-order mark is dropped), or a ToolError naming the file."""
    need_file(path)
    return _decode(path.read_bytes(), str(path)).removeprefix("\ufeff")


def read_json(path: Path) -> Any:
    """A JSON file's value, or a ToolError naming file and line."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ToolError(f"{path}:{error.lineno}: not JSON: {error.msg}.", WANTING) from None


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, line without its end) for each line that isn't blank. Splits at LF only: U+2028 is text."""
    with open(need_file(path), "rb") as handle:
        for number, line in enumerate(handle, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line.rstrip(b"\r\n")


def parse_object(line: bytes, where: str) -> dict[str, Any]:
    """One JSON object of a JSON Lines file, or a ToolError that begins with `where`."""
    try:
        value = quick_loads(line)
    except (ValueError, RecursionError):
        value = _parse(line, where)
    if not isinstance(value, dict):
        raise ToolError(f"{where}: a JSON object is needed, this is a {type(value).__name__}.", WANTING)
    return value


def _parse(line: bytes, where: str) -> Any:
    try:
        return json.loads(_decode(line, where))
    except (ValueError, RecursionError) as error:
        raise ToolError(f"{where}: not JSON: {json_problem(error)}.", WANTING) from None


def json_problem(error: ValueError | RecursionError) -> str:
    """What the JSON decoder found wrong, in a few words: it raises three kinds of error."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"


def encoding_problem(error: UnicodeDecodeError) -> str:
    """Where the bytes stop being UTF-8, and what they look like instead, with the command that converts them."""
    return f"not UTF-8 at byte {error.start} ({_encoding_guess(error.object, error.start)})"


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) for each line of a JSON Lines file; a ToolError names the first bad line."""
    for number, line in read_lines(path):
        yield number, parse_object(line, f"{path}:{number}")


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _decode(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolError(f"{where}: {encoding_problem(error)}.", WANTING) from None


def _encoding_guess(data: bytes, start: int) -> str:
    # Damaged Chinese UTF-8 often decodes as GB18030 too, to other characters; but GBK hardly ever begins with what UTF-8 reads as Chinese.
    if _CHINESE.search(data[:start].decode("utf-8", "ignore")):
        return "the text before it is UTF-8: it is damaged or cut off there"
    try:
        looks_like_gbk = _CHINESE.search(data.decode("gb18030"))
    except UnicodeDecodeError:
        looks_like_gbk = None
    if looks_like_gbk:
        return "it looks like GBK; convert it with `iconv -f GB18030 -t UTF-8`"
    return "the file may be cut off or not text"
