"""Tells what the columns of a table, or the fields of flat JSON rows, are: which has the text, which the class.

In: the columns' names and their first values, and what the task says (`fields`, `numbers`). Out: a column for each role; Unusable, with a question and the words that
answer it, where that isn't clear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tools.data.raw.fields import Unusable
from tools.data.raw.row import FileReading, shown


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Names in tiers: a column whose name is of an earlier tier is taken before the others.
NAMES: dict[str, tuple[frozenset[str], ...]] = {
    "text": (
        _words("text 文本 texta"),
        _words(
            "sentence content review comment body document utterance passage message news tweet 句子 内容 正文 评论 原文 文字 语料 新闻 评价 文章 文本内容"
        ),
        _words("title headline query question abstract summary 标题 问题 摘要 问句"),
    ),
    "label": (
        _words("label"),
        _words(
            "labels class classes category categories sentiment intent topic polarity emotion 标签 类别 分类 情感 意图 主题 情绪 分类标签 类别标签 情感标签 情感倾向"
        ),
        _words("labeldesc labeldes labelname labeltext classname categoryname classdesc 标签名 标签名称 类别名 类别名称 分类名称"),
        _words("target tag type cat score rating star stars 类型 栏目 频道 领域 评分 星级 等级"),
    ),
    "tokens": (_words("token tokens word words char chars character 字 词 字符 单词 词语"),),
    "tags": (_words("tag tags ne ner nertag nertags entity 实体 bio iob bioes entitytag label labels 标签 标注 实体标签 实体标注"),),
    "sentence": (_words("sentence sentenceid sentenceno sentenceidx sentid sid sentnum 句子 句子编号 句子id 句号 句id docid"),),
}
# What the text of a JSON row is called beside the first two tiers: CCKS, doccano of old, MRC sets.
RAW = _words("originaltext rawtext")  # before it was cleaned
OF_JSON = RAW | _words("data context sent")
_SECOND = _words("textb sentence2 text2 question2 query2 sentenceb hypothesis premise 句子2 文本2 aspect aspectterm aspectcategory 方面 评价对象")
_KNOWN = frozenset().union(*(tier for tiers in NAMES.values() for tier in tiers))
_INDEX = frozenset(["", "id", "idx", "index", "no", "guid", "qid", "序号", "编号", "unnamed0"])
_DATE = re.compile(r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}")
LONGEST_CLASS = 40


class Column(NamedTuple):
    """A column or field: its place, its name, and its first values, '' where a row has none."""

    place: int
    name: str
    cells: Sequence[str]


def key_of(name: str) -> str:
    """Returns a name as the table of known names has it: 'Sentence #' and 'sentence' are one."""
    return re.sub(r"[\W_]+", "", name).casefold()


def is_known(name: str) -> bool:
    """Returns whether a name is a column's of some role."""
    return key_of(name) in _KNOWN or (key_of(name) in _INDEX and name.strip() != "")


def has_role(column: Column, role: str) -> bool:
    """Returns whether a column has a role by its name."""
    return any(key_of(column.name) in tier for tier in NAMES[role])


def need_no_other(row: Mapping[str, Any], key: str) -> None:
    """Raises Unusable, a question, where a row has a raw text beside the one in `key`, and it differs: offsets may count in either."""
    if raw := next((other for other in _raw_keys(tuple(row)) if isinstance(row[other], str) and row[other] != row[key]), ""):
        raise Unusable(f"in which text do the offsets count? Choose one: fields.text={raw} or fields.text={key}", "named")


@lru_cache(maxsize=256)  # rows of a file have the same keys
def _raw_keys(keys: tuple[str, ...]) -> list[str]:
    return [key for key in keys if key_of(key) in RAW]


def named(role: str, columns: Sequence[Column], reading: FileReading, tiers: int | None = None) -> Column | None:
    """Returns the column that the task or its own name, of the first `tiers`, makes a role's; None if there is none. Raises Unusable where two names are equally good."""
    if column := _asked(role, columns, reading):
        return column
    for tier in NAMES[role][:tiers]:
        found = [column for column in columns if key_of(column.name) in tier and any(column.cells)]
        if len(found) > 1 and role == "label":  # of a number and its name, described() takes the name
            found = [column for column in found if described(column, columns, FileReading()) is not column][:1] or found
        if len(found) > 1:
            raise question(role, columns)
        if found:
            return found[0]
    return None


def text_of(columns: Sequence[Column], reading: FileReading) -> Column | None:
    """Returns the column that the task or its own name makes the text; None if there is none. Raises Unusable where there are two texts a row, or it isn't clear which."""
    need_one_text(columns, reading)
    return named("text", columns, reading)


def need_one_text(columns: Sequence[Column], reading: FileReading) -> None:
    """Raises Unusable where a row has a second text, or a part of the text that its class is about, by a column's name."""
    if "text" not in reading.fields and (
        second := next((column for column in columns if key_of(column.name) in _SECOND and any(column.cells)), None)
    ):
        raise Unusable(
            f"two texts a row, of which {shown(second.name)} is the second: a row of this project has one. Write both into one column. {samples(columns)}",
            "named",
        )


