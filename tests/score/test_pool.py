import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.errors import WANTING, ToolError
from tools.score import pool
from tools.score.pool import processes_for, spread


def test_a_process_that_dies_is_an_error_and_leaves_no_other_behind() -> None:
    def work(item: int) -> None:
        if item == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ToolError, match="is gone; is the memory full") as raised:
        list(spread(work, range(1000), 2))
    assert raised.value.exit_code == 1
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_item_gives_one_result_in_order_whatever_the_number_of_processes(processes: int) -> None:
    found = list(spread(lambda item: (item, os.getpid()), range(100), processes))
    assert [item for item, _ in found] == list(range(100))
    assert len({pid for _, pid in found}) <= processes
    assert (os.getpid() in {pid for _, pid in found}) == (processes == 1)
    assert multiprocessing.active_children() == []


def test_the_first_error_in_a_process_ends_all_and_is_raised_here() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for item in range(10_000):
            drawn.append(item)
            yield item

    def work(item: int) -> None:
        if item == 5:
            raise ToolError("line 5 is bad", WANTING)

    with pytest.raises(ToolError, match="line 5 is bad") as raised:
        list(spread(work, items(), 2))
    assert raised.value.exit_code == 1
    assert len(drawn) < 100, "the rest is never read"
    assert multiprocessing.active_children() == []


def test_few_items_are_in_memory_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "done"
    log.touch()

    def work(item: int) -> None:
        with log.open("a") as file:
            file.write("x")

    def items() -> Iterator[int]:
        for item in range(200):
            assert item - log.stat().st_size <= pool.WAITING * 2
            yield item

    list(spread(work, items(), 2))


def test_an_error_in_the_items_leaves_no_process_behind() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ToolError("a bad line")

    with pytest.raises(ToolError, match="a bad line"):
        list(spread(abs, items(), 2))
    assert multiprocessing.active_children() == []


PROGRAM = textwrap.dedent("""
    import os, sys, time
    from tools.errors import run
    from tools.score.pool import spread

    def work(item):
        with open(sys.argv[1], "a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(0.05)

    run(lambda: print(len(list(spread(work, range(100_000), 2)))))
""")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_however_the_command_ends(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "pids"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, log], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not log.exists() or len(log.read_text().split()) < 6:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert (out, "Traceback" in errors) == ("", False), errors
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    workers = {int(word) for word in log.read_text().split()}
    while any(_is_running(worker) for worker in workers):  # the test's limit ends a worker that stays
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_small_files_are_not_worth_a_second_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * 100)
    assert processes_for(file) == 1
    monkeypatch.setattr(pool, "PARALLEL_FROM", 150)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(32)))
    assert (processes_for(file), processes_for(file, file)) == (1, pool.MOST_PROCESSES)
