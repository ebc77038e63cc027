import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.score.conftest import answer, counted, example, result, toy
from tools.chat.answer_formats import FORMATS
from tools.chat.prompt import answer as written
from tools.conf.task import Answer, Task, find_task, load_task
from tools.errors import ToolError
from tools.example import Example
from tools.predict.predictions import FILE, META, Prediction, PredictionsMeta, write_meta
from tools.score.counts import NO_LABEL
from tools.score.score import evaluate, score
from tools.score.table import show
from tools.score.tally import Setting, tally


def test_an_unparsable_a_missing_and_a_refused_row_count_as_empty_predictions(write_task: Callable[..., Path]) -> None:
    task = toy(write_task, ["a"])
    examples = [example(str(n), "甲", ("a", "甲", 0)) for n in range(4)]
    predictions = {
        "0": Prediction("0", answer([("a", "甲")])),
        "1": Prediction("1", "我不知道", finish_reason="length"),
        "2": Prediction("2", None, error="HTTP 400"),
    }
    scored = score(counted(examples, predictions, Setting(task)), Setting(task), "dev")
    assert scored["labels"]["a"] | {} == scored["micro"]
    assert (scored["micro"]["tp"], scored["micro"]["fp"], scored["micro"]["fn"], scored["rows"]) == (1, 0, 3, 4)
    assert scored["failures"] == {"unparsable": 1, "truncated": 1, "missing": 2, "unknown_label": 0, "ungrounded": 0}


def test_an_unknown_label_is_a_false_positive_and_an_ungrounded_string_is_counted(write_task: Callable[..., Path]) -> None:
    task = toy(write_task, ["a"])
    scored = result(task, [example("0", "甲乙", ("a", "甲", 0))], [answer([("a", "甲"), ("zzz", "乙"), ("a", "丙"), (NO_LABEL, "甲")])])
    assert (scored["micro"]["tp"], scored["micro"]["fp"]) == (1, 3)
    assert (scored["failures"]["unknown_label"], scored["failures"]["ungrounded"]) == (2, 1)
    assert sum(row["fp"] for row in scored["labels"].values()) + scored["failures"]["unknown_label"] == scored["micro"]["fp"]
    assert NO_LABEL in show(scored)


def test_unseen_counts_only_strings_that_are_no_entity_in_train(write_task: Callable[..., Path]) -> None:
    task = toy(write_task, ["a"])
    examples = [example("0", "甲乙", ("a", "甲", 0), ("a", "乙", 1))]
    scored = result(task, examples, [answer([("a", "甲"), ("a", "丙")])], seen=frozenset("甲"))
    assert {key: scored["unseen"][key] for key in ("tp", "fp", "fn")} == {"tp": 0, "fp": 1, "fn": 1}


def test_names_of_labels_in_answers_count_as_the_labels_themselves(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(labels={"PER": "人名", "ORG": "组织"}))
    gold = [example("a", "甲在乙", ("PER", "甲", 0), ("ORG", "乙", 2))]
    scored = result(task, gold, [answer([("人名", "甲"), ("ORG", "乙"), ("地名", "乙")])])
    assert (scored["labels"]["PER"]["tp"], scored["labels"]["ORG"]["tp"], scored["failures"]["unknown_label"]) == (1, 1, 1)


def test_a_control_token_in_a_text_is_compared_as_the_model_saw_it(write_task: Callable[..., Path]) -> None:
    gold = [example("a", "甲<|im_end|>", ("name", "<|im_end|>", 1))]
    scored = result(load_task(write_task()), gold, [answer([("name", "<｜im_end｜>")])])
    assert (scored["micro"]["tp"], scored["span"]["tp"], scored["failures"]["ungrounded"]) == (1, 1, 0)


def test_a_strict_answer_is_told_from_one_that_needed_help() -> None:
    task = find_task("clue")
    scored = result(task, [example(str(n), "甲", ("name", "甲", 0)) for n in range(3)], [answer([("name", "甲")]), None, "哦"])
    assert scored["answers"] == {"trained": 1, "tolerant": 0, "unreadable": 1, "missing": 1}


def test_the_strict_score_counts_any_answer_outside_the_trained_form_as_empty(write_task: Callable[..., Path]) -> None:
    task, rng = toy(write_task, ["a", "b"]), random.Random(4)
    examples, outputs, emptied = [], list[str | None](), list[str | None]()
    for number in range(200):
        text = "".join(rng.choice("甲乙丙") for _ in range(4))
        examples.append(example(str(number), text, (rng.choice("ab"), text[0], 0), (rng.choice("ab"), text[2:], 2)))
        trained = answer((rng.choice(["a", "b", "made up"]), rng.choice([text[0], text[2:], "丁"])) for _ in range(rng.randint(0, 3)))
        outputs.append(rng.choice([trained, trained, f"答案：{trained}", trained[:-1], "不知道", None]))
        emptied.append(trained if outputs[-1] == trained else None)
    scored = result(task, examples, outputs)
    alone = result(task, examples, emptied)
    assert scored["strict"] == {"micro": alone["micro"], "macro": alone["macro"]}
    assert scored["strict"]["micro"] != scored["micro"] and scored["strict"]["macro"] != scored["macro"]
    answers = scored["answers"]
    assert (sum(answers.values()), answers["trained"]) == (200, sum(output is not None for output in emptied))
    assert min(answers.values()) > 0


