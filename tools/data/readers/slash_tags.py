"""Reads words with a tag behind each, one sentence a line: `王小明/PER 在/O 成都/LOC`, as Stanford NER and Chinese corpora write it.

In: the mark between word and tag is one of MARKS, which nearly all words of the first lines have. Tags are labels (IO, tags.py: neighbours of one label are one entity) or
B- and I- tags. Out: one RawRow a line (tagged.py), or a single BadRow for a file that isn't one, or whose words all have a part of speech.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from tools.data.raw.fields import Unusable
from tools.data.raw.lines import Line, text_lines
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.data.tagging.tagged import Sentence, tagged_rows
from tools.data.tagging.tags import OUTSIDE, is_tag

HEAD = 1000
MARKS = "/_|#"
_SPACES = re.compile("[ \t]+")
_PART_OF_SPEECH = re.compile("[A-Za-z]{1,5}")


def read_slash_tags(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each line of words with tags; a single BadRow for a file of anything else."""
    lines = text_lines(path)
    head = list(islice(lines, HEAD))
    known = [line for line in head if isinstance(line, Line)]
    try:
        mark = _mark([_words(line.text) for line in known]) if known else "/"
    except Unusable as fault:
        yield BadRow(known[0].line, *fault.args)
        return
    yield from tagged_rows((line if isinstance(line, BadRow) else _sentence(line, mark) for line in chain(head, lines)), reading)


def _words(line: str) -> list[str]:
    return _SPACES.split(line.strip(" \t"))


def _mark(sentences: Sequence[Sequence[str]]) -> str:
    """Returns the mark between words and tags. Raises Unusable where there is none, or where no word is outside of an entity."""
    words = [word for sentence in sentences for word in sentence]
    for mark in MARKS:
        tags = [tag for word in words for before, _, tag in [word.rpartition(mark)] if before and tag]
        if len(tags) < 0.95 * len(words) or len(words) < 2 * len(sentences):
            continue
        if sum(mark in word.rpartition(mark)[0][1:-1] for word in words) >= 0.8 * len(words):
            raise Unusable(
                f"each word has two tags behind it: {shown(words[0])}. Where the last is the entity's, take the first off:"
                f" sed -E 's#{re.escape(mark)}[A-Za-z]+({re.escape(mark)}[^ ]+)#\\1#g' FILE > NEW",
                "named",
            )
        if any(is_tag(tag) or tag in OUTSIDE for tag in tags):
            return mark
        if sum(bool(_PART_OF_SPEECH.fullmatch(tag)) for tag in tags) >= 0.8 * len(tags):
            raise Unusable(
                f"every word has a tag, such as {shown(tags[0])}, and none is O: parts of speech. Where some are entities, such as nr, ns and nt, write O for the others:"
                f" perl -pe 's{{{re.escape(mark)}(?!(nr|ns|nt)\\b)\\S+}}{{{mark}O}}g' FILE > NEW",
                "named",
            )
    raise Unusable(f"not words with a tag behind each (word/O word/LABEL): {shown(' '.join(sentences[0])[:60])}.")


def _sentence(line: Line, mark: str) -> Sentence | BadRow:
    parts = [word.rpartition(mark) for word in _words(line.text)]
    if bare := next((tag for word, _, tag in parts if not (word and tag)), None):
        return BadRow(line.line, f"the word {shown(bare)} has no {shown(mark)} and tag behind it.")
    return Sentence([word for word, _, _ in parts], [[tag for *_, tag in parts]], [line])
