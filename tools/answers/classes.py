"""Reads a raw answer as a class: the one option that it asserts. An option that is only mentioned, denied, guessed at or listed among others is not asserted.

In: the answer's text, a task, and the options. Out: the pair (class, ""), and the rules that were needed; no pair where the answer asserts nothing, or several options.

    .venv/train/bin/python -c "from tools.conf.task import find_task; from tools.answers.classes import parse_class; print(parse_class('类别：Law', find_task('fudan'), ['Art', 'Law']))"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from tools.answers.assertion import HEDGED
from tools.answers.field_names import LABEL_FIELDS, WRAPPERS
from tools.answers.final import BLANK, final_answer
from tools.answers.parse import Parsed, named
from tools.answers.scan import scan
from tools.conf.spellings import Spellings, spellings_of
from tools.conf.task import Task
from tools.text import fold, neutralise

LONGEST = 4000  # characters of an answer in which a class is looked for
LONGEST_CLASS = 8, 2  # Chinese characters, or Latin words, of an answer that may be a class which isn't offered
_DRESS = "\"'“”‘’「」『』《》<>〈〉【】[]()（）{}`*_~#。.!！,，;；:：- \t\r\n\u3000"
_QUOTES = "\"'“”‘’「」『』【】《》()（）*`_ \t\u3000"
_TAG = re.compile(r"</?[\w:. -]{1,30}>")
_BOX = re.compile(r"\\(?:boxed|text\w*|mathrm|mathbf)\s*\{([^{}]*)\}")
_WORD = re.compile(r"\w")
_WIDE = re.compile(r"[^\x00-\xff]")
_NUMBER_VALUE = re.compile(r"([:：\[]\s*)(\d{1,4})(?=\s*[,，}\]])")  # a class may be a number
# The number of an option ("A. 体育", "1）体育"), or a contrast.
_BEGINS = re.compile(r"(?:而|但|but\b)|(?:选项)?\s*(?:[A-Za-z]|\d{1,2})\s*[.、:：)）]\s*(?=\D)")
_SENTENCE = re.compile(r"[。；;！!？?\n]+|\.(?=\s|\Z)")
_QUESTION = re.compile(r"[？?]")
# A clause ends at a comma or before a contrast: each has a polarity of its own.
_CLAUSE = re.compile(r"[，,]|(?=而是|而非|而不|而应|但是?|不过|\bbut\b|\brather than\b|\binstead of\b)")
_DENIED_BEFORE = re.compile(
    r"不|非|没有?|无(?!疑)|排除|除了|除去|并未|\b(?:not|no|nor|neither|never|without|rather than|instead of|exclud\w+|rule[sd]? out|isn't|aren't|wasn't|doesn't|don't|cannot|can't)\b",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(
    r"[\s\"'”」』】*`]*(?:类别|类型|类)?(?:的可能性|可能性)?[\s则都也并]*(?:不(?!过)|没有|无关|非|被?排除|可以排除|很小|较小|较低|\b(?:is|are|was|does|do|can)(?:n't| ?not)\b|\bis (?:ruled out|excluded|unlikely)\b)",
    re.IGNORECASE,
)
# Words behind which a class is asserted, up to quotes and an article.
_ASSERTS = re.compile(
    r"(?:(?<!因)(?<!作)(?<!认)为|(?<!但)(?<!可)(?<!于)是|属于?|归[入到于]|划[入归]|[选判]|选择|[:：=]|关于|讲述?|"
    r"(?:类别|类型|标签|分类|答案|主题|话题|题材|领域|倾向|情感)[】\]]?|'s\b|"
    r"\b(?:is|are|as|be|into|under|to|about|category|class|label|topic|type|answer|choose|select|pick|classified|sentiment)\b)"
    r"(?:[\s]*(?:了|的|到|在|\bthe\b|\ban?\b|\bclass\b|\bcategory\b|一[篇则条个种]|典型的?|明显的?))*[\s\"'“‘「『【《(（*`:：=]*\Z",
    re.IGNORECASE,
)
# Between two options that are listed.
_LISTED = re.compile(r"[\s\"'”」』】*`]*(?:[、/|]|或者?|还是|和|与|及|以及|又是?|也是|\bor\b|\band\b)[\s\"'“「『【*`]*")
# Words behind which an option of one character is asserted.
_LEAD_IN = re.compile(
    r"(?:[:：=]|[】\]]|(?:答案|结论|结果|判断|类别|类型|标签|分类|选项?|label|answer|class)\s*(?:应该|应)?(?:为|选|是|\bis\b)?)"
    r"[\s\"'“「【(（*`]*\Z",
    re.IGNORECASE,
)
# What may stand behind an asserted class in its clause: a word for "class", or the end.
_ENDS = re.compile(
    r"[\s\"'”’」』】》)）*`]*(?:这一|这个|一)?(?:类别|类型|类目|大类|类|范畴|领域|方面|主题|话题|题材|板块|版块|频道|栏目|性质|相关|情感|情绪|倾向|态度|评价|选项|更(?:为)?合适|最(?:为)?(?:合适|贴切|符合)|新闻|资讯|报道|文章|文本|内容|句子|评论|的|了|"
    r"\s*\b(?:category|class|label|topic|news|articles?|texts?|section|sentiment|reviews?|related|one)\b|[\s\"'”’」』】》)）*`])*"
    r"(?:[:：](?!\s*\d)|[（(](?![\s\d.]+%?[)）])|[-—–]|\s*\b(?:because|since|as|for|with|category|rather|instead|and not)\b|\Z)",
    re.IGNORECASE,
)


class _Mention(NamedTuple):
    """An option in a sentence: the text of its clause before and behind it."""

    option: str
    before: str
    behind: str


def parse_class(output: str, task: Task, options: Sequence[str]) -> Parsed:
    """Returns the class that an answer asserts, as the pair (class, ""). Never raises.

    It is one of `options` where the final answer is that option (by name, alias or file label), has it in a JSON field, or says so in a sentence. An answer that is nothing
    but another word is that word, which is then no option. An answer that asserts nothing, or several options, is unparsable.
    """
    answer = output.strip(BLANK)
    if (hit := task.spellings.get(answer)) and not hit[1]:
        return Parsed([(hit[0], "")])
    if answer in options or answer in (offered := {neutralise(option): option for option in options}):
        return Parsed([(answer if answer in options else offered[answer], "")])
    final = final_answer(output)
    if final.body is None:
        return named(None, set(final.rules), final.cut)
    spellings = _class_spellings(task, options)
    concluded = {found[0] for part in final.conclusions if (found := _asserted(next(_sentences(part[:LONGEST])), spellings))}
    for part in (*final.conclusions, final.body) if len(concluded) < 2 else ():
        if found := _asserted(part[:LONGEST], spellings):
            return named([(found[0], "")], {*final.rules, *found[1]} or {"wrapping"}, final.cut)
    other = _other_class(final.body, spellings, task)
    if other is None:
        return named(None, set(final.rules), final.cut)
    return named([(other, "")], set() if other == answer else set(final.rules) or {"wrapping"}, final.cut)


def _asserted(text: str, spellings: Spellings) -> tuple[str, set[str]] | None:
    """Returns the one option that a text asserts and the rules that this took, or None."""
    if hit := _spelled(text, spellings):
        return hit[0], {hit[1]} - {""}
    if hit := _spelled(_undressed(text), spellings):
        return hit[0], {hit[1], "wrapping"} - {""}
    if values := _json_words(text):
        hits = {hit[0] for word in values if (hit := _spelled(word, spellings) or _spelled(_undressed(word), spellings))}
        return (hits.pop(), {"layout"}) if len(hits) == 1 and len(set(values)) == 1 else None
    options = _option_pattern(tuple(sorted(word for word, (_, how) in spellings.items() if word and how != "label_spelling")))
    sentences = [found for sentence in _sentences(_plain(text)) if (found := _in_sentence(sentence, options, spellings))]
    said = set().union(*sentences) if sentences else set()
    # A sentence with several options lists them; another one may then say which it is.
    single = {option for found in sentences if len(found) == 1 for option in found}
    if len(single) == 1 and (len(said) == 1 or len(sentences) > 1):
        return single.pop(), {"lead_in"}
    return None


def _spelled(word: str, spellings: Spellings) -> tuple[str, str] | None:
    """Returns (option, rule) of a word that is an option in any spelling."""
    if hit := spellings.get(word):
        return hit[0], "label_name" if hit[1] else ""
    return (hit[0], "label_name") if (hit := spellings.get(fold(word))) else None


def _plain(text: str) -> str:
    """Returns a text without tags and boxes around its words."""
    return _TAG.sub("\n", _BOX.sub(r"\1", _BOX.sub(r"\1", text)))


def _undressed(text: str) -> str:
    """Returns an answer without what may stand around a class alone: quotes, Markdown, brackets, a full stop, an option's number, a word such as 类."""
    bare = _plain(text.replace("```json", "").replace("```", "")).strip(_DRESS)
    bare = bare[found.end() :].strip(_DRESS) if (found := _BEGINS.match(bare)) else bare
    return bare


