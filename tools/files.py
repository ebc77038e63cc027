"""Reads files with a name for every bad line, and writes files and folders so that nothing is ever half-written.

In: a path. Out: its text, JSON value or rows; or a file that appears whole. Writers go to a temporary neighbour and move it into place at the end, so a crash leaves
the old file whole. A temporary name holds the machine, the process and a random word: two processes never share one, and only its own machine clears it up.

    with replacing(Path("data/outputs/run/merged")) as new: ...
"""

from __future__ import annotations

import fcntl
import functools
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tools.errors import WANTING, ToolError

try:  # optional, and three times as fast; json parses again what it refuses
    import orjson

    quick_loads = orjson.loads
except ImportError:

    def quick_loads(line: bytes) -> Any:  # type: ignore[misc]
        return json.loads(line.decode("utf-8"))


ROOT = Path(__file__).resolve().parent.parent  # of the checkout
LONGEST_STEM = 120  # bytes of a file's name that its temporary name repeats; Linux allows 255 in all
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_LEFT_BY = re.compile(r"\.(?P<machine>[0-9a-f]{12})\.(?P<pid>\d+)\.[0-9a-f]{8}\.(?P<kind>new|old)")


class Transaction:
    """Several files that appear together or not at all: temporary neighbours, moved into place on a clean exit in the order they were opened.

    A move that fails puts back the files that were moved before it.

    >>> with Transaction() as new:
    ...     new.open(Path("a.json")).write("{}")
    """

    def __init__(self) -> None:
        self._files: dict[Path, tuple[IO[str], Path]] = {}
        self._gone: set[Path] = set()

    def __enter__(self) -> Transaction:
        return self

    def open(self, path: Path) -> IO[str]:
        """Returns a UTF-8 text file that becomes `path` when the transaction ends well. Makes its folder; returns the same file when called again.

        Where `path` is a link, the file that it points at is replaced. A file that is there gives the new one its permissions.
        """
        path = path.resolve() if path.is_symlink() else path
        if path in self._files:
            return self._files[path][0]
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_up(path)
        temporary = _neighbour(path, "new")
        # A lone surrogate can't be encoded; it is written as the JSON escape that it was read from.
        handle = open(temporary, "w", encoding="utf-8", newline="\n", errors="backslashreplace")  # noqa: SIM115 - closed by __exit__
        if path.exists():
            shutil.copymode(path, temporary)
        self._files[path] = (handle, temporary)
        return handle

    def remove(self, path: Path) -> None:
        """Removes `path` when the transaction ends well, unless the transaction writes it."""
        self._gone.add(path)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            for handle, _ in self._files.values():
                if kind is None:
                    handle.flush()
                    os.fsync(handle.fileno())
                handle.close()
            if kind is None:
                self._move()
        finally:
            for _, temporary in self._files.values():
                temporary.unlink(missing_ok=True)

    def _move(self) -> None:
        before: list[tuple[Path, Path | None]] = []
        try:
            for path, (_, temporary) in self._files.items():
                before.append((path, _kept(path)))
                os.replace(temporary, path)
            for path in self._gone:
                if path.resolve() in self._files or path in self._files:
                    continue
                before.append((path, _kept(path)))
                path.unlink(missing_ok=True)
        except BaseException:
            for path, kept in reversed(before):
                if kept and kept.exists():
                    os.replace(kept, path)
                elif kept is None:
                    path.unlink(missing_ok=True)
            raise
        finally:
            for _, kept in before:
                if kept:
                    kept.unlink(missing_ok=True)


def _kept(path: Path) -> Path | None:
    """Gives the file at `path` a second name and returns that name; None where no file is there. The name doesn't exist on a disk without hard links."""
    if not path.exists():
        return None
    kept = _neighbour(path, "old")
    with suppress(OSError):
        os.link(path, kept)
    return kept


@contextmanager
def replacing(final: Path) -> Iterator[Path]:
    """Yields a new, empty folder beside `final`. It takes final's place when the block ends well, and is removed otherwise.

    What was there is put back when the move fails. Raises ToolError that names both folders when even that fails.
    """
    _clear_up(final)
    new, old = _neighbour(final, "new"), _neighbour(final, "old")
    new.mkdir(parents=True)
    try:
        yield new
        if final.exists():
            os.replace(final, old)
        os.replace(new, final)
    except BaseException as error:
        if old.exists() and not final.exists():
            try:
                os.replace(old, final)
            except OSError:
                raise ToolError(f"{final}: neither the new folder, {new}, nor the old one, {old}, can be moved there. Move one by hand.") from error
        _remove(new)
        raise
    finally:
        if final.exists():
            _remove(old)