def text_and_label(columns: Sequence[Column], reading: FileReading) -> tuple[Column, Column]:
    """Returns the columns of the text and of the class: by the task, by their names, or else by what stands in them. Raises Unusable with a question."""
    text = text_of(columns, reading)
    label = named("label", [column for column in columns if column is not text], reading)
    rest = [column for column in columns if column not in (text, label) and not _is_index(column)]
    if label is None and text is None and not any(repeats(column.cells) for column in rest):
        raise Unusable(f"no table of texts and classes: no column has a known name, or few values that repeat. {samples(columns)}")
    if label is None:
        label = _only("label", [column for column in rest if repeats(column.cells)], columns)
        reading.apply(f"the column {shown(label.name)} has few values that repeat, and was taken as the class")
        rest = [column for column in rest if column is not label]
    if text is None:
        text = _only("text", [column for column in rest if _varies(column.cells)], columns)
        reading.apply(f"the column {shown(text.name)} has long values that differ, and was taken as the text")
    return text, label


def described(label: Column, columns: Sequence[Column], reading: FileReading) -> Column:
    """Returns the column that has the classes' names where `label` has their numbers: label_desc, one name a number. Else `label`."""
    if reading.numbers or "label" in reading.fields or not are_numbers(label.cells):
        return label
    for column in columns:
        pairs = {(number, name) for number, name in zip(label.cells, column.cells, strict=True) if number and name}
        is_one_to_one = len({number for number, _ in pairs}) == len({name for _, name in pairs}) == len(pairs) > 0
        if has_role(column, "label") and is_one_to_one and not are_numbers(column.cells):
            reading.apply(f"{shown(column.name)} has a name for each number of {shown(label.name)}, and was taken as the class")
            return column
    return label


def question(role: str, columns: Sequence[Column]) -> Unusable:
    """Returns the question which column has a role."""
    what = {"text": "text", "label": "class", "tokens": "tokens", "tags": "tags", "sentence": "sentence's number"}[role]
    roles = ("text", "label") if role in ("text", "label") else (role,)
    none = " If none has it, the file isn't annotated." if role == "label" else ""
    return Unusable(f"which column has the {what}?{none} {samples(columns)}. Say it: {' '.join(f'fields.{one}=COLUMN' for one in roles)}", "named")


def samples(columns: Sequence[Column]) -> str:
    """Returns the columns' names with a cell of each."""
    cells = [f"{column.name.strip() or column.place + 1}={shown(next(filter(None, column.cells), '')[:30])}" for column in columns[:8]]
    return f"The columns, with a cell of each: {', '.join(cells)}" + ", …" * (len(columns) > 8)


def one_hot(columns: Sequence[Column]) -> list[Column]:
    """Returns the columns that have nothing but 0 and 1, where there are several and none has the name of a class: they are a class each."""
    found = [column for column in columns if {*column.cells} <= {"0", "1", ""} and any(column.cells) and not _is_index(column)]
    return found if len(found) > 1 and not any(has_role(column, "label") for column in columns) else []


def are_numbers(cells: Sequence[str]) -> bool:
    """Returns whether all cells that aren't empty are numbers."""
    return all(re.fullmatch(r"-?\d{1,9}(?:\.\d{1,9})?", cell, re.ASCII) for cell in cells if cell)


def repeats(cells: Sequence[str]) -> bool:
    """Returns whether the values of a column are few and short, as classes are."""
    values = [cell for cell in cells if cell]
    few = 2 * len(set(values)) <= len(values) or (len(set(values)) < len(values) and are_numbers(values))
    return len(values) > 1 and few and not all(map(_DATE.match, values)) and max(map(len, values)) <= LONGEST_CLASS


def _asked(role: str, columns: Sequence[Column], reading: FileReading) -> Column | None:
    """Returns the column that the task names for a role: by its name, or else by its number from 1. Raises Unusable for one that isn't there."""
    if not (wanted := reading.fields.get(role, "").strip()):
        return None
    found = [column for column in columns if column.name.strip() == wanted]
    if not found and wanted.isdecimal():
        found = [column for column in columns if column.place + 1 == int(wanted)]
    if not found:
        raise Unusable(f"fields.{role}={wanted}: there is no such column. {samples(columns)}", "named")
    return found[0]


def _only(role: str, found: list[Column], columns: Sequence[Column]) -> Column:
    if len(found) != 1:
        raise question(role, columns)
    return found[0]


def _is_index(column: Column) -> bool:
    """Returns whether a column counts or names the rows: by its name, or as every number stands once."""
    cells = [cell for cell in column.cells if cell]
    counts = len(cells) > 1 and len(set(cells)) == len(cells) and all(map(str.isdecimal, cells))
    return key_of(column.name) in _INDEX or counts


def _varies(cells: Sequence[str]) -> bool:
    values = [cell for cell in cells if cell]
    is_words = sum(map(len, values)) >= 4 * len(values) and not are_numbers(values)
    return bool(values) and 2 * len(set(values)) > len(values) and is_words
