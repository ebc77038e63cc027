import pytest

from tools.data.readers.row import RawRow
from tools.data.readers.tags import Scheme, scheme_of, spans, tagged_row
from tools.example import Entity


def row(*tags: str, tokens: str = "甲乙丙丁戊己庚") -> RawRow:
    scheme = scheme_of([tags])
    found = [tag for written in tags if (tag := scheme.tag(written))]
    assert len(found) == len(tags)
    return tagged_row(4, tokens[: len(tags)], found, scheme)


@pytest.mark.parametrize(
    "tags",
    [
        "B-PER I-PER I-PER O B-LOC",
        "I-PER I-PER I-PER O I-LOC",
        "B-PER M-PER E-PER O S-LOC",
        "B-PER I-PER L-PER O U-LOC",
        "PER_B PER_I PER_I O LOC_B",
        "PER PER PER O LOC",
    ],
)
def test_every_scheme_gives_the_same_entities(tags: str) -> None:
    assert row(*tags.split()) == RawRow(4, "甲乙丙丁戊", [Entity("PER", "甲乙丙", 0, 3), Entity("LOC", "戊", 4, 5)])


def test_offsets_follow_the_spaces_between_words() -> None:
    scheme = Scheme()
    tags = [tag for written in ("O", "B-PROD", "I-PROD", "O") if (tag := scheme.tag(written))]
    assert tagged_row(1, ["买", "Apple", "Watch", "吧"], tags, scheme).entities == [Entity("PROD", "Apple Watch", 1, 12)]


def test_a_repair_names_the_token_or_the_line() -> None:
    assert row("B-PER", "O", "I-LOC", "I-LOC", "B-LOC").repairs == ("token 3: I-LOC continues nothing; taken as B-LOC",)
    scheme = Scheme(ends=True)
    tags = [tag for written in ("B-A", "I-A", "O") if (tag := scheme.tag(written))]
    assert spans(tags, scheme) == ([("A", 0, 1)], ["token 2: A has no end tag; taken as ended here"])
    assert tagged_row(7, "甲乙丙", tags, scheme, [7, 8, 9]).repairs == ("line 8: A has no end tag; taken as ended here",)


@pytest.mark.parametrize("tags", [("NN", "VB"), ("B", "I", "O"), ("x", "B-", "O"), ("b-per", "i-per", "O"), ("0", "1", "O")])
def test_tags_that_name_no_label_have_no_scheme(tags: tuple[str, ...]) -> None:
    scheme = scheme_of([tags])
    assert any(scheme.tag(tag) is None for tag in tags)
