"""Makes rows of sentences whose tokens have tags, in whatever file they stand: columns, a sentence a line, words with a tag behind each.

In: Sentences. Out: one RawRow a sentence, or a BadRow where a tag is none. The first sentences tell the notation of the tags (tags.py) and how tokens are joined
(tokens.py). Each layer of tags makes entities; all stand together, by their place.

Tags that contradict each other are repaired, and each repair is noted in the row:
a tag that continues an entity which isn't open, or has another label, begins a new one (I becomes B, E becomes S);
in a file that has end tags, an entity without one ends where the next tag doesn't continue it.
In a file whose B tags only separate neighbours of one label (IOB1), or that has none (IO), an I that begins an entity needs no repair.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import NamedTuple

from tools.data.raw.fields import Unusable
from tools.data.raw.json_faults import CUT
from tools.data.raw.lines import Line
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.data.tagging.tags import Notation, Tag, no_tag, notation_of
from tools.data.tagging.tokens import Joint, joint_of, unnumbered
from tools.example import Entity

HEAD = 5000  # tokens that tell how a file is read
FEW = 10  # sentences
_LOST = re.compile(r"\[(?:UNK|CLS|SEP|PAD|MASK)\]|<unk>")
_IS_CHINESE = re.compile("[\u3400-\u9fff]")
_LONG = 3.5  # characters; Chinese words have fewer than two


class Sentence(NamedTuple):
    """Tokens and the tags of each layer, as many as there are tokens. `lines` has each token's line, or the only one."""

    tokens: Sequence[str]
    layers: Sequence[Sequence[str]]
    lines: Sequence[Line]
    item: str = ""

    def line(self, token: int) -> Line:
        """Returns the line of a token."""
        return self.lines[token if len(self.lines) > 1 else 0]


