"""Tells the two sides of a clause apart: "人名：张三", "张三（人名）", "“张三”是人名", and whether the clause asserts it.

In: a part of a line. Out: the label and its string, added to a Reading. It serves tools.answers.label_lines and tables.
"""

from __future__ import annotations

import re

from tools.answers.assertion import is_denied, is_rejected
from tools.answers.collected import trimmed
from tools.answers.field_names import LABEL_FIELDS, OTHER_FIELDS, TEXT_FIELDS, WRAPPERS
from tools.answers.reading import Reading
from tools.text import fold

LONGEST_LABEL = 16  # characters of a label that the task hasn't
_MARKS = "①②③④⑤⑥⑦⑧⑨⑩ \t\r\"'“”‘’「」『』`*_。.!！?？<>【】[]{}｛｝，,；;"
_COLON = re.compile("[:：]")
_COMMA = re.compile("[，,；;]")
_PROSE = ("是", "为", "有", "包括", "包含", " is an ", " is a ", " is ", " are ")
_STRONG = ("：", ":", "->", "→", "=>", "——", "—", "–", " - ", "=", "\t", "|", "属于", *_PROSE)
_WEAK = ("-", " ", "/")  # these stand within names too
_UNKNOWN_MARKS = ("：", ":", "->", "→", "——", " - ", "（", "(", "\t", "是")  # not within names
_AND = re.compile(r"(?<=..)(?:和|以及|及|与| and )(?=..)")
LONGEST_AROUND = 60  # characters of a label with words around it
_TWO_NAMES = re.compile(r"(?:\w\w和\w\w|\w{3}和\w{3})")
_TITLES = re.compile(r"(?<=》)\s*(?:和|以及|及|与)?\s*(?=《)")
_COUNT = re.compile(r"(?:.{0,12}?(?:\d{1,3}|[一二两三四五六七八九十])\s*)?(?:个|家|位|处|部|本|款|项|条)\s*|.{0,12}?\d{1,3}\s*")
_COUNTED = re.compile(r"\d+\s*(?:个|家|名|位|处|部|本|款|项|条)?|[一二三四五六七八九十两]\s*(?:个|家|名|位|处|部|本|款|项|条)")
_KIND = re.compile(r"(?:类)?(?:实体|类型|类)?(?:有|包括|包含|如下|分别[是为]|[是为])?\Z")
_OF = re.compile(r"[^，,。]{0,10}[的中]|(?:the|an?) ", re.IGNORECASE)
_ITS_KIND = re.compile(r"(?:的?(?:实体)?(?:类型|类别|标签|种类)|(?<=[”\"」』》]))(?:应该|应当|应|都|均|则|就)?\Z")
_QUOTED = re.compile(r"[^“\"「]{1,60}[“\"「]([^”\"」]{1,60})[”\"」]\Z")
_DENIED_LABEL = re.compile(r"(?:不是|并非|而非|不属于|\bnot(?: an?| the)?) ?([^，,。()（）]{1,40})")
_REMARK = re.compile(r"[(（]([^()（）]{0,80})[)）]\s*\Z")
_INNER = re.compile(r"[(（]([^()（）]{1,40})[)）]")
_EXPLAINS = re.compile(r"的|指|表示|即|例如|如：|means|refers|such as|\bthe\b", re.IGNORECASE)
_NO_LABEL = re.compile(r"是|以下|如下|结果|实体|提取|识别|分析|句|原文|文本|答案|说明|注意|备注|总结|因此|所以|\d")
_PLACE = re.compile(r"[\s\[(（]*\d+\s*[-,，~:：至到]\s*\d+[\s\])）]*")


