r"""The format `inline`: the text itself, with each entity between brackets, its label behind it. Places are the model's own, and nested entities nest.

In: a task and an example, or an answer and its text. Out: `他在[[北京 | address]大学 | organization]`; the text alone without an entity. The text's own brackets and
backslashes have a backslash before them, so that every text is copied without doubt. A label is what stands behind the last ` | ` of its mark.

    ./ner data conf/task/sample.yaml answer.format=inline
"""

from __future__ import annotations

import re
from functools import lru_cache

from tools.chat.answer_formats.json_strings import literal
from tools.chat.answer_formats.written import Written
from tools.conf.task import UNWRITABLE, Task
from tools.errors import ToolError
from tools.example import Example
from tools.text import neutralise, quoted

DEPTH = 3  # of marks within marks that the grammar allows
DEEPEST = 64  # that is written and read: no text's entities nest so, unless a model repeats an opening bracket without end
BETWEEN = " | "
_OWN = re.compile(r"[\[\]\\]")
_ESCAPED = re.compile(r"\\([\[\]\\])")
_PIECE = re.compile(r"(?P<copied>(?:[^\[\]\\]|\\[\[\]\\])*+)(?P<next>[\[\]]|\Z)")


def render(task: Task, example: Example) -> str:
    """Returns the text with its marks. Of two labels on one span the task's first stands inside.

    Raises ToolError for entities that cross, and for one that isn't in the text: they can't be marked.
    """
    text, names, rank = neutralise(example.text), task.names, {label: number for number, label in enumerate(task.names)}
    entities = sorted({(one.start, -one.end, -rank.get(one.label, 0), names.get(one.label, one.label)) for one in example.entities})
    out, place, open_ = list[str](), 0, list[tuple[int, str]]()

    def copy(until: int) -> None:
        nonlocal place
        out.append(escaped(text[place:until]))
        place = until

    def close(until: int) -> None:
        while open_ and open_[-1][0] <= until:
            end, name = open_.pop()
            copy(end)
            out.append(f"{BETWEEN}{name}]")

    for start, negative, _, name in entities:
        end = -negative
        close(start)
        if not 0 <= start < end <= len(text) or (open_ and end > open_[-1][0]) or len(open_) == DEEPEST:
            raise ToolError(
                f"{quoted(name)} [{start}, {end}) can't be marked in the text: it isn't there, crosses another entity, or lies in {DEEPEST} others."
            )
        copy(start)
        out.append("[")
        open_.append((end, name))
    close(len(text))
    copy(len(text))
    return "".join(out)


def escaped(text: str) -> str:
    """Returns a text as an answer copies it."""
    return _OWN.sub(r"\\\g<0>", text)


def grammar(task: Task, text: str, before: str) -> str:
    """Returns a GBNF grammar of one text's answers: the text alone is copied, no mark is empty, and marks nest to DEPTH.

    `text` is what the model sees. The grammar is regular: rule `p<place>d<depth>` is what may follow there, `o<place>d<depth>` the same behind an opening bracket, where a
    mark can't end. It has about 7 rules a character.
    """
    last, rules = len(text), list[str]()
    for place in range(last + 1):
        copied = literal(escaped(text[place])) if place < last else ""
        for depth in range(DEPTH + 1 if place else 1):
            deeper = [f'"[" o{place}d{depth + 1}'] if copied and depth < DEPTH else []
            onward = [f"{copied} p{place + 1}d{depth}"] if copied else []
            back = [f"close p{place}d{depth - 1}"] if depth else []
            rules.append(f"p{place}d{depth} ::= {' | '.join([*onward, *deeper, *back]) or literal('')}")
        for depth in range(1, DEPTH + 1) if copied else ():
            deeper = [f'"[" o{place}d{depth + 1}'] if depth < DEPTH else []
            rules.append(f"o{place}d{depth} ::= {' | '.join([f'{copied} p{place + 1}d{depth}', *deeper])}")
    return "\n".join((f"root ::= {literal(before)} p0d0", *rules, _close(tuple(task.names.values()))))


def written(task: Task, answer: str, text: str) -> list[Written] | None:
    """Returns the marked entities in the order of their beginnings; None for an answer that isn't exactly the text with marks in it."""
    found = marked(answer)
    return found[1] if found and found[0] == neutralise(text) else None


def marked(answer: str) -> tuple[str, list[Written]] | None:
    """Returns the text that an answer copies and its marks, in the order of their beginnings; None where its brackets and backslashes make no marks.

    The place of a string in the answer has its inner marks in it.
    """
    pieces, place, at = list[str](), 0, 0
    open_, closed = list[tuple[int, int]](), list[tuple[int, int, int, int, int]]()
    while piece := _PIECE.match(answer, at):
        copied, at = piece["copied"], piece.end()
        if piece["next"] == "]":
            copied, between, label = copied.rpartition(BETWEEN)
            if not between or not label or not open_ or UNWRITABLE["inline"].search(label):
                return None
        pieces.append(_ESCAPED.sub(r"\1", copied))
        place += len(pieces[-1])
        if piece["next"] == "[" and len(open_) < DEEPEST:
            open_.append((at, place))
        elif piece["next"] == "]":
            begin, start = open_.pop()
            if start == place:
                return None
            closed.append((begin, start, place, at - 1 - len(label) - len(BETWEEN), at - 1))
        else:
            break
    if at < len(answer) or open_ or not piece or piece["next"]:
        return None
    text = "".join(pieces)
    return text, [
        Written(answer[end + len(BETWEEN) : close], text[start:stop], (end + len(BETWEEN), close), (begin, end), start)
        for begin, start, stop, end, close in sorted(closed)
    ]


@lru_cache(maxsize=64)
def _close(names: tuple[str, ...]) -> str:
    return f'close ::= {literal(BETWEEN)} label "]"\nlabel ::= {" | ".join(literal(name) for name in names)}'
