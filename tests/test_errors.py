import pytest

from tools.errors import WANTING, ToolError, all_at_once, choices, run


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
        (OSError(28, "No space left on device", "out.json"), 2, "error: out.json: No space left on device\n"),
    ],
)
def test_a_users_fault_is_a_message_and_an_exit_code(raised: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise raised

    with pytest.raises(SystemExit) as left:
        run(main)
    assert (left.value.code, capsys.readouterr().err) == (code, message)


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    def main() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        run(main)