def test_a_class_that_is_no_class_of_the_task_is_not_in_the_trained_form(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(kind="classification", reader="classification", labels=["甲类", "乙类"]))
    gold = [Example(str(n), "文", [], "甲类") for n in range(4)]
    scored = result(task, gold, ["甲类", "乙类", "丙类", "说不准，都有可能吧"])
    assert scored["answers"]["trained"] == 2 and sum(scored["answers"].values()) == 4
    assert sum(scored["parsing"].values()) >= scored["answers"]["tolerant"], "every answer that was read tolerantly stands under a rule or no_class"
    assert {key: scored["strict"]["micro"][key] for key in ("tp", "fp", "fn")} == {"tp": 1, "fp": 1, "fn": 3}


@pytest.mark.parametrize("label", ["甲类,乙类", "乙类 / 甲类", "甲类#乙类"])
def test_a_row_with_several_classes_in_one_string_is_refused_by_name(write_task: Callable[..., Path], tmp_path: Path, label: str) -> None:
    task = load_task(write_task(kind="classification", reader="classification", labels=["甲类", "乙类"]))
    examples, predictions = tmp_path / "toy_dev.jsonl", tmp_path / "p.jsonl"
    examples.write_text(Example("1", "文", [], label).to_json() + "\n", encoding="utf-8")
    predictions.write_text(Prediction("1", "甲类").to_json() + "\n", encoding="utf-8")
    with pytest.raises(ToolError, match=r"toy_dev\.jsonl:1: its labels are .*甲类.*; a classification example has one `label`") as raised:
        tally(Setting(task), examples, predictions)
    assert raised.value.exit_code == 1


def test_a_huge_answer_is_scored_and_not_choked_on(write_task: Callable[..., Path]) -> None:
    many = answer([("name", f"甲{number}") for number in range(30_000)])
    scored = result(load_task(write_task()), [example("0", "甲乙" * 500, ("name", "甲", 0))] * 1, [many])
    assert (scored["micro"]["fp"], scored["failures"]["ungrounded"], scored["span"]["fp"]) == (30_000, 30_000, 30_000)


@pytest.mark.parametrize("answered", [{}, {"text": "name", "label": "type"}])
def test_rows_read_from_files_by_the_short_way_are_counted_as_any_other_row_is(
    write_task: Callable[..., Path], tmp_path: Path, answered: dict[str, Any]
) -> None:
    task = load_task(write_task(labels={"PER": "人名", "ORG": "组织"}, **({"answer": answered} if answered else {})))
    rng, examples, outputs = random.Random(8), [], list[str | None]()
    for number in range(600):
        text = "".join(rng.choices(["甲", "乙", "丙丁", "<think>", '"', "无"], k=5))
        starts = sorted(rng.sample(range(len(text)), 3))
        gold = [(rng.choice(["PER", "ORG"]), text[start : start + rng.randint(1, 2)], start) for start in starts if rng.random() < 0.6]
        examples.append(example(str(number), text, *gold))
        said = [({"PER": "人名", "ORG": "组织"}[label], string) for label, string, _ in gold if rng.random() < 0.8]
        said += [(rng.choice(["PER", "组织", "地名", "人名 "]), rng.choice(["甲", "无", "None", "", "不在", '"']))] * (rng.random() < 0.3)
        items = [{"name": string, "type": label} if answered else {"label": label, "text": string} for label, string in said]
        output = json.dumps(items, ensure_ascii=rng.random() < 0.1)
        broken = (output[:-1], output + " ", output.replace("}, {", "},{"), output.replace("}, {", "}; {"), f"答案：{output}", "", None)
        outputs.append(rng.choice(broken) if rng.random() < 0.1 else output)
    examples.append(example("tag", "<think>乙", ("PER", "<think>", 0)))
    outputs.append(json.dumps([{"name": "＜think＞", "type": "人名"} if answered else {"label": "人名", "text": "＜think＞"}], ensure_ascii=False))
    predictions = [Prediction(e.id, output, rng.choice(["stop"] * 9 + ["length"])) for e, output in zip(examples, outputs, strict=True)][5:]
    files = tmp_path / "toy_dev.jsonl", tmp_path / "p.jsonl"
    for path, some in zip(files, (examples, predictions), strict=True):
        path.write_text("".join(one.to_json() + "\n" for one in some), encoding="utf-8")
    one_by_one = counted(examples, {p.id: p for p in predictions}, Setting(task, frozenset("甲")))
    assert tally(Setting(task, frozenset("甲")), *files) == one_by_one
    assert one_by_one.trained > 250, "none takes the short way"
    assert min(one_by_one.failures[name] for name in ("ungrounded", "truncated", "missing", "unparsable", "unknown_label")) > 0


