"""Tells what an answer asserts from what it denies, doubts or only mentions, and which words say that there is nothing. Every shape of an answer asks here.

In: a word, a field's name or a clause. Out: True or False. The words of NOTHING (tools.conf.spellings) and the task's own `nothing` come first, then patterns.

    .venv/train/bin/python -c "from tools.answers.assertion import is_nothing; print(is_nothing('no company mentioned', frozenset()))"
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from tools.text import fold

AROUND = "\"'“”‘’「」『』`*_~#。.!！,，;；:：()（）[]【】<>{}=-—–/\\| \t\r\n\u3000"  # what may stand around a word
FALSE_WORDS = frozenset(("false", "no", "n", "否", "不是", "×", "✗", "✘", "❌", "✖", "错", "不", "f", "无效", "incorrect", "rejected"))
_TRUE_OR_FALSE = FALSE_WORDS | frozenset(("true", "yes", "y", "是", "√", "✓", "✔", "✅", "对", "t", "有效", "correct"))
# In place of an entity: "未在文本中发现", "文本中没有人名", "no company mentioned".
_NOTHING = re.compile(
    r"(?:(?:在|该|此|本|原|给定|输入)?的?(?:文本|句子|句话|原文|文章|文|句|内容|信息)(?:中|里|内)?)?(?:并|均|都|暂|尚)?"
    r"(?:没有?|未能?|无法?|不)(?:在[^，。]{1,8}[中里内])?"
    r"(?:任何|明确|直接|具体|相关|对应|符合|匹配|此类|该类|提[及到取供]|找到|发现|出现|识别|检测|涉及|包含|存在|说明|给出|指定|标注|详|知|适用|确定|.{1,6}(?:实体|信息|内容|名|者)\Z).{0,14}|(?:暂时?)?没有.{1,8}"
    r"|(?:空|留空|空白|空值|空列表|空数组|不适用|略|待定)"
    r"|(?:no|not|none|nothing|without|never)\b.{0,50}\b(?:found|mentioned|identified|present|detected|specified|given|provided|available|applicable|stated|listed|extracted"
    r"|(?:the |this )?(?:text|sentence))"
    r"|no (?:[a-z]+ ){0,3}[a-z]+|none|nan|unknown|unspecified|undefined|not applicable|n\.a\.?|tbd|empty(?: list)?"
)
_FIRST = frozenset("没未无不文句原该此本在给输信并均都暂尚空留略待")  # the first letters of the Chinese half of _NOTHING
# "该文本中没有属于上述类别的实体": a whole answer, clause by clause.
_NO_ENTITY = re.compile(
    r"(?:没有?|未能?|无法?|不存在|找不到|不包含|不含|不涉及)[^“”\"]{0,40}?(?:实体|内容|信息)[^“”\"]{0,12}\Z|(?:不存在|没有|未(?:找到|发现|识别|提及|提到|检测)[^“”\"]{0,20})\Z"
    r"|(?:实体|结果|列表|输出|答案)[^“”\"]{0,8}(?:是|为|：|:)?(?:一个)?(?:空|无)(?:的)?(?:列表|数组|值|集)?\Z"
    r"|\b(?:no|none of the|without any|(?:not|n't|cannot) (?:(?:contain|find|found|have|include|mention|see|identify|detect)\w* )?any)\b.{0,60}\bentit(?:y|ies)\b.*"
)
_BUT = re.compile(r"除|但|其[他它]|(?<!类)别的|不过|只有|仅有|然而|\b(?:except|but|only|however|other|besides)\b")
_ABOUT = re.compile(
    r"(?:抱歉|对不起|好的|根据|经过?|通过|因此|所以|综上|该|这|此|本|给定|在|句子|文本|原文|输入|输出|返回|答案|结果|我|经|sorry|based|after|the |this |in |so\b|therefore|i\b|as )?.*"
)
# Fields, headings and leads whose content is not asserted.
_REJECTED = re.compile(
    r"exclu|reject|candidat|alternativ|\bnot[_ ]|\bnon[_ -]?entit|negativ|ignor|skipp|discard|remov|dropp|filter(?:ed)?[_ ]out|false[_ ]pos|uncertain|ambiguous|unlikely|unsure"
    r"|draft|wrong|incorrect|invalid|deleted|mistake|example|rationale"
    r"|排除|候选|备选|非实体|不是|不属于|不算|不提取|未提取|不予|拒绝|剔除|忽略|舍弃|丢弃|未采纳|未选|否定|疑似|待定|待确认|存疑|不确定|草稿|初稿|初步|示例|例子|例如|误判|误报|错误|删除|过滤|不应",
)
_DOUBTED = re.compile(r"possibl|potential|maybe|可能")
HEDGED = re.compile(
    r"(?<!最有)(?<!最)可能|也许|或许|似乎|好像|大概|疑似|不确定|难以|无法|存疑|待定|如果|假如|假设|倘若|[?？]|\b(?:if|may|might|maybe|perhaps|possibl[ey]|could|seems?|unsure|uncertain|unclear|probably)\b"
)
_DENIED = re.compile(
    r"(?:并)?不(?:是|算|属于|应|该|予|需|提取|计|标|采|取|保留|纳入|视|列入|符合|作为|能算|能作为|包括|做)|并非|而非|(?<!是)非实体|未(?:被)?(?:提取|列入|计入|采纳|选)|(?:已|被|应|予以|需)(?:排除|剔除|忽略|删除|去掉|过滤)|排除|剔除|误(?:判|报|认)|[(（]\s?(?:否|不|×|✗|no|false)\s?[)）]"
    r"|\b(?:not|isn't|aren't|wasn't|excluded|rejected|ignored|discarded|removed|skipped|wrong|incorrect)\b|n't\b"
)
# What is denied before what is asserted: 不是公司，而是景点; "not a scene but a company".
_CONTRAST = re.compile(
    r"(?:并?不是|并非|不(?:属于|应该?(?:是|为|标(?:注)?(?:为|成)))|非)[^，,。；;：:\n]{1,20}[，,]?\s{0,3}(?:(?:而|它|其实|实际上?|应该?|应当|要|正确的?)+(?:标[注记]|归类?|划分|分类|视作?|判定?|识别)?(?:是|为|成|属于)|而(?=[^，,。]))"
    r"|\bis(?: not|n't)(?: an?| the)? [^,.\n]{1,30},? but(?: rather)?(?: an?| the)? |\bis(?: not|n't)(?: an?| the)? [^,.\n]{1,30}[,;] (?:it is|it's|rather)(?: an?| the)? ",
    re.IGNORECASE,
)
_RATHER = re.compile(
    r"[，,(（]?\s{0,3}(?:而非|而不是|并非|\brather than\b|\binstead of\b)[^，,。；;：:()（）\n]{1,20}[)）]?(?=[，,。；;\n]|\Z)", re.IGNORECASE
)
_CONDITION = re.compile(r"\W{0,3}(?:如果|假如|假设|倘若|if\b)", re.IGNORECASE)
_FLAG = re.compile(
    r"(?:is|are|should|was)[_ ]?\w*|valid|keep|kept|include[ds]?|accept(?:ed)?|confirm(?:ed)?|select(?:ed)?|extract(?:ed)?|correct|real|entity\?|是否.*|有效|保留|采纳|提取|确认|是实体|判断"
)
_VERDICT = re.compile(r"status|decision|verdict|judge?ment|action|state|结论|判断|判定|状态|处理|决定")
_SURETY = re.compile(r"confidence.*|score|prob(?:ability)?|置信度|概率|可信度|得分")
_FLAG_OFF = re.compile(
    r"(?:is_?|be_?|was_?)?(?:excluded?|rejected?|ignored?|discarded?|removed?|deleted?|negated?|false_positive|invalid|排除|忽略|删除|否定|剔除)"
)


def is_nothing(word: str, sentinels: frozenset[str]) -> bool:
    """Returns whether a word in an entity's place says that there is none: a placeholder, an empty string, a sentinel of the task, "未提及", "no company mentioned"."""
    if not word or not (folded := fold(word)) or folded in sentinels:
        return True
    bare = folded.strip(AROUND)
    return (
        bare in sentinels or (len(bare) <= 60 and _NOTHING.fullmatch(bare) is not None) or (not bare and len(word) <= 6 and word.strip(". …") != "")
    )