@contextmanager
def replacing_file(final: Path) -> Iterator[Path]:
    """Yields a path beside `final` for a library to write to. The file takes final's place when the block ends well, and is removed otherwise."""
    _clear_up(final)
    new = _neighbour(final, "new")
    try:
        yield new
        os.replace(new, final)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(folder: Path, what: str) -> Iterator[None]:
    """Holds the lock of a run's folder while `what` ('training', 'export' …) works in it. The kernel lets go of it however the process ends.

    Raises ToolError that names the holder while another process holds the lock. The lock is a file beside the folder, which may be moved meanwhile.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f".{folder.name}.lock", "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise ToolError(f"{folder}: in use by {holder}. To start the {what}, wait until that has ended.") from None
        lock.truncate(0)
        lock.write(f"{what}, process {os.getpid()} on {socket.gethostname()}, since {datetime.now():%Y-%m-%d %H:%M:%S}")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def _neighbour(path: Path, kind: str) -> Path:
    """Returns a temporary name beside `path` that no other process and no other call has."""
    return path.with_name(f".{_stem(path)}.{_machine()}.{os.getpid()}.{secrets.token_hex(4)}.{kind}")


def _stem(path: Path) -> str:
    return path.name.encode()[:LONGEST_STEM].decode(errors="ignore")


@functools.cache
def _machine() -> str:
    """Returns 12 hex digits that name the set of processes we can see in /proc: this boot of this host, and this container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _clear_up(path: Path) -> None:
    """Removes what killed processes of this machine left beside `path`. An old version goes back to `path` if nothing is there."""
    stem = f".{_stem(path)}"
    for left in path.parent.glob(f"{glob.escape(stem)}.*"):
        match = _LEFT_BY.fullmatch(left.name.removeprefix(stem))
        if not match or match["machine"] != _machine() or Path(f"/proc/{match['pid']}").exists():
            continue
        if match["kind"] == "old" and not path.exists() and path.name == _stem(path):
            with suppress(OSError):
                os.replace(left, path)
        else:
            _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` in one move."""
    with Transaction() as new:
        new.open(path).write(text)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` to `path` as indented UTF-8 JSON, Chinese unescaped, in one move."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def need_file(path: Path, next_command: str = "") -> Path:
    """Returns `path` if it is a file. Raises ToolError with the command that makes it otherwise."""
    hint = f" {next_command}" if next_command else ""
    if path.is_dir():
        raise ToolError(f"{path}: is a folder, a file is needed.{hint}")
    if not path.is_file():
        raise ToolError(f"{path}: no such file.{hint}")
    return path


def read_text(path: Path) -> str:
    """Returns the text of a UTF-8 file without its byte-order mark. Raises ToolError that names the file."""
    need_file(path)
    return _decode(path.read_bytes(), str(path)).removeprefix("\ufeff")


def read_json(path: Path) -> Any:
    """Returns the value of a JSON file. Raises ToolError that names file and line."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ToolError(f"{path}{line}: not JSON: {json_problem(error)}.", WANTING) from None


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields (line number from 1, line without its end) of each line that isn't blank. Splits at LF only: U+2028 is text."""
    with open(need_file(path), "rb") as handle:
        for number, line in enumerate(handle, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line.rstrip(b"\r\n")


def parse_object(line: bytes, where: str) -> dict[str, Any]:
    """Returns the JSON object on one line of a JSON Lines file. Raises ToolError that begins with `where`."""
    try:
        value = quick_loads(line)
    except (ValueError, RecursionError):
        try:
            value = json.loads(_decode(line, where))
        except (ValueError, RecursionError) as error:
            raise ToolError(f"{where}: not JSON: {json_problem(error)}.", WANTING) from None
    if not isinstance(value, dict):
        raise ToolError(f"{where}: a JSON object is needed, this is a {type(value).__name__}.", WANTING)
    return value


def json_problem(error: ValueError | RecursionError) -> str:
    """Returns the fault that the JSON decoder found, in a few words. It raises three kinds of error."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"


def encoding_problem(error: UnicodeDecodeError) -> str:
    """Returns the place where bytes stop being UTF-8, and the encoding that they look like with the command that converts it."""
    guess = "the file may be cut off or not text"
    # Damaged Chinese UTF-8 often decodes as GB18030 too, to other characters; but GBK hardly ever begins with what UTF-8 reads as Chinese.
    if _CHINESE.search(error.object[: error.start].decode("utf-8", "ignore")):
        guess = "the text before it is UTF-8: it is damaged or cut off there"
    else:
        with suppress(UnicodeDecodeError):
            if _CHINESE.search(error.object.decode("gb18030")):
                guess = "it looks like GBK; convert it with `iconv -f GB18030 -t UTF-8`"
    return f"not UTF-8 at byte {error.start} ({guess})"


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line number, object) of each line of a JSON Lines file. Raises ToolError that names the first bad line."""
    for number, line in read_lines(path):
        yield number, parse_object(line, f"{path}:{number}")


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes in hex digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _decode(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolError(f"{where}: {encoding_problem(error)}.", WANTING) from None
