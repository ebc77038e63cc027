import json
from pathlib import Path

from tools.conf.run import Run
from tools.files import sha256
from tools.train import manifest


def test_the_manifest_records_inputs_versions_and_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (tmp_path / "alpaca").mkdir()
    (tmp_path / "alpaca/dataset_info.json").write_text('{"alpaca_sample_train": {"file_name": "rows.json"}}')
    (tmp_path / "alpaca/rows.json").write_text("[]")
    run = Run(tmp_path / "run.yaml", {"output_dir": str(folder), "dataset_dir": str(tmp_path / "alpaca"), "dataset": "alpaca_sample_train"})
    folder.mkdir()
    run.resolved.write_text("x: 1")
    started = manifest.start(run, ["llamafactory-cli", "train", "a b.yaml"])
    written = json.loads((folder / "manifest.json").read_text())
    assert written == started
    assert (written["command"], written["ended"], written["exit_code"]) == ("llamafactory-cli train 'a b.yaml'", None, None)
    assert written["sha256"] == {str(p): sha256(p) for p in (run.resolved, tmp_path / "alpaca/rows.json", Path("data/prompts/sample_prompt.txt"))}
    assert written["versions"]["llamafactory"] == "0.9.5"
    manifest.end(run, started, 3)
    ended = json.loads((folder / "manifest.json").read_text())
    assert (ended["exit_code"], ended["started"]) == (3, started["started"])
    assert ended["ended"] >= ended["started"]
