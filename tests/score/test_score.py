import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import LABELS, real
from tests.score.conftest import answer, document_rows, example, result, toy
from tools.conf.task import find_task, load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.example import Entity, Example
from tools.predict.predictions import Prediction
from tools.score.counts import NO_LABEL
from tools.score.rows import occurrences
from tools.score.score import evaluate
from tools.score.table import show
from tools.score.tally import NO_ANSWER


def test_the_set_protocol_counts_as_the_official_script_does() -> None:
    """An independent count by the official definition: per label and sentence, the set of surface strings (dict keys)."""
    rng, examples, outputs = random.Random(7), [], list[str | None]()
    golds, answers = [], []
    for number in range(400):
        strings = [chr(0x4E00 + rng.randrange(12)) * rng.randint(1, 3) for _ in range(rng.randint(0, 6))]
        text = "，".join(strings)
        entities, start = [], 0
        for string in strings:
            entities.append((rng.choice(LABELS), string, start))
            start += len(string) + 1
        examples.append(example(str(number), text, *entities))
        predicted = [(label if rng.random() < 0.8 else rng.choice(LABELS), string) for label, string, _ in entities if rng.random() < 0.8] * 2
        outputs.append(answer(predicted))
        golds.append({label: {s for other, s, _ in entities if other == label} for label in LABELS})
        answers.append({label: {s for other, s in predicted if other == label} for label in LABELS})
    scored, f1 = result(find_task("clue"), examples, outputs), []
    for label in LABELS:
        tp = sum(len(gold[label] & predicted[label]) for gold, predicted in zip(golds, answers, strict=True))
        p = tp / sum(len(predicted[label]) for predicted in answers)
        r = tp / sum(len(gold[label]) for gold in golds)
        f1.append(2 * p * r / (p + r))
        assert scored["labels"][label]["f1"] == pytest.approx(f1[-1], abs=1e-12)
    assert scored["macro"]["f1"] == pytest.approx(sum(f1) / 10, abs=1e-12)


def test_perfect_answers_to_the_real_split_score_one(tmp_path: Path) -> None:
    path = real("cluener/train.jsonl")
    task = find_task("clue", [f"raw.dev={path}[-1000:]", "raw.train=null"])
    convert(task, tmp_path)
    from tools.example import read_examples

    examples = list(read_examples(task.examples("dev", tmp_path)))
    answers = [answer(e.pairs()) for e in examples]
    scored, at_first = result(task, examples, answers), result(task, examples, answers, first=True)
    assert (scored["micro"]["f1"], scored["macro"]["f1"], scored["micro"]["support"]) == (1.0, 1.0, 2161)
    # A string that is annotated once but stands twice can't be aligned perfectly.
    assert [round(one["span"]["f1"], 3) for one in (scored, at_first)] == [0.987, 0.974]


def test_macro_leaves_out_labels_that_occur_nowhere_and_keeps_those_only_predicted(write_task: Callable[..., Path]) -> None:
    task = toy(write_task, ["a", "b", "c"])
    examples = [example("0", "甲乙", ("a", "甲", 0))]
    assert result(task, examples, [answer([("a", "甲")])])["macro"]["f1"] == 1.0
    assert result(task, examples, [answer([("a", "甲"), ("b", "乙")])])["macro"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "labels": 2}


def test_doubling_the_rows_changes_no_ratio_and_order_does_not_matter(write_task: Callable[..., Path]) -> None:
    examples, outputs = document_rows()
    task = find_task("clue")
    once = result(task, examples, outputs)
    again = result(task, [*examples, *(Example(e.id + "x", e.text, e.entities) for e in examples)], outputs * 2)
    assert [again[key]["f1"] for key in ("micro", "macro", "span")] == [once[key]["f1"] for key in ("micro", "macro", "span")]
    assert result(task, examples[::-1], outputs[::-1]) == once


