"""What annotators bring back: merged, refused, or nothing at all."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.labelling.toy_town import marked, rows
from tools.conf.task import Task, load_task
from tools.data.convert import convert
from tools.example import Example, read_examples
from tools.labelling.exchange import Sheet, changed, send
from tools.labelling.merge import present

TASK = """# A toy task.

kind: ner
raw:                    # in CLUENER's format
  train: {train}
  dev: {dev}
reader: cluener         # ends are inclusive
offsets: code-points
system: 你是专家。
prompt: {prompt}
labels: [name, address, company]
version: 3              # raise it when something changes
"""
Merge = Callable[..., CompletedProcess[str]]


def cluener(example: Example) -> str:
    label: dict[str, dict[str, list[list[int]]]] = {}
    for one in example.entities:
        label.setdefault(one.label, {}).setdefault(one.text, []).append([one.start, one.end - 1])
    return json.dumps({"text": example.text, "label": label}, ensure_ascii=False)


def unique(count: int, split: str, first: int = 1) -> list[Example]:
    """Rows of which no two have the same text."""
    made = rows(count, task="toy", split=split)
    return [marked(row.id, f"{number}号：{row.text}", *row.pairs()) for number, row in enumerate(made, first)]


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A task in CLUENER's format with two splits."""
    (tmp_path / "prompt.txt").write_text("{text}\n", encoding="utf-8")
    for split, count, first in (("train", 12, 1), ("dev", 4, 100)):
        (tmp_path / f"{split}.jsonl").write_text("".join(f"{cluener(row)}\n" for row in unique(count, split, first)), encoding="utf-8")
    path = tmp_path / "toy.yaml"
    places = {name: tmp_path / file for name, file in (("train", "train.jsonl"), ("dev", "dev.jsonl"), ("prompt", "prompt.txt"))}
    path.write_text(TASK.format(**places), encoding="utf-8")
    return load_task(path)


def sent(task: Task, tool: str, folder: Path, suggestions: dict[str, Example] | None = None) -> list[dict[str, Any]]:
    """All examples as a tool is given them."""
    examples = [one for some in present(task).values() for one in some]
    path = send(tool, task, [Sheet(one, (suggestions or {}).get(one.id, one), "a run") for one in examples], folder / "sent")
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if tool == "label_studio" else [json.loads(line) for line in text.splitlines()]  # type: ignore[no-any-return]


def export(folder: Path, came: list[dict[str, Any]], tool: str) -> Path:
    path = folder / ("export.json" if tool == "label_studio" else "export.jsonl")
    text = json.dumps(came, ensure_ascii=False) if tool == "label_studio" else "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in came)
    path.write_text(text, encoding="utf-8")
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.name.startswith(("export", "sent"))}


def relabel(row: dict[str, Any], tool: str, label: str) -> None:
    """Gives the first entity of a row another label, as its annotator did."""
    if tool == "label_studio":
        row["annotations"][0]["result"][0]["value"]["labels"] = [label]
    else:
        row["label"][0][2] = label


@pytest.mark.parametrize("tool_name", ["label_studio", "doccano"])
def test_a_round_trip_without_edits_changes_no_byte(tool: Merge, task: Task, tmp_path: Path, tool_name: str) -> None:
    before = snapshot(tmp_path)
    done = tool("merge", task.path, export(tmp_path, sent(task, tool_name, tmp_path), tool_name))
    assert done.returncode == 0, done.stderr
    assert "16 came back as they are; nothing was written" in done.stdout
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("tool_name", ["label_studio", "doccano"])
def test_an_edit_is_shown_and_written_with_a_new_version_and_everything_else_stays(tool: Merge, task: Task, tmp_path: Path, tool_name: str) -> None:
    before, was = snapshot(tmp_path), present(task)
    came = sent(task, tool_name, tmp_path)
    relabel(came[2], tool_name, "company")
    done = tool("merge", task.path, export(tmp_path, came, tool_name))
    assert done.returncode == 0, done.stderr
    old, now = was["train"][2], load_task(task.path)
    first = min(old.entities, key=lambda one: one.start) if tool_name == "doccano" else old.entities[0]
    assert f"{old.id}  − {first.text} [{first.label}]  + {first.text} [company]" in done.stdout
    assert "version 3 → 4" in done.stdout and now.version == 4 and now.reader == "jsonl" and now.offsets is None
    text = task.path.read_text(encoding="utf-8")
    assert text.startswith("# A toy task.\n\nkind: ner\n") and "version: 4              # raise it when something changes\n" in text
    assert (tmp_path / "train.jsonl").read_bytes() == before["train.jsonl"]
    after = present(now)
    assert after["dev"] == was["dev"] and after["train"][:2] + after["train"][3:] == was["train"][:2] + was["train"][3:]
    assert {one.label for one in after["train"][2].entities if one.text == first.text} == {"company"}


