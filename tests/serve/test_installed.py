"""The installed vLLM."""

from pathlib import Path

import pytest

from tools.serve.installed import reason


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "INFO fine\nTraceback (most recent call last):\nValueError: the cause\nRuntimeError: Engine core initialization failed.\n",
            ["ValueError: the cause"],
        ),
        (
            "(APIServer pid=1) WARNING 11-23 00:02:32 [x.py:2] may cause `OSError: [Errno 24]`\n"
            "(EngineCore pid=2) ERROR 11-23 00:02:33 [core.py:9] pydantic.ValidationError: 1 error\n  Value error, too long\n",
            ["pydantic.ValidationError: 1 error", "Value error, too long"],
        ),
        ("a\nb\nc\nKilled\n", ["b", "c", "Killed"]),
    ],
)
def test_the_cause_is_picked_from_the_log(tmp_path: Path, text: str, shown: list[str]) -> None:
    log = tmp_path / "serve.log"
    log.write_text(text)
    assert reason(log).splitlines() == [*shown, f"The whole log: {log}"]
