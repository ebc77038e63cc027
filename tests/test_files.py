import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools import files
from tools.errors import ToolError
from tools.files import ROOT, Transaction, need_file, one_at_a_time, read_json, read_jsonl, read_text, replacing, replacing_file, write_json


def test_a_failed_transaction_leaves_old_files_whole_and_no_litter(tmp_path: Path) -> None:
    old = tmp_path / "a.txt"
    old.write_text("old")
    with pytest.raises(RuntimeError), Transaction() as new:
        new.open(old).write("new")
        new.open(tmp_path / "b.txt").write("new")
        raise RuntimeError
    assert old.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_killed_writer_leaves_the_old_file_whole(tmp_path: Path) -> None:
    old = tmp_path / "a.txt"
    old.write_text("old")
    code = f"import time; from pathlib import Path; from tools.files import Transaction\nwith Transaction() as n: n.open(Path({str(old)!r})).write('x' * 10**6); print('in', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
    assert old.read_text() == "old"


def test_files_of_a_transaction_appear_together(tmp_path: Path) -> None:
    with Transaction() as new:
        new.open(tmp_path / "sub" / "a").write("1")
        assert not (tmp_path / "sub" / "a").exists()
        new.open(tmp_path / "b").write("2")
    assert ((tmp_path / "sub" / "a").read_text(), (tmp_path / "b").read_text()) == ("1", "2")


def test_a_lone_surrogate_is_written_as_the_escape_it_was_read_from(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"text": "a\ud800b\\"})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"text": "a\ud800b\\"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1}\n{"a": \n', r"a\.jsonl:2: not JSON"),
        (b'{"a": 1}\n[1]\n', r"a\.jsonl:2: a JSON object is needed, this is a list"),
        ('{}\n{"text": "中文字"}\n'.encode("gb18030"), r"a\.jsonl:2: not UTF-8 .*looks like GBK"),
        (b'{"a": "' + "中".encode()[:2], r"a\.jsonl:1: not UTF-8"),
        (b"[" * 100_000, r"a\.jsonl:1: not JSON"),
    ],
)
def test_a_bad_line_is_named_with_its_file_and_number(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    with pytest.raises(ToolError, match=message):
        list(read_jsonl(path))


def test_a_byte_order_mark_crlf_and_line_separators_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + '{"t": "一\u2028二"}\r\n\r\n{"t": "三"}'.encode())
    assert list(read_jsonl(path)) == [(1, {"t": "一\u2028二"}), (3, {"t": "三"})]


def test_a_folder_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"is a folder.* make data"):
        need_file(tmp_path, "make data")
    with pytest.raises(ToolError, match="no such file"):
        read_text(tmp_path / "x")


def test_broken_json_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n"a": ,\n}')
    with pytest.raises(ToolError, match=r"a\.json:2: not JSON"):
        read_json(tmp_path / "a.json")


def test_light_tools_start_without_the_heavy_packages() -> None:
    code = "import sys, tools.data.convert, tools.score.score; print([m for m in ('torch', 'pandas', 'transformers', 'omegaconf', 'openai') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "merged"
    for content in ("one", "two"):
        with replacing(final) as new:
            (new / "file").write_text(content)
        assert (final / "file").read_text() == content
    with pytest.raises(ZeroDivisionError), replacing(final) as new:
        (new / "file").write_text("three")
        1 / 0  # noqa: B018
    assert (final / "file").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_a_file_that_a_library_writes_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "a.png"
    final.write_text("old")
    left_by_a_killed_process(final, "new").write_text("half")
    with pytest.raises(RuntimeError), replacing_file(final) as new:
        new.write_text("half")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.png", "old")]
    with replacing_file(final) as new:
        new.write_text("new")
        assert final.read_text() == "old"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.png", "new")]


NO_PROCESS = 4194305  # above the kernel's highest pid


