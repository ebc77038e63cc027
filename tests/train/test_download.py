from collections.abc import Callable
from pathlib import Path

import pytest

from tools.errors import ToolError
from tools.files import read_json
from tools.train.download import ORIGIN, download


@pytest.mark.parametrize("words", [[], ["Qwen2.5-7B-Instruct"], ["a/b/c"], ["Qwen/"]])
def test_a_name_that_isnt_owner_and_name_is_refused(tool: Callable, tmp_path: Path, words: list[str]) -> None:
    done = tool("download", *words, "--out", tmp_path)
    assert (done.returncode, "make download ARGS=Qwen/Qwen2.5-7B-Instruct" in done.stderr) == (2, True)


def test_a_download_appears_whole_under_the_models_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(model: str, revision: str, local_dir: str) -> None:
        Path(local_dir).mkdir(parents=True, exist_ok=True)
        (Path(local_dir) / "config.json").write_text(f"{model} {revision}")

    monkeypatch.setattr("modelscope.snapshot_download", fetch)
    assert download("Qwen/Tiny", tmp_path) == tmp_path / "Tiny"
    assert (tmp_path / "Tiny/config.json").read_text() == "Qwen/Tiny master"
    assert read_json(tmp_path / "Tiny" / ORIGIN) == {"hub": "modelscope", "model": "Qwen/Tiny"}


def test_a_failed_download_is_a_message_and_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("modelscope.snapshot_download", fail)
    with pytest.raises(ToolError, match="Qwen/Tiny: not downloaded: no route\nCheck") as error:
        download("Qwen/Tiny", tmp_path)
    assert error.value.exit_code == 1
    assert not (tmp_path / "Tiny").exists()


def test_a_model_that_is_there_stays_and_a_folder_without_one_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Tiny").mkdir()
    (tmp_path / "Tiny/notes.txt").write_text("mine")
    with pytest.raises(ToolError, match=r"without a config\.json\. Nothing was downloaded\. To get it anew: mv "):
        download("Qwen/Tiny", tmp_path)
    (tmp_path / "Tiny/config.json").write_text("{}")
    assert download("Qwen/Tiny", tmp_path) == tmp_path / "Tiny"
    assert "is there already, and stays. To get it anew: mv " in capsys.readouterr().err