class LabelSides:
    """Reads clauses, and adds what they assert to `reading`."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.last: int | None = None  # the number of items before the last one, which a following clause may take back

    def pair(self, one: str, other: str) -> bool:
        """Adds two words of which exactly one is a known label; returns False for any other two."""
        if self._label(one) == self._label(other) or not (one and other) or any(map(is_denied, (one, other))):
            return False
        self._either(one, other)
        return True

    def _weak_pair(self, one: str, other: str) -> bool:
        return self._label(one) != self._label(other) and self._fits("-", other if self._label(one) else one) and self.pair(one, other)

    def _sides(self, part: str, line: str) -> tuple[str, str, bool] | None:
        """Returns (one side, the other, whether the label is on the left) of "人名：张三", "张三 - 人名" or "张三（人名）", unless its clause denies it."""
        body = part.strip(" \t*`")
        if found := self._in_brackets(body):
            return found
        for mark in _STRONG + _WEAK:
            if mark not in body:
                continue
            left, _, right = body.partition(mark)
            label, text = self._as_label(_behind_colon(left)), self.reading.string(self._without_remark(right))
            if label and (text or mark in "：:") and self._asserted(mark, text, label, part):
                return label, text, mark not in _WEAK
            if (
                len(words := body.split(mark)) == 3
                and mark not in _WEAK
                and self._as_label(words[1])
                and self.reading.in_sentence(self.reading.string(words[0]))
            ):
                body = mark.join(words[:2])  # "张三 – 人名 – 主席"
            left, _, right = body.rpartition(mark)
            label, text = self._as_label(_behind_colon(right)), (trimmed if mark in _PROSE else self.reading.string)(_subject(left))
            if label and text and self._asserted(mark, text, label, part) and not is_field(text):
                return text, label, False
        return None

    def _unknown_sides(self, part: str) -> str | None:
        """Adds two words around a mark, of which one stands in the sentence and the other could be a label that the task hasn't; returns that label where it is on the left."""
        body = part.strip(" \t*`。.!！")
        for mark in _UNKNOWN_MARKS if self.reading.sentence is not None else ():
            if mark not in body:
                continue
            one, _, other = body.rpartition(mark) if mark in "（(" else body.partition(mark)
            one, other = self.reading.string(one), self.reading.string(other.rstrip("）)") if mark in "（(" else other)
            label, text = (other, one) if self.reading.in_sentence(one) else (one, other)
            if (
                self.reading.in_sentence(text)
                and may_be_label(label, self.reading)
                and not self._as_label(label)
                and mark not in label
                and (mark != "是" or (label == other and body[:1] in '“"「『《'))
            ):
                self._add_unknown(label, text)
                return label if label == one else ""
        return None

    def _in_brackets(self, body: str) -> tuple[str, str, bool] | None:
        body = body.rstrip("。.!！ ")
        remark = _REMARK.search(body)
        if not remark:
            return None
        left = body[: remark.start()]
        for text, label in ((left, remark[1]), (remark[1], left)):
            name, string = self._as_label(_behind_colon(_COMMA.split(label)[0] if text == left else label)), self.reading.string(text)
            if name and not self.reading.in_sentence(string):
                string = self.reading.string(_behind_colon(text))
            if text != left and not self.reading.may_stand(string):
                continue  # 公司（而非水果）
            if (
                name
                and string
                and not (is_denied(label) and not self._denies_another(label, name))
                and not self._label(string)
                and not self._has_brackets(left)
            ):
                return string, name, False
        return None

    def _has_brackets(self, left: str) -> bool:
        """Returns whether labels stand in brackets within a text: where its entities begin can't be told."""
        return any(self._label(bare(inner)) for inner in _INNER.findall(left))

    def _asserted(self, mark: str, text: str, label: str, part: str) -> bool:
        """Returns whether a string may be the entity that a label stands with: not a count, an explanation or a denial."""
        if mark in _PROSE and not (self._stand(text) or (self.reading.sentence is None and part.lstrip(" *")[:1] in ("“", '"', "'", "「", "《"))):
            return False
        if _COUNTED.fullmatch(text) and not self.reading.in_sentence(text):
            return False
        rest = (
            part
            if len(text) < 2 or (is_denied(text) and not self.reading.in_sentence(text) and not self.reading.is_nothing(text))
            else part.replace(text, "", 1)
        )
        if is_denied(rest) and not self._denies_another(rest, label):
            self.reading.rules.add("rejected")
            return False
        if self.reading.sentence is not None and not self.reading.in_sentence(text) and _EXPLAINS.search(text) and not self.reading.is_nothing(text):
            return False
        return self._fits(mark, text)

    def _stand(self, text: str) -> bool:
        """Returns whether a string stands in the sentence, or each of several strings joined by "and"."""
        return self.reading.in_sentence(text) or all(map(self.reading.in_sentence, _AND.split(text)))

    def _denies_another(self, clause: str, label: str = "") -> bool:
        """Returns whether a clause such as "不是人名" denies another label than the one that it gives."""
        denied = [bare(word) for word in _DENIED_LABEL.findall(clause)]
        return any(self._label(word) and self.reading.canonical(word) != self.reading.canonical(label) for word in denied)

    def _fits(self, mark: str, text: str) -> bool:
        if mark not in _WEAK:
            return True
        return self.reading.in_sentence(text) if self.reading.sentence is not None else not text.isascii() and " " not in text

    def _without_remark(self, text: str) -> str:
        """Returns a string without the remark in brackets behind it, unless it stands in the sentence so."""
        text = plain = re.split(r"\s(?:#|//)", text, maxsplit=1)[0].strip()
        remark = _REMARK.search(plain)
        if not remark or self.reading.in_sentence(self.reading.string(plain)):
            return text
        before = plain[: remark.start()]
        return before if self.reading.in_sentence(self.reading.string(before)) or _PLACE.fullmatch(remark[1]) else text

    def _as_label(self, words: str) -> str:
        """Returns the known label in "3 个人名", "人名实体", "**人名**（2个）"; '' where there is none."""
        word = bare(words)
        if self._label(word):
            return word
        if len(word) > LONGEST_AROUND or _COLON.search(word):
            return ""
        plain = bare(_REMARK.sub("", word))
        for name in (
            word,
            plain,
            _COUNT.sub("", plain, count=1),
            _KIND.sub("", plain),
            _OF.sub("", plain, count=1),
            _OF.sub("", _KIND.sub("", plain), count=1),
        ):
            if self._label(name):
                return name
        return ""

    def _label(self, word: str) -> bool:
        return bool(word) and self.reading.known(word)

    def _either(self, one: str, other: str) -> None:
        """Adds two words of which one is a known label."""
        label_first = self._label(one) and not (self._label(other) and self.reading.in_sentence(one))
        self.reading.count("words", label_first)
        self._add_strings(*(one, other) if label_first else (other, one))

    def _add(self, label: str, text: str, rest: str, listed: bool = False) -> None:
        """Adds a label's string, unless the clause `rest` around it denies it."""
        if rest and is_denied(rest.replace(text, "", 1)) and not self._denies_another(rest):
            self.reading.rules.add("rejected")
        elif text and self._label(label):
            self.reading.count("words", True)
            self._add_strings(label, text, listed)
        elif text:
            self._add_unknown(label, text)

    def _add_unknown(self, label: str, text: str) -> None:
        """Adds a string of a label that the task hasn't: it counts if the sentence has it, and other items have labels that are known."""
        self.reading.rules.add("lines")
        self.reading.either(label, text, "words")

    def _add_strings(self, label: str, text: str, listed: bool = False) -> None:
        """Adds a label's strings: one, or several in one, each of which stands in the sentence. A remark, brackets and a full stop go if the sentence hasn't them."""
        before = self.reading.string(text.replace("（", "(").partition("(")[0])  # "张三（主席）"
        text = before if not self.reading.in_sentence(text) and self.reading.in_sentence(before) else text
        text = text if self.reading.in_sentence(text) else bare(text)
        strings = self._joined_strings(text, listed)
        if len(strings) > 1:
            self.reading.rules.add("joined_texts")
        self.last = len(self.reading.items)
        self.reading.rules.add("lines")
        for string in strings:
            self.reading.add_all(label, string)

    def _joined_strings(self, text: str, listed: bool) -> list[str]:
        """Returns the strings in "张三和李四" or 《甲》《乙》.

        A string that the sentence has as a whole is one ("住房和城乡建设部"), unless it ends a list ("张三、李四和王五", then `listed`) or its halves look like two names.
        """
        strings = _TITLES.split(text) if "《" in text else _AND.split(text)
        if "《" not in text and not listed and self.reading.in_sentence(text) and not _TWO_NAMES.fullmatch(text):
            return [text]
        return strings if all(map(self.reading.in_sentence, strings)) else [text]


