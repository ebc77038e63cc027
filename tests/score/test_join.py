import json
import random
from pathlib import Path

import pytest

from tools.conf.task import find_task
from tools.errors import ToolError
from tools.example import Entity, Example
from tools.predict.predictions import Prediction
from tools.score import join as module
from tools.score import pool
from tools.score.join import chunks, join
from tools.score.score import score
from tools.score.score_file import Score
from tools.score.tally import Setting, tally

TASK = find_task("clue")


def write(folder: Path, number: int, order: random.Random | None = None, missing: int = 0) -> tuple[Path, Path]:
    """So many rows, half of them right; the predictions in the order of the examples or in another."""
    examples, predictions = folder / "clue_dev.jsonl", folder / "p.jsonl"
    rows = [Example(f"row-{n}", f"张{n}去了北京", [Entity("name", f"张{n}", 0, len(f"张{n}"))]) for n in range(number)]
    answers = [
        Prediction(e.id, json.dumps([{"label": "name", "text": e.entities[0].text if n % 2 else "北京"}], ensure_ascii=False))
        for n, e in enumerate(rows)
    ]
    answers = answers[missing:]
    if order:
        order.shuffle(answers)
    examples.write_text("".join(e.to_json() + "\n" for e in rows), encoding="utf-8")
    predictions.write_text("".join(a.to_json() + "\n" for a in answers), encoding="utf-8")
    return examples, predictions


def scored(examples: Path, predictions: Path) -> Score:
    return score(tally(Setting(TASK), examples, predictions), Setting(TASK), "dev", samples=20)


def test_lines_of_the_same_id_come_together_in_any_order(tmp_path: Path) -> None:
    for order in (None, random.Random(1)):
        found = list(join(*write(tmp_path, 50, order)))
        assert len(found) == 50
        assert all(json.loads(gold)["id"] == json.loads(answer)["id"] for _, gold, _, answer in found)
        assert sorted(number for number, *_ in found) == sorted(number for _, _, number, _ in found) == list(range(1, 51))


def test_files_in_step_hold_nothing_back(tmp_path: Path) -> None:
    numbers = [(gold, answer) for gold, _, answer, _ in join(*write(tmp_path, 20))]
    assert numbers == [(n, n) for n in range(1, 21)]


def test_an_example_without_a_prediction_comes_last_and_alone(tmp_path: Path) -> None:
    found = list(join(*write(tmp_path, 10, missing=3)))
    assert [(answer, line) for _, _, answer, line in found][-3:] == [(0, b"")] * 3


def test_ids_are_compared_as_json_says_and_not_as_bytes(tmp_path: Path) -> None:
    examples, predictions = tmp_path / "e.jsonl", tmp_path / "p.jsonl"
    examples.write_text('{"id": "caf\\u00e9", "text": "x", "entities": []}\n{"text": "y", "entities": [], "id": "b"}\n')
    predictions.write_text('{"output": "[]", "id": "b"}\n{"id":"café","output":"[]"}\n', encoding="utf-8")
    assert [(gold, answer) for gold, _, answer, _ in join(examples, predictions)] == [(2, 1), (1, 2)]


@pytest.mark.parametrize("shuffled", [False, True])
def test_several_processes_count_what_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shuffled: bool) -> None:
    files = write(tmp_path, 700, random.Random(3) if shuffled else None, missing=5)
    alone = scored(*files)
    monkeypatch.setattr(module, "CHUNK", 64)
    monkeypatch.setattr(pool, "PARALLEL_FROM", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2})
    assert scored(*files) == alone
    assert (alone["rows"], alone["failures"]["missing"], alone["micro"]["tp"]) == (700, 5, 348)


def test_a_bad_line_in_another_process_is_the_same_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples, predictions = write(tmp_path, 300)
    lines = predictions.read_text(encoding="utf-8").splitlines()
    lines[210] = '{"id": "row-210", "output": 7}'
    predictions.write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(module, "CHUNK", 20)
    for parallel_from in (10**9, 0):
        monkeypatch.setattr(pool, "PARALLEL_FROM", parallel_from)
        with pytest.raises(ToolError, match=r"p\.jsonl:211: not a prediction") as raised:
            scored(examples, predictions)
        assert raised.value.exit_code == 1


def test_chunks_keep_lines_and_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    lines = [(1, b"a", 2, b"b"), (3, b"c", 0, b""), (4, b"d\r", 9, b"e")]
    assert list(chunks(lines)) == [lines[:2], lines[2:]]