def _json_words(answer: str) -> list[str]:
    """Returns the strings of an answer in JSON that may be a class: those in a field for one, or the only one."""
    words: list[str] = []
    for value in scan(_NUMBER_VALUE.sub(r'\1"\2"', answer)).values:
        for item in value if isinstance(value, list) else [value]:
            pairs = item if type(item) is tuple else [("label", item)]
            inner = [(key, one) for key, some in pairs for one in (some if isinstance(some, list) else [some]) if isinstance(one, str)]
            words += [one for key, one in inner if len(inner) == 1 or fold(key) in LABEL_FIELDS or fold(key) in WRAPPERS]
    return [word.strip() for word in words]


def _sentences(text: str) -> Iterator[str]:
    """Yields a text's sentences, but for questions."""
    start = 0
    for end in _SENTENCE.finditer(text):
        if not _QUESTION.search(end[0]):
            yield text[start : end.start()]
        start = end.end()
    yield text[start:]


def _in_sentence(sentence: str, options: re.Pattern[str], spellings: Spellings) -> set[str]:
    """Returns the options that a sentence asserts."""
    found: set[str] = set()
    start = 0
    for end in [*_CLAUSE.finditer(sentence), None]:
        clause, last = sentence[start : end.start() if end else None], start
        start = end.end() if end else len(sentence)
        mentions = [*options.finditer(clause)]
        for one in mentions:
            mention = _Mention(one[0], clause[: one.start()], clause[one.end() :])
            if (hit := _spelled(one[0], spellings)) and _is_asserted(mention, options, is_first=last == 0):
                found.add(hit[0])
    return found


