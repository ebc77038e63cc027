"""The mended copy: what is mended, what is dropped, what is left out, and that every row is accounted for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CELTIC, LABELS, real
from tools.conf.task import load_task
from tools.data.doctor.mend import mend
from tools.data.doctor.survey import Survey
from tools.data.raw.row import RawRow
from tools.errors import ToolError
from tools.example import Entity

# Everything that a mended copy must be free of.
MENDED = {
    "file-encoding",
    "bom",
    "encoding",
    "json",
    "type",
    "unannotated",
    "truncated",
    "wrong-kind",
    "offsets",
    "unknown-label",
    "class",
    "empty-text",
}
MENDED |= {"empty-entity", "surrogate", "conflict", "leak", "edges", "repeated-entity", "duplicate", "control", "options-repeat", "repaired"}


SPOKEN = [("林晓", "杭州"), ("何远", "杭州"), ("林晓", "苏州"), ("方舟", "苏州"), ("何远", "温州")]


def row(text: str, **labels: dict[str, Any]) -> dict[str, Any]:
    return {"text": text, "label": labels}


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in rows), encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@pytest.fixture
def fix(write_task: Callable[..., Path], examine: Callable, tmp_path: Path) -> Callable[..., tuple[dict[str, list], dict[str, list]]]:
    """Mend splits; (rows of the copy, rows not in it) of each, after a second look has found nothing left that is mended."""

    def call(splits: dict[str, list[Any]], **values: Any) -> tuple[dict[str, list], dict[str, list]]:
        raw = {split: write(tmp_path / f"{split}.raw", rows) for split, rows in splits.items()}
        path = write_task(**{"raw": raw, **values})
        examine(path, fix=True)
        out = tmp_path / "check" / "toy"
        names = [*raw, *(name for name in values.get("split", {}) if name != "seed")]
        copies = {name: out / f"{name}.mended.jsonl" for name in names}
        mended, missing = {name: read(copy) for name, copy in copies.items()}, {name: read(out / f"{name}.left_out.jsonl") for name in names}
        kept = {name: copy.rename(tmp_path / copy.name) for name, copy in copies.items() if copy.exists()}
        if kept:
            again = examine(path, "reader=jsonl", "split=null", *(f"raw.{name}={kept.get(name, 'null')}" for name in names))
            assert again.kinds() & MENDED == set()
            assert again.kinds("error") <= {"prompt", "no-rows"}
        return mended, missing

    return call


def one(text: str, *entities: Entity, reading: tuple[str, int] | None = None, **about: Any) -> tuple[RawRow, dict[str, int]]:
    """A row mended alone, as one of a task with CLUENER's labels."""
    task = load_task(Path("conf/task/clue.yaml"))
    survey = None
    if reading:
        survey = Survey("ccfbdci")
        for entity in entities:
            survey.add(text, entity)
    mended, done = mend(RawRow(1, text, list(entities), **about), task, survey)
    return mended, dict(done)


def test_offsets_are_read_the_one_way_that_mends_all_of_the_file(fix: Callable) -> None:
    # 甲 stands twice, so only the reading of the whole file tells which one is meant.
    mended, missing = fix({"train": [row("甲乙甲", name={"甲": [[2, 3]]}), row("丙丁", game={"丙丁": [[0, 2]]})]})
    assert [[(e["start"], e["end"]) for e in one["entities"]] for one in mended["train"]] == [[(2, 3)], [(0, 2)]]
    assert missing["train"] == []


def test_else_a_string_that_stands_once_is_found_and_a_row_with_another_is_left_out(fix: Callable) -> None:
    shifted, twice, nowhere = row("甲乙丙", name={"丙": [[0, 0]]}), row("甲乙甲", name={"甲": [[1, 1]]}), row("甲", name={"丁": [[0, 0]]})
    mended, missing = fix({"train": [shifted, twice, nowhere, CELTIC]})
    assert mended["train"][0]["entities"] == [{"label": "name", "text": "丙", "start": 2, "end": 3}]
    assert [(one["line"], one["what"]) for one in missing["train"]] == [(2, "left out"), (3, "left out")]
    assert "'甲' (name) isn't at [1, 2)" in missing["train"][0]["reason"]


