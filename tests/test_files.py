import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools.errors import ToolError
from tools.files import ROOT, Transaction, need_file, read_json, read_jsonl, read_text, replacing, replacing_file, write_json


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
    (tmp_path / ".a.png.4194305.tmp").write_text("left by a process that was killed")  # above the kernel's highest pid
    with pytest.raises(RuntimeError), replacing_file(final) as new:
        new.write_text("half")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.png", "old")]
    with replacing_file(final) as new:
        new.write_text("new")
        assert final.read_text() == "old"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.png", "new")]