def test_spans_are_all_occurrences_of_the_predicted_string(write_task: Callable[..., Path]) -> None:
    task = toy(write_task, ["a"])
    scored = result(task, [example("0", "甲乙甲", ("a", "甲", 0))], [answer([("a", "甲")])])
    assert (scored["micro"]["f1"], scored["span"]["tp"], scored["span"]["fp"]) == (1.0, 1, 1)
    assert occurrences("哈哈", "哈哈哈哈") == [(0, 2), (2, 4)]
    assert occurrences("", "甲") == []


def test_no_predictions_at_all_is_zero_and_not_a_division(write_task: Callable[..., Path]) -> None:
    scored = result(toy(write_task, ["a", "b"]), [example("0", "甲", ("a", "甲", 0)), example("1", "无")], [None, "[]"])
    assert (scored["micro"]["f1"], scored["macro"]["f1"], scored["span"]["precision"]) == (0.0, 0.0, 0.0)


@pytest.fixture
def files(write_task: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path, Path]:
    """Task, examples and predictions of one row on disk."""
    (tmp_path / "toy_dev.jsonl").write_text(example("toy-dev-000001", "甲", ("name", "甲", 0)).to_json() + "\n")
    (tmp_path / "p.jsonl").write_text(Prediction("toy-dev-000001", answer([("name", "甲")])).to_json() + "\n")
    return write_task(), tmp_path / "toy_dev.jsonl", tmp_path / "p.jsonl"


