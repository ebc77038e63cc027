import random
from collections import Counter

import pytest

from tools.answers import Span
from tools.example import Entity, Example
from tools.score import protocols
from tools.score.counts import NO_LABEL, Matched, ratio, totals
from tools.score.places import Sides, sides
from tools.score.protocols import FIVEFOLD, PROTOCOLS, outcomes
from tools.score.rows import Row, occurrences

LABELS = ["a", "b", "c"]
LENGTH = 30


def of_spans(gold: set[Span], predicted: set[Span], nowhere: list[str] | None = None) -> Sides:
    return Sides(LABELS, set(), set(), gold, predicted, nowhere or [])


def row(text: str, gold: list[tuple[str, str, int]], predicted: list[tuple[str, str]]) -> Row:
    entities = [Entity(label, string, start, start + len(string)) for label, string, start in gold]
    example = Example("1", text, entities)
    return Row(example, None, example.pairs(), predicted)


def count(protocol: str, *rows: Sides) -> tuple[dict[str, Matched], Matched]:
    return totals(Counter(PROTOCOLS[protocol](one) for one in rows))


def from_the_left(spans: set[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span[1], span[2], span[0]))


def random_spans(rng: random.Random, overlapping: bool) -> set[Span]:
    spans: set[Span] = set()
    for _ in range(rng.randint(0, 5)):
        start = rng.randrange(LENGTH - 8)
        span = (rng.choice(LABELS), start, start + rng.randint(1, 8))
        if overlapping or all(span[2] <= other[1] or other[2] <= span[1] for other in spans):
            spans.add(span)
    return spans


def random_rows(seed: int, number: int, overlapping: bool) -> list[Sides]:
    """Predictions that are partly the gold, partly near it, partly anything."""
    rng, found = random.Random(seed), []
    for _ in range(number):
        gold = random_spans(rng, overlapping)
        predicted = {span for span in gold if rng.random() < 0.5}
        for label, start, end in gold:
            moved = (rng.choice([label, *LABELS]), max(0, start + rng.randint(-2, 2)), end + rng.randint(-1, 3))
            if moved[1] < moved[2] and rng.random() < 0.4 and (overlapping or all(moved[2] <= s or e <= moved[1] for _, s, e in predicted)):
                predicted.add(moved)
        for span in random_spans(rng, overlapping):
            if rng.random() < 0.3 and (overlapping or all(span[2] <= s or e <= span[1] for _, s, e in predicted)):
                predicted.add(span)
        found.append(of_spans(gold, predicted))
    return found


def nervaluate(rows: list[Sides], tags: list[str] = LABELS) -> dict:
    from nervaluate.evaluator import Evaluator

    def dicts(spans: set[Span]) -> list[dict]:
        return [{"label": label, "start": start, "end": end - 1} for label, start, end in from_the_left(spans)]

    return Evaluator([dicts(one.gold_spans) for one in rows], [dicts(one.predicted_spans) for one in rows], tags=tags, loader="dict").evaluate()


@pytest.mark.parametrize(("protocol", "strategy"), [("partial", "partial"), ("type", "ent_type")])
@pytest.mark.parametrize("overlapping", [False, True])
def test_partial_and_type_are_nervaluates_to_the_last_integer(protocol: str, strategy: str, overlapping: bool) -> None:
    rows = random_rows(11, 600, overlapping)
    theirs = nervaluate(rows)
    by_label, every = count(protocol, *rows)
    assert every.partial + every.incorrect > 50, "the data has no hard cases"
    for ours, other in [(every, theirs["overall"][strategy]), *((by_label[label], theirs["entities"][label][strategy]) for label in LABELS)]:
        assert (ours.correct, ours.incorrect, ours.partial, ours.missed, ours.spurious) == (
            other.correct,
            other.incorrect,
            other.partial,
            other.missed,
            other.spurious,
        )
        assert ours.to_dict()["f1"] == pytest.approx(other.f1, abs=1e-12)
        assert (ours.to_dict()["precision"], ours.to_dict()["recall"]) == pytest.approx((other.precision, other.recall), abs=1e-12)


def test_long_gold_spans_need_one_per_cent_of_overlap_as_in_nervaluate() -> None:
    rows = [of_spans({("a", 0, 250)}, {("a", 248, 260)}), of_spans({("a", 0, 250)}, {("a", 247, 260)})]
    assert count("partial", *rows)[1] == Matched(partial=1, missed=1, spurious=1)
    assert nervaluate(rows)["overall"]["partial"].partial == 1


