"""Generates the text that the tiny model is pre-trained on: Chinese sentences, and tasks in chat form.

In: a seeded `random.Random` and the size of the text. Out: a `Sample` (system line, prompt, answer), or plain text. Plain text teaches words and sentences. The tasks
teach to copy a span exactly, to follow the prompt, to write JSON, and to stop. No task finds entities: each answer is marked in the text (a tag, a bracket, two cue
words), listed in the prompt, or recognised by its characters (numbers, clauses between punctuation). The labels are made up; the names of the NER tasks' labels appear only
as words to be copied.

    PYTHONPATH=.:models/tiny-qwen2 .venv/train/bin/python -m make.corpus --count 20
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from make.sample import famous_entities, fill, outline
from make.vocabulary import FREQUENT, words

if TYPE_CHECKING:
    from collections.abc import Callable

SYSTEMS = (
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "You are a helpful assistant.",
    "你是一个细心的助手。",
    "你是一个文字处理助手，按要求作答，不多说一个字。",
    "你负责整理文稿，擅长从句子中找出要找的内容。",
)

WORDS = words(
    """
    今天 明天 昨天 去年 今年 上午 下午 晚上 周末 目前 近日 日前 随后 其中 此外 同时 因此 但是 如果 虽然 不过 而且 以及 或者 根据 关于 通过
    随着 对于 我们 他们 大家 自己 许多 一些 这个 那个 所有 其他 部分 全部 每天 每年 第一 第二 三个 五名 十家 百分之 左右 以上 以下 之间 表示
    认为 指出 说明 介绍 宣布 发布 举行 参加 完成 开始 结束 继续 推出 提供 支持 合作 签署 建设 发展 提高 增加 减少 下降 上涨 达到 超过 成为
    获得 进入 来到 离开 前往 经过 位于 属于 包括 需要 希望 能够 可以 应该 必须 已经 正在 将要 曾经 仍然 非常 比较 十分 更加 特别 尤其 主要
    重要 基本 时间 地方 问题 情况 工作 生活 社会 经济 文化 教育 科学 技术 市场 产品 服务 项目 计划 方案 活动 会议 比赛 成绩 结果 原因 影响
    作用 关系 条件 天气 风景 音乐 电影 小说 故事 游戏 球队 观众 读者 游客 学生 老师 医生 记者 专家 孩子 父母 朋友 城市 农村 学校 医院 银行
    公司 商店 车站 机场 公园 高兴 漂亮 干净 安静 热闹 便宜 简单 复杂 清楚 认真 仔细 努力 成功 失败 的 了 在 是 和 与 也 都 就 还 又 很 把 被
    让 给 对 从 到 向 为 以 于 有 没有 不
    """
)
# The NER labels' names as words of the text, so that the model knows their tokens. `label_name` never returns one.
LABEL_WORDS = ("name", "organization", "scene", "company", "movie", "book", "government", "position", "address", "game")
SYLLABLES = (
    "ba",
    "ce",
    "do",
    "fi",
    "ga",
    "ho",
    "ju",
    "ka",
    "li",
    "mo",
    "nu",
    "pe",
    "qi",
    "ra",
    "so",
    "ta",
    "vu",
    "we",
    "xi",
    "yo",
    "zan",
    "ter",
    "lon",
)
MARKS = ("，", "，", "，", "。", "。", "、", "：", "；", "！", "？", "（", "）", "——", "…", "·", " ", ",", ".", "-", "/", "+", "&", "%", "'")
ESCAPED = ('"', "\\", '"', "\t")
SENTENCES = 0.6  # share of texts that are sentences, the rest is running text
BRACKETS = (("【", "】"), ("《", "》"), ("「", "」"), ("『", "』"), ("[", "]"), ("{", "}"), ("“", "”"), ("*", "*"), ("#", "#"))


@dataclass(frozen=True)
class Sample:
    """A conversation, of which only the answer is learned; or, without a prompt, plain text, all of which is learned."""

    system: str
    prompt: str
    answer: str

    @property
    def given(self) -> str:
        """The part before the learned one, in Qwen's chat format."""
        if not self.prompt:
            return "<|endoftext|>"
        return f"<|im_start|>system\n{self.system}<|im_end|>\n<|im_start|>user\n{self.prompt}<|im_end|>\n<|im_start|>assistant\n"

    @property
    def learned(self) -> str:
        """The answer or the text, with its end token."""
        return self.answer + ("<|im_end|>\n" if self.prompt else "<|endoftext|>")


def plane(first: int, last: int) -> str:
    """Returns the characters of GB2312's rows `first` to `last`, which are lead bytes."""
    return "".join(bytes([row, cell]).decode("gb2312", "ignore") for row in range(first, last + 1) for cell in range(0xA1, 0xFF))