@pytest.mark.parametrize(
    ("examples", "predictions", "message"),
    [
        ("", "", "e.jsonl: no examples in it"),
        ("", '{"id": "1", "output": ""}', "e.jsonl: no examples in it"),
        ('{"id": "1", "text": "x", "entities": []}', "", "p.jsonl: no predictions in it"),
        ('{"id": "1", "text": "x", "entities": []}\n' * 2, '{"id": "1", "output": ""}', "e.jsonl:2: the id '1' stands twice"),
        ('{"id": "1", "text": "x", "entities": []}', '{"id": "1", "output": ""}\n' * 2, "p.jsonl:2: the id '1' stands twice"),
        ('{"id": "1", "text": "x", "entities": []}', '{"id": "2", "output": ""}', "1 of 1 ids aren't in .*e.jsonl, e.g. '2' .there: '1'"),
        ('{"id": "1", "text": "x", "entities": []}', '{"id": "1", "output": "", "id": "2"}', "p.jsonl:1: a line with two ids"),
        ('{"id": "1", "text": "x"}', '{"id": "1", "output": ""}', "e.jsonl:1: not an example"),
        ('{"id": "1", "text": "x", "entities": []', '{"id": "1", "output": ""}', "e.jsonl:1: not JSON"),
        ('{"id": "1", "text": "x", "entities": []}', '{"id": "1", "output": "' + "甲" * 5, "p.jsonl:1: not JSON"),
        ("[]", '{"id": "1", "output": ""}', "e.jsonl:1: a JSON object is needed"),
    ],
)
def test_files_that_dont_belong_together_are_told_by_file_and_line(tmp_path: Path, examples: str, predictions: str, message: str) -> None:
    paths = tmp_path / "e.jsonl", tmp_path / "p.jsonl"
    for path, content in zip(paths, (examples, predictions), strict=True):
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ToolError, match=message) as raised:
        scored(*paths)
    assert raised.value.exit_code == 1


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16"])
def test_a_foreign_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    examples, predictions = write(tmp_path, 3)
    predictions.write_text(predictions.read_text(encoding="utf-8"), encoding=encoding)
    with pytest.raises(ToolError, match=r"p\.jsonl:1: not UTF-8") as raised:
        scored(examples, predictions)
    assert raised.value.exit_code == 1


def test_a_byte_order_mark_blank_lines_and_crlf_are_no_matter(tmp_path: Path) -> None:
    examples, predictions = write(tmp_path, 3)
    alone = scored(examples, predictions)
    predictions.write_bytes(b"\xef\xbb\xbf" + predictions.read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert scored(examples, predictions) == alone


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_blocks_change_nothing_wherever_the_files_get_out_of_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    examples, predictions = write(tmp_path, 30)
    golds, answers = (path.read_text(encoding="utf-8").splitlines() for path in (examples, predictions))
    monkeypatch.setattr(module, "BLOCK", block)
    for order in ([*range(10), 12, 11, 10, *range(13, 30)], [*range(5), *range(6, 30)], [29, *range(29)], [*range(15, 30), *range(14)]):
        predictions.write_text("".join(answers[n] + "\n" for n in order), encoding="utf-8")
        found = {gold: (line, answer) for gold, line, _, answer in join(examples, predictions)}
        assert found == {n + 1: (golds[n].encode(), answers[n].encode() if n in order else b"") for n in range(30)}
    for path, lines, again in ((examples, golds, 7), (predictions, answers, 7)):
        examples.write_text("\n".join(golds), encoding="utf-8")
        predictions.write_text("\n".join(answers), encoding="utf-8")
        path.write_text("\n".join([*lines, lines[again]]), encoding="utf-8")
        with pytest.raises(ToolError, match=rf"{path.name}:31: the id 'row-7' stands twice"):
            list(join(examples, predictions))
    for some, others, twice in (([0, 1, 0], [0, 1, 0], 3), ([0, 1, 2, 0], [1, 2, 3, 0], 4)):
        examples.write_text("\n".join(golds[n] for n in some), encoding="utf-8")
        predictions.write_text("\n".join(answers[n] for n in others), encoding="utf-8")
        with pytest.raises(ToolError, match=rf"{examples.name}:{twice}: the id 'row-0' stands twice"):
            list(join(examples, predictions))
