"""Reads a list of tokens with a list of tags, or with spans that count tokens, one object a row:

{"tokens": ["王", "小", "明"], "ner_tags": ["B-PER", "I-PER", "I-PER"]}       Hugging Face's datasets; the tags may be numbers
{"text": "王小明", "labels": ["B-PER", "I-PER", "I-PER"]}                      a tag a character, or a token between spaces
{"tokenized_text": ["王", "小", "明"], "ner": [[0, 2, "人名"]]}                 GLiNER, ends inclusive
{"sentence": ["王", "小", "明"], "ner": [{"index": [0, 1, 2], "type": "NAME"}]}  W2NER
{"tokens": ["王", "小", "明"], "entities": [{"type": "PER", "start": 0, "end": 3}]}  SpERT, ends exclusive

Numbers stand for the task's `numbers`, or for the names in a file beside this one (number_names.py); they are never guessed. The task's `fields` names tokens and tags
that are called otherwise. Out: one RawRow or BadRow a row (tagged.py).

Sources: huggingface.co/docs/datasets, github.com/urchade/GLiNER, github.com/ljynlp/W2NER, github.com/lavis-nlp/spert.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tools.data.raw.fields import Unusable, is_offset
from tools.data.raw.json_list import json_rows
from tools.data.raw.lines import Line
from tools.data.raw.number_names import names_beside
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.data.readers.span_mentions import Spelling, spelling
from tools.data.tagging.tagged import Sentence, tagged_rows
from tools.data.tagging.tags import is_tag
from tools.data.tagging.tokens import joint_of
from tools.example import Entity

HEAD = 1000
_TAGS = (
    "ner_tags",
    "ner_tag",
    "tags",
    "tag",
    "ner_labels",
    "ner",
    "bio_tags",
    "iob_tags",
    "bio",
    "labels",
    "label",
    "entity_tags",
    "target",
    "targets",
)
_TOKENS = ("tokens", "words", "tokenized_text", "token", "word", "chars", "text", "sentence", "sent", "content")
_TEXTS = ("text", "sentence", "content")
_NAMES = ("label_names", "tag_names", "names", "label_list", "tag_list", "id2label")
_SPANS = ("ner", "entities", "spans", "mentions")
Span = tuple[int, int, str]  # first token, last token, label


@dataclass(slots=True)
class _TokenRow(RawRow):
    """A row before its text is made: tokens with their tags, or with spans that count them."""

    tokens: Sequence[str] = ()
    tags: Sequence[str] = ()
    spans: Sequence[Span] | None = None
    key: str = field(default="", compare=False)  # of numbers
    names: list[str] = field(default_factory=list, compare=False)  # of the numbers


def read_token_lists(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each row of a file of token lists."""
    rows = json_rows(_row)(path, reading)
    head = list(islice(rows, HEAD))
    known = [row for row in head if isinstance(row, _TokenRow)]
    numbered = next((row for row in known if row.key), None)
    if numbered and not reading.numbers:
        names, source = (numbered.names, "the row") if numbered.names else names_beside(path, numbered.key)
        if any(map(is_tag, names)):
            reading.numbers = names
            reading.apply(f"the numbers in {shown(numbered.key)} stand for the names in {source}: {', '.join(names[:5])}{', …' * (len(names) > 5)}")
    if any(row.spans is not None for row in known):
        return _of_spans(chain(head, rows), known, reading)
    return tagged_rows(map(_sentence, chain(head, rows)), reading)


def _sentence(row: RawRow | BadRow) -> Sentence | BadRow:
    if not isinstance(row, _TokenRow):
        return row if isinstance(row, BadRow) else BadRow(row.line, "no tags.", item=row.item)
    if row.spans is not None:
        return BadRow(row.line, "this row has spans where the first ones have tags.", item=row.item)
    return Sentence(row.tokens, [row.tags], [Line(row.line, shown(list(row.tokens)), True)], row.item)


def _of_spans(rows: Iterator[RawRow | BadRow], known: list[_TokenRow], reading: FileReading) -> Iterator[RawRow | BadRow]:
    joint = joint_of([row.tokens for row in known], reading)
    for row in rows:
        if not isinstance(row, _TokenRow):
            yield row
            continue
        if row.spans is None:
            yield BadRow(row.line, "this row has tags where the first ones have spans.", item=row.item)
            continue
        text, starts = joint.text(row.tokens)
        places = [(label, starts[first], starts[last] + len(row.tokens[last])) for first, last, label in row.spans]
        yield RawRow(row.line, text, [Entity(label, text[start:end], start, end) for label, start, end in places], sliced=row.sliced, item=row.item)