def may_be_label(word: str, reading: Reading) -> bool:
    """Returns whether a word could be the name of a label that the task hasn't."""
    folded = fold(word)
    is_other = folded in OTHER_FIELDS or folded in LABEL_FIELDS or folded in TEXT_FIELDS or folded in WRAPPERS
    return (
        0 < len(word) <= LONGEST_LABEL
        and not _NO_LABEL.search(word)
        and not is_other
        and not reading.in_sentence(word)
        and not any(map(reading.known, word.split()))
        and not reading.is_nothing(word)
        and not is_rejected(word)
        and not _EXPLAINS.search(word)
        and re.fullmatch(r"[\w /-]+", word) is not None
    )


def at_colon(part: str, mark: str = "") -> tuple[str, str, str]:
    """Returns what stands before the first colon, the colon, and what stands behind it; another `mark` may stand for the colon."""
    colon = _COLON.search(part) or (re.search(mark, part) if mark else None)
    return (part[: colon.start()], colon[0], part[colon.end() :]) if colon else (part, "", "")


def _behind_colon(label: str) -> str:
    return re.split("[:：]", label)[-1]


def is_field(word: str) -> bool:
    return fold(word) in LABEL_FIELDS or fold(word) in TEXT_FIELDS


def _subject(words: str) -> str:
    """Returns what a clause speaks of: 张三 in “张三”, in 我认为“张三”, and in 张三的类型."""
    words = _ITS_KIND.sub("", words.strip())
    quoted = _QUOTED.search(words)
    return quoted[1] if quoted else words


def bare(text: str) -> str:
    """Returns a label's text without the marks around it: quotes, Markdown, brackets, full stops."""
    return text.strip(_MARKS)