def tagged_rows(sentences: Iterable[Sentence | BadRow], reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields a RawRow or BadRow for each sentence; one BadRow for a whole file whose tags can't become entities."""
    rest = iter(sentences)
    head = _head(rest)
    known = [sentence for sentence in head if isinstance(sentence, Sentence)]
    try:
        rules = _rules(known, reading)
    except Unusable as fault:
        yield replace(BadRow(known[0].lines[0].line, *fault.args), item=known[0].item)
        return
    for sentence in chain(head, rest):
        yield sentence if isinstance(sentence, BadRow) else rules.row(sentence)


@dataclass(frozen=True)
class _Rules:
    """What holds for every sentence of a file."""

    notation: Notation
    joint: Joint
    reading: FileReading

    def row(self, sentence: Sentence) -> RawRow | BadRow:
        tokens = (unnumbered(sentence.tokens) or ()) if self.joint.numbered else sentence.tokens
        if not tokens and sentence.tokens:
            return BadRow(sentence.lines[0].line, "a token doesn't end in its character's place in the word, as the others do.", item=sentence.item)
        text, starts = self.joint.text(tokens)
        entities: list[Entity] = []
        repairs: list[str] = []
        for layer in sentence.layers:
            tags = self.notation.tags(layer)
            if None in tags:
                return _untagged(sentence, tags.index(None), layer, self.notation)
            for label, first, last in _spans(tags, self.notation, sentence, repairs):
                start, end = starts[first], starts[last] + len(tokens[last])
                entities.append(Entity(label, text[start:end], start, end))
        if len(sentence.layers) > 1:
            entities.sort(key=lambda entity: (entity.start, -entity.end))
        line = sentence.lines[0].line
        if ("[" in text or "<" in text) and (lost := _LOST.search(text)):
            self.reading.doubt(f"the token {lost[0]} is a tokenizer's: a character of the text was lost", line)
        return RawRow(line, text, entities, repairs=tuple(repairs), item=sentence.item)


def _head(sentences: Iterator[Sentence | BadRow]) -> list[Sentence | BadRow]:
    """Takes the first sentences, of HEAD tokens."""
    head: list[Sentence | BadRow] = []
    count = 0
    for sentence in sentences:
        head.append(sentence)
        count += len(sentence.tokens) if isinstance(sentence, Sentence) else 1
        if count >= HEAD:
            break
    return head


def _rules(head: Sequence[Sentence], reading: FileReading) -> _Rules:
    layers = [layer for sentence in head for layer in sentence.layers]
    tokens = [token for sentence in head for token in sentence.tokens]
    are_texts = _are_texts(tokens)
    if are_texts and all(tag.isdecimal() for layer in layers for tag in layer):
        raise Unusable("lines of text with a number each: classes, not tags.")
    notation = notation_of(layers, reading)
    if any(token.startswith("##") and len(token) > 2 for token in tokens):
        raise Unusable(
            "tokens such as '##ing' are a BERT tokenizer's pieces, and the text can't be had from them: take the file before it was tokenized.",
            "named",
        )
    tags = [tag for layer in layers for tag in notation.tags(layer) if tag]
    if (
        len(head) > FEW
        and {tag.letter for tag in tags} & {"I", "E"}
        and all(len(sentence.tokens) == 1 == len(sentence.tokens[0]) for sentence in head)
    ):
        raise Unusable("a blank line behind each token: every row would be one character. Take them out, but for those between sentences.", "named")
    are_rows = notation.form is None or (len(head) == 1 and len(tokens) > FEW) or not any(tag.label for tag in tags)
    if (are_texts and are_rows) or (notation.form is None and 20 * sum(" " in token for token in tokens) > len(tokens)):
        raise Unusable("lines of text, or columns of which the last is no tag.")
    _doubts(head, notation, reading)
    return _Rules(notation, joint_of([sentence.tokens for sentence in head], reading), reading)


def _are_texts(tokens: Sequence[str]) -> bool:
    chinese = [token for token in tokens if _IS_CHINESE.match(token)]
    return 2 * sum(" " in token for token in tokens) > len(tokens) or sum(map(len, chinese)) > _LONG * max(len(tokens) / 2, len(chinese))


def _doubts(head: Sequence[Sentence], notation: Notation, reading: FileReading) -> None:
    """Says what looks as if the file had lost something before it came here."""
    tags = [notation.tags(layer) for sentence in head for layer in sentence.layers]
    letters = {tag.letter for sentence in tags for tag in sentence if tag}
    pairs = [(left, right) for sentence in tags for left, right in pairwise(sentence) if left and right and left.label == right.label and left.label]
    begun = sum(tag.letter == "B" for sentence in tags for tag in sentence if tag)
    if letters <= {"B", "O"} and len(pairs) * 5 >= begun > 0:
        reading.doubt("every entity is one token long and touches the next: tags may have lost their I-", head[0].lines[0].line)
    if "O" not in letters and sum(map(len, tags)) > FEW and begun:
        reading.doubt("every token is in an entity, since no tag is O: parts of speech or words look so", head[0].lines[0].line)
    words = [token for sentence in head for token in sentence.tokens if _IS_CHINESE.match(token)]
    if words and sum(map(len, words)) > _LONG * len(words):
        reading.doubt(
            f"tokens are whole phrases, such as {shown(max(words[:50], key=len))}: an export of columns that parts texts at spaces only; entities inside them are lost",
            head[0].lines[0].line,
        )
    if sum(token[0].isspace() for sentence in head for token in sentence.tokens if len(token) > 1) * 10 > sum(map(len, tags)):
        reading.doubt("tokens begin with a space: the file has one before them", head[0].lines[0].line)
    if notation.form is None and any(min(map(len, sentence.tokens), default=0) > 1 for sentence in head) and pairs:
        reading.doubt("neighbouring words of one label became one entity, since the tags don't part them", head[0].lines[0].line)


def _untagged(sentence: Sentence, token: int, layer: Sequence[str], notation: Notation) -> BadRow:
    line = sentence.line(token)
    if not line.ended:
        return BadRow(line.line, f"{CUT}: {shown(line.text)}.", "truncated", sentence.item)
    known = no_tag(layer[token]) or f"{shown(layer[token])} is no tag ({notation.example})"
    return BadRow(line.line, f"{known}: {shown(line.text)}.", item=sentence.item)


def _spans(tags: Sequence[Tag | None], notation: Notation, sentence: Sentence, repairs: list[str]) -> Iterator[tuple[str, int, int]]:
    """Yields (label, first token, last token) of each entity, and adds to `repairs` what had to be repaired."""
    label, start = "", 0  # of the entity that is open

    def unended(last: int) -> None:
        if notation.ends:
            repairs.append(f"line {sentence.line(last).line}: {label} has no end tag; taken as ended here")

    for place, tag in enumerate(tags):
        assert tag is not None
        letter, own, _ = tag
        continues = letter in "IE" and own == label
        if not continues:
            if label:
                unended(place - 1)
                yield label, start, place - 1
            if letter in "IE" and not (letter == "I" and notation.begins_with_i):
                repairs.append(_repair(sentence.line(place).line, tag, label, notation))
            label, start = own, place
        if letter in "ES":
            yield label, start, place
            label = ""
    if label:
        unended(len(tags) - 1)
        yield label, start, len(tags) - 1


def _repair(line: int, tag: Tag, before: str, notation: Notation) -> str:
    letter = "B" if tag.letter == "I" else "S"
    taken = tag.written[:-1] + letter if notation.is_suffix else letter + tag.written[1:]
    return f"line {line}: {tag.written} continues {before or 'nothing'}; taken as {taken}"
