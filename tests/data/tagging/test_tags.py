import pytest

from tools.data.raw.fields import Unusable
from tools.data.raw.row import FileReading
from tools.data.tagging.tags import Tag, no_tag, notation_of


def tags(written: str, numbers: tuple[str, ...] = ()) -> tuple[list[Tag | None], list[str]]:
    """The parts of a sentence's tags, and the rules that were applied."""
    reading = FileReading(numbers=numbers)
    return notation_of([written.split()], reading).tags(written.split()), list(reading.applied)


@pytest.mark.parametrize(
    ("written", "rules"),
    [
        ("B-PER I-PER O", 0),
        ("B_PER I_PER O", 0),
        ("PER-B PER-I O", 0),
        ("PER_B PER_M O", 0),
        ("B-PER I-PER 0", 1),
        ("B-PER I-PER OUT", 1),
        ("b-PER i-PER o", 2),
        ("B-PER I-PER o", 1),
    ],
)
def test_every_notation_gives_the_same_tags(written: str, rules: int) -> None:
    found, said = tags(written)
    assert [tag and tag[:2] for tag in found] == [("B", "PER"), ("I", "PER"), ("O", "")]
    assert len(said) == rules


def test_labels_alone_are_tags_where_some_are_o() -> None:
    found, [rule] = tags("PER PER O LOC O O")
    assert [tag and tag[:2] for tag in found] == [("I", "PER"), ("I", "PER"), ("O", ""), ("I", "LOC"), ("O", ""), ("O", "")]
    assert "IO" in rule


@pytest.mark.parametrize("label", ["PER.NAM", "产品/服务", "B-PER_I", "per", "1st"])
def test_a_label_stays_as_it_is_written(label: str) -> None:
    assert tags(f"B-{label} O")[0] == [Tag("B", label, f"B-{label}"), Tag("O", "", "O")]


def test_numbers_stand_for_the_tags_that_the_task_lists() -> None:
    found, [rule] = tags("1 2 0", ("O", "B-PER", "I-PER"))
    assert [tag and tag[:2] for tag in found] == [("B", "PER"), ("I", "PER"), ("O", "")]
    assert "`numbers`" in rule
    assert tags("3 1 0", ("O", "B-PER"))[0] == [None, Tag("B", "PER", "B-PER"), Tag("O", "", "0")]
    with pytest.raises(Unusable, match=r"numbers=\[TAG0,TAG1,TAG2\]"):
        tags("1 2 0")


@pytest.mark.parametrize(("written", "reason"), [("B I O", "no label"), ("B M E S", "no label")])
def test_tags_that_cannot_become_entities_are_named(written: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        tags(written)


@pytest.mark.parametrize("written", ["NN VB", "x B- O", "B-PER O 0 o", "B-PER PER O", "b-per B-PER O", "1 B-PER O"])
def test_what_is_no_tag_is_none_and_nothing_is_guessed(written: str) -> None:
    assert None in tags(written)[0]


def test_tags_that_hold_two_layers_or_a_space_are_no_tags() -> None:
    notation = notation_of([["B-PER", "O"]], FileReading())
    assert notation.tags(["B-ORG|B-LOC", "B-临床 表现", "B-A,B-B", "B-A/I-B", "O/B-A", "A-B,C-B"]) == [None] * 6
    assert "several" in no_tag("B-ORG|B-LOC")
    assert "'|'" in no_tag("B-ORG|x")
    assert "several" in no_tag("O|B-LOC")
    assert "several" in no_tag("B-LOC|O")
    assert "a whole sentence" in no_tag("B-ORG I-ORG O")
    assert "a space" in no_tag("B-临床 表现")
    assert no_tag("X") == ""


def test_an_empty_cell_is_no_tag() -> None:
    assert notation_of([["", "O"], ["B", ""]], FileReading()).tags(["", "O"]) == [None, Tag("O", "", "O")]


def test_a_space_in_a_label_is_named_though_most_tags_are_o() -> None:
    with pytest.raises(Unusable, match="the label of 'B-GEO AREA' has a space"):
        notation_of([["O"] * 200 + ["B-PER"] * 9 + ["B-GEO AREA"]], FileReading())
