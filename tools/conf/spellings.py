"""Lists the ways in which an answer may write a label, and the words for "no entity".

In: a task's names of labels, and its aliases. Out: spelling → label. Words are compared after `tools.text.fold`.

    .venv/train/bin/python -c "from tools.conf.task import find_task; print(find_task('clue').spellings)"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tools.errors import choices
from tools.text import fold, one_line

QUOTE_IT = "quote what YAML would read as something else (no, on, 1)"
Spellings = dict[str, tuple[str, str]]  # spelling → (label, the parser's rule that reads it)
# In place of a list or of an entity these mean that there is none. A task's `nothing` adds to them.
NOTHING = (
    *("没有找到任何实体", "没有找到实体", "没有找到", "未找到任何实体", "未找到实体", "未找到", "找不到任何实体", "找不到实体"),
    *("没有任何实体", "没有实体", "无任何实体", "无实体", "没有命名实体", "没有任何命名实体", "无命名实体"),
    *("不存在任何实体", "不存在实体", "不存在", "不包含任何实体", "不包含实体", "未提及", "未发现任何实体", "未发现实体"),
    *("没有发现任何实体", "没有发现实体", "未识别到任何实体", "未识别到实体", "没有识别到任何实体", "没有识别到实体"),
    *("未识别出任何实体", "未识别出实体", "没有识别出任何实体", "没有识别出实体", "未检测到任何实体", "未检测到实体"),
    *("没有符合条件的实体", "没有相关实体", "无相关实体", "没有可提取的实体", "没有需要提取的实体"),
    *("没有", "无", "空", "暂无", "空列表"),
    *("none", "null", "nil", "n/a", "na", "nothing", "empty", "no entity", "no entities"),
    *("no entities found", "no entity found", "no named entities", "no named entity", "not found"),
)


def spellings_of(names: Mapping[str, str], aliases: Mapping[str, Sequence[str]]) -> Spellings:
    """Returns every way to write a label in an answer → (the label, the parser's rule that reads it; '' for the trained name).

    A caller looks a word up as it is, then folded. A folded spelling is in the result if it can mean only one label.
    """
    known = {name: (label, "") for label, name in names.items()}
    for label in names:
        known.setdefault(label, (label, "file_label"))
    for label, others in aliases.items():
        for alias in others:
            known.setdefault(alias, (label, "label_alias"))
    folded: dict[str, set[str]] = {}
    for spelling, (label, _) in known.items():
        folded.setdefault(fold(spelling), set()).add(label)
    for spelling, labels in folded.items():
        if len(labels) == 1:
            known.setdefault(spelling, (next(iter(labels)), "label_spelling"))
    return known


def alias_problems(names: Mapping[str, str], aliases: Mapping[Any, Any]) -> list[str]:
    """Returns what is wrong with a task's aliases: an unknown label, a word that isn't text, a word that means two labels."""
    own = {fold(word): label for label, name in names.items() for word in (name, label)}
    problems, owner = [], dict[str, str]()
    for label, words in aliases.items():
        if names and label not in names:
            problems.append(f"unknown label '{label}'.{choices(str(label), names)}".rstrip("."))
        if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
            problems.append(f"'{label}' must have a list of names, this is {one_line(repr(words), 60)}; {QUOTE_IT}")
            continue
        for word in map(fold, words):
            if own.get(word, label) != label:
                problems.append(f"'{word}' of '{label}' is the label '{own[word]}' itself")
            elif word in owner:
                problems.append(f"'{word}' stands twice: for '{owner[word]}' and for '{label}'")
            owner.setdefault(word, str(label))
    return problems