def _row(line: int, row: dict[str, Any], reading: FileReading) -> RawRow:
    if isinstance(sentences := row.get("sentences"), list) and any(isinstance(one, list) for one in sentences):
        raise Unusable(
            "the row is a document of several sentences (as DyGIE++'s and SciERC's): write one sentence, its tokens and its spans a row.", "named"
        )
    key = _tokens_key(row, reading)
    tokens = row.get(key) if key else None
    if isinstance(tokens, list) and (spans := _spans_key(row, key)):
        return _span_row(line, row, tokens, spans, reading)
    tokens, name, tags = _tagged(row, key, tokens, reading)
    if len(tokens) != len(tags):
        raise Unusable(
            f"{len(tokens):,} tokens in '{key}' and {len(tags):,} tags in '{name}': there must be as many.", "named" if _says_tags(tags) else "type"
        )
    if line <= HEAD:
        for other in (*_lists(row, key), *(one for one in ("label", "labels") if isinstance(row.get(one), str))):
            if other != name:
                reading.apply(f"the tags are {shown(name)}; {shown(other)} was passed over", line)
    if any(type(tag) is int and tag < 0 for tag in tags):
        raise Unusable(
            "a tag is -100 or another number below 0, which marks what a model doesn't learn: take the file before it was tokenized.", "named"
        )
    if not tags or type(tags[0]) is not int:
        return _TokenRow(line, "", [], tokens=tokens, tags=tags)
    names: list[str] = next((row[one] for one in _NAMES if _are_all(str, row.get(one))), []) if line <= HEAD else []
    return _TokenRow(line, "", [], tokens=tokens, tags=[str(tag) for tag in tags], key=name, names=names)


def _spans_key(row: dict[str, Any], key: str) -> str:
    """Returns the key of spans that count tokens: beside a text as a string, only GLiNER's `ner` does. An empty string for none."""
    names = _SPANS[:1] if any(isinstance(row.get(name), str) for name in _TEXTS) else _SPANS
    return next((name for name in names if name != key and _are_spans(row.get(name))), "")


def _span_row(line: int, row: dict[str, Any], tokens: list[str], key: str, reading: FileReading) -> _TokenRow:
    found = [_span(one, tokens, key) for one in row[key]]
    ends = "inclusive" if key == "ner" else "as their strings say, or exclusive as SpERT's"
    reading.apply(f"the spans in {shown(key)} count tokens; their ends are {ends}", line)
    # Ends that no string confirms are weighed with the file's other evidence; where a token is a character, they are as good as offsets into the text.
    is_open = all(len(token) == 1 for token in tokens) and any("index" not in one and "text" not in one for one in row[key])
    return _TokenRow(line, "", [], tokens=tokens, spans=found, sliced=is_open)


def _tokens_key(row: dict[str, Any], reading: FileReading) -> str:
    """Returns the key of the row's list of tokens, else of its text, else an empty string."""
    if asked := reading.fields.get("tokens") or reading.fields.get("text"):
        return asked
    lists = [key for key in _TOKENS if isinstance(row.get(key), list) and all(isinstance(token, str) for token in row[key])]
    return next(chain((key for key in lists if row[key]), lists, (key for key in _TEXTS if isinstance(row.get(key), str))), "")


def _tagged(row: dict[str, Any], key: str, tokens: Any, reading: FileReading) -> tuple[list[str], str, list[Any]]:
    """Returns the tokens, the tags' key and the tags. Raises Unusable for a row that hasn't both."""
    asked = reading.fields.get("tags")
    names = [asked] if asked else [name for name in _TAGS if name != key and _as_tags(row.get(name)) is not None]
    if not names and len(found := [name for name, value in row.items() if name != key and _says_tags(value)]) == 1:
        names = found
        reading.apply(f"{shown(found[0])} holds nothing but tags (B-…, I-…, O)")
    tags = _as_tags(row.get(names[0])) if names else None
    if tags is None or not key:
        raise Unusable(_nothing(row, key), "named" if _lists(row, key) else "unannotated" if key and not asked else "type")
    if isinstance(tokens, str):
        if not all(isinstance(tag, str) and is_tag(tag) for tag in tags):
            raise Unusable(f"'{names[0]}' must hold a tag (B-PER, I-PER, … or O) for each character or token of '{key}', it is {shown(tags)}.")
        is_split = len(tokens) != len(tags) or " " in tokens.strip()
        return tokens.split() if is_split and len(tokens.split()) == len(tags) else list(tokens), names[0], tags
    if not (isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)):
        raise Unusable(f"'{key}' must be a list of tokens, it is {shown(tokens)}.")
    return tokens, names[0], tags