def test_a_string_that_overlaps_itself_does_not_stand_once() -> None:
    mended, done = one("哈哈哈", Entity("name", "哈哈", 5, 7))
    assert (mended.entities, done) == ([Entity("name", "哈哈", 5, 7)], {})


def test_whitespace_is_trimmed_and_an_entity_of_nothing_else_dropped() -> None:
    mended, done = one("　甲 乙", Entity("name", "　甲 ", 0, 3), Entity("game", " ", 2, 3), Entity("game", "", 1, 1))
    assert mended.entities == [Entity("name", "甲", 1, 2)]
    assert done == {"edges": 1, "empty-entity": 2}


def test_a_string_that_differs_from_the_text_in_outer_whitespace_is_taken_from_the_text() -> None:
    assert one("甲 乙", Entity("name", "甲", 0, 2))[0].entities == [Entity("name", "甲", 0, 1)]
    assert one("甲 乙", Entity("name", " 乙\n", 0, 2))[0].entities == [Entity("name", "乙", 2, 3)]


def test_an_entity_listed_twice_stays_once_even_when_only_trimming_makes_it_equal() -> None:
    mended, done = one("甲 乙", Entity("name", "甲 ", 0, 2), Entity("name", "甲", 0, 1))
    assert (mended.entities, done) == ([Entity("name", "甲", 0, 1)], {"edges": 1, "repeated-entity": 1})


@pytest.mark.parametrize(("label", "mended"), [(" Name", "name"), ("ＮＡＭＥ", "name"), ("nmae", "nmae"), ("names", "names")])
def test_a_label_is_corrected_only_in_case_width_and_outer_whitespace(label: str, mended: str) -> None:
    assert one("甲", Entity(label, "甲", 0, 1))[0].entities[0].label == mended


def test_a_label_that_could_be_two_is_left_as_it_is(fix: Callable) -> None:
    mended, missing = fix({"train": [row("甲", PER={"甲": [[0, 0]]}), row("乙", name={"乙": [[0, 0]]})]}, labels=["per", "Per", "name"])
    assert (len(mended["train"]), [one["line"] for one in missing["train"]]) == (1, [1])


def test_half_characters_and_control_characters_are_replaced_where_they_stand() -> None:
    mended, done = one("甲\ud83d\x07乙", Entity("name", "\x07乙", 2, 4))
    assert (mended.text, mended.entities) == ("甲\ufffd 乙", [Entity("name", "乙", 3, 4)])
    assert done == {"surrogate": 1, "control": 1, "edges": 1}


def test_equal_rows_leaked_rows_and_conflicting_rows_are_not_in_the_copy(fix: Callable) -> None:
    a, b, c = (row(text, name={text: [[0, 0]]}) for text in "甲乙丙")
    mended, missing = fix({"train": [a, a, b, c, row("丙", game={"丙": [[0, 0]]})], "dev": [b, row("丁"), row("丁")]})
    assert [one["text"] for one in mended["train"]] == ["甲"]
    assert [one["text"] for one in mended["dev"]] == ["乙", "丁"]
    assert [(one["line"], one["what"]) for one in missing["train"]] == [(2, "dropped"), (3, "dropped"), (4, "left out"), (5, "left out")]
    assert [(one["line"], one["what"]) for one in missing["dev"]] == [(3, "dropped")]
    assert "see line 4 and line 5" in missing["train"][2]["reason"]


def test_a_text_that_the_evaluation_split_loses_stays_in_training(fix: Callable) -> None:
    a, other = row("甲", name={"甲": [[0, 0]]}), row("甲", game={"甲": [[0, 0]]})
    mended, missing = fix({"train": [a], "dev": [a, other, row("乙")]})
    assert [one["text"] for one in mended["train"]] == ["甲"]
    assert [one["what"] for one in missing["dev"]] == ["left out"] * 2


def test_texts_that_mending_makes_equal_are_equal(fix: Callable) -> None:
    mended, _ = fix({"train": [row("甲\x01"), row("甲\x02"), row("乙")]})
    assert [one["text"] for one in mended["train"]] == ["甲 ", "乙"]