def may_be_nothing(text: str, sentinels: frozenset[str]) -> bool:
    """Returns what `is_nothing` returns. It is fast for the strings of most entities, so that the trained form stays fast."""
    return text in sentinels or ((text[:1] in _FIRST or text.isascii() or (len(text) < 7 and not text.isalnum())) and is_nothing(text, sentinels))


def says_no_entity(words: str, sentinels: frozenset[str], labels: re.Pattern[str] | None) -> bool:
    """Returns whether an answer in words says that the text has no entity at all. "没有人名实体" speaks of one label (`labels` finds these), which isn't all."""
    if len(words) > 300:
        return False
    clauses = [bare for clause in re.split(r"[。！!\n；;，,]|\.(?=\s|\Z)", fold_long(words)) if (bare := clause.strip(AROUND))]
    if (
        not clauses
        or _BUT.search(words)
        or any(":" in clause and not _is_empty(clause, sentinels) for clause in clauses)
        or (labels and labels.search(words))
    ):
        return False
    return any(_is_empty(clause, sentinels) for clause in clauses) and not _REFUSAL.search(words)


def _is_empty(clause: str, sentinels: frozenset[str]) -> bool:
    return _NO_ENTITY.search(clause) is not None or clause.rpartition(":")[2].strip(AROUND) in sentinels


