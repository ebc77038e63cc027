"""Unlabelled texts, annotated by a run for annotators."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import toy_server
from tests.toy_server import ADAPTER, Faulty
from tools.chat.windows import Reach
from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import WANTING, ToolError
from tools.labelling import preannotate as verb
from tools.predict.questions import Asking

run_, start, task = toy_server.run_, toy_server.start, toy_server.task  # fixtures

ANSWERS = {"王五": [("name", "王五")], "成都": [("address", "成都")], "火星": [("address", "火星"), ("name", "赵六")], "金星": [("planet", "金星")]}


def answered(user: str) -> tuple[int, Any]:
    """Answers with the entities that stand in the last line of the prompt, the text; the longer a token, the less sure."""
    text = user.rpartition("\n")[2]
    if "乱码" in text:
        return 200, "我不知道怎么回答"
    if "拒绝" in text:
        return 400, "no"
    pairs = [pair for word, some in ANSWERS.items() if word in text for pair in some]
    return 200, json.dumps([{"label": label, "text": string} for label, string in pairs], ensure_ascii=False)


class Caller:
    """Calls the verb with a toy server; keywords replace its options. `asked` are the texts that the server was asked."""

    def __init__(self, run: Run, task: Task, server: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run, self.task, self.server, self.patch = run, task, server, monkeypatch
        monkeypatch.setattr(verb, "load_run", lambda path, overrides: run)
        monkeypatch.setattr(verb, "find_task", lambda name: self.task)

    def __call__(self, file: Path, **words: Any) -> list[Any]:
        """Returns the rows of the file to import."""
        plain = {"engine": "vllm", "fresh": False, "which": "adapter", "port": 0, "concurrency": 8, "to": "label_studio", "most": None, "out": None}
        given = plain | words
        verb.main(Namespace(file=file, run=self.run.path, overrides=[], task=self.task.name, url=self.server.url, **given))
        stem = given["out"] or self.run.output_dir / "annotate" / file.stem
        if given["to"] == "doccano":
            return [json.loads(line) for line in stem.with_name(f"{stem.name}.doccano.jsonl").read_text().splitlines()]
        found: list[Any] = json.loads(stem.with_name(f"{stem.name}.label_studio.json").read_text())
        return found

    @property
    def asked(self) -> list[str]:
        return [one["messages"][1]["content"].rpartition("\n")[2] for one in self.server.requests if "messages" in one]


@pytest.fixture
def call(run_: Run, task: Task, start: Callable[..., Faulty], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Caller:
    run = Run(run_.path, {**run_.values, "dataset_dir": str(tmp_path / "alpaca")})  # beside the converted examples
    return Caller(run, task, start([ADAPTER], answered), monkeypatch)


def file_of(tmp_path: Path, *texts: str, name: str = "texts.txt") -> Path:
    path = tmp_path / name
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def texts(rows: list[Any]) -> list[str]:
    return [row["data"]["text"] for row in rows]


def test_each_text_carries_the_models_annotation_its_confidence_and_a_line_that_says_why_it_is_here(
    call: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [row] = call(file_of(tmp_path, "王五去成都"))
    lowest = math.exp(-0.01 * len("address成都"))
    assert row["data"]["note"] == f"lowest confidence {lowest:.2f}: 成都 [address]"
    assert row["data"]["example"].startswith("texts.txt:1@")
    assert "annotations" not in row
    [suggested] = row["predictions"]
    assert (suggested["model_version"], suggested["score"]) == ("toy-run", pytest.approx(lowest, abs=1e-4))
    places = [(one["value"]["start"], one["value"]["end"], one["value"]["labels"]) for one in suggested["result"]]
    assert places == [(0, 2, ["name"]), (3, 5, ["address"])]
    told = capsys.readouterr().out
    assert "1 texts were asked; left out: 0 that are in the examples of toy, 0 repeated" in told
    assert told.splitlines()[-1] == f"next: import it and annotate; then ./ner merge {call.task.path} EXPORT --add-to train"


def test_texts_of_less_confidence_come_first_and_a_limit_keeps_them(call: Caller, tmp_path: Path) -> None:
    file = file_of(tmp_path, "什么也没有", "王五来了", "王五去成都")
    assert texts(call(file)) == ["王五去成都", "王五来了", "什么也没有"]
    assert texts(call(file, most=1)) == ["王五去成都"]


def test_a_string_that_stands_several_times_is_one_doubt(call: Caller, tmp_path: Path) -> None:
    assert texts(call(file_of(tmp_path, "王五说王五就是王五", "王五去成都"))) == ["王五去成都", "王五说王五就是王五"]


def test_an_answer_without_an_entity_is_as_sure_as_its_own_tokens(call: Caller, tmp_path: Path) -> None:
    [row] = call(file_of(tmp_path, "什么也没有"))
    assert row["data"]["note"] == f"lowest confidence {math.exp(-0.02):.2f}: no entity"
    assert row["predictions"][0]["result"] == [] and row["predictions"][0]["score"] == pytest.approx(math.exp(-0.02), abs=1e-4)


def test_without_log_probabilities_a_confidence_is_unknown_and_counts_as_the_middle(call: Caller, tmp_path: Path) -> None:
    call.server.logprob = None
    for row, part in zip(call(file_of(tmp_path, "王五", "没有")), ("王五 [name]", "no entity"), strict=True):
        assert (row["data"]["note"], row["predictions"][0]["score"]) == (f"confidence unknown: {part}", 0.5)


def test_a_string_that_is_not_in_the_text_and_a_label_that_the_task_lacks_are_certain_errors(call: Caller, tmp_path: Path) -> None:
    rows = {row["data"]["text"]: row for row in call(file_of(tmp_path, "到火星", "到金星"))}
    assert rows["到火星"]["data"]["note"] == "lowest confidence 0.00: 赵六 [name], which isn't in the text"
    assert rows["到金星"]["data"]["note"] == "lowest confidence 0.00: 金星 [planet], a label that the task doesn't have"
    assert [one["value"]["text"] for one in rows["到火星"]["predictions"][0]["result"]] == ["火星"]
    assert rows["到金星"]["predictions"][0]["result"] == [], "the tool's labels are the task's"


def test_texts_whose_answer_cannot_be_read_come_first_and_are_counted(call: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = call(file_of(tmp_path, "王五去成都", "一段乱码", "拒绝的话", "没有"))
    assert set(texts(rows)[:2]) == {"一段乱码", "拒绝的话"} and texts(rows)[2:] == ["王五去成都", "没有"]
    notes = {row["data"]["text"]: row["data"]["note"] for row in rows}
    assert notes["一段乱码"] == "no readable answer: unparsable" and notes["拒绝的话"] == "no readable answer: HTTP 400: no"
    assert all("predictions" not in row for row in rows[:2])
    assert "2 answers can't be read; their texts come first" in capsys.readouterr().out


def test_a_text_of_the_examples_is_left_out_and_a_repeated_one_is_asked_once(
    call: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = call(file_of(tmp_path, "第3句", "王五", "", " 王五 ", "第４句", "成都"))
    assert sorted(texts(rows)) == ["成都", "王五"]
    assert sorted(call.asked) == ["成都", "王五"]
    assert "2 texts were asked; left out: 2 that are in the examples of toy, 1 repeated" in capsys.readouterr().out


def test_only_the_tasks_own_examples_count_and_those_of_every_split(call: Caller, tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    for name, text in (("toy_dev", "成都"), ("toy_other_train", "王五"), ("toy_train.skipped", "火星")):
        (folder / f"{name}.jsonl").write_text(json.dumps({"id": name, "text": text, "entities": []}) + "\n")
    assert sorted(texts(call(file_of(tmp_path, "成都", "王五", "火星")))) == ["火星", "王五"]


def test_a_file_without_a_new_text_is_found_wanting_before_anything_is_asked(call: Caller, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"texts\.txt: every text of it stands in the examples of toy already") as problem:
        call(file_of(tmp_path, "第1句", "第2句"))
    assert problem.value.exit_code == WANTING and call.server.requests == []


def test_another_call_asks_nothing_again_unless_it_is_told_to(call: Caller, tmp_path: Path) -> None:
    file = file_of(tmp_path, "王五", "成都")
    first = call(file)
    assert [row["text"] for row in call(file, to="doccano")] == texts(first) and len(call.asked) == 2
    call(file, fresh=True)
    assert len(call.asked) == 4


def test_doccano_gets_the_suggestion_as_labels(call: Caller, tmp_path: Path) -> None:
    [row] = call(file_of(tmp_path, "王五去成都"), to="doccano", out=tmp_path / "next")
    assert row["label"] == [[0, 2, "name"], [3, 5, "address"]] and row["note"].startswith("lowest confidence")


def test_the_fields_of_a_csv_and_of_jsonl_are_found_as_extract_finds_them(call: Caller, tmp_path: Path) -> None:
    assert texts(call(file_of(tmp_path, "编号,正文", "1,王五", name="a.csv"))) == ["王五"]
    assert texts(call(file_of(tmp_path, '{"id": 1, "text": "成都"}', name="b.jsonl"))) == ["成都"]
    with pytest.raises(ToolError, match=r"c\.pdf: a \.txt, \.csv or \.jsonl file is needed"):
        call(file_of(tmp_path, "王五", name="c.pdf"))


def test_a_window_without_an_entity_counts_as_a_part_of_the_answer(call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Asking, "reach", Reach(8, 8))
    text = "王五说：去成都吧。今天天气很好很好。"
    call.server.logprob = -0.1
    [row] = call(file_of(tmp_path, text))
    assert len(call.asked) > 1
    assert [one["value"]["text"] for one in row["predictions"][0]["result"]] == ["王五", "成都"]
    assert row["data"]["note"] == f"lowest confidence {math.exp(-0.9):.2f}: 成都 [address]"
    monkeypatch.setitem(ANSWERS, "成都", [])
    [row] = call(file_of(tmp_path, text), fresh=True)
    assert row["data"]["note"] == f"lowest confidence {math.exp(-0.6):.2f}: 王五 [name]", "0.82 that there is nothing is more"


@pytest.mark.parametrize(
    ("answer", "note", "suggested"), [("体育", "lowest confidence 0.98: 体育", ["体育"]), ("天气预报", "no readable answer: ", None)]
)
def test_a_class_is_suggested_with_the_probability_of_its_tokens(
    call: Caller, tmp_path: Path, answer: str, note: str, suggested: list[str] | None
) -> None:
    prompt = tmp_path / "classes.txt"
    prompt.write_text("从{labels}中选一个。\n{text}\n", encoding="utf-8")
    call.task = call.task.changed(kind="classification", names={"体育": "体育", "财经": "财经"}, prompt=prompt)
    call.server.reply = lambda user: (200, answer)
    [row] = call(file_of(tmp_path, "球队赢了"))
    assert row["data"]["note"].startswith(note)
    found = [one["value"]["choices"] for one in row["predictions"][0]["result"]] if "predictions" in row else [None]
    assert found == [suggested]


def test_a_task_without_labels_of_its_own_is_refused(call: Caller, tmp_path: Path) -> None:
    call.task = call.task.changed(kind="classification", names={})
    with pytest.raises(ToolError, match=r"has no labels of its own, and an annotation tool shows one list of them"):
        call(file_of(tmp_path, "球队赢了"))