def test_bad_rows_are_left_out_with_the_readers_reason(fix: Callable) -> None:
    _, missing = fix({"train": [CELTIC, "{", {"text": 1, "label": {}}, row(" ")]})
    assert [one["line"] for one in missing["train"]] == [2, 3, 4]
    assert ["not JSON" in one["reason"] for one in missing["train"]] == [True, False, False]


@pytest.mark.parametrize("codec", ["gb18030", "utf-16", "utf-16-be", "utf-8-sig"])
def test_a_file_in_another_encoding_comes_out_in_utf_8(write_task: Callable, examine: Callable, tmp_path: Path, codec: str) -> None:
    raw = tmp_path / "train.raw"
    raw.write_bytes(json.dumps(CELTIC, ensure_ascii=False).encode(codec))
    examine(write_task(raw={"train": str(raw)}), fix=True)
    (mended,) = read(tmp_path / "check/toy/train.mended.jsonl")
    assert (mended["text"], len(mended["entities"])) == (CELTIC["text"], 4)


def test_classes_and_options_are_mended(fix: Callable) -> None:
    rows = [
        {"text": "甲", "category": ["Art", "Law", "Art"], "output": "art "},
        {"text": "乙", "category": ["Art", "Law"], "output": "Sport"},
        {"text": "丙", "output": "Ａrt"},
    ]
    mended, missing = fix({"train": rows}, kind="classification", reader="classification", labels=["Art", "Law"])
    assert [(one["label"], one.get("options")) for one in mended["train"]] == [("Art", ["Art", "Law"]), ("Art", None)]
    assert [one["line"] for one in missing["train"]] == [2]


def test_options_are_held_against_the_class_where_the_task_lists_no_labels(fix: Callable, tmp_path: Path) -> None:
    (prompt := tmp_path / "options.txt").write_text("{options}\n{text}\n")
    rows = [{"text": "甲", "category": ["Art", "Law"], "output": "law"}, {"text": "乙", "output": "Art"}]
    mended, missing = fix({"train": rows}, kind="classification", reader="classification", labels=[], prompt=str(prompt))
    assert ([one["label"] for one in mended["train"]], [one["line"] for one in missing["train"]]) == (["Law"], [2])


def test_of_a_row_with_entities_and_a_class_the_tasks_kind_counts(fix: Callable) -> None:
    entity = {"start": 0, "end": 1, "text": "甲", "labels": ["name"]}
    both = {
        "data": {"text": "甲\x01"},
        "annotations": [{"result": [{"type": "labels", "value": entity}, {"type": "choices", "value": {"choices": ["game"]}}]}],
    }
    assert fix({"train": [both]}, reader="label_studio")[0]["train"][0]["entities"] == [{"label": "name", "text": "甲", "start": 0, "end": 1}]
    assert fix({"train": [both]}, reader="label_studio", kind="classification")[0]["train"][0]["label"] == "game"


def test_tags_that_were_repaired_are_spans_in_the_copy(write_task: Callable, examine: Callable, tmp_path: Path) -> None:
    raw = tmp_path / "train.raw"
    raw.write_text("甲 B-name\n乙 I-game\n丙 O\n", encoding="utf-8")
    assert examine(write_task(raw={"train": str(raw)}, reader="bio"), fix=True).lines("repaired") == [2]
    assert [(e["text"], e["label"]) for e in read(tmp_path / "check/toy/train.mended.jsonl")[0]["entities"]] == [("甲", "name"), ("乙", "game")]


def test_one_file_with_shares_is_mended_into_its_splits(fix: Callable) -> None:
    mended, _ = fix({"train": [row(f"第{n % 150}句") for n in range(200)]}, split={"dev": 0.2, "seed": 7})
    assert len(mended["train"]) + len(mended["dev"]) == 150
    assert not {one["text"] for one in mended["train"]} & {one["text"] for one in mended["dev"]}
    assert len(mended["dev"]) > 15


