"""Classes that a model which wasn't trained on them speaks against."""

from tools.example import Example
from tools.extract.annotate import Annotation
from tools.labelling.held_out import Read
from tools.labelling.wrong_classes import class_suspects, probability
from tools.predict.predictions import Prediction


def read(number: int, gold: str, said: str | None, logprob: float = -0.05) -> Read:
    example = Example(f"toy-train-{number:06d}", f"第{number}篇", [], gold)
    return example, Annotation(example.text, Prediction(example.id, said, tokens=[(said or "", logprob)]), label=said)


def split_of(reads: list[Read]) -> dict[str, str]:
    return {example.id: "train" for example, _ in reads}


def test_a_class_that_a_sure_model_contradicts_is_a_suspect_and_the_surest_comes_first() -> None:
    reads = [read(number, label, label) for number, label in enumerate(["体育", "财经"] * 20)]
    reads += [read(100, "体育", "财经", -0.06), read(101, "财经", "体育", -0.01)]
    found = class_suspects(reads, split_of(reads))
    assert [(one.id[-3:], one.now and one.now.label, one.instead and one.instead.label, one.kind) for one in found[:2]] == [
        ("101", "财经", "体育", "class"),
        ("100", "体育", "财经", "class"),
    ]
    assert found[0].score > found[1].score > 0.5 and len(found) == 2


def test_rows_without_a_readable_answer_and_classes_of_a_few_rows_arent_judged() -> None:
    reads = [read(number, label, label) for number, label in enumerate(["体育", "财经"] * 20)]
    reads += [read(100, "体育", None), read(101, "天气", "体育"), read(102, "财经", "不是类别")]
    reads.append(read(103, "体育", "财经", -0.5))  # less sure than the model is of 财经 elsewhere
    assert class_suspects(reads, split_of(reads)) == []
    assert class_suspects([read(1, "体育", "财经")], {}) == []


def test_the_probability_of_an_answer_is_that_of_its_tokens() -> None:
    assert abs(probability(Prediction("a", "体育", tokens=[("体", -0.5), ("育", -0.5)])) - 0.3679) < 1e-4
    assert probability(Prediction("a", "体育")) == 0.5
