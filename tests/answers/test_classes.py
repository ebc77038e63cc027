"""The class that an answer asserts: forms of one class, what is only mentioned, and answers that assert nothing."""

from __future__ import annotations

import random

import pytest

from tools.answers.classes import parse_class
from tools.answers.parse import RULES
from tools.conf.task import Task, find_task

TOPICS = ["军事", "教育", "科技", "科技周边", "房产"]
SENTIMENT = ["正面", "负面", "中性"]
YES = ["是", "否"]
LETTERS = ["A", "B", "C"]
LATIN = ["politics", "health", "travel"]


def asserted(output: str, options: list[str], task: Task | None = None) -> str | None:
    """The class of an answer to a task with these labels."""
    task = task or find_task("topics").changed(names={option: option for option in options}, aliases={})
    parsed = parse_class(output, task, options)
    assert set(parsed.rules) <= set(RULES)
    return parsed.pairs[0][0] if parsed.pairs else None


FORMS = [
    "{}",
    " {}\n",
    "{}。",
    "“{}”",
    "**{}**",
    "【{}】",
    "- {}",
    "B. {}",
    "{}类",
    "`{}`",
    "```\n{}\n```",
    '{{"label": "{}"}}',
    "{{'类别': '{}'}}",
    '```json\n{{"category": "{}", "confidence": 0.7}}\n```',
    '["{}"]',
    '{{"reason": "提到了别的", "answer": "{}"}}',
    "\\boxed{{{}}}",
    "<answer>{}</answer>",
    "<think>想一想</think>\n\n{}",
    "类别：{}",
    "该文本的类别是“{}”。",
    "这段话应归为{}类。",
    "我选择：{}",
    "Answer: {}",
    "The label is {}.",
    "{}\n\n理由：全文都在讲这件事。",
    "{}，因为全文都在讲这件事。",
    "全文都在讲这件事，因此属于{}。",
    "经过分析。\n最终答案：{}",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [TOPICS, SENTIMENT, LATIN], ids=["topics", "sentiment", "latin"])
def test_every_form_of_an_answer_gives_the_class_that_it_holds(form: str, options: list[str]) -> None:
    for option in options:
        assert asserted(form.format(option), options) == option
        task = find_task("topics").changed(names={}, aliases={})
        assert bool(parse_class(form.format(option), task, options).rules) == (form.strip() != "{}"), "only the class alone is the trained form"


@pytest.mark.parametrize(
    ("output", "options"),
    [
        ("不是教育", TOPICS),
        ("非教育", TOPICS),
        ("答案不是房产。", TOPICS),
        ("这篇文章并不属于军事。", TOPICS),
        ("没有负面情绪", SENTIMENT),
        ("排除军事。", TOPICS),
        ("教育的可能性很小", TOPICS),
        ("既不是军事，也不是房产", TOPICS),
        ("It isn't health.", LATIN),
        ("neither politics nor travel", LATIN),
        ("not travel", LATIN),
        ("军事、教育", TOPICS),
        ("军事或者房产", TOPICS),
        ("health and travel", LATIN),
        ('["军事", "房产"]', TOPICS),
        ("军事: 0.8\n房产: 0.2", TOPICS),
        ("答案：军事\n答案：房产", TOPICS),
        ("既是科技又是房产", TOPICS),
        ("可能是军事", TOPICS),
        ("maybe health", LATIN),
        ("是军事吗？", TOPICS),
        ("可选类别：军事、教育、科技、科技周边、房产", TOPICS),
        ("文中写了一次教育改革会议", TOPICS),
        ("他为军事博物馆写过介绍", TOPICS),
        ('{"label": null}', TOPICS),
        ("<think>\n像是教育", TOPICS),
        ("我不清楚这属于哪一类", TOPICS),
        ("", TOPICS),
        ("。", TOPICS),
        ("不是", YES),
        ("不是的。", YES),
        ("是不是", YES),
        ("是否", YES),
        ("这是一个好问题", YES),
        ("是吗？", YES),
        ("A text about a war.", LETTERS),
    ],
)
def test_what_is_denied_guessed_listed_or_only_mentioned_is_no_class(output: str, options: list[str]) -> None:
    assert asserted(output, options) is None


