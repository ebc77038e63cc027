"""Turns a user's mistake into one message that names the thing, the place, the choices and the next command.

In: a tool's `main`. Out: its exit code, and on stderr `error: …` in place of a traceback.

Exit codes everywhere: 0 done; 1 the work ran and found the input or the result wanting; 2 the command was wrong or something it needs is missing.
"""

from __future__ import annotations

import difflib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tools.text import paint

if TYPE_CHECKING:
    from pydantic import ValidationError

WANTING = 1
WRONG = 2


class ToolError(Exception):
    """A fault that the user can mend. The user sees `str(error)` alone; `exit_code` is WRONG or WANTING."""

    def __init__(self, message: str, exit_code: int = WRONG) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def first_mistake(error: ValidationError) -> str:
    """Returns the first of pydantic's mistakes in a file, with its place there."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


def all_at_once(problems: list[str], exit_code: int = WRONG) -> None:
    """Raises one ToolError that shows every problem. Does nothing when there is none."""
    if problems:
        raise ToolError("\n".join(problems), exit_code)


def choices(word: str, known: Iterable[str]) -> str:
    """Returns the end of an 'unknown …' message: the nearest known word, then all of them where they are few."""
    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=1)
    guess = f" Did you mean '{near[0]}'?" if near else ""
    return guess + (f" Available: {', '.join(names) or 'none'}." if len(names) <= 40 else "")


def _complain(line: str) -> None:
    print(f"{paint('error', 'red', sys.stderr)}: {line}", file=sys.stderr)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Runs a tool's `main` and exits with its code. A ToolError or a failing disk is a message, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that a terminal in ASCII can't show is written as an escape
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main() or 0
        sys.stdout.flush()
    except ToolError as error:
        code = error.exit_code
        for line in str(error).splitlines():
            _complain(line)
    except KeyboardInterrupt:
        code = 130
        print("\ninterrupted", file=sys.stderr)
    except BrokenPipeError:  # `… | head` closed its end: not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        code = WRONG
        _complain(disk_problem(error))
    raise SystemExit(code)


def disk_problem(error: OSError) -> str:
    """Returns what is wrong with a file or a disk; where it is full or can't be written to, with what to do about it."""
    if error.errno == errno.EROFS and error.filename:
        return f"{Path(str(error.filename)).parent}: {error.strerror}. Work on a copy in a folder that can be written to."
    problem = f"{' → '.join(str(name) for name in (error.filename, error.filename2) if name) or 'the file system'}: {error.strerror}"
    is_temporary = "temporary" in str(error.strerror)  # tempfile finds no folder that it can write to
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS) and not is_temporary:
        return problem
    return f"{problem}. Make room there. Temporary files go to {os.environ.get('TMPDIR') or '/tmp'}; to put them elsewhere: TMPDIR=FOLDER before the command."