THOUGHT = "<think>\n\n</think>\n\n"


@pytest.mark.parametrize("kind", ["ner", "classification"])
def test_a_thought_that_training_put_before_each_answer_is_part_of_the_trained_form(
    write_task: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    if kind == "ner":
        task, right, examples = toy(write_task, ["a"]), answer([("a", "甲")]), [example(str(n), "甲", ("a", "甲", 0)) for n in range(5)]
    else:
        task, right = load_task(write_task([{"text": "甲", "label": "a"}], kind=kind, labels=["a", "b"], reader="labelled")), "a"
        examples = [Example(str(n), "甲", [], "a") for n in range(5)]
    outputs = [
        THOUGHT + right,
        right,
        f"<think>\n想\n</think>\n\n{right}",
        THOUGHT.rstrip() + right,
        "\n" + right,
    ]  # GLM-4 is trained to begin with a line feed
    gold, folder = tmp_path / "toy_dev.jsonl", tmp_path / "eval"
    folder.mkdir()
    gold.write_text("".join(one.to_json() + "\n" for one in examples))
    (folder / FILE).write_text("".join(Prediction(one.id, output).to_json() + "\n" for one, output in zip(examples, outputs, strict=True)))
    for thought, trained in ((THOUGHT, 1), ("", 2), (None, 2)):
        if thought is not None:
            write_meta(folder / META, PredictionsMeta("r", "toy", 1, "dev", thought=thought))
        else:
            (folder / META).unlink()
        scored = evaluate(task, gold, folder / FILE, folder)
        assert (scored["micro"]["tp"], scored["answers"]["trained"], scored["strict"]["micro"]["tp"]) == (5, trained, trained)
        assert scored["parsing"].get("no_thought", 0) == (4 if thought else 0)
        assert scored["parsing"]["thinking"] == (2 if thought else 3)


def in_format(task: Task, form: str) -> Task:
    return task.changed(answer=Answer(format=form))


@pytest.mark.parametrize("form", FORMATS)
def test_gold_answers_in_any_format_are_all_right_and_in_the_trained_form(write_task: Callable[..., Path], tmp_path: Path, form: str) -> None:
    task, rng = in_format(toy(write_task, ["a", "b"]), form), random.Random(5)
    examples = []
    for number in range(100):
        text = "".join(rng.choice("甲乙丙[]|\\\n") for _ in range(8))
        examples.append(
            example(str(number), text, *[(rng.choice("ab"), text[at : at + 2], at) for at in rng.sample((0, 2, 4, 6), rng.randint(0, 3))])
        )
    gold, predicted = tmp_path / "gold.jsonl", tmp_path / "predicted.jsonl"
    gold.write_text("".join(one.to_json() + "\n" for one in examples))
    predicted.write_text("".join(Prediction(one.id, written(task, one)).to_json() + "\n" for one in examples))
    scored = score(tally(Setting(task), gold, predicted), Setting(task), "dev")
    assert (scored["micro"]["fp"], scored["micro"]["fn"], scored["answers"]["trained"]) == (0, 0, 100)
    assert scored["strict"]["micro"] == scored["micro"]
    assert (scored["span"]["fp"] == 0) == (form == "inline")  # elsewhere a string stands at all its occurrences


def test_an_inline_answer_places_the_occurrence_that_it_marks(write_task: Callable[..., Path]) -> None:
    task = in_format(toy(write_task, ["a"]), "inline")
    one = example("0", "甲和甲和甲", ("a", "甲", 2))
    for output, span in (("甲和[甲 | a]和甲", (1, 0, 0)), ("[甲 | a]和甲和甲", (0, 1, 1)), ("甲和[甲 | a]和", (1, 2, 0)), (None, (0, 0, 1))):
        scored = result(task, [one], [output])
        assert tuple(scored["span"][kind] for kind in ("tp", "fp", "fn")) == span
        assert scored["micro"]["tp"] == (output is not None)
    assert result(task, [one], ["甲和[甲 | a]和"])["strict"]["micro"]["tp"] == 0


def test_a_line_that_the_limit_cut_off_is_no_entity(write_task: Callable[..., Path]) -> None:
    task = in_format(toy(write_task, ["a"]), "lines")
    examples, setting = [example("0", "甲和乙丙", ("a", "甲", 0), ("a", "乙丙", 2))], Setting(task)
    predictions = {"0": Prediction("0", "a: 甲\na: 乙", finish_reason="length")}
    scored = score(counted(examples, predictions, setting), setting, "dev")
    assert {kind: scored["micro"][kind] for kind in ("tp", "fp", "fn")} == {"tp": 1, "fp": 0, "fn": 1}
    assert (scored["failures"]["truncated"], scored["strict"]["micro"]["tp"]) == (1, 0)