def test_the_tool_writes_json_and_csv_and_prints_the_table(files: tuple[Path, Path, Path], tool: Callable, tmp_path: Path) -> None:
    task, examples, predictions = files
    done = tool("score", task, "--examples", examples, "--predictions", predictions, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:5] == ["Label", "Precision", "Recall", "F1", "Support"]
    written = json.loads((tmp_path / "out/score.json").read_text())
    assert (written["task"], written["split"], written["protocol"], written["rows"], written["micro"]["f1"]) == ("toy", "dev", "set", 1, 1.0)
    rows = list(csv.DictReader((tmp_path / "out/score.csv").open()))
    assert [row["Label"] for row in rows] == [*LABELS, "Micro Avg.", "Macro Avg."]
    assert (rows[0]["TP"], rows[0]["F1"], rows[-1]["TP"]) == ("1", "1.0", "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "other", "output": "[]"}', "1 of 2 ids aren't in"),
        ('{"id": "toy-dev-000001", "output": "[]"}', "p.jsonl:2: the id 'toy-dev-000001' stands twice"),
        ('{"id": "x"}', "p.jsonl:2: not a prediction"),
        ('{"id": 3, "output": ""}', "p.jsonl:2: not a prediction"),
        ('{"id": "x", "output": {}}', "p.jsonl:2: not a prediction"),
        ("{", "p.jsonl:2: not JSON"),
    ],
)
def test_predictions_that_dont_belong_are_exit_code_1_and_nothing_is_written(
    files: tuple[Path, Path, Path], tool: Callable, tmp_path: Path, line: str, message: str
) -> None:
    task, examples, predictions = files
    with predictions.open("a") as more:
        more.write(line + "\n")
    done = tool("score", task, "--examples", examples, "--predictions", predictions, "--out", tmp_path / "out")
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_an_empty_examples_file_is_an_error(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    task, examples, predictions = files
    examples.write_text("")
    with pytest.raises(ToolError, match="no examples in it"):
        evaluate(load_task(task), examples, predictions, tmp_path / "out")


def test_classes_are_scored_like_labels_and_a_class_that_is_no_option_is_a_false_positive(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(kind="classification", reader="classification", labels=[]))
    options = ["Art", "Economy", "Law"]
    gold = [Example(str(n), "x", [], label, options) for n, label in enumerate(["Art", "Art", "Economy", "Law", "Law"])]
    scored = result(task, gold, [" Art\n", "“Economy”。", "Economy", "文章类型:法律", ""])
    assert {label: (row["tp"], row["fp"], row["fn"]) for label, row in scored["labels"].items()} == {
        "Art": (1, 0, 1),
        "Economy": (1, 1, 0),
        "Law": (0, 0, 2),
    }
    assert (scored["micro"]["tp"], scored["micro"]["fp"], scored["micro"]["fn"]) == (2, 2, 3)
    assert (scored["failures"]["unknown_label"], scored["failures"]["unparsable"], scored["failures"]["ungrounded"]) == (1, 1, 0)
    assert "unseen" not in scored


# Sentences of three characters, gold entities in them, and answers that may be right, wrong, made up or unreadable.
TEXTS = st.text("甲乙丙", min_size=1, max_size=4)
SPANS = st.tuples(st.sampled_from(LABELS[:3]), st.integers(0, 3), st.integers(1, 2))
ANSWERS = st.one_of(
    st.lists(st.tuples(st.sampled_from([*LABELS[:3], "made up"]), st.sampled_from(["甲", "乙", "甲乙", "不在"])), max_size=4).map(answer),
    st.sampled_from([None, "我不知道", "{", ""]),
)
ROWS = st.lists(st.tuples(TEXTS, st.lists(SPANS, max_size=3), ANSWERS), min_size=1, max_size=6)


def drawn(rows: list[tuple[str, list[tuple[str, int, int]], str | None]], mark: str = "") -> tuple[list[Example], list[str | None]]:
    examples = []
    for number, (text, spans, _) in enumerate(rows):
        entities = {Entity(label, text[start : start + size], start, start + size) for label, start, size in spans if start + size <= len(text)}
        examples.append(Example(f"{number}{mark}", text, sorted(entities, key=lambda entity: (entity.start, entity.end, entity.label))))
    return examples, [output for _, _, output in rows]


def ratios(scored: dict[str, Any]) -> dict[str, Any]:
    """Everything that is derived, under every protocol."""
    kept = ("precision", "recall", "f1")
    found = {}
    for name, protocol in {"set": scored, **scored["protocols"]}.items():
        parts = {"micro": protocol["micro"], "macro": protocol["macro"], **protocol["labels"]}
        found[name] = {part: [counts[key] for key in kept] for part, counts in parts.items()}
    return found


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_score_of_docs_plus_docs_is_the_score_of_docs_under_every_protocol(rows: list[Any]) -> None:
    task, (once, outputs), (again, _) = find_task("clue"), drawn(rows), drawn(rows, "x")
    assert ratios(result(task, once + again, outputs * 2)) == ratios(result(task, once, outputs))


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing_not_even_an_interval(rows: list[Any], rng: random.Random) -> None:
    task, (examples, outputs) = find_task("clue"), drawn(rows)
    both = list(zip(examples, outputs, strict=True))
    rng.shuffle(both)
    assert result(task, [e for e, _ in both], [o for _, o in both]) == result(task, examples, outputs)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_perfect_predictions_are_1_with_an_interval_from_1_to_1(rows: list[Any]) -> None:
    task, (examples, _) = find_task("clue"), drawn(rows)
    scored = result(task, examples, [answer(e.pairs()) for e in examples])
    expected = 1.0 if any(e.entities for e in examples) else 0.0
    assert (scored["micro"]["f1"], scored["macro"]["f1"]) == (expected, expected)
    assert scored["intervals"]["micro"] == scored["intervals"]["macro"] == [expected, expected]
    assert (scored["parsing"], scored["answers"]) == ({}, {"trained": len(examples), "tolerant": 0, "unreadable": 0, "missing": 0})


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_every_interval_holds_its_figure(rows: list[Any]) -> None:
    task, (examples, outputs) = find_task("clue"), drawn(rows)
    scored = result(task, examples, outputs)
    bounds = scored["intervals"]
    for low, figures, high in ((bounds[key][0], scored[key], bounds[key][1]) for key in ("micro", "macro")):
        assert low <= figures["f1"] <= high
    for label, (low, high) in bounds["labels"].items():
        assert low <= scored["labels"][label]["f1"] <= high


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_one_more_wrong_entity_never_raises_a_score(rows: list[Any]) -> None:
    task, (examples, outputs) = find_task("clue"), drawn(rows)
    worse = [json.dumps([*(json.loads(output) if output and output[0] == "[" else []), {"label": "made up", "text": "甲"}]) for output in outputs]
    before, after = result(task, examples, [o if o and o[0] == "[" else "[]" for o in outputs]), result(task, examples, worse)
    for protocol in before["protocols"]:
        assert after["protocols"][protocol]["micro"]["f1"] <= before["protocols"][protocol]["micro"]["f1"]
    assert after["micro"]["f1"] <= before["micro"]["f1"]


def test_score_json_has_all_protocols_and_the_span_protocol_at_the_top_too() -> None:
    scored = result(find_task("clue"), *document_rows())
    assert list(scored["protocols"]) == ["span", "partial", "type"]
    assert scored["span"] == scored["protocols"]["span"]["micro"]
    for protocol in scored["protocols"].values():
        assert (set(protocol), set(protocol["labels"])) == ({"labels", "micro", "macro"}, set(LABELS))
    low, high = scored["intervals"]["micro"]
    assert low < scored["micro"]["f1"] < high
    assert set(scored["intervals"]["labels"]) == set(LABELS)
    assert json.loads(json.dumps(scored)) == scored


def test_classification_is_scikit_learns() -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    rng = random.Random(9)
    task = find_task("fudan")
    classes = ["Art", "Economy", "Law", "Sports"]
    gold = [rng.choice(classes) for _ in range(500)]
    said = [rng.choice([one, one, one, *classes, "Cooking", ""]) for one in gold]
    examples = [Example(str(n), "x", [], label, classes) for n, label in enumerate(gold)]
    scored = result(task, examples, list(said))
    names = [*classes, NO_LABEL, NO_ANSWER]
    predicted = [{"Cooking": NO_LABEL, "": NO_ANSWER}.get(one, one) for one in said]
    theirs = precision_recall_fscore_support(gold, predicted, labels=classes, average=None)
    for column, key in enumerate(("precision", "recall", "f1", "support")):
        assert [scored["labels"][label][key] for label in classes] == pytest.approx(list(theirs[column]), abs=1e-12)
    macro = precision_recall_fscore_support(gold, predicted, labels=classes, average="macro")
    assert [scored["macro"][key] for key in ("precision", "recall", "f1")] == pytest.approx(macro[:3], abs=1e-12)
    assert scored["accuracy"] == pytest.approx(accuracy_score(gold, predicted), abs=1e-12)
    matrix = confusion_matrix(gold, predicted, labels=names)
    assert [[scored["confusion"].get(g, {}).get(p, 0) for p in names] for g in names] == matrix.tolist()
    assert scored["outside_options"] == said.count("Cooking") == scored["failures"]["unknown_label"]
    assert scored["failures"]["unparsable"] == said.count("")
    low, high = scored["intervals"]["accuracy"]
    assert low < scored["accuracy"] < high and f"accuracy {low:.4f}–{high:.4f}" in show(scored)
    assert "span" not in show(scored), "a class has no place"


def test_what_is_too_few_for_an_interval_is_said(write_task: Callable[..., Path]) -> None:
    task = toy(write_task, ["a", "b", "c"])
    examples = [example(str(n), "甲乙", ("a", "甲", 0), *([("b", "乙", 1)] if n < 4 else [])) for n in range(30)]
    outputs: list[str | None] = [answer([("a", "甲")])] * 30
    enough, few = result(task, examples, outputs), result(task, examples[:29], outputs[:29])
    assert (enough["intervals"]["few"], few["intervals"]["few"]) == ({"rows": False, "labels": ["b"]}, {"rows": True, "labels": ["b"]})
    assert "few rows" not in show(enough) and "few rows, 29" in show(few)  # type: ignore[arg-type]
    assert "few gold items, so that their own F1 and macro F1 say little: b 4" in show(enough)  # type: ignore[arg-type]


def test_a_class_of_the_task_that_is_no_option_of_the_row_is_outside_the_options() -> None:
    scored = result(find_task("fudan"), [Example("1", "x", [], "Art", ["Art", "Law"])], ["Economy"])
    assert (scored["outside_options"], scored["confusion"], scored["accuracy"]) == (1, {"Art": {NO_LABEL: 1}}, 0.0)


def test_the_floor_and_the_published_figures_stand_beside_the_score(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    task, examples, predictions = files
    train = tmp_path / "train_examples.jsonl"
    train.write_text(example("t", "张三在", ("name", "张三", 0)).to_json() + "\n")
    examples.write_text(example("toy-dev-000001", "张三和李四", ("name", "张三", 0), ("name", "李四", 3)).to_json() + "\n")
    published = [{"model": "BERT", "split": "test", "metric": "macro", "f1": 0.7882, "source": "a paper"}]
    values = json.loads(task.read_text()) | {"published": published}
    task.write_text(json.dumps(values))
    scored = evaluate(load_task(task), examples, predictions, tmp_path / "out", train)
    assert (scored["floor"]["micro"], scored["published"]) == (pytest.approx(2 / 3), published)
    assert "published macro F1 on toy test: BERT 0.7882" in show(scored)
    assert "floor, a plain list of the train entities: micro F1 0.6667" in show(scored)
    without = evaluate(load_task(task, ["published=null"]), examples, predictions, tmp_path / "out")
    assert "floor" not in without
    assert "published" not in without


@pytest.mark.parametrize(
    "figure", [{"model": "x"}, {"model": "x", "split": "dev", "metric": "macro", "f1": 79.2, "source": "y"}, "BERT", {"model": "x", "f1": "high"}]
)
def test_a_published_figure_without_split_metric_and_source_is_refused(write_task: Callable[..., Path], figure: Any) -> None:
    with pytest.raises(ToolError, match=r"`published[.\w]*` \(entry 1\)|'published.\w+' \(entry 1\)"):
        load_task(write_task(published=[figure]))


def test_the_published_figures_of_cluener_name_their_split_and_metric() -> None:
    figures = {(one.model, one.split, one.metric): one.f1 for one in find_task("clue").published}
    assert figures["RoBERTa-wwm-large-ext", "test", "macro"] == 0.8042
    assert figures["Qwen2.5-7B-Instruct + LoRA", "dev", "macro"] == 0.792


def test_a_gold_label_that_the_task_does_not_have_is_an_error_and_not_a_miss(files: tuple[Path, Path, Path], tool: Callable, tmp_path: Path) -> None:
    task, examples, predictions = files
    examples.write_text(example("toy-dev-000001", "甲", ("planet", "甲", 0)).to_json() + "\n")
    done = tool("score", task, "--examples", examples, "--predictions", predictions, "--out", tmp_path / "out")
    assert (done.returncode, "toy_dev.jsonl:1: " in done.stderr, "no label 'planet'" in done.stderr) == (1, True, True), done.stderr


def test_an_example_whose_offsets_hold_another_text_is_refused(files: tuple[Path, Path, Path], tool: Callable, tmp_path: Path) -> None:
    task, examples, predictions = files
    rows = [json.loads(line) for line in examples.read_text(encoding="utf-8").splitlines()]
    wrong = next(row for row in rows if row["entities"])
    wrong["entities"][0]["start"] += 1
    wrong["entities"][0]["end"] += 1
    examples.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    done = tool("score", task, "--examples", examples, "--predictions", predictions, "--out", tmp_path / "out")
    assert (done.returncode, "but the entity's text is" in done.stderr) == (1, True), done.stderr


def test_first_occurrences_are_an_option_of_the_command(files: tuple[Path, Path, Path], tool: Callable, tmp_path: Path) -> None:
    task, examples, predictions = files
    examples.write_text(example("toy-dev-000001", "甲乙甲", ("name", "甲", 0)).to_json() + "\n")
    words = (task, "--examples", examples, "--predictions", predictions, "--out", tmp_path / "out", "--samples", "50", "--seed", "1")
    for extra, expected in (((), 1), (("--occurrences", "first"), 0)):
        done = tool("score", *words, *extra)
        scored = json.loads((tmp_path / "out/score.json").read_text())
        assert (done.returncode, scored["span"]["fp"], scored["intervals"]["samples"]) == (0, expected, 50), done.stderr