def test_spans_are_seqevals_on_bio_tags() -> None:
    from seqeval.metrics.v1 import precision_recall_fscore_support
    from seqeval.scheme import IOB2

    def tags(spans: set[Span]) -> list[str]:
        found = ["O"] * (LENGTH + 10)
        for label, start, end in spans:
            found[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
        return found

    rows = random_rows(5, 500, overlapping=False)
    gold, predicted = [tags(one.gold_spans) for one in rows], [tags(one.predicted_spans) for one in rows]
    by_label, every = count("span", *rows)
    found = {label: by_label[label].counts().to_dict() for label in LABELS}
    theirs = precision_recall_fscore_support(gold, predicted, average=None, scheme=IOB2)
    for column, key in enumerate(("precision", "recall", "f1", "support")):
        assert [found[label][key] for label in LABELS] == pytest.approx(list(theirs[column]), abs=1e-12)
    micro = precision_recall_fscore_support(gold, predicted, average="micro", scheme=IOB2)
    macro = precision_recall_fscore_support(gold, predicted, average="macro", scheme=IOB2)
    assert every.counts().to_dict()["f1"] == pytest.approx(micro[2], abs=1e-12)
    assert sum(found[label]["f1"] for label in LABELS) / len(LABELS) == pytest.approx(macro[2], abs=1e-12)


def test_sets_are_scikit_learns_on_multilabel_indicators() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    rng, rows, gold, predicted = random.Random(3), [], [], []
    strings = "甲乙丙丁"
    items = [(label, string) for label in LABELS for string in strings]
    for _ in range(400):
        left = {item for item in items if rng.random() < 0.2}
        right = {item for item in items if rng.random() < (0.7 if item in left else 0.05)}
        rows.append(Sides(LABELS, left, right, set(), set(), []))
        gold.append([item in left for item in items])
        predicted.append([item in right for item in items])
    by_label, every = count("set", *rows)
    assert every.counts().to_dict()["f1"] == pytest.approx(precision_recall_fscore_support(gold, predicted, average="micro")[2], abs=1e-12)
    for place, label in enumerate(LABELS):
        columns = slice(place * len(strings), (place + 1) * len(strings))
        own = precision_recall_fscore_support([one[columns] for one in gold], [one[columns] for one in predicted], average="micro")
        found = by_label[label].counts().to_dict()
        assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(own[:3], abs=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_made_up_label_costs_under_every_protocol_though_nervaluate_drops_it(protocol: str) -> None:
    right = sides(row("甲乙丙", [("a", "甲", 0)], [("a", "甲")]), LABELS)
    wrong = sides(row("甲乙丙", [("a", "甲", 0)], [("a", "甲"), ("made up", "乙"), ("made up", "甲")]), LABELS)
    by_label, every = count(protocol, wrong)
    assert (every.spurious, by_label[NO_LABEL].spurious, every.correct) == (2, 2, 1)
    assert every.to_dict()["f1"] < count(protocol, right)[1].to_dict()["f1"] == 1.0
    assert nervaluate([wrong])["overall"]["partial"].f1 == 1.0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_string_that_is_not_in_the_text_is_spurious_once(protocol: str) -> None:
    one = sides(row("甲乙甲", [("a", "甲", 0), ("a", "甲", 2)], [("a", "甲"), ("a", "不在"), ("b", "")]), LABELS)
    by_label, every = count(protocol, one)
    assert (every.spurious, by_label["a"].spurious, by_label["b"].spurious, every.missed) == (2, 1, 1, 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_predicted_misses_all_and_nothing_in_gold_is_all_spurious(protocol: str) -> None:
    assert count(protocol, sides(row("甲乙", [("a", "甲", 0), ("b", "乙", 1)], []), LABELS))[1] == Matched(missed=2)
    assert count(protocol, sides(row("甲乙", [], [("a", "甲"), ("b", "乙")]), LABELS))[1] == Matched(spurious=2)
    assert count(protocol, sides(row("甲乙", [], []), LABELS)) == ({}, Matched())


def test_all_occurrences_count_unless_the_first_alone_is_asked_for() -> None:
    one = row("甲乙甲", [("a", "甲", 0)], [("a", "甲")])
    assert count("set", sides(one, LABELS))[1] == Matched(correct=1)
    assert count("span", sides(one, LABELS))[1] == Matched(correct=1, spurious=1)
    assert count("span", sides(one, LABELS, first=True))[1] == Matched(correct=1)


def test_one_string_under_two_labels_is_two_items() -> None:
    gold = [("a", "甲", 0), ("b", "甲", 0)]
    for protocol in PROTOCOLS:
        assert count(protocol, sides(row("甲乙", gold, [("b", "甲"), ("a", "甲")]), LABELS))[1] == Matched(correct=2), protocol
    half = sides(row("甲乙", gold, [("a", "甲")]), LABELS)
    assert all(count(protocol, half)[1] == Matched(correct=1, missed=1) for protocol in PROTOCOLS)


def test_nested_gold_is_counted_span_by_span() -> None:
    gold = [("a", "北京大学", 0), ("b", "北京", 0)]
    outer = sides(row("北京大学", gold, [("a", "北京大学")]), LABELS)
    assert count("set", outer)[1] == count("span", outer)[1] == count("partial", outer)[1] == count("type", outer)[1] == Matched(correct=1, missed=1)
    both = sides(row("北京大学", gold, [("b", "北京"), ("a", "北京大学")]), LABELS)
    assert all(count(protocol, both)[1] == Matched(correct=2) for protocol in PROTOCOLS)


def test_a_wrong_label_is_right_for_partial_and_incorrect_for_type_and_labels_alone_see_a_miss() -> None:
    one = of_spans({("a", 0, 3)}, {("b", 0, 3)})
    assert count("partial", one) == ({"a": Matched(missed=1), "b": Matched(spurious=1)}, Matched(correct=1))
    assert count("type", one) == ({"a": Matched(missed=1), "b": Matched(spurious=1)}, Matched(incorrect=1))
    assert count("span", one)[1] == Matched(missed=1, spurious=1)


def test_a_wrong_boundary_is_half_right_for_partial_and_right_for_type() -> None:
    one = of_spans({("a", 0, 3)}, {("a", 0, 2)})
    assert count("partial", one)[1].to_dict()["f1"] == 0.5
    assert count("type", one)[1].to_dict()["f1"] == 1.0


def test_the_order_of_a_models_entities_does_not_matter() -> None:
    rng = random.Random(2)
    for one in random_rows(8, 100, overlapping=True):
        shuffled = list(one.predicted_spans)
        rng.shuffle(shuffled)
        again = of_spans(set(one.gold_spans), set(shuffled))
        assert all(PROTOCOLS[protocol](one) == PROTOCOLS[protocol](again) for protocol in PROTOCOLS)


@pytest.mark.parametrize("protocol", FIVEFOLD)
def test_items_add_up_to_gold_and_predicted(protocol: str) -> None:
    rows = random_rows(4, 300, overlapping=True)
    by_label, every = count(protocol, *rows)
    for counts, label in [(every, None), *((by_label[label], label) for label in LABELS)]:
        paired = counts.correct + counts.incorrect + counts.partial
        assert paired + counts.missed == sum(label in (None, span[0]) for one in rows for span in one.gold_spans)
        assert paired + counts.spurious == sum(label in (None, span[0]) for one in rows for span in one.predicted_spans)


def test_a_megabyte_of_one_entity_is_placed_in_linear_steps() -> None:
    assert len(occurrences("哈", "哈" * 1_000_000)) == 1_000_000
    assert ratio(1, 0) == 0.0


@pytest.mark.parametrize("overlapping", [False, True])
def test_rows_whose_spans_pair_off_are_counted_as_any_other_row_is(overlapping: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, rng = random_rows(21, 1500, overlapping), random.Random(22)
    for one in rows:
        one.predicted_spans |= {("made up", start, start + 3) for start in range(LENGTH) if rng.random() < 0.01}
        if rng.random() < 0.1:  # a gold span of which an overlap may be less than one per cent
            one.gold_spans.add(("a", 100, 400))
            one.predicted_spans.add(("b", rng.choice([396, 398]), 420))
    paired = [[PROTOCOLS[protocol](one) for protocol in FIVEFOLD] for one in rows]
    assert sum(bool(protocols._pairs(one)) for one in rows) > 200, "none takes the short way"
    monkeypatch.setattr(protocols, "_FEW", -1)
    assert [[PROTOCOLS[protocol](one) for protocol in FIVEFOLD] for one in rows] == paired


def test_all_protocols_at_once_are_each_by_itself() -> None:
    rng = random.Random(6)
    for _ in range(1000):
        text = "".join(rng.choices("甲乙丙", k=6))
        places = [(start, start + rng.randint(1, 2)) for start in range(5)]
        gold = [(rng.choice(LABELS), text[start:end], start) for start, end in places if rng.random() < 0.4]
        predicted = [(label if rng.random() < 0.9 else rng.choice(LABELS), string) for label, string, _ in gold if rng.random() < 0.9]
        if rng.random() < 0.2:
            predicted.append((rng.choice([*LABELS, "made up"]), rng.choice(["甲", "丁", "乙丙"])))
        one = sides(row(text, gold, predicted), LABELS, first=rng.random() < 0.5)
        assert outcomes(one) == tuple(outcome_of(one) for outcome_of in PROTOCOLS.values())
