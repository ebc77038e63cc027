import os
import subprocess
import sys

import pytest

from tools.errors import WANTING, ToolError, all_at_once, choices, disk_problem, run
from tools.files import ROOT


def test_choices_guess_the_nearest_word_and_list_the_rest() -> None:
    assert choices("cluner", ["cluener", "bio"]) == " Did you mean 'cluener'? Available: bio, cluener."
    assert choices("xyz", []) == " Available: none."


def test_a_long_list_of_choices_shows_only_the_guess() -> None:
    assert choices("key01", [f"key{n:02}" for n in range(100)]) == " Did you mean 'key01'?"


def test_all_problems_are_raised_in_one_error() -> None:
    all_at_once([])
    with pytest.raises(ToolError, match="one\ntwo"):
        all_at_once(["one", "two"])


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (ToolError("no such thing", WANTING), 1, "error: no such thing\n"),
        (ToolError("a\nb"), 2, "error: a\nerror: b\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
        (OSError(18, "Invalid cross-device link", "new", None, "old"), 2, "error: new → old: Invalid cross-device link\n"),
    ],
)
def test_a_users_fault_is_a_message_and_an_exit_code(raised: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise raised

    with pytest.raises(SystemExit) as left:
        run(main)
    assert (left.value.code, capsys.readouterr().err) == (code, message)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (OSError(28, "No space left on device", "out.json"), "out.json: No space left on device"),
        (OSError(30, "Read-only file system"), "the file system: Read-only file system"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "the file system: No usable temporary directory found in ['/tmp']"),
    ],
)
def test_a_full_disk_is_named_with_the_way_to_another(error: OSError, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/scratch")
    hint = "Make room there. Temporary files go to /scratch; to put them elsewhere: TMPDIR=FOLDER before the command."
    assert disk_problem(error) == f"{problem}. {hint}"


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    def main() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        run(main)


ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def in_ascii(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code whose stdout and stderr are pipes in ASCII."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **ASCII}, capture_output=True, text=True, check=False)


def test_a_pipe_in_ascii_gets_escapes_and_no_traceback() -> None:
    done = in_ascii(
        "from tools.errors import disk_problem, ToolError, run\n"
        "from tqdm import tqdm\n"
        "def main():\n"
        r" print('\u7ec4\u7ec7 \u2192'); list(tqdm([1], desc='\u7ec4\u7ec7')); raise ToolError('\u7ec4\u7ec7: \u2026', 1)"
        "\nrun(main)"
    )
    assert (done.returncode, done.stdout) == (1, "\\u7ec4\\u7ec7 \\u2192\n")
    assert done.stderr.endswith("error: \\u7ec4\\u7ec7: \\u2026\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("given", ["ascii", "", "ascii:strict"])
def test_a_child_writes_escapes_to_a_pipe_in_ascii_unless_it_was_told_otherwise(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    child = "print('\\u7ec4\\u7ec7')"
    for name, value in {**ASCII, "PYTHONIOENCODING": given}.items():
        monkeypatch.setenv(name, value)
    code = f"import sys; from tools.process import call; raise SystemExit(call([sys.executable, '-c', {child!r}]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == ((1, "") if given == "ascii:strict" else (0, "\\u7ec4\\u7ec7\n"))


@pytest.mark.parametrize("words", [["check", "conf/task/sample.yaml"], ["train", "--help"], ["check", "conf/task/组织.yaml"]])
def test_a_verb_speaks_to_a_pipe_in_ascii(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "tools", *words], cwd=ROOT, env={**os.environ, **ASCII}, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout + done.stderr
    assert (done.stdout + done.stderr).isascii()


def test_a_folder_that_cant_be_written_to_is_named_and_not_a_temporary_file() -> None:
    found = disk_problem(OSError(30, "Read-only file system", "raw/.train.jsonl.0123456789ab.7.89abcdef.new"))
    assert found == "raw: Read-only file system. Work on a copy in a folder that can be written to."
