"""Reads a raw answer as a class.

In: the answer's text, a task, and the options. Out: the pair (class, ""), and the rules that were needed.

    .venv/train/bin/python -c "from tools.conf.task import find_task; from tools.answers.classes import parse_class; print(parse_class('类别：Law', find_task('fudan'), ['Art', 'Law']))"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from tools.answers.field_names import LABEL_FIELDS, WRAPPERS
from tools.answers.parse import AROUND, BLANK, WORD, Parsed, after_thinking, named
from tools.answers.scan import scan
from tools.conf.spellings import Spellings, spellings_of
from tools.conf.task import Task
from tools.text import fold, neutralise

# "类别：X", "答案是X": words behind which a class follows. A class behind such words counts before one that is only mentioned.
_LEAD_INS = [
    re.compile(rf"(?:{words})[^\n:：是为]{{0,8}}?(?:应该是|应该为|应为|是|为|[:：=]|\bis\b)[:：]?\s*+([^\n，,。；;]{{1,80}})", re.IGNORECASE)
    for words in (
        "答案|answer",
        "类别|类型|分类|标签|属于|category|class|label|type|topic",
    )
]


def parse_class(output: str, task: Task, options: Sequence[str]) -> Parsed:
    """Returns the class that an answer names, as the pair (class, ""). Never raises.

    It is one of `options` if the answer is that option (by name, alias or file label), gives it behind 类别： or in JSON, or mentions exactly one
    option. Otherwise it is the answer itself without quotes and full stop, which is then no option. An answer without a letter is unparsable.
    """
    answer = output.strip(BLANK)
    if (hit := task.spellings.get(answer)) and not hit[1]:
        return Parsed([(hit[0], "")])
    if answer in options:
        return Parsed([(answer, "")])
    body, rules = after_thinking(answer)
    if body is None or not WORD.search(body.strip(AROUND)):
        return named(None, rules, cut=body is None)
    spellings = _class_spellings(task, options)
    if found := _placed(body, spellings):
        label, more = found
        return named([(label, "")], rules | more)
    exact = tuple(sorted(word for word, (_, how) in spellings.items() if word and how != "label_spelling"))
    mentioned = {spellings[found[0]][0] for found in _mentions(exact).finditer(body)} if exact else set()
    if len(mentioned) == 1:
        return named([(mentioned.pop(), "")], rules | {"mentioned"})
    if len(words := _json_words(body)) == 1:
        return named([(words[0], "")], rules | {"json_class"})
    return named([(_unquoted(body) or body, "")], rules)


def _placed(body: str, spellings: Spellings) -> tuple[str, set[str]] | None:
    """Returns the one option that stands where a class is expected, and the rules that this took."""
    for words, rule in _class_words(body):
        hits = {
            hit[0]: (hit[1] if word in spellings else "label_spelling") for word in words if (hit := spellings.get(word) or spellings.get(fold(word)))
        }
        if len(hits) == 1:
            (label, spelling), *_ = hits.items()
            return label, {spelling, rule} - {""}
        if hits and rule == "lead_in":
            break  # it contradicts itself
    return None


def _class_words(answer: str) -> Iterator[tuple[list[str], str]]:
    """Yields the words where a class may stand, the surest places first, and the rule that each place takes."""
    yield [answer], ""
    yield [_unquoted(answer), answer.strip(AROUND)], "quotes"
    yield _json_words(answer), "json_class"
    for lead_in in [] if answer.startswith(("{", "[", "```")) else _LEAD_INS:
        yield [found[1].strip(AROUND) for found in lead_in.finditer(answer)], "lead_in"
    yield [line.strip(AROUND) for line in answer.splitlines()], "first_line"


def _json_words(answer: str) -> list[str]:
    """Returns the strings of an answer in JSON that may be a class: those in a field for one, or the only one."""
    words: list[str] = []
    for value in scan(answer).values:
        for item in value if isinstance(value, list) else [value]:
            pairs = item if type(item) is tuple else [("label", item)]
            inner = [(key, one) for key, some in pairs for one in (some if isinstance(some, list) else [some]) if isinstance(one, str)]
            words += [one for key, one in inner if len(inner) == 1 or fold(key) in LABEL_FIELDS or fold(key) in WRAPPERS]
    return [word.strip() for word in words]


def _unquoted(answer: str) -> str:
    return answer.strip().strip("\"'“”‘’「」`。.").strip()


def _class_spellings(task: Task, options: Sequence[str]) -> Spellings:
    """Returns the spellings of these options, as Task.spellings has those of the task's labels."""
    names = {option: task.names.get(option, option) for option in options}
    aliases = {label: words for label, words in task.aliases.items() if label in names}
    known = spellings_of(names, aliases)
    for option, name in names.items():
        known.setdefault(neutralise(name), (option, ""))
    return known


@lru_cache(maxsize=256)
def _mentions(words: tuple[str, ...]) -> re.Pattern[str]:
    """Returns a pattern of any of the words: the longest that fits, not as part of a longer Latin word, and not where it is denied."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(r"(?<!不是)(?<!不属于)(?<!并非)(?<!not )(?:" + "|".join(map(_whole, longest_first)) + ")")


def _whole(word: str) -> str:
    before, after = (r"(?<![A-Za-z0-9_])" if word[0].isascii() else ""), (r"(?![A-Za-z0-9_])" if word[-1].isascii() else "")
    return before + re.escape(word) + after
