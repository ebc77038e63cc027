"""Looks a word up among a task's labels, as answers write their names: 人名（PER）, 人名实体, 公司类, name_1, companies, 職位.

In: a word and a task. Out: the label, and the rule that was needed. tools.conf.spellings has the names themselves.

    .venv/train/bin/python -c "from tools.conf.task import find_task; from tools.answers.label_names import names_of; print(names_of(find_task('clue')).look_up('公司类实体'))"
"""

from __future__ import annotations

import re

from tools.answers.assertion import is_denied
from tools.conf.spellings import Spellings
from tools.conf.task import Task
from tools.text import fold

_MOST = 100_000  # words that are remembered
_REMARK = re.compile(r"([^()]+?)\s*\(([a-z0-9_ \-]+)\)")
_NUMBER = re.compile(r"(?<=.)[\s_#-]*\d{1,3}\Z")
_TAILS = ("entity", "entities", "type", "list", "name", "names", "实体", "类", "别", "型", "列表", "称", "名")
_TAIL = re.compile(r"(?<=.)(?:[ _-]?(?:entit(?:y|ies)|type|list|names?)|(?:类别|类型|类)?(?:的|命名)?实体|类别|类型|类|列表|名称|名)\Z")
# The characters of labels in traditional script.
_SIMPLE = str.maketrans(
    "職稱組織機構書電遊戲劇國際點區醫藥類時間數產業營學團體軍隊車號碼網郵動選運員貨幣錢歷藝術廣標題語聲樂觀節慶歲齡飲療檢徵狀臟實單處質裝備環紀錄專場館醬軟項頻種",
    "职称组织机构书电游戏剧国际点区医药类时间数产业营学团体军队车号码网邮动选运员货币钱历艺术广标题语声乐观节庆岁龄饮疗检征状脏实单处质装备环纪录专场馆酱软项频种",
)


class LabelNames:
    """The names of a task's labels."""

    def __init__(self, spellings: Spellings) -> None:
        self.spellings = spellings
        self._plurals = {
            plural: hit for name, hit in spellings.items() if name.isascii() for plural in _plurals(fold(name)) if plural not in spellings
        }
        self._longest = max(map(len, spellings), default=0) + 40  # characters of a label with a remark behind it
        self._found: dict[str, tuple[str, str] | None] = {}

    def look_up(self, word: str) -> tuple[str, str] | None:
        """Returns (label, rule) of a known label; the rule is '' for the name that was trained. Returns None for any other word."""
        if hit := self.spellings.get(word):
            return hit
        if word not in self._found:
            if len(self._found) >= _MOST:
                self._found.clear()
            hit = self._dressed(fold(word)) if len(word) <= self._longest else None
            self._found[word] = (hit[0], "label_spelling") if hit else None
        return self._found[word]

    def _dressed(self, folded: str) -> tuple[str, str] | None:
        """Looks up a folded name, with its other name in brackets, a number or a word such as 实体 behind it, in the plural, or in traditional script."""
        if hit := self._named(folded):
            return hit
        if folded.endswith(")") and (remark := _REMARK.fullmatch(folded)):
            hit, inner = self._named(remark[1]), self._named(remark[2])
            return hit if hit and not is_denied(remark[2]) and (inner is None or inner[0] == hit[0]) else None
        name = folded if folded.isascii() else folded.translate(_SIMPLE)
        name = _NUMBER.sub("", name) if name[-1:].isdecimal() else name
        hit = self._named(name) if name != folded else None
        return hit or (self._named(_TAIL.sub("", name)) if name.endswith(_TAILS) else None)

    def _named(self, name: str) -> tuple[str, str] | None:
        return self.spellings.get(name) or self._plurals.get(name)


def names_of(task: Task) -> LabelNames:
    """Returns the names of a task's labels. Those of the last task are kept, so that an answer costs no more than its words."""
    if _last[0].spellings is not task.spellings:
        _last[0] = LabelNames(task.spellings)
    return _last[0]


_last = [LabelNames({})]


def _plurals(name: str) -> list[str]:
    return [name[:-1] + "ies"] if name.endswith("y") else [name + "s", name + "es"]