def _are_all(kind: type, value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(one) is kind for one in value)


def _as_tags(value: Any) -> list[Any] | None:
    """Returns tags as a list: all strings or all numbers, or a string of tags between spaces. None for anything else."""
    if isinstance(value, str):
        tags = value.split()
        return tags if len(tags) > 1 and all(map(is_tag, tags)) else None
    if isinstance(value, list) and (all(isinstance(tag, str) for tag in value) or all(type(tag) is int for tag in value)):
        return value
    return None


def _says_tags(value: Any) -> bool:
    """Returns whether a value is a list of tags by itself, whatever its name."""
    tags = _as_tags(value) or []
    return bool(tags) and all(isinstance(tag, str) and is_tag(tag) for tag in tags)


def _lists(row: dict[str, Any], key: str) -> list[str]:
    """Returns the keys of lists that could be tags: as long as the tokens."""
    size = len(row[key]) if isinstance(row.get(key), list) else 0
    return [
        name for name, value in row.items() if name != key and size and isinstance(value, list) and len(value) == size and _as_tags(value) is not None
    ]


def _nothing(row: dict[str, Any], key: str) -> str:
    if not key:
        return f"no list of tokens in {shown(row)}; if another field has it, name it: fields.tokens=NAME"
    if others := _lists(row, key):
        return f"no field is called ner_tags, tags or labels; if one of these has the tags, name it: {', '.join(f'fields.tags={name}' for name in others[:3])}"
    return f"no tags beside '{key}': the row isn't annotated, or another field has them: fields.tags=NAME"


def _are_spans(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, list | dict) for one in value)


def _last(value: dict[str, Any], keys: Spelling, tokens: list[str], key: str) -> int:
    """Returns a span's last token: by its string, else as SpERT has it, whose ends are exclusive."""
    start, end, string = value[keys.start], value[keys.end], value.get(keys.text)
    if not isinstance(string, str) and key == "entities":
        return end - 1
    lasts = [
        last
        for last in (end - 1, end)
        if isinstance(string, str) and 0 <= start <= last and "".join(tokens[start : last + 1]) == "".join(string.split())
    ]
    if len(lasts) != 1:
        raise Unusable(f"whether the end of {shown(value)} is inside the span isn't clear: it has no string that stands at its tokens.", "named")
    return lasts[0]


def _span(value: Any, tokens: list[str], key: str) -> Span:
    """Returns the span of a list [first, last, label], of W2NER's {index, type} or of SpERT's {start, end, type}. Raises Unusable for any other."""
    first, last, label = -1, -1, None
    if isinstance(value, list) and len(value) == 3 and key != "ner":
        raise Unusable(
            f"the spans in '{key}' count tokens, and whether their ends are inside the span isn't known; if they are, as GLiNER's, call the field 'ner'.",
            "named",
        )
    if isinstance(value, list) and len(value) == 3:
        first, last, label = value
    elif isinstance(value, dict):
        keys = spelling(tuple(value))
        label = value.get(keys.label)
        if isinstance(index := value.get("index"), list) and index and all(map(is_offset, index)):
            if index != list(range(index[0], index[0] + len(index))):
                raise Unusable(f"the entity {shown(value)} isn't one piece of the text: an entity here is. Annotate it as one, or leave it out.")
            first, last = index[0], index[-1]
        elif keys.start and keys.end and is_offset(value[keys.start]) and is_offset(value[keys.end]):
            first, last = value[keys.start], _last(value, keys, tokens, key)
    if not (is_offset(first) and is_offset(last) and isinstance(label, str)):
        raise Unusable(
            f"a span of '{key}' must be [first token, last token, label] in 'ner', or have index and type, or start, end and type; it is {shown(value)}."
        )
    if not 0 <= first <= last < len(tokens):
        raise Unusable(f"the span {shown(value)} isn't within the row's {len(tokens):,} tokens, or ends before it begins.")
    return first, last, label
