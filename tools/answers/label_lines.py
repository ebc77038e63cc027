"""Reads the answers of models that write words instead of JSON: bullets, tables, CSV, YAML, "实体：张三，类别：人名", "张三是人名".

In: the text of an answer. Out: pairs, added to a Reading. A pair is found where a known label stands alone on one side, and is not denied in its clause; where other items have
their labels on the same side, an unknown label beside a string of the sentence is a pair too. The entry point is tools.answers.parse.
"""

from __future__ import annotations

import csv
import re

from tools.answers.assertion import is_denied, is_false, is_flag_word, is_rejected, is_switched_off
from tools.answers.field_names import LABEL_FIELDS, OTHER_FIELDS, TEXT_FIELDS, WRAPPERS
from tools.answers.reading import SEPARATORS, Reading, trimmed
from tools.answers.scan import scan
from tools.text import fold

LONGEST = 65_536  # characters that are read; no answer in words is as long
LONGEST_LABEL = 16  # characters of a label that the task hasn't

_BULLET = re.compile(r"\s*+(?:[-*•·●◦▪>#+]+(?!\*)(?=\s|[^\s\d])|\(?\d{1,3}[.、)）:：]|（\d{1,3}）|[①-⑳])\s*+")
_MARKS = " \t\r\"'“”‘’「」『』`*_。.!！?？<>【】[]{}｛｝，,；;"
_SENTENCE = re.compile(r"(?<=[。！])(?=[^”』」》）)\s])")
_CROSSES, _TICKS = frozenset("✗✘❌✖"), str.maketrans("", "", "✓✔✅☑√")
_TUPLE = re.compile(r"[(（]([^()（）,，\n]{1,80})[,，]([^()（）,，\n]{1,80})[)）]")
_BETWEEN = re.compile(r"[,，;；、]| and (?=the )|(?<=[^\s|])\s*\|\s*|(?<!\s)\s++(?=[^\s:：,，()（）《“\"]{1,12}[:：])")
_COLON = re.compile("[:：]")
_COMMA = re.compile(r"[，,]")
_STRONG = ("：", ":", "->", "→", "=>", "——", "—", "–", " - ", "=", "\t", "|", "是", "属于", "有", "包括", "包含", " is an ", " is a ", " is ")
_WEAK = ("-", " ", "/")  # these stand within names too
_UNKNOWN_MARKS = ("：", ":", "->", "→", "——", " - ", "（", "(", "\t", "是")  # not within names
_PROSE = ("是", "有", "包括", "包含", " is an ", " is a ", " is ")
_AND = re.compile(r"(?<=..)(?:和|以及|及|与| and )(?=..)")
_TITLES = re.compile(r"(?<=》)\s*(?:和|以及|及|与)?\s*(?=《)")
_COUNT = re.compile(r"(?:.{0,12}?\d{1,3}\s*)?(?:个|家|位|处|部|本|款|项|条)\s*|.{0,12}?\d{1,3}\s*")
_COUNTED = re.compile(r"\d+\s*(?:个|家|名|位|处|部|本|款|项|条)?|[一二三四五六七八九十两]\s*(?:个|家|名|位|处|部|本|款|项|条)")
_KIND = re.compile(r"(?:类)?(?:实体|类型|类)?(?:有|包括|包含|如下|分别[是为]|[是为])?\Z")
_OF = re.compile(r"[^，,。]{0,10}[的中]|(?:the|an?) ", re.IGNORECASE)
_REMARK = re.compile(r"[(（]([^()（）]{0,80})[)）]\s*\Z")
_INNER = re.compile(r"[(（]([^()（）]{1,40})[)）]")
_HEAD = re.compile("[（(:：]|不|并非|未|是|看|应|可能")
_EXPLAINS = re.compile(r"的|指|表示|即|例如|如：|means|refers|such as|\bthe\b", re.IGNORECASE)
_NO_LABEL = re.compile(r"是|以下|如下|结果|实体|提取|识别|分析|句|原文|文本|答案|说明|注意|备注|总结|因此|所以|\d")
_PLACE = re.compile(r"[\s\[(（]*\d+\s*[-,，~:：至到]\s*\d+[\s\])）]*")
_FIELD_NUMBER = re.compile(r"[\s_#]*[\d一二三四五六七八九十]{1,3}\Z")
_RULE = re.compile(r"[-:=+|\s]+")
_WORDS = re.compile(r"\[([^\[\]{}\"'\n]{1,500})\]")
_GROUP = re.compile(r"([^\s\[\]{}(),，;；:：=\"'*]{1,40})[\"'*`]{0,3}[ \t]*[:：=][ \t]*[*`]{0,2}[ \t]*(?=[\[{])")


