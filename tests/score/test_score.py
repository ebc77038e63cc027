import csv
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import LABELS, real
from tools.conf.task import Task, find_task, load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.example import Entity, Example
from tools.predict.predictions import Prediction
from tools.score.counts import NO_LABEL
from tools.score.places import occurrences
from tools.score.rows import rows
from tools.score.score import evaluate, score
from tools.score.score_file import Score
from tools.score.table import STRICT, show
from tools.score.tally import NO_ANSWER, Setting, Tally, tally

# The CLUENER document's table as integers: true positives, predicted, gold.
DOCUMENT = {
    "scene": (113, 163, 199),
    "position": (331, 411, 425),
    "organization": (269, 332, 344),
    "name": (412, 462, 451),
    "movie": (121, 139, 150),
    "government": (209, 257, 244),
    "game": (264, 316, 287),
    "company": (299, 377, 366),
    "book": (126, 154, 152),
    "address": (243, 408, 364),
}
TABLE = {
    "scene": ("0.6933", "0.5678", "0.6243"),
    "position": ("0.8054", "0.7788", "0.7919"),
    "organization": ("0.8102", "0.7820", "0.7959"),
    "name": ("0.8918", "0.9135", "0.9025"),
    "movie": ("0.8705", "0.8067", "0.8374"),
    "government": ("0.8132", "0.8566", "0.8343"),
    "game": ("0.8354", "0.9199", "0.8756"),
    "company": ("0.7931", "0.8169", "0.8048"),
    "book": ("0.8182", "0.8289", "0.8235"),
    "address": ("0.5956", "0.6676", "0.6295"),
}


def answer(pairs: Iterable[tuple[str, str]]) -> str:
    return json.dumps([{"label": label, "text": text} for label, text in pairs], ensure_ascii=False)


def example(id: str, text: str, *entities: tuple[str, str, int]) -> Example:
    return Example(id, text, [Entity(label, string, start, start + len(string)) for label, string, start in entities])


def toy(write_task: Callable[..., Path], labels: list[str]) -> Task:
    return load_task(write_task(labels=labels))


def counted(examples: Iterable[Example], predictions: dict[str, Prediction], setting: Setting) -> Tally:
    """Counts rows that are in memory, one by one."""
    counts = Tally()
    for row in rows(setting.task, examples, predictions):
        counts.add(row, setting)
    return counts


def result(task: Task, examples: list[Example], outputs: list[str | None], seen: frozenset[str] | None = None) -> dict[str, Any]:
    predictions = {e.id: Prediction(e.id, output) for e, output in zip(examples, outputs, strict=True)}
    setting = Setting(task, seen)
    return cast(dict[str, Any], score(counted(examples, predictions, setting), setting, "dev"))


def document_rows() -> tuple[list[Example], list[str | None]]:
    """One example an entity: hits, then false alarms, then misses, so that the document's integers come out."""
    examples, outputs = [], list[str | None]()
    for label, (hits, predicted, gold) in DOCUMENT.items():
        for kind, count in (("hit", hits), ("alarm", predicted - hits), ("miss", gold - hits)):
            for number in range(count):
                text = f"{label}{kind}{number}"
                entities = [] if kind == "alarm" else [(label, text, 0)]
                examples.append(example(text, text, *entities))
                outputs.append("[]" if kind == "miss" else answer([(label, text)]))
    return examples, outputs