def _is_asserted(mention: _Mention, options: re.Pattern[str], is_first: bool) -> bool:
    """Returns whether a clause asserts the option that it mentions. An option of one character needs a clause of its own, or a word for "answer" before it."""
    before, behind = options.sub("", mention.before), mention.behind
    end = 0
    while (listed := _LISTED.match(behind, end)) and (other := options.match(behind, listed.end())):
        end = other.end()  # "体育和财经都不是"
    if _DENIED_BEFORE.search(before) or _DENIED_BEHIND.match(behind, end) or HEDGED.search(before.casefold()):
        return False
    if end or _listed_behind(mention.before, options):
        return True  # with its neighbour, so that the sentence asserts several
    if not _ENDS.match(behind):
        return False
    if len(mention.option) == 1:
        runs_on = mention.before.endswith("是") and not mention.option.isascii()  # "答案是否" may be a question
        return (bool(_LEAD_IN.search(mention.before)) and not runs_on) or (is_first and not mention.before.strip(_QUOTES))
    return not _BEGINS.sub("", before, count=1).strip(_QUOTES) or bool(_ASSERTS.search(before))


def _listed_behind(before: str, options: re.Pattern[str]) -> bool:
    """Returns whether a text ends in an option and a list's separator."""
    *_, last = [None, *options.finditer(before)]
    return last is not None and bool(_LISTED.fullmatch(before, last.end()))


def _other_class(body: str, spellings: Mapping[str, object], task: Task) -> str | None:
    """Returns the word that an answer consists of, which is none of the options; None for a sentence, a list, or a word that says nothing."""
    words = _json_words(body)
    word = words[0] if len(words) == 1 else _undressed(body)
    lead_in = re.match(r"(?:\S{0,6}?(?:类别|类型|标签|分类|答案)|label|category|class|answer)\s*[:：]\s*", word, re.IGNORECASE)
    word = word[lead_in.end() :].strip(_DRESS) if lead_in else word
    is_sentence = (
        re.search(r"[，,。；;！!？?、/|:：\n{}\[\]]", word) or len(_WIDE.findall(word)) > LONGEST_CLASS[0] or len(word.split()) > LONGEST_CLASS[1]
    )
    if (
        is_sentence
        or not _WORD.search(word)
        or _DENIED_BEFORE.search(word)
        or fold(word) in task.sentinels
        or HEDGED.search(word.casefold())
        or re.search("是|认为", word)
    ):
        return None
    return None if any(option in word for option in spellings if len(option) > 1) else word


def _class_spellings(task: Task, options: Sequence[str]) -> Spellings:
    """Returns the spellings of these options, as Task.spellings has those of the task's labels."""
    names = {option: task.names.get(option, option) for option in options}
    aliases = {label: words for label, words in task.aliases.items() if label in names}
    known = spellings_of(names, aliases)
    for option, name in names.items():
        known.setdefault(neutralise(name), (option, ""))
    return known


@lru_cache(maxsize=256)
def _option_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Returns a pattern of any of the words: the longest that fits, and not as part of a longer Latin word or number."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join(map(_whole, longest_first)) or r"(?!)", re.IGNORECASE)


def _whole(word: str) -> str:
    before, after = (r"(?<![A-Za-z0-9_.-])" if word[0].isascii() else ""), (r"(?![A-Za-z0-9_-]|\.\d)" if word[-1].isascii() else "")
    return before + re.escape(word) + after