def read_lines(text: str, reading: Reading) -> None:
    """Adds the pairs in the lines of a text to `reading`."""
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0]
    lines = _Lines(reading)
    for line in lines.groups(text).splitlines():
        if lines.is_echo(line) or [two for two in _TUPLE.findall(line) if lines.pair(*map(_bare, two))]:
            continue
        if set(line) & _CROSSES:
            reading.rules.add("rejected")
            continue
        for sentence in _SENTENCE.split(line.translate(_TICKS)) if line.strip() else [line]:
            lines.line(sentence)
    lines.end()


class _Lines:
    """Reads line by line, and keeps the label of the last heading, a table's columns, and a field that waits for its partner."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.heading: str | None = None
        self.is_rejected = False  # what follows is listed as no entity
        self.fields: dict[str, str] = {}
        self.is_loose = False  # strings stand on lines of their own: before a label or behind it?
        self.candidate = ""  # a string alone on its line, whose label may follow
        self.records = 0
        self.columns: dict[str, int] = {}
        self.last: int | None = None  # the number of items before the last one, which a following clause may take back

    def groups(self, text: str) -> str:
        """Reads `人名: ["张三"]` and `name = []` anywhere; returns the text without them."""
        kept, position = [], 0
        for found in _GROUP.finditer(text):
            if found.start() < position or not self._label(found[1]):
                continue
            scanned = scan(text[found.end() : found.end() + 4_000])
            if not scanned.spans or scanned.spans[0][0]:
                if (words := _WORDS.match(text, found.end())) and not self.reading.in_sentence(words[0]):
                    kept.append(text[position : found.start()])
                    position = words.end()
                    for word in SEPARATORS.split(words[1]):
                        self._add(found[1], trimmed(word), "")
                continue
            kept.append(text[position : found.start()])
            position = found.end() + scanned.spans[0][1]
            self.reading.rules.add("lines")
            self.reading.read(scanned.values[0] if scanned.values else [], found[1])
        return "".join([*kept, text[position:]])

    def is_echo(self, line: str) -> bool:
        """Returns whether a line repeats the sentence, which asserts nothing."""
        sentence = self.reading.sentence
        return sentence is not None and len(sentence) > 4 and sentence in line and len(line) < len(sentence) + 12

    def pair(self, one: str, other: str) -> bool:
        """Adds two words of which exactly one is a known label; returns False for any other two."""
        if self._label(one) == self._label(other) or not (one and other):
            return False
        self._either(one, other)
        return True

    def line(self, line: str) -> None:
        """Reads one line, with or without a bullet."""
        self.last = None
        bullet = _BULLET.match(line)
        body = line[bullet.end() :] if bullet else line
        word = _bare(body.rstrip(" \t:："))
        if not word or _RULE.fullmatch(line):
            if not line.strip() and self.is_rejected and not self.heading:
                self.is_rejected = False
            return
        if self._table(body if bullet and not line.lstrip().startswith("|") else line):
            return
        if (label := self._heading(word)) and not self.fields:
            self.heading, self.is_rejected = label, False
        elif self._is_rejected_heading(body):
            self.heading, self.is_rejected = None, True
        elif self.is_rejected and bullet:
            self.reading.rules.add("rejected")
        elif unknown := self._unknown_heading(line, word):
            self.heading, self.is_rejected = unknown, False
        elif self._under_heading(body, bool(bullet)):
            pass
        else:
            self.is_rejected = False
            string = trimmed(body.rstrip(" :："))
            if self.reading.in_sentence(string):
                self.candidate, self.is_loose = string, self.is_loose or not bullet
            elif not self._parts(body) and not bullet:
                self.heading = None

    def end(self) -> None:
        """Ends the text: a field without a partner isn't read."""
        self.reading.unread += bool(self.fields)

    def _heading(self, word: str) -> str | None:
        """Returns the label that a line is about: "人名", "人名（2个）", "人名实体"."""
        label = self._as_label(word)
        return label if label and self._label(label) else None

    def _is_rejected_heading(self, body: str) -> bool:
        """Returns whether a line lists what is no entity: "排除：…", "非实体："."""
        head, colon, _ = _partition(body)
        return (
            bool(colon or not self.reading.in_sentence(trimmed(head)))
            and len(head) <= 20
            and not set(head) & set("（(")
            and is_rejected(head)
            and not self.reading.in_sentence(head)
        )

    def _unknown_heading(self, line: str, word: str) -> str | None:
        is_heading = line.rstrip(" *").endswith(("：", ":")) or line.lstrip().startswith("#")
        return word if is_heading and self.reading.sentence is not None and _may_be_label(word, self.reading) else None

    def _under_heading(self, body: str, bullet: bool) -> bool:
        """Reads a line under the heading of a label: its strings, or a string with a remark."""
        if not self.heading:
            return False
        word = trimmed(body)
        if not bullet and (self.is_loose or not self.reading.in_sentence(word)) and not self.reading.is_nothing(word):
            return False
        if self.reading.in_sentence(word):
            self._add(self.heading, word, body)
            return True
        for mark in ("：", ":", "——", "—", " - ", "（", "("):
            text, found, rest = body.partition(mark)
            if found and self.reading.in_sentence(trimmed(text)) and not self._label(_bare(rest)):
                self._add(self.heading, trimmed(text), rest)
                return True
        if any(mark in body for mark in "：:（("):
            return False
        for part in _BETWEEN.split(body):
            self._add(self.heading, trimmed(part), part)
        return True

    def _table(self, line: str) -> bool:
        """Reads a row of cells between bars, tabs or, under a header, commas."""
        bare = line.strip().strip("|｜")
        mark = "|" if "|" in bare else "\t" if "\t" in bare else "," if "," in self.columns or ("," in bare and not self.columns) else None
        if mark is None or (
            mark == "|" and any("：" in cell or ":" in cell for cell in bare.split("|")[:1]) and line.count("|") < 3 and not self.columns
        ):
            return False
        cells = [trimmed(cell) for cell in (next(csv.reader([bare])) if mark == "," else bare.split(mark))]
        if header := self._header(cells):
            self.columns = {**header, mark: 0}
            return True
        if mark not in self.columns and mark != "|":
            return False
        return self._cells(cells)

    def _header(self, cells: list[str]) -> dict[str, int] | None:
        labels = [number for number, cell in enumerate(cells) if fold(cell) in LABEL_FIELDS]
        texts = [number for number, cell in enumerate(cells) if fold(cell) in TEXT_FIELDS and number not in labels]
        return {"label": labels[0], "text": texts[0]} if labels and texts and len(cells) > 1 else None

    def _cells(self, cells: list[str]) -> bool:
        """Reads a table's row by its header, or by the one cell that is a known label and the first of the others that is a word."""
        if any(is_false(cell) or is_switched_off(*_partition(cell)[::2]) for cell in cells):
            self.reading.rules.add("rejected")
            return True
        if self.columns:
            place, other = self.columns["label"], self.columns["text"]
            if max(place, other) >= len(cells):
                return False
            label, text = cells[place], cells[other]
            if self.reading.is_nothing(label) and not self._label(label):
                return True
        else:
            labels = [cell for cell in cells if self._label(cell)]
            texts = [cell for cell in cells if cell and cell not in labels and not cell.isdecimal() and not is_flag_word(cell)]
            if len(labels) != 1 or not texts:
                self.reading.unread += len(texts) > 1
                return False
            label, text = labels[0], texts[0]
        if not label or not text or _RULE.fullmatch(text):
            return True
        parts = SEPARATORS.split(text) if not self.reading.in_sentence(text) else [text]
        for part in parts:
            if string := trimmed(part):
                self._add_strings(label, string)
        return True

    def _parts(self, body: str) -> bool:
        """Reads a line's parts, one after another; a label before a colon holds for the parts after it. Returns whether any part was read."""
        if len(words := [_bare(part) for part in _COMMA.split(body)]) == 2 and self._weak_pair(*words):
            return True
        label, found, behind, listed = None, False, "", list[str]()
        position = 0
        for between in [*_BETWEEN.finditer(body), None]:
            part = body[position : between.start() if between else len(body)]
            position = between.end() if between else position
            if self._field(part):
                label, found = None, True
            elif self.records and not self.fields:
                continue  # a record's other fields
            elif (unknown := self._unknown_sides(part)) is not None:
                label, found = unknown, True
            elif sides := self._sides(part, body):
                one, other, is_left = sides
                for string in () if is_left else listed:
                    self._either(string, other)
                self._either(one, other)
                label, found = one if is_left else None, True
            elif label and _bare(part) and self._continues(trimmed(part), behind):
                self._add(label, trimmed(part), part)
            elif (
                self.last is not None
                and is_denied(part)
                and not self._denies_another(part)
                and not self.reading.in_sentence(_bare(_HEAD.split(part)[0]))
            ):
                self._take_back()
            behind = between[0] if between else ""
            word = trimmed(part)
            listed = [*listed, word] if behind == "、" and not found and self.reading.in_sentence(word) else []
        return found

    def _weak_pair(self, one: str, other: str) -> bool:
        return self._label(one) != self._label(other) and self._fits("-", other if self._label(one) else one) and self.pair(one, other)

    def _continues(self, word: str, behind: str) -> bool:
        """Returns whether a part behind a string of one label is another string: it stands in the sentence, or nobody knows and it is short."""
        if self.reading.sentence is None:
            return behind == "、" or len(word) <= 8
        return self.reading.in_sentence(word) or (behind == "、" and len(word) <= LONGEST_LABEL)

    def _take_back(self) -> None:
        del self.reading.items[self.last :]
        self.reading.rules.add("rejected")
        self.last = None

    def _field(self, part: str) -> bool:
        """Reads "实体：张三", which waits for "类别：人名", or the other way round, and adds the pair once both are there; returns False for any other part."""
        name, colon, value = _partition(part)
        name = _FIELD_NUMBER.sub("", _bare(_BULLET.sub("", name, count=1)))
        kind = "label" if fold(name) in LABEL_FIELDS else "text" if fold(name) in TEXT_FIELDS and not self._label(name) else ""
        if not kind and fold(name) == "name" and ("label" in self.fields or self.records):
            kind = "text"
        if not colon or not kind or not _bare(value):
            return False
        if kind == "label" and self.candidate and not self.fields:
            self.fields["text"] = self.candidate
            self.candidate = ""
        self.fields[kind] = trimmed(value) if kind == "text" else _bare(value)
        if len(self.fields) == 2:
            label, text = self.fields["label"], self.fields["text"]
            self.fields = {}
            if self._label(label) or self.reading.in_sentence(text) or self.reading.is_nothing(text):
                self.records += 1
                self._add_strings(label, text)
            else:
                self.reading.unread += 1
        return True

    def _sides(self, part: str, line: str) -> tuple[str, str, bool] | None:
        """Returns (one side, the other, whether the label is on the left) of "人名：张三", "张三 - 人名" or "张三（人名）", unless its clause denies it."""
        body = part.strip(" \t*`")
        if found := self._in_brackets(body):
            return found
        for mark in _STRONG + _WEAK:
            if mark not in body:
                continue
            left, _, right = body.partition(mark)
            label, text = self._as_label(_behind_colon(left)), trimmed(self._without_remark(right))
            if label and (text or mark in "：:") and self._asserted(mark, text, right, part):
                return label, text, mark not in _WEAK
            if len(words := body.split(mark)) == 3 and mark not in _WEAK and self._as_label(words[1]) and self.reading.in_sentence(trimmed(words[0])):
                body = mark.join(words[:2])  # "张三 – 人名 – 主席"
            left, _, right = body.rpartition(mark)
            label, text = self._as_label(_behind_colon(right)), trimmed(left)
            if mark not in _PROSE and not self.reading.in_sentence(text):
                text = trimmed(_behind_colon(left))
            if label and text and self._asserted(mark, text, right, part) and not _is_field(text):
                return text, label, False
        return None

    def _unknown_sides(self, part: str) -> str | None:
        """Adds two words around a mark, of which one stands in the sentence and the other could be a label that the task hasn't; returns that label where it is on the left."""
        body = part.strip(" \t*`。.!！")
        for mark in _UNKNOWN_MARKS if self.reading.sentence is not None else ():
            if mark not in body:
                continue
            one, _, other = body.rpartition(mark) if mark in "（(" else body.partition(mark)
            one, other = trimmed(one), trimmed(other.rstrip("）)") if mark in "（(" else other)
            label, text = (other, one) if self.reading.in_sentence(one) else (one, other)
            if (
                self.reading.in_sentence(text)
                and _may_be_label(label, self.reading)
                and not self._as_label(label)
                and not (mark == "是" and label == one)
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
            name, string = self._as_label(_behind_colon(label)), trimmed(text)
            if name and not self.reading.in_sentence(string):
                string = trimmed(_behind_colon(text))
            if name and string and not is_denied(label) and not self._label(string) and not self._has_brackets(left):
                return string, name, False
        return None

    def _has_brackets(self, left: str) -> bool:
        """Returns whether labels stand in brackets within a text: where its entities begin can't be told."""
        return any(self._label(_bare(inner)) for inner in _INNER.findall(left))

    def _asserted(self, mark: str, text: str, right: str, part: str) -> bool:
        """Returns whether a string may be the entity that a label stands with: not a count, an explanation or a denial."""
        if mark in _PROSE and not (self._stand(text) or (self.reading.sentence is None and part.lstrip(" *")[:1] in ("“", '"', "'", "「", "《"))):
            return False
        if _COUNTED.fullmatch(text) and not self.reading.in_sentence(text):
            return False
        rest = part.replace(text, "", 1) if text else part
        if is_denied(rest) and not self._denies_another(rest):
            self.reading.rules.add("rejected")
            return False
        if self.reading.sentence is not None and not self.reading.in_sentence(text) and _EXPLAINS.search(text) and not self.reading.is_nothing(text):
            return False
        return self._fits(mark, text)

    def _stand(self, text: str) -> bool:
        """Returns whether a string stands in the sentence, or each of several strings joined by "and"."""
        return self.reading.in_sentence(text) or all(map(self.reading.in_sentence, _AND.split(text)))

    def _denies_another(self, clause: str) -> bool:
        """Returns whether a clause such as "不是人名" denies another label than the one that it gives."""
        return any(self._label(_bare(word)) for word in re.findall(r"(?:不是|并非|而非|不属于|\bnot(?: an?| the)?) ?([^，,。()（）]{1,40})", clause))

    def _fits(self, mark: str, text: str) -> bool:
        if mark not in _WEAK:
            return True
        return self.reading.in_sentence(text) if self.reading.sentence is not None else not text.isascii() and " " not in text

    def _without_remark(self, text: str) -> str:
        """Returns a string without the remark in brackets behind it, unless it stands in the sentence so."""
        text = bare = re.split(r"\s(?:#|//)", text, maxsplit=1)[0].strip()
        remark = _REMARK.search(bare)
        if not remark or self.reading.in_sentence(trimmed(bare)):
            return text
        before = bare[: remark.start()]
        return before if self.reading.in_sentence(trimmed(before)) or _PLACE.fullmatch(remark[1]) else text

    def _as_label(self, words: str) -> str:
        """Returns the known label in "3 个人名", "人名实体", "**人名**（2个）"; '' where there is none."""
        word = _bare(words)
        plain = _bare(_REMARK.sub("", word))
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

    def _add(self, label: str, text: str, rest: str) -> None:
        """Adds a label's string, unless the clause `rest` around it denies it."""
        if rest and is_denied(rest.replace(text, "", 1)) and not self._denies_another(rest):
            self.reading.rules.add("rejected")
        elif text and self._label(label):
            self.reading.count("words", True)
            self._add_strings(label, text)
        elif text:
            self._add_unknown(label, text)

    def _add_unknown(self, label: str, text: str) -> None:
        """Adds a string of a label that the task hasn't: it counts if the sentence has it, and other items have labels that are known."""
        self.reading.rules.add("lines")
        self.reading.either(label, text, "words")

    def _add_strings(self, label: str, text: str) -> None:
        """Adds a label's strings: one, or several in one, each of which stands in the sentence. A remark, brackets and a full stop go if the sentence hasn't them."""
        before = trimmed(text.replace("（", "(").partition("(")[0])  # "张三（主席）"
        text = before if not self.reading.in_sentence(text) and self.reading.in_sentence(before) else text
        text = text if self.reading.in_sentence(text) else _bare(text)
        strings = _TITLES.split(text) if "《" in text else _AND.split(text)
        if len(strings) > 1 and all(self.reading.in_sentence(string) for string in strings):
            self.reading.rules.add("joined_texts")
        else:
            strings = [text]
        self.last = len(self.reading.items)
        self.reading.rules.add("lines")
        for string in strings:
            self.reading.add_all(label, string)


def _may_be_label(word: str, reading: Reading) -> bool:
    """Returns whether a word could be the name of a label that the task hasn't."""
    folded = fold(word)
    is_other = folded in OTHER_FIELDS or folded in LABEL_FIELDS or folded in TEXT_FIELDS or folded in WRAPPERS
    return (
        0 < len(word) <= LONGEST_LABEL
        and not reading.known(word)
        and not _NO_LABEL.search(word)
        and not is_other
        and not reading.in_sentence(word)
        and not reading.is_nothing(word)
        and not is_denied(word)
        and not is_rejected(word)
        and not _EXPLAINS.search(word)
        and re.fullmatch(r"[\w /-]+", word) is not None
        and not word.isdecimal()
    )


def _partition(part: str) -> tuple[str, str, str]:
    """Returns what stands before the first colon, the colon, and what stands behind it."""
    colon = _COLON.search(part)
    return (part[: colon.start()], colon[0], part[colon.end() :]) if colon else (part, "", "")


def _behind_colon(label: str) -> str:
    return re.split("[:：]", label)[-1]


def _is_field(word: str) -> bool:
    return fold(word) in LABEL_FIELDS or fold(word) in TEXT_FIELDS


def _bare(text: str) -> str:
    """Returns a label's text without the marks around it: quotes, Markdown, brackets, full stops."""
    return text.strip(_MARKS)