def left_by_a_killed_process(path: Path, kind: str, machine: str = "") -> Path:
    """A temporary name beside `path` of a process that is gone, on this machine or another."""
    return path.with_name(f".{path.name}.{machine or files._machine()}.{NO_PROCESS}.0123abcd.{kind}")


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """A folder of a model that is there already."""
    final = tmp_path / "merged"
    final.mkdir()
    (final / "file").write_text("old")
    return final


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_the_old_folder_is_put_back_when_the_new_one_cannot_be_moved_in(
    merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    move = os.replace

    def second_move_fails(source: Path, target: Path) -> None:
        if str(source).endswith(".new"):
            raise error
        move(source, target)

    monkeypatch.setattr(files.os, "replace", second_move_fails)
    with pytest.raises(type(error)), replacing(merged) as new:
        (new / "file").write_text("new")
    assert tree(tmp_path) == {"merged/file": "old"}


def test_both_folders_are_kept_and_named_when_neither_can_be_moved_in(merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move = os.replace

    def nothing_moves_in(source: Path, target: Path) -> None:
        if target == merged:
            raise OSError(5, "Input/output error")
        move(source, target)

    monkeypatch.setattr(files.os, "replace", nothing_moves_in)
    with pytest.raises(ToolError, match=r"neither the new folder, .*\.new, nor the old one, .*\.old, can be moved there"), replacing(merged) as new:
        (new / "file").write_text("new")
    assert sorted(tree(tmp_path).values()) == ["new", "old"]


def test_two_overlapping_replacements_never_touch_each_others_folder(merged: Path, tmp_path: Path) -> None:
    with replacing(merged) as first:
        (first / "file").write_text("first")
        with replacing(merged) as second:
            (second / "file").write_text("second")
            assert (first / "file").read_text() == "first"
        assert (merged / "file").read_text() == "second"
    assert tree(tmp_path) == {"merged/file": "first"}


def test_the_old_folder_of_a_run_killed_between_two_moves_is_put_back(merged: Path, tmp_path: Path) -> None:
    old, new = left_by_a_killed_process(merged, "old"), left_by_a_killed_process(merged, "new")
    new.mkdir()
    os.replace(merged, old)
    with pytest.raises(ZeroDivisionError), replacing(merged):
        1 / 0  # noqa: B018
    assert tree(tmp_path) == {"merged/file": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_temporary_files_of_another_host_or_a_living_process_are_left_alone(tmp_path: Path) -> None:
    final = tmp_path / "a.json"
    foreign = left_by_a_killed_process(final, "new", machine="0123456789ab")
    living = final.with_name(f".a.json.{files._machine()}.{os.getpid()}.00000000.new")
    others = [foreign, living, tmp_path / f".a.json.{NO_PROCESS}.tmp", tmp_path / f".a.json.x.{files._machine()}.{NO_PROCESS}.00000000.new"]
    for path in others:
        path.write_text("somebody's")
    gone = left_by_a_killed_process(final, "new")
    gone.write_text("litter")
    write_json(final, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", *(path.name for path in others)}


def test_the_machine_in_a_temporary_name_is_one_boot_of_one_host_and_one_container(monkeypatch: pytest.MonkeyPatch) -> None:
    here = files._machine()
    for name, value in (("socket.gethostname", "elsewhere"), ("Path.readlink", "pid:[1]")):
        with monkeypatch.context() as patch:
            patch.setattr(f"tools.files.{name}", lambda *words, value=value: value)
            assert files._machine.__wrapped__() != here
    assert files._machine.__wrapped__() == here


def test_a_name_of_two_hundred_bytes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("训" * 80 + ".json")
    write_json(path, 1)
    with replacing_file(path) as new:
        new.write_text("2")
    assert tree(tmp_path) == {path.name: "2"}


@pytest.mark.parametrize("links", [True, False])
def test_a_transaction_whose_second_move_fails_puts_the_first_file_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    (tmp_path / "a").write_text("old a")
    (tmp_path / "b").mkdir()  # can't be replaced by a file
    if not links:
        monkeypatch.setattr(files.os, "link", lambda *names: exec("raise OSError(95, 'Operation not supported')"))
    with pytest.raises(OSError), Transaction() as new:
        for name in ("fresh", "a", "b"):
            new.open(tmp_path / name).write("new")
    assert tree(tmp_path) == {"a": "old a" if links else "new"}
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_one_at_a_time_names_who_holds_the_folder_and_lets_go_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with one_at_a_time(folder, "training"):
        code = f"from pathlib import Path; from tools.files import one_at_a_time\nwith one_at_a_time(Path({str(folder)!r}), 'export'): pass"
        second = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert f"{folder}: in use by training, process {os.getpid()} on " in second.stderr
        assert "To start the export, wait" in second.stderr
    with one_at_a_time(folder, "export"):
        assert not folder.exists()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code = f"import os; from pathlib import Path; from tools.files import one_at_a_time\nwith one_at_a_time(Path({str(folder)!r}), 'export'): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    with one_at_a_time(folder, "training"):
        pass


@pytest.mark.parametrize(("text", "message"), [("[" * 100_000, "nested too deeply"), ("1" * 5000, "too many digits")])
def test_json_that_python_refuses_to_read_is_a_message(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ToolError, match=message):
        read_json(tmp_path / "a.json")


def test_a_link_stays_a_link_to_the_new_file_also_where_it_was_to_be_removed_unless_written(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "real.txt").chmod(0o640)
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with Transaction() as new:
        new.remove(tmp_path / "link.txt")
        new.open(tmp_path / "link.txt").write("new")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_text() == "new"
    assert (tmp_path / "real.txt").stat().st_mode & 0o777 == 0o640
