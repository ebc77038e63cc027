"""What the service knows of a served model: its facts, and a calibration that is today's or isn't used."""

from pathlib import Path

import pytest

from tools.chat.thinking import Thinking
from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.example import Example
from tools.extract.annotate import Selection
from tools.extract.confidence import Calibration, asking_to_calibrate, calibration_file, made_from
from tools.extract.runs import Model, load_model
from tools.files import sha256, write_json
from tools.serve.served import ServedRun

NAME = "tiny-qwen2-sample-ner-lora-sft"
CONF = f"conf/{NAME}.yaml"


@pytest.fixture
def served(tmp_path: Path) -> ServedRun:
    """An adapter's run, trained into a folder of the test's own."""
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return ServedRun(NAME, CONF, [f"output_dir={folder}"], "adapter", "sample", Thinking(), None, 512)


def calibrate(served: ServedRun) -> Path:
    """Writes a calibration of today's model, and returns its path."""
    run, task = load_run(Path(CONF), served.overrides), find_task("sample")
    variant = run.variant("adapter")
    made = made_from(asking_to_calibrate(run, task, "dev", variant))
    path = calibration_file(variant, task.name)
    path.parent.mkdir()
    write_json(path, Calibration((0.0, 1.0), (0.0, 0.9), ((0.5, 0.9),), split="dev", made_from=made).to_dict())
    return path


def test_the_facts_are_those_of_the_files(served: ServedRun, tmp_path: Path) -> None:
    found = load_model(served)
    task = find_task("sample")
    assert found.facts == {
        "model": NAME,
        "which": "adapter",
        "task": "sample",
        "kind": "ner",
        "version": task.version,
        "prompt_sha256": sha256(task.prompt),
        "base_model": "tiny-qwen2",
        "adapter_sha256": sha256(tmp_path / NAME / "adapter_model.safetensors"),
        "calibrated": False,
    }
    assert found.calibration is None and f"./ner calibrate {CONF}" in found.uncalibrated


def test_todays_calibration_is_used_and_any_other_is_not(served: ServedRun, tmp_path: Path) -> None:
    path = calibrate(served)
    found = load_model(served)
    assert (found.calibration is not None, found.uncalibrated, found.facts["calibrated"]) == (True, "", True)
    (tmp_path / NAME / "adapter_model.safetensors").write_bytes(b"trained again")
    stale = load_model(served)
    assert stale.calibration is None and "adapter" in stale.uncalibrated and "./ner calibrate" in stale.uncalibrated
    path.write_text("{}")
    broken = load_model(served)
    assert broken.calibration is None and str(path) in broken.uncalibrated


def test_a_prompt_that_changes_on_the_disk_changes_nothing_until_the_next_start(served: ServedRun, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("甲：{text}\n", encoding="utf-8")
    found = Model(served, find_task("sample").changed(prompt=prompt))
    before = found.questions(Example("0", "乙", []))
    prompt.write_text("丙：{text}\n", encoding="utf-8")
    assert found.questions(Example("0", "乙", [])) == before and before[0].messages[-1]["content"] == "甲：乙"


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (Selection(), [True, True, True]),
        (Selection(labels=frozenset({"name"})), [True, False, True]),
        (Selection(threshold=0.5), [True, False, False]),
        (Selection(threshold=0.0), [True, True, False]),
    ],
)
def test_a_selection_takes_labels_and_confidences(wanted: Selection, takes: list[bool]) -> None:
    assert [wanted.takes(*one) for one in (("name", 0.5), ("book", 0.4), ("name", None))] == takes
