"""The real Label Studio server: what it keeps, and a task's way through it and back."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.labelling.label_studio_server import INSTALL, LabelStudio, installed, server
from tests.labelling.test_merge import sent, snapshot, task
from tools.conf.task import Task

CONFIG = '<View><Labels name="label" toName="text"><Label value="PER"/><Label value="R&amp;D"/></Labels><Text name="text" value="$text"/></View>'
TEXT = "  😀张三去\r\n北京大学  "

__all__ = ["task"]  # the fixture

pytestmark = pytest.mark.skipif(not installed(), reason=f"Label Studio isn't installed: {INSTALL}")


@pytest.fixture(scope="module")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """One server for the whole module."""
    with server(tmp_path_factory.mktemp("label-studio")) as running:
        yield running


def test_what_is_imported_is_exported_and_a_change_shows(label_studio: LabelStudio) -> None:
    project = label_studio.create_project(CONFIG)
    data = {"text": TEXT, "example": "clue-dev-000001"}
    person, place = region("e-0", "PER", "张三"), region("e-1", "R&D", "北京大学")
    prediction = {"result": [{**place, "score": 0.875}], "score": 0.5, "model_version": "a run"}
    ids = label_studio.import_tasks(
        project, [{"data": data, "annotations": [{"result": [person]}], "predictions": [prediction]}, {"data": {"text": "无人"}}]
    )

    [exported] = label_studio.export(project)
    assert (exported["id"], exported["data"]) == (ids[0], data)
    [annotation] = exported["annotations"]
    assert annotation["result"] == [person]
    assert [task["id"] for task in label_studio.export(project, unlabelled=True)] == ids
    [kept] = label_studio.tasks(project)[0]["predictions"]
    assert {key: kept[key] for key in prediction} == prediction

    label_studio.change(annotation["id"], [person, place])
    label_studio.submit(ids[1], [])
    assert [[one["result"] for one in task["annotations"]] for task in label_studio.export(project)] == [[[person, place]], [[]]]
    label_studio.delete(project)
    with pytest.raises(RuntimeError, match="404"):
        label_studio.export(project)


def test_sheets_go_through_the_server_and_come_back_unchanged_and_then_with_an_annotators_edit(
    label_studio: LabelStudio, tool: Callable[..., CompletedProcess[str]], task: Task, tmp_path: Path
) -> None:
    came = sent(task, "label_studio", tmp_path)
    project = label_studio.create_project((tmp_path / "sent.label_studio.xml").read_text(encoding="utf-8"))
    label_studio.import_tasks(project, came)
    before = snapshot(tmp_path)
    for kind in ("JSON", "JSON_MIN"):
        file = tmp_path / "export.json"
        file.write_text(json.dumps(label_studio.export(project, kind), ensure_ascii=False), encoding="utf-8")
        done = tool("merge", task.path, file)
        assert done.returncode == 0, done.stderr
        assert "16 came back as they are; nothing was written" in done.stdout and snapshot(tmp_path) == before

    first = label_studio.export(project)[0]
    label_studio.submit(first["id"], first["annotations"][0]["result"][:1])  # an annotator's own beside the one that went out
    file.write_text(json.dumps(label_studio.export(project), ensure_ascii=False), encoding="utf-8")
    done = tool("merge", task.path, file)
    assert done.returncode == 0 and "1 examples changed" in done.stdout
    label_studio.delete(project)


def region(name: str, label: str, text: str) -> dict[str, Any]:
    """Returns the result of one labelled span of TEXT, whose offsets count code points."""
    start = TEXT.index(text)
    value = {"start": start, "end": start + len(text), "text": text, "labels": [label]}
    return {"id": name, "from_name": "label", "to_name": "text", "type": "labels", "value": value}
