"""Makes entities of a sentence's tags: BIO, IOB1 (IO), BMES, BIOES, BILOU, or bare labels. For columns of tokens and for lists of tokens.

In: the tags of a file's first sentences, which tell its scheme; then each sentence's tokens and tags. Out: one RawRow a sentence.

M means I, L means E, U and W mean S. A tag is B-LABEL, B_LABEL or LABEL-B. In a file with O and none of these, a tag is its label alone (IO).
Tags that contradict each other are repaired, and each repair is noted in the row:
a tag that continues an entity which isn't open, or has another label, begins a new one (I becomes B, E becomes S);
in a file that has end tags, an entity without one ends where the next tag doesn't continue it.
In a file whose B tags only separate neighbours of one label (IOB1), or that has none (IO), an I that begins an entity needs no repair.

Source: CoNLL-2002/2003.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from tools.data.readers.row import RawRow
from tools.data.readers.tokens import joined
from tools.example import Entity

_MEANS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S", "O": "O"}
_FORMS = {
    "prefix": re.compile(r"(?P<letter>[BIMELSUW])[-_](?P<label>.+)"),
    "suffix": re.compile(r"(?P<label>.+)[-_](?P<letter>[BIMELSUW])"),
    # What has a letter's place but isn't one of the forms above (B, b-per, B-), or is a number, isn't taken for a label.
    "bare": re.compile(r"(?![bimelsuwo]?(?:[-_].*)?$|.*[-_][bimelsuwo]$|\d+$)(?P<label>.+)", re.IGNORECASE),
}


class Tag(NamedTuple):
    """A tag's parts. `letter` is one of B, I, E, S, O; `label` is empty for O; `written` is the file's own tag."""

    letter: str
    label: str
    written: str


@dataclass(frozen=True)
class Scheme:
    """A file's way to write tags. `form`: 'prefix' (B-LABEL), 'suffix' (LABEL-B) or 'bare' (LABEL)."""

    form: str = "prefix"
    ends: bool = False  # an entity's last tag is E, or the entity is one S
    begins_with_i: bool = False  # IOB1, IO

    def tag(self, written: str) -> Tag | None:
        """Returns a tag's parts, or None if it isn't of this form."""
        return _tag(written, self.form)

    def taken_as(self, tag: Tag, letter: str) -> str:
        """Returns the tag with another letter, in the file's form."""
        return tag.written[:-1] + letter if self.form == "suffix" else letter + tag.written[1:]


@lru_cache(maxsize=2048)
def _tag(written: str, form: str) -> Tag | None:
    if written == "O":
        return Tag("O", "", written)
    if not (found := _FORMS[form].fullmatch(written)):
        return None
    return Tag("I" if form == "bare" else _MEANS[found["letter"]], found["label"], written)


def scheme_of(sentences: Iterable[Sequence[str]]) -> Scheme:
    """Returns the scheme of a file by the tags of its first sentences."""
    rows = [list(tags) for tags in sentences]
    names = [tag for tags in rows for tag in tags if tag != "O"]
    prefixed, suffixed = (sum(_FORMS[form].fullmatch(name) is not None for name in names) for form in ("prefix", "suffix"))
    is_bare = not prefixed and not suffixed and len(names) < sum(map(len, rows))
    form = "suffix" if suffixed > prefixed else "bare" if is_bare else "prefix"
    found = [[tag for name in tags if (tag := _tag(name, form))] for tags in rows]
    letters = {tag.letter for tags in found for tag in tags}
    return Scheme(form, "E" in letters, "I" in letters and not letters & {"E", "S"} and not any(map(_b_begins, found)))


def _b_begins(tags: list[Tag]) -> bool:
    """Returns whether a B stands where no entity of its label is open. Then an I isn't meant to begin an entity."""
    return any(tag.letter == "B" and tag.label != before for tag, before in zip(tags, ["", *(tag.label for tag in tags)], strict=False))


def tagged_row(line: int, tokens: Sequence[str], tags: Sequence[Tag], scheme: Scheme, lines: Sequence[int] = ()) -> RawRow:
    """Returns the row of a sentence that begins at `line`. Repairs name the tag's line by `lines`, else the token's number (from 1)."""
    text, starts = joined(tokens)
    found, repairs = spans(tags, scheme, [f"line {number}" for number in lines])
    entities = [
        Entity(label, text[start:end], start, end)
        for label, first, last in found
        for start, end in [(starts[first], starts[last] + len(tokens[last]))]
    ]
    return RawRow(line, text, entities, repairs=tuple(repairs))


def spans(tags: Sequence[Tag], scheme: Scheme, places: Sequence[str] = ()) -> tuple[list[tuple[str, int, int]], list[str]]:
    """Returns the entities of a sentence as (label, first token, last token), and the repairs. `places` names each tag's place in a repair."""
    found: list[tuple[str, int, int]] = []
    repairs: list[str] = []
    label, start = "", 0  # of the entity that is open

    def at(number: int) -> str:
        return places[number] if places else f"token {number + 1}"

    def close(end: int, ended: bool = False) -> None:
        nonlocal label
        if label:
            found.append((label, start, end))
            if scheme.ends and not ended:
                repairs.append(f"{at(end)}: {label} has no end tag; taken as ended here")
        label = ""

    for number, tag in enumerate(tags):
        letter = tag.letter
        if letter == "O" and not label:
            continue
        if letter not in "IE" or tag.label != label:
            before = label
            close(number - 1)
            if letter in "IE" and not (letter == "I" and scheme.begins_with_i):
                taken = scheme.taken_as(tag, "B" if letter == "I" else "S")
                repairs.append(f"{at(number)}: {tag.written} continues {before or 'nothing'}; taken as {taken}")
            label, start = tag.label, number
        if letter in "ES":
            close(number, ended=True)
    close(len(tags) - 1)
    return found, repairs
