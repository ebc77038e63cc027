"""IEPile's rows: the rows of one text, each with some of the labels, are one example."""

import json
from pathlib import Path
from typing import Any

from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.iepile import read_iepile


def asked(text: str, found: dict[str, Any], **more: str) -> dict[str, Any]:
    question = {"instruction": "你是专门进行实体抽取的专家。", "schema": [*found], "input": text}
    return {
        "task": "NER",
        "source": "X",
        "instruction": json.dumps(question, ensure_ascii=False),
        "output": json.dumps(found, ensure_ascii=False),
        **more,
    }


def read(tmp_path: Path, rows: list[Any]) -> tuple[list[RawRow | BadRow], FileReading]:
    path, reading = tmp_path / "a.json", FileReading()
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return list(read_iepile(path, reading)), reading


def seen(rows: list[RawRow | BadRow]) -> list[tuple[int, str, list[tuple[str, str, int]]]]:
    return [(row.line, row.text, [(e.label, e.text, e.start) for e in row.entities]) for row in rows if isinstance(row, RawRow)]


def test_the_rows_of_a_text_are_joined_wherever_they_stand(tmp_path: Path) -> None:
    rows, reading = read(
        tmp_path, [asked("张三在北京", {"人物": ["张三"]}), asked("下雨了", {"人物": [], "地点": []}), asked("张三在北京", {"地点": ["北京"]})]
    )
    assert seen(rows) == [(1, "张三在北京", [("人物", "张三", 0), ("地点", "北京", 3)]), (2, "下雨了", [])]
    assert any("are one row" in rule for rule in reading.applied)
    assert not reading.doubts


def test_texts_that_are_asked_for_different_labels_are_doubted(tmp_path: Path) -> None:
    _, reading = read(tmp_path, [asked("张三在北京", {"人物": ["张三"]}), asked("李四在上海", {"地点": ["上海"]})])
    assert "2 sets" in next(iter(reading.doubts))


def test_a_test_files_answer_is_its_label(tmp_path: Path) -> None:
    row = asked("张三在北京", {"人物": ["张三"]})
    answer = json.dumps([{"entity": "张三", "entity_type": "人物"}], ensure_ascii=False)
    assert seen(read(tmp_path, [{"id": "x", "instruction": row["instruction"], "label": answer}])[0]) == [(1, "张三在北京", [("人物", "张三", 0)])]


def test_nan_is_no_entity_and_a_chat_has_the_same_question(tmp_path: Path) -> None:
    row = asked("张三在北京", {"人物": "NAN"})
    chat = {"conversations": [{"from": "human", "value": row["instruction"]}, {"from": "gpt", "value": row["output"]}]}
    assert seen(read(tmp_path, [row])[0]) == seen(read(tmp_path, [chat])[0]) == [(1, "张三在北京", [])]


def test_a_text_with_a_faulty_part_is_left_out_whole(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, [asked("张三在北京", {"人物": ["张三"]}), asked("张三在北京", {"地点": ["上海"]}), asked("李四", {"人物": ["李四"]})])
    assert seen(rows) == [(3, "李四", [("人物", "李四", 0)])]
    [bad] = [row for row in rows if isinstance(row, BadRow)]
    assert (bad.line, "'上海' (地点) isn't in the text" in bad.reason) == (2, True)


def test_other_tasks_labels_and_questions_are_refused(tmp_path: Path) -> None:
    relation = asked("张三在北京", {"出生地": ["北京"]}, task="RE")
    strange = {**asked("张三在北京", {"人物": []}), "output": '{"地点": ["北京"]}'}
    rows, _ = read(tmp_path, [relation, strange, {"instruction": "找出人名", "input": "张三", "output": "[]"}])
    for row, part in zip(rows, ("the row's task is 'RE'", "must name entities of 人物", "no question in JSON"), strict=True):
        assert isinstance(row, BadRow)
        assert part in row.reason
