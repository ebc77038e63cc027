"""Reads the answers of models that write words instead of JSON: bullets, tables, CSV, YAML, "实体：张三，类别：人名", "张三是人名".

In: the text of an answer. Out: pairs, added to a Reading. A pair is found where a known label stands alone on one side, and is not denied in its clause; where other items have
their labels on the same side, an unknown label beside a string of the sentence is a pair too. The entry point is tools.answers.parse.
"""

from __future__ import annotations

import re

from tools.answers.assertion import is_condition, is_denied, is_rejected, without_contrast
from tools.answers.collected import SEPARATORS, places, split
from tools.answers.field_names import LABEL_FIELDS, TEXT_FIELDS
from tools.answers.reading import Reading
from tools.answers.scan import scan_at
from tools.answers.sides import at_colon, bare, is_field, may_be_label
from tools.answers.tables import Tables
from tools.text import fold

LONGEST_PART = 300  # characters of a clause that may say something
LONGEST = 65_536  # characters that are read; no answer in words is as long
LONGEST_LABEL = 16  # characters of a label that the task hasn't
_BULLET = re.compile(r"\s*+(?:[-*•·●◦▪>#+]+(?!\*)(?=\s|[^\s\d])|\(?\d{1,3}[.、)）:：]|（\d{1,3}）|[①-⑳]|[一二三四五六七八九十]{1,3}、)\s*+")
_PLACE = re.compile(r"[ \t]*[\[(（]\d{1,6}\s*[-,，~:：至到]\s*\d{1,6}[\])）](?=\s|\Z|[,，;；。])")  # of an entity in the text
_SENTENCE = re.compile(r"(?<=[。！])(?=[^”』」》）)\s])(?![^《》]{0,100}》)")
_PUNCTUATED = re.compile(r"[，。！？；、,]")
_CROSSES, _TICKS = frozenset("✗✘❌✖"), str.maketrans("", "", "✓✔✅☑√")
_TUPLE = re.compile(r"[(（]([^()（）,，\n]{1,80})[,，]([^()（）,，\n]{1,80})[)）]")
_BETWEEN = re.compile(
    r"[,，;；、]| and (?=the )|(?<=[)）])\s*(?:and |以及|[和及与])|\s+(?=[①-⑳])|(?<=[^\s|])\s*\|\s*|(?<!\s)\s++(?=[^\s:：,，()（）《“\"]{1,12}[:：])"
)
_COMMA = re.compile(r"[，,]")
_HEAD = re.compile("[（(:：]|不|并非|未|是|看|应|可能")
_FIELD_NUMBER = re.compile(r"[\s_#]*[\d一二三四五六七八九十]{1,3}\Z")
_PLAIN = re.compile(r"[ \t]*(?:[-*•][ \t]+)?(\w{1,40})[:：][ \t]*(\w{2,60})")
_TITLE = re.compile(r"[【\[]([^【】\[\]]{1,40})[】\]]([^【】\[\]]{1,300})")  # 【人名】张三【地址】长春
_TITLED = re.compile(rf"(?:{_TITLE.pattern})+")
_WORD = re.compile(r"\w")
_NONE = re.compile(r"\s*(?:没有?|无|未|其[他它余])")  # 没有电影、书名
_RULE = re.compile(r"[-:=+|\s]+")
_WORDS = re.compile(r"\[([^\[\]{}\"'\n]{1,500})\]")
_GROUP = re.compile(r"([^\s\[\]{}(),，;；:：=\"'*]{1,40})[\"'*`]{0,3}[ \t]*[:：=][ \t]*[*`]{0,2}[ \t]*(?=[\[{])")


def read_lines(text: str, reading: Reading) -> None:
    """Adds the pairs in the lines of a text to `reading`."""
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0]
    lines = _Lines(reading)
    for line in lines.groups(_PLACE.sub("", text)).splitlines():
        if lines.is_echo(line) or [two for two in _TUPLE.findall(line) if lines.pair(*map(bare, two))]:
            continue
        if set(line) & _CROSSES:
            reading.rules.add("rejected")
            continue
        for sentence in _SENTENCE.split(line.translate(_TICKS)) if line.strip() else [line]:
            asserted = without_contrast(sentence)
            reading.rules |= {"rejected"} if asserted != sentence else set()
            if not is_condition(asserted):
                lines.line(asserted)
    lines.end()


