"""Finds the text in the prompts of instruction rows: the part that differs between rows, without the words before and behind it that all rows share.

In: what the first rows ask. Out: a Frame, the field and the words around the text. What isn't certain is refused: the task's `fields.text` then says which field is
the text, whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tools.data.raw.fields import Unusable
from tools.data.raw.row import shown

SHARED = 8  # characters; as many before and behind texts belong to a prompt
SEVERAL = 3  # characters; shorter words may stand in several texts by chance
LONG = 15  # characters; a beginning that all inputs share and that is as long is a prompt
# The last words before a text that stands behind them on the same line.
_NAMED = re.compile(
    r".*(?:文本|句子|原文|输入|内容|text|input|sentence|passage|content)(?:内容|如下|是|为)?[】\])>]?\s*[:：]\s*", re.IGNORECASE | re.DOTALL
)
_COLON = re.compile(r".*[:：?？]\s*", re.DOTALL)
_BEGIN = re.compile(r"[^:：\n]{2,}[:：]")
_OPENING = re.compile(r"\"\"\"|```|[“「『【\"]|<(?P<tag>[^<>/\s]+)>")
_CLOSINGS = {"“": "”", "「": "」", "『": "』", "【": "】"}


class Frame(NamedTuple):
    """The field that has the text, and the words before and behind it. `is_doubtful`: the text may begin earlier."""

    field: str
    before: str = ""
    after: str = ""
    is_doubtful: bool = False

    def text_of(self, asked: dict[str, str]) -> str:
        """Returns a row's text. Raises Unusable for a row whose field is missing or has other words around the text."""
        words = asked.get(self.field)
        if words is None:
            raise Unusable(f"the text should be in the field '{self.field}', the row has {', '.join(asked)}.")
        if len(words) < len(self.before) + len(self.after) or not (words.startswith(self.before) and words.endswith(self.after)):
            raise Unusable(f"the words around the text differ from the other rows', which begin {shown(self.before[-20:])}.")
        return words[len(self.before) : len(words) - len(self.after)]

    def __str__(self) -> str:
        around = [f"behind {shown(self.before[-20:])}"] if self.before else []
        around += [f"before {shown(self.after[:20])}"] if self.after else []
        return f"the text is what stands in '{self.field}'{''.join(' ' + part for part in around)}"


def find_frame(rows: Sequence[dict[str, str]]) -> Frame:
    """Returns where the rows have their text. Raises Unusable, with what to do, where that isn't certain."""
    values = {field: [row[field] for row in rows if field in row] for field in dict.fromkeys(field for row in rows for field in row)}
    varying = [field for field, words in values.items() if len({*words}) > 1]
    if not varying and len(values) > 1 and "input" in values:
        varying = ["input"]  # one row alone, or the same one several times
    if len(varying) != 1:
        what = f"the fields {', '.join(varying)} differ from row to row" if varying else "no field differs from row to row"
        raise Unusable(f"which field is the text can't be told: {what}. fields.text={(varying or [*values])[-1]} says so.")
    field = varying[0]
    words = values[field]
    if (field == "input" and "instruction" in values) or len({*words}) == 1:
        return _beside_an_instruction(field, words)
    return _in_a_prompt(field, words)


def _beside_an_instruction(field: str, words: list[str]) -> Frame:
    """Returns the frame of an input beside a constant instruction: the input is the text, unless it is a prompt whose last constant words announce a text."""
    before, after = _shared(words)
    line = before.rfind("\n") + 1
    if len({*words}) == 1:
        return Frame(field)
    if frame := _opened(field, before, line, after):
        return frame
    named = _NAMED.match(before, line)
    end = named.end() if named else line * (line >= LONG)
    frame = Frame(field, before[:end], _whole_lines(after) if end else "")
    _refuse_several(field, [frame.text_of({field: one}) for one in dict.fromkeys(words)], beginnings=False)
    return frame


def _in_a_prompt(field: str, words: list[str]) -> Frame:
    """Returns the frame of a prompt that has instruction and text in one."""
    before, after = _shared(words)
    line = before.rfind("\n") + 1
    if frame := _opened(field, before, line, after):
        return frame
    if named := _NAMED.match(before, line):
        return Frame(field, before[: named.end()], _whole_lines(after))
    colon = _COLON.match(before, line)
    end = colon.end() if colon else line
    frame = Frame(field, before[:end], _whole_lines(after), colon is not None and (line > 0 or len(re.findall("[:：?？]", before)) > 1))
    if not end and len(before) + len(after) >= SHARED:
        raise Unusable(
            f"where the text begins in '{field}' can't be told: all rows share {shown(before or after)}. fields.text={field} takes it whole."
        )
    _refuse_several(field, [frame.text_of({field: one}) for one in dict.fromkeys(words)], beginnings=True)
    return frame


def _opened(field: str, before: str, line: int, after: str) -> Frame | None:
    """Returns the frame of a text in quotes, brackets or tags that open on the last line before it and close behind it."""
    for opening in reversed([*_OPENING.finditer(before, line)]):
        closing = f"</{opening['tag']}>" if opening["tag"] else _CLOSINGS.get(opening[0], opening[0])
        is_open = closing not in before[opening.end() :] and (closing != opening[0] or before.count(closing, line) % 2)
        if is_open and closing in after:
            return Frame(field, before[: opening.end()], after[after.index(closing) :])
    return None


def _refuse_several(field: str, texts: list[str], beginnings: bool) -> None:
    """Raises Unusable for texts that still have parts of prompts: several have a line in common, or (`beginnings`) the same words before a first colon."""
    parts = [{*text.split("\n"), *([match[0]] if beginnings and (match := _BEGIN.match(text)) else [])} for text in texts]
    way = "" if beginnings else f" fields.text={field} takes it whole."
    for part, count in Counter(part for one in parts for part in one if len(part) >= SEVERAL).items():
        if count > 1 and 5 * count >= len(texts):
            raise Unusable(f"the texts in '{field}' have parts of a prompt ({shown(part)} is in {count} of {len(texts)}), or several prompts.{way}")


def _whole_lines(after: str) -> str:
    return after[after.index("\n") :] if "\n" in after else ""


def _shared(words: list[str]) -> tuple[str, str]:
    """Returns the longest beginning and the longest end that all of several words share, which don't overlap in any of them."""
    before = _beginning(words)
    return before, _beginning([word[len(before) :][::-1] for word in words])[::-1]


def _beginning(words: list[str]) -> str:
    first, last = min(words), max(words)  # all others begin as these two do
    return first[: next((place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last)))]