COMMON_HANZI = plane(0xB0, 0xD7)
RARE_HANZI = plane(0xD8, 0xF7)


def hanzi(rng: Random, length: int) -> str:
    """Returns a made-up word: mostly frequent characters, and the others of GB2312 often enough to learn them."""
    pools = rng.choices((FREQUENT, COMMON_HANZI, RARE_HANZI), (66, 30, 4), k=length)
    return "".join(rng.choice(pool) for pool in pools)


def latin(rng: Random) -> str:
    """Returns a made-up Latin word in lower case, upper case or with a capital."""
    word = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 2)))
    return rng.choice((word, word.upper(), word.capitalize()))


def digits(rng: Random) -> str:
    """Returns a number as news have it: a plain one, a percentage, a decimal, or one in full-width digits."""
    number = str(rng.randint(0, 10 ** rng.randint(1, 5)))
    return rng.choice((number, number + "%", number + "." + str(rng.randint(0, 9)), number.translate({48 + n: 0xFF10 + n for n in range(10)})))


def strange(rng: Random) -> str:
    """Returns a character from anywhere in the basic plane, or an emoji; users' text has them."""
    return chr(rng.choice((rng.randint(0xA1, 0x2FFF), rng.randint(0x3001, 0xD7FF), rng.randint(0xFF01, 0xFF5E), rng.randint(0x1F300, 0x1F64F))))


def word(rng: Random) -> str:
    """Returns one word or mark of running text."""
    kind = rng.choices(("known", "made", "mark", "latin", "digits", "escaped", "label", "strange"), (42, 36, 11, 3, 3, 2, 2, 1))[0]
    if kind == "known":
        return rng.choice(WORDS)
    if kind == "made":
        return hanzi(rng, rng.randint(1, 4))
    if kind == "mark":
        return rng.choice(MARKS)
    if kind == "escaped":
        return rng.choice(ESCAPED)
    if kind == "label":
        return rng.choice(LABEL_WORDS)
    return {"latin": latin, "digits": digits, "strange": strange}[kind](rng)


def running(rng: Random, size: int) -> str:
    """Returns running text of about `size` characters."""
    text = ""
    while len(text) < size:
        text += word(rng)
    return text.strip() or rng.choice(WORDS)


def span(rng: Random) -> str:
    """Returns a span for an answer to copy: 1 to about 14 characters, mostly hanzi, sometimes with a quote or a backslash inside."""
    length = min(1 + int(rng.expovariate(0.3)), 14)
    kind = rng.random()
    if kind < 0.55:
        return hanzi(rng, max(length, 2))
    if kind < 0.65:
        return latin(rng) + (hanzi(rng, 2) if rng.random() < 0.3 else "")
    return running(rng, length)


def label_name(rng: Random) -> str:
    """Returns a label without a meaning: a made-up Latin word, or two hanzi."""
    while (name := latin(rng).lower() if rng.random() < 0.5 else hanzi(rng, 2)) in LABEL_WORDS:
        pass
    return name