_REFUSAL = re.compile(
    r"无法(?:回答|提供|处理|协助)|不能(?:回答|提供|处理|协助|帮)|个人信息|隐私|\b(?:can't|cannot|unable to) (?:help|assist|answer|share|provide)\b|\bprivate\b"
)


def fold_long(words: str) -> str:
    """Returns `fold` of each line, so that a text longer than a label is folded too."""
    return "\n".join(map(fold, words.splitlines()))


@lru_cache(maxsize=4096)
def is_rejected(name: str) -> bool:
    """Returns whether a field, heading or lead of that name holds what is not asserted: candidates, excluded, 排除, 草稿."""
    return len(name) <= 60 and _REJECTED.search(fold(name)) is not None


@lru_cache(maxsize=4096)
def is_doubted(name: str) -> bool:
    """Returns whether a field of that name holds what is only possible. "Possible entities:" before a list is how models introduce what they assert."""
    return _DOUBTED.search(fold(name)) is not None


def is_denied(clause: str) -> bool:
    """Returns whether a clause denies or doubts what it is about."""
    folded = clause.casefold()
    return _DENIED.search(folded) is not None or HEDGED.search(folded) is not None


def without_contrast(clause: str) -> str:
    """Returns a clause with what it asserts alone: "不是公司，而是景点" becomes 是景点, "公司，而非景点" becomes 公司."""
    return _RATHER.sub("", _CONTRAST.sub(lambda found: " is a " if found[0][-1:] == " " else "是", clause))


def is_condition(sentence: str) -> bool:
    """Returns whether a sentence begins with a condition, so that nothing in it is asserted."""
    return _CONDITION.match(sentence) is not None


def is_false(value: Any) -> bool:
    """Returns whether a value or cell is a "no" in any spelling."""
    return value is False or (isinstance(value, str) and value.strip(" *`").casefold() in FALSE_WORDS) or (type(value) is int and value == 0)


def is_flag_word(value: str) -> bool:
    """Returns whether a cell is a "yes" or "no"."""
    return value.strip(" *`").casefold() in _TRUE_OR_FALSE


def is_switched_off(name: str, value: Any) -> bool:
    """Returns whether a field says that its entity doesn't count: is_entity: false, 是否实体: 否, rejected: true."""
    if isinstance(value, list | tuple):
        return False
    kind = _flag(name)
    if kind is _SURETY:
        return type(value) is float and 0 <= value < 0.5
    if kind is _FLAG_OFF:
        return not (is_false(value) or value is None or value == "")
    return kind is not None and (is_false(value) or (kind is _VERDICT and isinstance(value, str) and is_rejected(value)))


@lru_cache(maxsize=4096)
def _flag(name: str) -> re.Pattern[str] | None:
    """Returns the pattern of the kind of flag that a field of that name is; None for any other field."""
    name = fold(name)
    return next((kind for kind in (_SURETY, _FLAG_OFF, _VERDICT, _FLAG) if kind.fullmatch(name)), None)