def test_the_documents_table_comes_out_of_its_integers() -> None:
    scored = result(find_task("clue"), *document_rows())
    shown = {words[0]: tuple(words[1:4]) for line in show(scored).splitlines() if (words := line.split()) and words[0] in TABLE}
    assert shown == TABLE
    assert scored["micro"] | {"precision": 0, "recall": 0, "f1": 0} == {
        "tp": 2387,
        "fp": 632,
        "fn": 595,
        "precision": 0,
        "recall": 0,
        "f1": 0,
        "support": 2982,
    }
    assert scored["micro"]["f1"] == pytest.approx(2 * 2387 / (3019 + 2982), abs=1e-15)
    assert f"{scored['micro']['precision']:.4f} {scored['micro']['recall']:.4f}" == "0.7907 0.8005"
    assert f"{scored['macro']['f1']:.4f}" == "0.7920"
    assert [line.split()[-5:] for line in show(scored).splitlines() if line.strip().startswith("Macro")] == [["Avg.", "-", "-", "0.7920", "-"]]


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
    scored = result(task, examples, [answer(e.pairs()) for e in examples])
    assert (scored["micro"]["f1"], scored["macro"]["f1"], scored["micro"]["support"]) == (1.0, 1.0, 2161)
    assert 0.95 < scored["span"]["f1"] < 1.0, "a string that is annotated once but stands twice can't be aligned perfectly"


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


def test_unseen_counts_only_strings_that_are_no_entity_in_train(write_task: Callable[..., Path]) -> None:
    task = toy(write_task, ["a"])
    examples = [example("0", "甲乙", ("a", "甲", 0), ("a", "乙", 1))]
    scored = result(task, examples, [answer([("a", "甲"), ("a", "丙")])], seen=frozenset("甲"))
    assert {key: scored["unseen"][key] for key in ("tp", "fp", "fn")} == {"tp": 0, "fp": 1, "fn": 1}


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


def test_names_of_labels_in_answers_count_as_the_labels_themselves(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(labels={"PER": "人名", "ORG": "组织"}))
    gold = [example("a", "甲在乙", ("PER", "甲", 0), ("ORG", "乙", 2))]
    scored = result(task, gold, [answer([("人名", "甲"), ("ORG", "乙"), ("地名", "乙")])])
    assert (scored["labels"]["PER"]["tp"], scored["labels"]["ORG"]["tp"], scored["failures"]["unknown_label"]) == (1, 1, 1)


def test_a_control_token_in_a_text_is_compared_as_the_model_saw_it(write_task: Callable[..., Path]) -> None:
    gold = [example("a", "甲<|im_end|>", ("name", "<|im_end|>", 1))]
    scored = result(load_task(write_task()), gold, [answer([("name", "<｜im_end｜>")])])
    assert (scored["micro"]["tp"], scored["span"]["tp"], scored["failures"]["ungrounded"]) == (1, 1, 0)


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
    assert scored["parsing"] == {STRICT: len(examples)}


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


def test_a_strict_answer_is_told_from_one_that_needed_help() -> None:
    task = find_task("clue")
    scored = result(task, [example(str(n), "甲", ("name", "甲", 0)) for n in range(3)], [answer([("name", "甲")]), None, "哦"])
    assert (scored["parsing"][STRICT], scored["failures"]["missing"], scored["failures"]["unparsable"]) == (1, 1, 1)


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
    assert scored["strict"]["micro"] == result(task, examples, emptied)["micro"] != scored["micro"]
    assert f"strict F1 {scored['strict']['micro']['f1']:.4f}" in show(cast(Score, scored))


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
    assert "accuracy" in show(scored)
    assert "span" not in show(scored), "a class has no place"


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
    assert (done.returncode, "is not the entity's" in done.stderr) == (1, True), done.stderr


def test_first_occurrences_are_an_option_of_the_command(files: tuple[Path, Path, Path], tool: Callable, tmp_path: Path) -> None:
    task, examples, predictions = files
    examples.write_text(example("toy-dev-000001", "甲乙甲", ("name", "甲", 0)).to_json() + "\n")
    words = (task, "--examples", examples, "--predictions", predictions, "--out", tmp_path / "out", "--samples", "50", "--seed", "1")
    for extra, expected in (((), 1), (("--occurrences", "first"), 0)):
        done = tool("score", *words, *extra)
        scored = json.loads((tmp_path / "out/score.json").read_text())
        assert (done.returncode, scored["span"]["fp"], scored["intervals"]["samples"]) == (0, expected, 50), done.stderr


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
    assert one_by_one.strict > 250, "none takes the short way"
    assert min(one_by_one.failures[name] for name in ("ungrounded", "truncated", "missing", "unparsable", "unknown_label")) > 0