def spans(rng: Random, size: int) -> list[str]:
    """Returns different spans for a text of about `size` characters; an empty list 8 % of the time."""
    wanted = 0 if rng.random() < 0.08 else rng.randint(1, max(1, min(6, size // 8)))
    return list(dict.fromkeys(span(rng) for _ in range(wanted)))


def thread(rng: Random, pieces: list[str], size: int) -> str:
    """Returns a text with the pieces in their order, and running text before, between and after them."""
    gap = max(2, (size - sum(map(len, pieces))) // (len(pieces) + 1))
    text = running(rng, rng.randint(0, 2 * gap)) if rng.random() < 0.8 or not pieces else ""
    for piece in pieces:
        text += piece + (running(rng, rng.randint(0, 2 * gap)) if rng.random() < 0.9 else "")
    return text


@cache
def famous() -> dict[str, list[str]]:
    """Returns the names that recur in `sentence`'s sentences. They differ from the sample dataset's."""
    return famous_entities(Random("pretraining"))


def sentence(rng: Random) -> tuple[str, list[tuple[int, int]]]:
    """Returns a sentence made from the sample dataset's clauses, and its names' places (first, past the last) without their labels."""
    text, entities = fill(rng, outline(rng), famous())
    return text, sorted((first, last + 1) for strings in entities.values() for places in strings.values() for first, last in places)


def cut_places(rng: Random, text: str) -> list[tuple[int, int]]:
    """Returns up to four stretches of a text at random places, without regard to words."""
    edges = sorted(rng.sample(range(len(text) + 1), 2 * rng.randint(0 if rng.random() < 0.1 else 1, min(4, len(text) // 4))))
    return list(zip(edges[::2], edges[1::2], strict=True))


def cut_out(rng: Random) -> tuple[list[str], list[str]]:
    """Returns some stretches of a sentence, and the pieces before, between and after them. The stretches are names, or lie at random places."""
    text, names = sentence(rng)
    if rng.random() < 0.5:
        edges = [edge for place in names if rng.random() < 0.8 for edge in place]
    else:
        edges = [edge for place in cut_places(rng, text) for edge in place]
    found = [text[first:last] for first, last in zip(edges[::2], edges[1::2], strict=True)]
    rest = [text[first:last] for first, last in zip([0, *edges[1::2]], [*edges[::2], len(text)], strict=True)]
    return found, rest


def with_marks(rng: Random, size: int, mark: Callable[[str], str]) -> tuple[str, list[str]]:
    """Returns a text with marked spans, and the spans: words in running text, or stretches of a sentence."""
    if rng.random() < SENTENCES:
        found, rest = cut_out(rng)
        return rest[0] + "".join(mark(text) + after for text, after in zip(found, rest[1:], strict=True)), found
    found = spans(rng, size)
    return thread(rng, [mark(text) for text in found], size), found


def as_json(value: list[str] | list[dict[str, str]]) -> str:
    """Returns an answer in the project's JSON."""
    return json.dumps(value, ensure_ascii=False)


def labelled(rng: Random, asks: tuple[str, ...], pairs: list[tuple[str, str]]) -> tuple[str, str]:
    """Returns question and answer of a task with labels. The question gives the order of the two fields."""
    fields = rng.choice((("label", "text"), ("text", "label")))
    ask = rng.choice(asks).replace("FIELDS", "和".join(fields))
    return ask, as_json([{field: {"label": label, "text": text}[field] for field in fields} for label, text in pairs])


def repeat(rng: Random, size: int) -> tuple[str, str]:
    """Returns the task to repeat the sentence."""
    text = sentence(rng)[0] if rng.random() < SENTENCES else running(rng, rng.randint(2, size))
    ask = rng.choice(("重复下面这句话：\n{}", "照抄：{}", "原样输出这句话。\n{}", "Repeat: {}", "请把后面的文字再写一遍\n文字：{}"))
    return ask.format(text), text


def bracketed(rng: Random, size: int) -> tuple[str, str]:
    """Returns the task to list the contents of one kind of bracket, and not of another kind."""
    mine, other = rng.sample((*BRACKETS[:1], *BRACKETS[2:6]), 2)
    text, found = with_marks(rng, size, lambda text: mine[0] + text + mine[1])
    if rng.random() < 0.3:
        text += other[0] + span(rng) + other[1]
    ask = rng.choice(("用JSON列出{0}里的词：\n{1}", "{0}中有哪些内容？用JSON列表回答。\n{1}", "句子：{1}\n列出{0}里的词。"))
    return ask.format("".join(mine), text), as_json(found)


def tagged(rng: Random, size: int) -> tuple[str, str]:
    """Returns the task to give the spans between tags, with the tags as labels."""
    names = [label_name(rng) for _ in range(rng.randint(1, 5))]
    labels: list[str] = []

    def mark(text: str) -> str:
        labels.append(rng.choice(names))
        return f"<{labels[-1]}>{text}</{labels[-1]}>"

    marked, found = with_marks(rng, size, mark)
    asks = (
        "列出标签和内容，每项有FIELDS，JSON格式：\n{}",
        "以JSON输出每个标签和其中的文字，每项有FIELDS。\n{}",
        "抽取标签里的文字，输出FIELDS。\n\n<文字>\n{}",
    )
    ask, answer = labelled(rng, asks, list(zip(labels, found, strict=True)))
    return ask.format(marked), answer


def ruled(rng: Random, size: int) -> tuple[str, str]:
    """Returns the task to label spans by their brackets; the prompt maps brackets to labels."""
    brackets = rng.sample(BRACKETS, rng.randint(2, 4))
    names = [label_name(rng) for _ in brackets]
    chosen = [(rng.randrange(len(brackets)), text) for text in spans(rng, size)]
    pieces = [brackets[kind][0] + text + brackets[kind][1] for kind, text in chosen]
    rule = "，".join(f"{left}{right}是{name}" for (left, right), name in zip(brackets, names, strict=True))
    asks = ("规则：{}。按规则用JSON回答，每项有FIELDS。\n{}", "{}\n\n按上面的约定找出内容，输出FIELDS：\n{}")
    ask, answer = labelled(rng, asks, [(names[kind], text) for kind, text in chosen])
    return ask.format(rule, thread(rng, pieces, size)), answer


def cued(rng: Random, size: int) -> tuple[str, str]:
    """Returns the task to label the spans between two cue words; the prompt maps cues to labels."""
    names = [label_name(rng) for _ in range(rng.randint(1, 3))]
    cues = rng.sample(WORDS[:150], 2 * len(names))
    chosen = [(rng.randrange(len(names)), hanzi(rng, rng.randint(2, 7))) for _ in spans(rng, size)]
    pieces = [cues[2 * kind] + text + cues[2 * kind + 1] for kind, text in chosen]
    rule = "；".join(f"“{cues[2 * n]}”和“{cues[2 * n + 1]}”之间是{name}" for n, name in enumerate(names))
    filler = max(2, (size - sum(map(len, pieces))) // (len(pieces) + 1))
    text = hanzi(rng, rng.randint(1, filler)) + "".join(piece + hanzi(rng, rng.randint(1, filler)) for piece in pieces)
    ask, answer = labelled(
        rng, ("{}。用JSON回答，每项有FIELDS。\n{}", "约定：{}\n按约定输出FIELDS：\n{}"), [(names[kind], text) for kind, text in chosen]
    )
    return ask.format(rule, text), answer


def clauses(rng: Random, size: int) -> tuple[str, str]:
    """Returns the task to cut a sentence at its punctuation."""
    text = "".join(sentence(rng)[0] for _ in range(rng.randint(1, 2)))
    found = [piece for piece in re.split("[，。！？；……、：]", text) if piece.strip()]
    return rng.choice(("按标点把句子分开，用JSON列出各段：\n{}", "句子：{}\n用JSON列表列出标点之间的每一段。")).format(text), as_json(found)


def numbers(rng: Random, size: int) -> tuple[str, str]:
    """Returns the task to list the numbers of a sentence."""
    text = "".join(sentence(rng)[0] for _ in range(rng.randint(1, 2)))
    return rng.choice(("用JSON列出句中的数字：\n{}", "句子：{}\n数字有哪些？用JSON列表回答。")).format(text), as_json(re.findall("[0-9]+", text))


def glossary(rng: Random, size: int) -> tuple[str, str]:
    """Returns the task to find the prompt's words in the text, with the prompt's labels or without. Some of the words aren't in the text."""
    text, names = sentence(rng)
    places = names if rng.random() < 0.5 else cut_places(rng, text)
    inside = [text[first:last] for first, last in places if rng.random() < 0.85]
    inside = [piece for piece in dict.fromkeys(inside) if text.count(piece) == 1 and piece.strip() and "，" not in piece][:5]
    absent = [other for other in (span(rng) for _ in range(rng.randint(0, 2))) if other not in text]
    listed = inside + absent
    rng.shuffle(listed)
    if rng.random() < 0.4:
        ask = rng.choice(("下面哪些词在句子里？用JSON列表按先后回答。\n词：{}\n句子：{}", "词表：{}\n用JSON列出句中有的词：\n{}"))
        return ask.format("、".join(listed), text), as_json(inside)
    labels = [label_name(rng) for _ in range(rng.randint(1, 4))]
    label = {word: rng.choice(labels) for word in listed}
    asks = ("词表：{}\n用JSON列出句中有的词，每项有FIELDS。\n句子：{}", "{}\n\n句中有哪些词？输出FIELDS：\n{}")
    ask, answer = labelled(rng, asks, [(label[word], word) for word in inside])
    return ask.format("，".join(f"{word}是{label[word]}" for word in listed), text), answer


TASKS: dict[str, tuple[Callable[[Random, int], tuple[str, str]], int]] = {
    "repeat": (repeat, 12),
    "bracketed": (bracketed, 10),
    "tagged": (tagged, 26),
    "ruled": (ruled, 8),
    "cued": (cued, 6),
    "clauses": (clauses, 12),
    "numbers": (numbers, 10),
    "glossary": (glossary, 36),
}


def passage(rng: Random, size: int) -> Sample:
    """Returns plain text of at least `size` characters: sentences one after the other."""
    text = ""
    while len(text) < size:
        text += sentence(rng)[0]
    return Sample("", "", text)


def make_sample(rng: Random, size: int, only: str | None = None) -> Sample:
    """Returns a sample with a text of about `size` characters, of the task `only`, or of one drawn by weight."""
    name = only or rng.choices(list(TASKS), [weight for _, weight in TASKS.values()])[0]
    prompt, answer = TASKS[name][0](rng, size)
    return Sample(rng.choice(SYSTEMS), prompt, answer)


def main() -> None:
    """Prints some samples."""
    import argparse
    import random

    parser = argparse.ArgumentParser(prog="python -m make.corpus", description=main.__doc__)
    parser.add_argument("--count", type=int, default=10, help="how many samples to print")
    parser.add_argument("--size", type=int, default=40, help="characters of text in each")
    parser.add_argument("--seed", type=int, default=42, help="another seed prints other samples")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    for _ in range(args.count):
        sample = make_sample(rng, args.size)
        print(sample.prompt, "→", sample.answer, sep="\n", end="\n\n")


if __name__ == "__main__":
    main()
