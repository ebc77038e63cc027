"""Reads the notation of a file's tags: where the letter stands, what is outside of any entity, and whether ends are tagged.

In: the tags of a file's first sentences. Out: a Notation, which makes a Tag of each written tag. One rule decides each thing:

- `B-PER` (or `_`, `:`, `.` between), or the letter last (`PER-B`): the more frequent. M means I, L means E, U and W mean S. A label has no white space, '|' or quote.
- `b-per` is read where no tag has a capital letter, and some are o, O or 0.
- Where no tag is O, the only other tag that has no letter and label, one of OUTSIDE, means O.
- Where no tag has a letter and some are O, tags are labels (IO): neighbouring tokens of one label are one entity.
- Where all tags are numbers, the task's `numbers` say what they stand for.
- B tags that only part neighbours of one label (IOB1), or no B tag at all: an I begins an entity.

Source: CoNLL-2002/2003; IOB1, IOB2, BIOES and BILOU as in Ratinov and Roth (2009).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tools.data.raw.fields import Unusable
from tools.data.raw.row import FileReading, shown

OUTSIDE = ("0", "o", "_", "-", "OUT", "out", "OTHER", "Other", "other", "NONE", "None", "none")
_MEANS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S", "O": "O"}
_LETTERS = "BIMELSUW"
_LABEL = r"(?P<label>[^\s|\"]+)"
PREFIX = re.compile(rf"(?P<letter>[{_LETTERS}])[-_:.]{_LABEL}")
SUFFIX = re.compile(rf"{_LABEL}[-_:](?P<letter>[{_LETTERS}])")
LOWER_PREFIX = re.compile(rf"(?P<letter>[{_LETTERS.lower()}])[-_:.]{_LABEL}")
LOWER_SUFFIX = re.compile(rf"{_LABEL}[-_:](?P<letter>[{_LETTERS.lower()}])")
# What has a letter's place but isn't one of the forms above (B, B-) is no label.
_NAME = re.compile(rf"(?![{_LETTERS}]?(?:[-_].*)?$|.*[-_][{_LETTERS}]$)[^\W\d_][^\s|*()=\"]*", re.IGNORECASE)
# Several tags in one cell: B-ORG|B-LOC, ORG-B,LOC-B.
_SEVERAL = re.compile(rf"[^\w\s-][{_LETTERS}][-_]|[-_][{_LETTERS}][^\w\s-]|^O[^\w\s-]|\|O$")
_MANY = 10_000  # tags that are remembered


class Tag(NamedTuple):
    """A tag's parts. `letter` is one of B, I, E, S, O; `label` is empty for O; `written` is the file's own tag."""

    letter: str
    label: str
    written: str


@dataclass(frozen=True)
class Notation:
    """A file's notation of tags. `form` is the pattern of a tag with letter and label; None where a tag is a label (IO)."""

    form: re.Pattern[str] | None = PREFIX
    outside: str = "O"
    numbers: tuple[str, ...] = ()
    ends: bool = False  # an entity's last tag is E, or the entity is one S
    begins_with_i: bool = False  # IOB1, IO
    _known: dict[str, Tag | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_suffix(self) -> bool:
        """Whether the letter stands behind the label."""
        return self.form in (SUFFIX, LOWER_SUFFIX)

    @property
    def example(self) -> str:
        """The tags of the notation, for a message."""
        if self.form is None:
            return f"LABEL or {self.outside}"
        tags = ("LABEL-B", "LABEL-I") if self.is_suffix else ("B-LABEL", "I-LABEL")
        return f"{', '.join(tags)}, … or {self.outside}"

    def tags(self, written: Iterable[str]) -> list[Tag | None]:
        """Returns the parts of each tag; None for what is no tag of this notation."""
        known = self._known
        return [known[tag] if tag in known else self._tag(tag) for tag in written]

    def _tag(self, written: str) -> Tag | None:
        tag = self._parts(written)
        if len(self._known) < _MANY:
            self._known[written] = tag
        return tag

    def _parts(self, written: str) -> Tag | None:
        name = written
        if self.numbers:
            if not (written.isascii() and written.isdecimal() and int(written[:9]) < len(self.numbers)):
                return None
            name = self.numbers[int(written[:9])]
        if name == self.outside:
            return Tag("O", "", written)
        if self.form is None:
            return Tag("I", name, written) if _NAME.fullmatch(name) else None
        found = self.form.fullmatch(name)
        return Tag(_MEANS[found["letter"].upper()], found["label"], name) if found and not _SEVERAL.search(name) else None


def notation_of(sentences: Sequence[Sequence[str]], reading: FileReading) -> Notation:
    """Returns the notation of these sentences' tags, and says in `reading` what isn't usual about it. Raises Unusable for tags that can't become entities."""
    counts = Counter(tag for sentence in sentences for tag in sentence)
    numbers: tuple[str, ...] = ()
    if counts and all(tag.isascii() and tag.isdecimal() for tag in counts):
        numbers = _numbers(counts, reading)
        counts = Counter({numbers[int(tag)]: count for tag, count in counts.items() if int(tag) < len(numbers)})
    faults = {tag: fault for tag in counts if (fault := no_tag(tag))}
    if sum(counts[tag] for tag in faults) * 20 > counts.total() - counts["O"]:
        raise Unusable(f"{next(iter(faults.values()))}.", "named")
    form = _form(counts)
    outside = _outside(counts, form)
    if form in (LOWER_PREFIX, LOWER_SUFFIX):
        reading.apply("tags in small letters (b-, i-, o) are read as B-, I- and O")
    if outside != "O":
        reading.apply(f"no tag is O: {shown(outside)} is taken as O")
    if form is None:
        reading.apply("tags without B- or I- are labels (IO): neighbouring tokens of one label are one entity")
        return Notation(None, outside, numbers, begins_with_i=True)
    plain = Notation(form, outside, numbers)
    tagged = [plain.tags(sentence) for sentence in sentences]
    letters = {tag.letter for sentence in tagged for tag in sentence if tag}
    begins_with_i = "I" in letters and not letters & {"E", "S"} and not any(map(_b_begins, tagged))
    return Notation(form, outside, numbers, "E" in letters, begins_with_i)


def is_tag(written: str) -> bool:
    """Returns whether a string is a tag by itself: O, or a letter and a label."""
    return written == "O" or bool(PREFIX.fullmatch(written) or SUFFIX.fullmatch(written))


def no_tag(written: str) -> str:
    """Returns what is wrong with a string that is no tag, where it is a known fault; empty for any other."""
    if " " in written and all(map(is_tag, written.split())):
        return f"{shown(written)} are the tags of a whole sentence: `table` reads them where a tab stands between tokens and tags, and each line has as many of both"
    if _SEVERAL.search(written):
        return f"the tag {shown(written)} holds several: give each layer of nested entities a column of its own"
    if re.match(rf"[{_LETTERS}][-_].*\|", written):
        return f"the label of {shown(written)} has a '|' in it: write '_' in its place"
    if re.match(rf"[{_LETTERS}][-_].*\s", written):
        return f"the label of {shown(written)} has a space in it: write '_' in its place"
    return ""


def _numbers(counts: Counter[str], reading: FileReading) -> tuple[str, ...]:
    if not reading.numbers:
        # Placeholders, which are no tags: what stands for what is never guessed.
        seen, highest = sorted(map(int, counts)), min(max(map(int, counts)), 30)
        raise Unusable(
            f"the tags are the numbers {', '.join(map(str, seen[:20]))}{', …' * (len(seen) > 20)}: say which tags (O, B-…, I-…) 0, 1, 2, … stand for, in order:"
            f" numbers=[{','.join(f'TAG{number}' for number in range(highest + 1))}]",
            "named",
        )
    reading.apply("the tags are numbers, and stand for the task's `numbers`")
    return tuple(reading.numbers)


def _form(counts: Counter[str]) -> re.Pattern[str] | None:
    """Returns the pattern that most tags have, or None where tags are labels (IO). Raises Unusable for tags without label, and for brackets."""
    small = ((LOWER_PREFIX, LOWER_SUFFIX),) if counts.keys() & {"o", "O", "0"} else ()
    for forms in ((PREFIX, SUFFIX), *small):
        times = [sum(count for tag, count in counts.items() if form.fullmatch(tag)) for form in forms]
        if any(times):
            return forms[times[1] > times[0]]
    names = counts.keys() - {"O", "o"}
    if names & {"B", "b", "I", "i"} and {*map(str.upper, names)} <= {*_LETTERS} and len(counts) > 1:
        raise Unusable(
            f"the tags {', '.join(sorted(names))} have no label: write one behind each (B-NAME, I-NAME). If they part a text into words, there are no entities here.",
            "named",
        )
    if glued := next((name for name in names if name.startswith("B") and f"I{name[1:]}" in names), ""):
        raise Unusable(f"the tags {glued} and I{glued[1:]} have nothing between letter and label: write B-{glued[1:]}.", "named")
    return None if _are_labels(counts) else PREFIX


def _are_labels(counts: Counter[str]) -> bool:
    """Returns whether tags are labels (IO): some are O, and the others are few names."""
    out = counts[_outside(counts, None)]
    names = [tag for tag in counts if tag not in ("O", *OUTSIDE)]
    return bool(out) and 0 < len(names) <= max(10, counts.total() // 5) and all(map(_NAME.fullmatch, names)) and out >= counts.total() / 10


def _outside(counts: Counter[str], form: re.Pattern[str] | None) -> str:
    """Returns the tag that means O."""
    if "O" in counts:
        return "O"
    others = [tag for tag in counts if (tag in OUTSIDE if form is None else not form.fullmatch(tag))]
    return others[0] if len(others) == 1 and others[0] in OUTSIDE and len(counts) > 1 else "O"


def _b_begins(tags: Sequence[Tag | None]) -> bool:
    """Returns whether a B stands where no entity of its label is open. Then an I isn't meant to begin an entity."""
    start = Tag("O", "", "O")
    return any(tag is not None and tag.letter == "B" and (before is None or before.label != tag.label) for before, tag in pairwise([start, *tags]))