class _Lines(Tables):
    """Reads line by line, and keeps the label of the last heading, a table's columns, and a field that waits for its partner."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading)
        self.heading: str | None = None
        self.is_rejected = False  # what follows is listed as no entity
        self.rejects_lines = False  # without bullets, too
        self.fields: dict[str, str] = {}
        self.is_loose = False  # strings stand on lines of their own: before a label or behind it?
        self.candidate = ""  # a string alone on its line, whose label may follow
        self.records = 0

    def groups(self, text: str) -> str:
        """Reads `人名: ["张三"]` and `name = []` anywhere; returns the text without them."""
        kept, position = [], 0
        for found in _GROUP.finditer(text):
            if found.start() < position or not self._label(found[1]):
                continue
            if scanned := scan_at(text, found.end()):
                kept.append(text[position : found.start()])
                position = scanned[1]
                self.reading.rules.add("lines")
                self.reading.read(scanned[0], found[1])
            elif (words := _WORDS.match(text, found.end())) and not self.reading.in_sentence(words[0]):
                kept.append(text[position : found.start()])
                position = words.end()
                for word in split(SEPARATORS, words[1]):
                    self._add(found[1], self.reading.string(word), "")
        return "".join([*kept, text[position:]])

    def is_echo(self, line: str) -> bool:
        """Returns whether a line repeats the sentence, which asserts nothing."""
        sentence = self.reading.sentence
        if sentence is None or len(sentence) < 5 or sentence not in line:
            return False
        return len(line) < len(sentence) + 12 and (_PUNCTUATED.search(sentence[:-1]) is not None or line.strip() == sentence)

    def line(self, line: str) -> None:
        """Reads one line, with or without a bullet."""
        self.last = None
        if (plain := _PLAIN.fullmatch(line)) and self._is_plain(*plain.groups()):
            self._either(*plain.groups())
            return
        bullet = _BULLET.match(line)
        body = line[bullet.end() :] if bullet else line
        word = bare(body.rstrip(" \t:："))
        if not word or _RULE.fullmatch(line):
            if not line.strip() and self.is_rejected and not self.heading:
                self.is_rejected = False
            return
        if (
            body.startswith(("【", "["))
            and _TITLED.fullmatch(body)
            and all(self._label(label) and self.reading.may_stand(self.reading.string(text)) for label, text in _TITLE.findall(body))
        ):
            for label, text in _TITLE.findall(body):
                self._strings(label, text)
            return
        if self._table(body if bullet and not line.lstrip().startswith("|") else line):
            return
        is_item = bullet and self.heading and not line.lstrip().startswith("#") and self.reading.in_sentence(body.strip())
        if (label := self._heading(word)) and not self.fields and not is_item:
            self.heading, self.is_rejected = label, False
        elif self._is_rejected_heading(body):
            self.heading, self.is_rejected, self.rejects_lines = None, True, at_colon(body)[2].strip(" *") == ""
        elif self.is_rejected and (bullet or self.rejects_lines):
            self.reading.rules.add("rejected")
            self.rejects_lines &= not bullet
        elif unknown := self._unknown_heading(line, word):
            self.heading, self.is_rejected = unknown, False
        elif self._under_heading(body, bool(bullet)):
            pass
        else:
            self.is_rejected = False
            string = self.reading.string(body.rstrip(" :："))
            if self.reading.in_sentence(string):
                self.candidate, self.is_loose = string, self.is_loose or not bullet
            elif not self._parts(body) and not bullet:
                self.heading = None

    def _is_plain(self, label: str, string: str) -> bool:
        """Returns whether a line "人名：张三" needs no closer look, as most lines don't."""
        state = self.is_rejected or self.fields or self.columns or self.heads or self.records
        return not state and label in self.reading.task.spellings and self.reading.in_sentence(string) and not self._label(string)

    def end(self) -> None:
        """Ends the text: a field without a partner isn't read."""
        self.reading.unread += bool(self.fields)

    def _heading(self, word: str) -> str | None:
        """Returns the label that a line is about: "人名", "人名（2个）", "人名实体"."""
        label = self._as_label(word)
        return label if label and self._label(label) else None

    def _is_rejected_heading(self, body: str) -> bool:
        """Returns whether a line lists what is no entity: "排除：…", "非实体："."""
        head, colon, _ = at_colon(body)
        return (
            bool(colon or not self.reading.in_sentence(self.reading.string(head)))
            and len(head) <= 20
            and not set(head) & set("（(" if colon else "（(，,")
            and is_rejected(head)
            and not self.reading.in_sentence(head)
        )

    def _unknown_heading(self, line: str, word: str) -> str | None:
        is_heading = line.rstrip(" *").endswith(("：", ":")) or line.lstrip().startswith("#")
        return word if is_heading and self.reading.sentence is not None and may_be_label(word, self.reading) else None

    def _under_heading(self, body: str, bullet: bool) -> bool:
        """Reads a line under the heading of a label: its strings, or a string with a remark."""
        if not self.heading:
            return False
        word = self.reading.string(body)
        if (
            not bullet
            and (self.is_loose or not all(self.reading.in_sentence(self.reading.string(part)) for part in split(SEPARATORS, word) if part.strip()))
            and not self.reading.is_nothing(word)
        ):
            return False
        if self.reading.in_sentence(word):
            self._add(self.heading, word, body)
            return True
        for mark in ("：", ":", "——", "—", " - ", "（", "("):
            text, found, rest = body.partition(mark)
            if found and self.reading.in_sentence(self.reading.string(text)) and not self._label(bare(rest)):
                self._add(self.heading, self.reading.string(text), rest)
                return True
        if any(mark in body for mark in "：:（("):
            return False
        for part in split(_BETWEEN, body):
            self._add(self.heading, self.reading.string(part), part)
        return True

    def _parts(self, body: str) -> bool:
        """Reads a line's parts, one after another; a label before a colon holds for the parts after it. Returns whether any part was read."""
        if len(words := [bare(part) for part in _COMMA.split(body)]) == 2 and self._weak_pair(*words):
            return True
        label, found, behind, listed = None, False, "", list[str]()
        position = 0
        for between in [*(one for one in places(_BETWEEN, body) if one[0].strip() or self._opens(body, one)), None]:
            part = body[position : between.start() if between else len(body)]
            part = part[bullet.end() :] if behind and (bullet := _BULLET.match(part)) else part  # "；2）公司：腾讯"
            position = between.end() if between else position
            if len(part) > LONGEST_PART:
                continue
            label = None if _NONE.match(part) and not self.reading.in_sentence(bare(part)) else label
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
            elif label and bare(part) and self._continues(self.reading.string(part), behind):
                self._add(label, self.reading.string(self._without_remark(part)), part, listed=behind == "、")
            elif (
                self.last is not None
                and is_denied(part)
                and not self._denies_another(part)
                and not self.reading.in_sentence(bare(_HEAD.split(part)[0])[:2])
            ):
                self._take_back()
            behind = between[0] if between else ""
            word = self.reading.string(part)
            listed = [*listed, word] if behind == "、" and not found and self.reading.in_sentence(word) else []
        return found

    def _opens(self, body: str, blank: re.Match[str]) -> bool:
        """Returns whether a label or field begins behind a blank, as in "人名：张三 公司：腾讯"; in "Tim Cook: name" none does."""
        word, before = at_colon(body[blank.end() :])[0], body[: blank.start()]
        return (at_colon(before)[1] != "" or not _WORD.search(before)) and (not word.isascii() or self._label(word) or is_field(word))

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
        name, colon, value = at_colon(part, "=" if "=" in part else "")
        name = _FIELD_NUMBER.sub("", bare(_BULLET.sub("", name, count=1)))
        kind = "label" if fold(name) in LABEL_FIELDS else "text" if fold(name) in TEXT_FIELDS and not self._label(name) else ""
        if not kind and fold(name) == "name" and ("label" in self.fields or self.records):
            kind = "text"
        if not colon or not kind or not bare(value) or self._in_brackets(value):
            return False
        if kind == "label" and self.candidate and not self.fields:
            self.fields["text"] = self.candidate
            self.candidate = ""
        self.fields[kind] = self.reading.string(value) if kind == "text" else bare(value)
        if len(self.fields) == 2:
            label, text = self.fields["label"], self.fields["text"]
            self.fields = {}
            if self._label(label) or self.reading.in_sentence(text) or self.reading.is_nothing(text):
                self.records += 1
                self._add_strings(label, text)
            else:
                self.reading.unread += 1
        return True