def test_a_second_merge_keeps_the_files_of_splits_that_stay(tool: Merge, task: Task, tmp_path: Path) -> None:
    for label in ("company", "address"):
        came = sent(load_task(task.path), "doccano", tmp_path)
        relabel(came[0], "doccano", label)
        assert tool("merge", task.path, export(tmp_path, came, "doccano")).returncode == 0
    now = load_task(task.path)
    assert now.version == 5 and now.raw["train"].endswith("toy.train.v5.jsonl") and now.raw["dev"].endswith("toy.dev.v4.jsonl")


def test_an_annotators_own_annotation_counts_beside_the_one_that_went_out(tool: Merge, task: Task, tmp_path: Path) -> None:
    came = sent(task, "label_studio", tmp_path)
    came[0]["annotations"].append({"completed_by": 2, "result": []})
    done = tool("merge", task.path, export(tmp_path, came, "label_studio"))
    assert done.returncode == 0, done.stderr
    assert "1 examples changed" in done.stdout and present(load_task(task.path))["train"][0].entities == []


def test_two_annotators_who_differ_are_refused_until_one_is_named(tool: Merge, task: Task, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    came = sent(task, "label_studio", tmp_path)
    came[0]["annotations"] += [{"completed_by": 2, "result": []}, {"completed_by": 3, "result": came[0]["annotations"][0]["result"][:1]}]
    path = export(tmp_path, came, "label_studio")
    done = tool("merge", task.path, path)
    assert done.returncode == 1 and "disagree" in done.stderr and "Nothing was written" in done.stderr and snapshot(tmp_path) == before
    assert tool("merge", task.path, path, "--annotator", 2).returncode == 0
    assert present(load_task(task.path))["train"][0].entities == []


@pytest.mark.parametrize("truth", [False, True])
def test_who_hands_in_what_went_out_has_annotated_and_differs_from_who_changes_it(tool: Merge, task: Task, tmp_path: Path, truth: bool) -> None:
    before = snapshot(tmp_path)
    came = sent(task, "label_studio", tmp_path)
    given = came[0]["annotations"][0]
    came[0]["annotations"] = [{**given, "completed_by": 1, "ground_truth": truth}, {**given, "completed_by": 5}, {"completed_by": 6, "result": []}]
    path = export(tmp_path, came, "label_studio")
    done = tool("merge", task.path, path)
    if truth:
        assert done.returncode == 0 and "nothing was written" in done.stdout
    else:
        assert done.returncode == 1 and "annotator 5: 1, 6: 1" in done.stderr and "--annotator NAME" in done.stderr and "fields." not in done.stderr
    assert "nothing was written" in tool("merge", task.path, path, "--annotator", 5).stdout and snapshot(tmp_path) == before
    nobody = tool("merge", task.path, path, "--annotator", "nobody")
    assert truth or (nobody.returncode == 1 and "none by annotator nobody" in nobody.stderr)
    assert tool("merge", task.path, path, "--annotator", 6).returncode == 0
    assert present(load_task(task.path))["train"][0].entities == []


def test_an_annotator_of_doccano_cant_be_named(tool: Merge, task: Task, tmp_path: Path) -> None:
    done = tool("merge", task.path, export(tmp_path, sent(task, "doccano", tmp_path), "doccano"), "--annotator", "a")
    assert done.returncode == 1 and "doccano's export doesn't say who annotated" in done.stderr


def test_a_json_min_export_of_rows_that_were_emptied_is_read(tool: Merge, task: Task, tmp_path: Path) -> None:
    came = [{**row["data"], "id": 7, "annotator": 1, "annotation_id": 9} for row in sent(task, "label_studio", tmp_path)[:1]]
    done = tool("merge", task.path, export(tmp_path, came, "label_studio"))
    assert done.returncode == 0, done.stderr
    assert present(load_task(task.path))["train"][0].entities == []


def test_offsets_that_count_in_another_unit_are_asked_about_and_then_read(tool: Merge, task: Task, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    new = [("😀林晓来了", 1, 3), ("😀😀陈晨走了", 2, 4), ("👍林晓和陈晨", 1, 3), ("🎉🎉🎉林晓", 3, 5)] * 3
    rows = [
        {"text": f"{text}{number}", "label": [[start + text[:start].count(text[0]), end + text[:start].count(text[0]), "name"]]}
        for number, (text, start, end) in enumerate(new)
    ]
    path = export(tmp_path, rows, "doccano")
    done = tool("merge", task.path, path, "--add-to", "train")
    assert done.returncode == 1 and "--offsets utf-16" in done.stderr and "Nothing was written" in done.stderr and snapshot(tmp_path) == before
    assert tool("merge", task.path, path, "--add-to", "train", "--offsets", "utf-16").returncode == 0
    assert {entity.text for row in present(load_task(task.path))["train"][12:] for entity in row.entities} == {"林晓", "陈晨"}


def test_rows_that_come_back_as_they_went_tell_how_offsets_count(tool: Merge, task: Task, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").open("a", encoding="utf-8").write(cluener(marked("", "😀😀林晓来了", ("name", "林晓"))) + "\n")
    came = sent(task, "doccano", tmp_path)
    new = [{"text": f"😀ab{number}林晓来了", "label": [[2, 4, "name"]]} for number in range(12)]  # whole neither so nor in UTF-16
    done = tool("merge", task.path, export(tmp_path, [*came, *new], "doccano"), "--add-to", "train")
    assert done.returncode == 0, done.stderr
    alone = tool("merge", task.path, export(tmp_path, [{**row, "text": row["text"] + "吗"} for row in new], "doccano"), "--add-to", "train")
    assert alone.returncode == 1 and "--offsets" in alone.stderr


def test_a_row_is_known_by_its_text_where_the_ids_have_moved(tool: Merge, task: Task, tmp_path: Path) -> None:
    came = sent(task, "doccano", tmp_path)
    raw = tmp_path / "train.jsonl"
    raw.write_text(f"{cluener(unique(1, 'train', 500)[0])}\n{raw.read_text(encoding='utf-8')}", encoding="utf-8")
    came[3]["label"] = []
    done = tool("merge", task.path, export(tmp_path, came, "doccano"))
    assert done.returncode == 0, done.stderr
    assert "1 examples changed" in done.stdout and present(load_task(task.path))["train"][4].entities == []


def test_a_ticket_in_older_doccanos_metadata_is_found_and_one_that_is_missing_is_told(tool: Merge, task: Task, tmp_path: Path) -> None:
    came = sent(task, "doccano", tmp_path)[:2]
    raw = tmp_path / "train.jsonl"
    lines = raw.read_text(encoding="utf-8").splitlines()
    own = present(task)["train"][0]
    less = changed(own, [((own.entities[0].label, own.entities[0].start, own.entities[0].end), None)])
    raw.write_text("\n".join([cluener(less), *lines[1:]]) + "\n", encoding="utf-8")
    nested = [{"text": row["text"], "labels": row["label"], "meta": {"example": row["example"]}} for row in came]
    assert "2 came back as they are; nothing was written" in tool("merge", task.path, export(tmp_path, nested, "doccano")).stdout
    bare = [{"text": row["text"], "labels": row["label"]} for row in came]
    assert "1 of the changed came back without their field `example`" in tool("merge", task.path, export(tmp_path, bare, "doccano")).stdout


def test_what_a_killed_merge_left_is_written_over_and_another_file_isnt(tool: Merge, task: Task, tmp_path: Path) -> None:
    before = task.path.read_bytes()
    came = sent(task, "doccano", tmp_path)
    came[0]["label"] = []
    path = export(tmp_path, came, "doccano")
    assert tool("merge", task.path, path).returncode == 0
    after = snapshot(tmp_path)
    task.path.write_bytes(before)  # the task file is moved into place last
    assert tool("merge", task.path, path).returncode == 0 and snapshot(tmp_path) == after
    task.path.write_bytes(before)
    (tmp_path / "toy.train.v4.jsonl").write_text("mine\n", encoding="utf-8")
    done = tool("merge", task.path, path)
    assert done.returncode == 2 and "is there already" in done.stderr


def test_a_linked_task_file_stays_a_link_and_keeps_its_mode(tool: Merge, task: Task, tmp_path: Path) -> None:
    target = task.path.rename(tmp_path / "real.yaml")
    target.chmod(0o640)
    task.path.symlink_to(target)
    came = sent(task, "doccano", tmp_path)
    came[0]["label"] = []
    assert tool("merge", task.path, export(tmp_path, came, "doccano")).returncode == 0
    assert task.path.is_symlink() and load_task(task.path).version == 4 and target.stat().st_mode & 0o777 == 0o640


def test_what_was_changed_on_both_sides_is_a_conflict_and_the_same_change_is_none(tool: Merge, task: Task, tmp_path: Path) -> None:
    came = sent(task, "doccano", tmp_path)
    raw = tmp_path / "train.jsonl"
    lines = raw.read_text(encoding="utf-8").splitlines()
    own = present(task)["train"][0]
    less = changed(own, [((own.entities[0].label, own.entities[0].start, own.entities[0].end), None)])
    raw.write_text("\n".join([cluener(less), *lines[1:]]) + "\n", encoding="utf-8")
    relabel(came[0], "doccano", "company" if own.entities[0].label != "company" else "name")
    before = snapshot(tmp_path)
    done = tool("merge", task.path, export(tmp_path, came, "doccano"))
    assert done.returncode == 1 and f"{own.id} was changed here after it went out" in done.stderr and snapshot(tmp_path) == before
    came[0]["label"] = [[one.start, one.end, one.label] for one in less.entities]
    assert "nothing was written" in tool("merge", task.path, export(tmp_path, came, "doccano")).stdout


def test_every_problem_of_an_export_is_told_at_once_and_nothing_is_written(tool: Merge, task: Task, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    came = sent(task, "doccano", tmp_path)
    relabel(came[0], "doccano", "planet")
    came[1]["text"] = "别的句子"
    came.append({**came[2], "label": []})
    came[3]["label"] = [[0, 999, "name"]]
    done = tool("merge", task.path, export(tmp_path, came, "doccano"))
    assert done.returncode == 1 and snapshot(tmp_path) == before
    for words in ("planet", "its text isn't that of toy-train-000002", "annotated otherwise", "export.jsonl:4"):
        assert words in done.stderr


def test_new_texts_need_a_split_and_then_stand_last_in_it(tool: Merge, task: Task, tmp_path: Path) -> None:
    path = export(tmp_path, [{"text": "新来的林晓", "label": [[3, 5, "name"]]}], "doccano")
    done = tool("merge", task.path, path)
    assert done.returncode == 1 and "--add-to train" in done.stderr
    assert tool("merge", task.path, path, "--add-to", "test").returncode == 2
    assert tool("merge", task.path, path, "--add-to", "train").returncode == 0
    after = present(load_task(task.path))["train"]
    assert len(after) == 13 and [one.text for one in after[-1].entities] == ["林晓"]
    again = tool("merge", task.path, path, "--add-to", "train")
    assert again.returncode == 0 and "1 came back as they are; nothing was written" in again.stdout


def test_a_row_without_its_ticket_is_known_by_its_text_unless_two_have_it(tool: Merge, task: Task, tmp_path: Path) -> None:
    came = [{key: value for key, value in row.items() if key in ("text", "label")} for row in sent(task, "doccano", tmp_path)]
    came[0]["label"] = []
    assert "1 examples changed" in tool("merge", task.path, export(tmp_path, came[:1], "doccano")).stdout
    raw = Path(load_task(task.path).raw["train"])
    raw.write_text(raw.read_text(encoding="utf-8") * 2, encoding="utf-8")
    done = tool("merge", task.path, export(tmp_path, came[1:2], "doccano"))
    assert done.returncode == 1 and "2 examples have this text" in done.stderr


def test_skipped_tasks_change_nothing_and_are_counted(tool: Merge, task: Task, tmp_path: Path) -> None:
    came = sent(task, "label_studio", tmp_path)
    came[0]["annotations"] = [{"result": [], "was_cancelled": True}]
    came[1]["annotations"] = []
    done = tool("merge", task.path, export(tmp_path, came, "label_studio"))
    assert done.returncode == 0, done.stderr
    assert "14 came back as they are" in done.stdout and "1 skipped by their annotator" in done.stdout and "1 without an annotation" in done.stdout


@pytest.mark.parametrize("reader", ["cluener", "jsonl"])
def test_a_divided_raw_file_becomes_one_file_a_split(tool: Merge, task: Task, tmp_path: Path, reader: str) -> None:
    text = task.path.read_text(encoding="utf-8")
    if reader == "jsonl":
        rows = [json.loads(row.to_json()) for row in present(task)["train"]]
        (tmp_path / "train.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        text = text.replace("reader: cluener", "reader: jsonl").replace("offsets: code-points\n", "")
    dev = next(line for line in text.splitlines() if line.strip().startswith("dev:"))
    task.path.write_text(text.replace(f"{dev}\n", "") + "split: {dev: 0.3, seed: 1}\n", encoding="utf-8")
    divided = load_task(task.path)
    was = present(divided)
    came = sent(divided, "doccano", tmp_path)
    came[0]["label"] = []
    assert tool("merge", task.path, export(tmp_path, came, "doccano")).returncode == 0
    now = load_task(task.path)
    after = present(now)
    assert {*now.raw} == {"train", "dev"} and str(tmp_path / "train.jsonl") not in now.raw.values()
    assert now.split is None and [one.text for one in after["dev"]] == [one.text for one in was["dev"]]
    assert [one.entities for one in after["train"][1:]] == [one.entities for one in was["train"][1:]]


def test_a_classification_comes_back_too(tool: Merge, write_task: Callable[..., Path], tmp_path: Path) -> None:
    raw = tmp_path / "classes.jsonl"
    raw.write_text(
        "".join(json.dumps({"text": f"第{n}篇", "label": "体育" if n % 2 else "财经"}, ensure_ascii=False) + "\n" for n in range(6)), encoding="utf-8"
    )
    values = json.loads(
        write_task(kind="classification", raw={"train": str(raw)}, reader="jsonl", labels=["体育", "财经"]).read_text(encoding="utf-8")
    )
    path = tmp_path / "toy.yaml"
    path.write_text("".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items()), encoding="utf-8")
    task = load_task(path)
    for name in ("doccano", "label_studio"):
        came = sent(task, name, tmp_path)
        assert "nothing was written" in tool("merge", path, export(tmp_path, came, name)).stdout
    came = sent(task, "doccano", tmp_path)
    came[0]["label"], came[1]["label"] = ["体育"], []
    done = tool("merge", path, export(tmp_path, came, "doccano"))
    assert "− [财经]  + [体育]" in done.stdout and "1 without an annotation" in done.stdout
    convert(load_task(path), tmp_path)
    assert next(read_examples(load_task(path).examples("train", tmp_path))).label == "体育"


def test_an_empty_export_is_refused(tool: Merge, task: Task, tmp_path: Path) -> None:
    done = tool("merge", task.path, export(tmp_path, [], "label_studio"))
    assert done.returncode == 1 and "no rows in it" in done.stderr