@pytest.mark.parametrize(
    ("output", "options", "option"),
    [
        ("不是军事，而是教育", TOPICS, "教育"),
        ("应归为教育而非军事", TOPICS, "教育"),
        ("虽然提到了军事，但属于教育类", TOPICS, "教育"),
        ("首先排除房产。因此选择科技。", TOPICS, "科技"),
        ("文中没有任何军事行动，主题为教育。", TOPICS, "教育"),
        ("politics rather than health", LATIN, "politics"),
        ("It is not politics but health.", LATIN, "health"),
        ("初步看是军事。\n更正：教育", TOPICS, "教育"),
        ("可选类别：军事、教育、房产\n所属类别：教育", TOPICS, "教育"),
        ("科技周边", TOPICS, "科技周边"),
        ("这属于科技周边类", TOPICS, "科技周边"),
        ("是的，两句话同义", YES, "是"),
        ("否。说的不是一件事。", YES, "否"),
        ("回答：否。因为对象不同", YES, "否"),
        ("两个句子是否同义：是", YES, "是"),
        ('{"answer": "否"}', YES, "否"),
        ("答案是B", LETTERS, "B"),
        ("C. 第三项", LETTERS, "C"),
        ('{"label": 1}', ["0", "1"], "1"),
        ("label: 0, confidence: 1.0", ["0", "1"], "0"),
        ("谣言", ["谣言", "非谣言"], "谣言"),
        ("非谣言", ["谣言", "非谣言"], "非谣言"),
        ("这是非谣言", ["谣言", "非谣言"], "非谣言"),
        ("Health", LATIN, "health"),
        ("ＨＥＡＬＴＨ", LATIN, "health"),
    ],
)
def test_the_one_class_that_is_asserted_is_found(output: str, options: list[str], option: str) -> None:
    assert asserted(output, options) == option


@pytest.mark.parametrize(
    ("output", "word"), [("娱乐", "娱乐"), ("娱乐。", "娱乐"), ("类别：娱乐", "娱乐"), ('{"label": "娱乐"}', "娱乐"), ("**Arts**", "Arts")]
)
def test_a_word_alone_that_is_no_option_is_kept_as_the_answers_class(output: str, word: str) -> None:
    assert asserted(output, TOPICS) == word


def test_names_aliases_and_file_labels_mean_their_class() -> None:
    task = find_task("topics").changed(names={"mil": "军事", "edu": "教育"}, aliases={"mil": ["国防"]})
    for word in ("军事", "mil", "MIL", "国防", "类别：国防"):
        assert asserted(word, ["mil", "edu"], task) == "mil"


def test_the_trained_class_needs_no_rule_and_control_tokens_in_it_are_neutral() -> None:
    task = find_task("topics").changed(names={}, aliases={})
    assert parse_class("军事\n", task, TOPICS).rules == ()
    assert parse_class("<｜im_end｜>", task, ["<|im_end|>", "教育"]).pairs == [("<|im_end|>", "")]


def test_any_words_around_a_denied_class_never_make_it_an_answer() -> None:
    chance = random.Random(3)
    words = ["这篇文章", "内容", "，", "。", "我认为", "文本", "并", "显然", "根据上文"]
    for _ in range(300):
        around = ["".join(chance.choices(words, k=chance.randint(0, 3))) for _ in range(2)]
        denial = chance.choice(["不是", "不属于", "并非", "没有", "不应归为", "不能算作"])
        assert asserted(f"{around[0]}{denial}{chance.choice(TOPICS)}{chance.choice(['', '。'])}{around[1]}", TOPICS) is None


@pytest.mark.parametrize("piece", ["军事，", "军事、", "军事不是", "是", "A. ", "```", "类别：", "\n", "但", '{"label": ', "军事\n"])
def test_megabytes_of_anything_take_little_time(piece: str) -> None:
    asserted(piece * (1_000_000 // len(piece)), TOPICS)