def test_every_row_is_accounted_for_and_the_next_command_converts_the_copy(tool: Callable, write_task: Callable, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", [CELTIC, CELTIC, row("甲", nmae={"甲": [[0, 0]]}), row("乙 ", name={"乙 ": [[0, 1]]}), "["])
    done = tool("check", write_task(raw={"train": raw}), "--fix", "--out", tmp_path / "out")
    lines = done.stdout.splitlines()
    copy = tmp_path / "out/toy/train.mended.jsonl"
    assert done.returncode == 1
    assert f"toy train, mended: 5 rows in = 2 rows out + 1 dropped + 2 left out → {copy}" in lines
    assert "  1 entities trimmed" in lines
    words = lines[-1].removeprefix("next: ./ner ").split()
    assert words[0] == "data"
    converted = tool(*words, "--out", tmp_path / "dataset")
    assert (converted.returncode, "2 rows" in converted.stdout) == (0, True), converted.stderr


def test_the_command_for_a_task_of_the_repository_is_make(tool: Callable, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", [CELTIC, CELTIC])
    words = [f"raw.train={raw}", "raw.dev=null", "version=2"]
    done = tool("check", "conf/task/clue.yaml", *words, "--fix", "--out", tmp_path / "out")
    assert (
        done.stdout.splitlines()[-1]
        == f'next: make data TASK=clue ARGS="raw.dev=null version=2 reader=jsonl raw.train={tmp_path}/out/clue/train.mended.jsonl"'
    )


def test_a_file_with_nothing_to_mend_is_not_copied(write_task: Callable, examine: Callable, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write_task([CELTIC, row("甲 ", name={"甲 ": [[0, 1]]})])
    examine(path, fix=True)
    assert (tmp_path / "check/toy/train.mended.jsonl").exists()
    write(tmp_path / "train.jsonl", [CELTIC])
    examine(path, fix=True)
    assert [file.name for file in (tmp_path / "check/toy").iterdir()] == ["report.json"]
    printed = capsys.readouterr().out.splitlines()
    assert "nothing to mend: no copy was written." in printed
    assert printed[-1] == f"next: ./ner data {path}"


def test_the_lines_that_make_the_task_read_the_copy_are_shown(
    write_task: Callable, examine: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = write_task([CELTIC, CELTIC, row("乙")], split={"dev": 0.5, "seed": 1})
    examine(path, fix=True)
    copies = {split: tmp_path / f"check/toy/{split}.mended.jsonl" for split in ("train", "dev")}
    printed = capsys.readouterr().out
    assert f"to use it from now on, write in {path}:\n  raw: {{" in printed
    assert "\n  reader: jsonl\n  and take out: split\n" in printed
    assert all(f"{split}: {copy}" in printed for split, copy in copies.items() if copy.exists())


def test_a_string_and_its_slice_that_contain_each_other_are_left_out_and_not_cut(fix: Callable) -> None:
    right = [row(f"王五{n}", name={"王五": [[0, 1]]}) for n in range(9)]
    mended, missing = fix({"train": [*right, row("李四来了", name={"李": [[0, 1]]}), row("张三去了", name={"张三去": [[0, 1]]})]})
    assert [one["entities"][0]["text"] for one in mended["train"]] == ["王五"] * 9
    assert [one["line"] for one in missing["train"]] == [10, 11]


def test_a_reading_of_few_rows_is_not_the_files_unless_it_breaks_none(fix: Callable) -> None:
    right = [row(f"甲{n}", name={"甲": [[0, 0]]}) for n in range(9)]
    twice = row("乙丙乙", name={"乙": [[2, 3]]})  # exclusive, as no other row is
    mended, missing = fix({"train": [*right, twice]})
    assert (len(mended["train"]), [one["line"] for one in missing["train"]]) == (9, [10])
    units = row("😀丁戊丁", name={"丁": [[4, 4]]})  # UTF-16, in which the others are right too
    mended, missing = fix({"train": [*right, units]})
    assert mended["train"][-1]["entities"] == [{"label": "name", "text": "丁", "start": 3, "end": 4}]


def test_offsets_without_strings_are_read_as_the_file_speaks_for(fix: Callable) -> None:
    rows = [
        {"text": f"😀{name}在{place}。", "label": [[2, 2 + len(name), "name"], [3 + len(name), 5 + len(name), "scene"]]} for name, place in SPOKEN
    ]
    mended, missing = fix({"train": rows}, reader="doccano")
    assert [[entity["text"] for entity in one["entities"]] for one in mended["train"]] == [[name, place] for name, place in SPOKEN]
    assert missing["train"] == []


def test_rows_whose_offsets_could_be_read_in_two_ways_are_left_out(fix: Callable) -> None:
    doubtful = {"text": "😀林晓，在杭州。", "label": [[3, 4, "name"]]}  # 晓, or 林晓's first half
    cut = {"text": "😀，林晓来了", "label": [[1, 3, "name"], [3, 5, "name"]]}  # one span speaks for each reading
    mended, missing = fix({"train": [{"text": "林晓来了", "label": [[0, 2, "name"]]}, doubtful, cut]}, reader="doccano")
    assert [one["text"] for one in mended["train"]] == ["林晓来了"]
    assert [one["line"] for one in missing["train"]] == [2, 3]


def test_rows_of_a_file_whose_spans_are_cut_in_every_reading_are_left_out_and_not_emptied(fix: Callable) -> None:
    cut = [{"text": f"他说：，{name}来了", "label": [[2, 4, "name"]]} for name in ("林晓", "何远", "方舟")]
    mended, missing = fix({"train": [{"text": "无人", "label": []}, *cut]}, reader="doccano")
    assert [one["text"] for one in mended["train"]] == ["无人"]
    assert "its offsets aren't clear" in missing["train"][0]["reason"]


def test_a_copy_of_an_earlier_call_is_gone_when_nothing_is_left(write_task: Callable, examine: Callable, tmp_path: Path) -> None:
    path = write_task([CELTIC, CELTIC])
    examine(path, fix=True)
    assert (tmp_path / "check/toy/train.mended.jsonl").exists()
    write(tmp_path / "train.jsonl", ["["])
    examine(path, fix=True)
    assert not (tmp_path / "check/toy/train.mended.jsonl").exists()
    assert len(read(tmp_path / "check/toy/train.left_out.jsonl")) == 1


def test_a_raw_file_is_never_overwritten(write_task: Callable, examine: Callable, tmp_path: Path) -> None:
    path = write_task([CELTIC, CELTIC])
    examine(path, fix=True)
    copy = tmp_path / "check/toy/train.mended.jsonl"
    before = copy.read_bytes()
    with pytest.raises(ToolError, match="choose another folder with --out"):
        examine(path, "reader=jsonl", f"raw.train={copy}", fix=True)
    assert copy.read_bytes() == before


def test_a_second_call_writes_the_same_bytes(write_task: Callable, examine: Callable, tmp_path: Path) -> None:
    path = write_task([CELTIC, CELTIC, row("甲", nmae={"甲": [[0, 0]]})])
    examine(path, fix=True)
    first = {file.name: file.read_bytes() for file in (tmp_path / "check/toy").iterdir()}
    examine(path, fix=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "check/toy").iterdir()} == first
    assert len(first) == 3


def test_chinese_medical_is_mended_to_a_set_without_leaks(examine: Callable, tmp_path: Path) -> None:
    raw = [f"raw.train={real('chinese_medical/medical_train.txt')}", f"raw.dev={real('chinese_medical/medical_eval.txt')}"]
    path = Path("conf/task/medical.yaml")
    examine(path, *raw, fix=True)
    folder = (tmp_path / "check/medical").rename(tmp_path / "mended")
    again = examine(path, "reader=jsonl", *(f"raw.{split}={folder / f'{split}.mended.jsonl'}" for split in ("train", "dev")))
    assert (again.code, again.kinds() & MENDED) == (0, set())
    for split, rows in (("train", 5259), ("dev", 657)):
        missing = read(folder / f"{split}.left_out.jsonl")
        assert again["splits"][split]["rows"] + len(missing) == rows
    assert again["splits"]["dev"]["rows"] == 657 - 1 - 2  # an equal row; two rows that contradict each other


def test_the_labels_of_the_toy_task_are_cluners() -> None:
    assert load_task(Path("conf/task/clue.yaml")).labels == LABELS
