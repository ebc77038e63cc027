"""Every shape of an answer costs the same: one set of pairs, rendered in any shape, is read as these pairs, unknown labels included."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from tools.answers import Pair
from tools.answers.parse import parse
from tools.conf.task import Task, find_task

KNOWN = ["人名", "地点", "组织"]
UNKNOWN = ["主角", "武器", "weapon"]
# Strings as sentences have them: Latin words, digits, quotes, colons, brackets, full stops.
STRINGS = [
    "赵小满",
    "青岛港",
    "New Harbour",
    "R2-D2",
    "《夜航：序章》",
    "三一重工(上海)",
    "“铁塔”小组",
    "第8中学",
    "St. Mary's",
    "阿依古丽·买买提",
    "A座101室",
    "乙",
]
PLAIN = [string for string in STRINGS if string.isalnum()]  # for shapes whose own marks can't hold the others

Shape = Callable[[list[Pair]], str]


def by_label(pairs: list[Pair]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for label, text in pairs:
        groups.setdefault(label, []).append(text)
    return groups


def dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def objects(pairs: list[Pair], label: str = "label", text: str = "text") -> list[dict[str, str]]:
    return [{label: one, text: other} for one, other in pairs]


ANY: dict[str, Shape] = {
    "trained": lambda pairs: dumped(objects(pairs)),
    "other fields": lambda pairs: dumped(objects(pairs, "entity_type", "entity")),
    "Python": lambda pairs: repr(objects(pairs)),
    "tuples": lambda pairs: repr([(text, label) for label, text in pairs]),
    "fence": lambda pairs: f"结果如下：\n```json\n{json.dumps(objects(pairs), ensure_ascii=False, indent=2)}\n```\n以上。",
    "thought": lambda pairs: f"<think>可能有别的：{dumped(objects([('人名', '某某')]))}</think>\n{dumped(objects(pairs))}",
    "JSON lines": lambda pairs: "\n".join(map(dumped, objects(pairs))),
    "groups": lambda pairs: dumped(by_label(pairs)),
    "map": lambda pairs: dumped({text: label for label, text in pairs}),
    "pair lists": lambda pairs: dumped([[text, label] for label, text in pairs]),
    "label first": lambda pairs: dumped([[label, text] for label, text in pairs]),
    "wrapper": lambda pairs: dumped({"entities": objects(pairs, "type", "value")}),
    "answer tag": lambda pairs: f"<answer>{dumped(objects(pairs))}</answer>",
    "parallel lists": lambda pairs: dumped({"labels": [label for label, _ in pairs], "texts": [text for _, text in pairs]}),
    "table": lambda pairs: "| 实体 | 类型 |\n|---|---|\n" + "\n".join(f"| {text} | {label} |" for label, text in pairs),
    "table, label first": lambda pairs: (
        "| 类别 | 实体文本 | 说明 |\n|:--|:--|:--|\n" + "\n".join(f"| {label} | {text} | 见原文 |" for label, text in pairs)
    ),
    "elements": lambda pairs: "".join(f"<{label}>{text}</{label}>" for label, text in pairs),
    "entity elements": lambda pairs: "，".join(f'<entity type="{label}">{text}</entity>' for label, text in pairs),
    "nested elements": lambda pairs: "".join(f"<entity><label>{label}</label><text>{text}</text></entity>" for label, text in pairs),
    "records": lambda pairs: "\n\n".join(f"实体{number}：{text}\n类型：{label}" for number, (label, text) in enumerate(pairs, 1)),
    "YAML": lambda pairs: "\n".join(f"- label: {label}\n  text: {dumped(text)}" for label, text in pairs),
    "bold": lambda pairs: "\n".join(f"{number}. **{text}**（{label}）" for number, (label, text) in enumerate(pairs, 1)),
    "arrows": lambda pairs: "\n".join(f"{text} -> {label}" for label, text in pairs),
    "headings": lambda pairs: "\n\n".join(f"### {label}\n" + "\n".join(f"- {text}" for text in texts) for label, texts in by_label(pairs).items()),
}
ONLY_PLAIN: dict[str, Shape] = {
    "bullets": lambda pairs: "\n".join(f"- {label}：{'、'.join(texts)}" for label, texts in by_label(pairs).items()),
    "one line": lambda pairs: "；".join(f"{label}：{text}" for label, text in pairs),
    "YAML groups": lambda pairs: "\n".join(f"{label}:\n" + "\n".join(f"  - {text}" for text in texts) for label, texts in by_label(pairs).items()),
    "CSV": lambda pairs: "text,label\n" + "\n".join(f"{text},{label}" for label, text in pairs),
    "links": lambda pairs: "和".join(f"[{text}]({label})" for label, text in pairs),
    "bars": lambda pairs: "和".join(f"[{text} | {label}]" for label, text in pairs),
    "YEDDA": lambda pairs: "和".join(f"[@{text}#{label}*]" for label, text in pairs),
    "slashes": lambda pairs: " ".join(f"{text}/{label}" for label, text in pairs),
    "square colon": lambda pairs: "和".join(f"【{label}：{text}】" for label, text in pairs),
    "tags": lambda pairs: " ".join(f"{char}/{'B' if not place else 'I'}-{label}" for label, text in pairs for place, char in enumerate(text)),
    "is": lambda pairs: "，".join(f"“{text}”是{label}" for label, text in pairs) + "。",
    "constructor": lambda pairs: f"entities=[{', '.join(f'Entity(text={dumped(text)}, label={dumped(label)})' for label, text in pairs)}]",
}


@pytest.fixture(scope="module")
def task() -> Task:
    return find_task("clue").changed(names={name: name for name in KNOWN}, aliases={})


def drawn(dice: random.Random, strings: list[str]) -> tuple[str, list[Pair]]:
    """A sentence and pairs in it: no string is part of another, one label at least is known, and one in four unknown."""
    chosen = dice.sample(strings, dice.randint(1, 5))
    pairs = [(dice.choice(KNOWN if not place or dice.random() < 0.75 else UNKNOWN), text) for place, text in enumerate(chosen)]
    return "昨天" + "遇到了".join(chosen) + "那里。", pairs


@pytest.mark.parametrize("name", [*ANY, *ONLY_PLAIN])
def test_every_shape_of_an_answer_gives_the_same_pairs(task: Task, name: str) -> None:
    dice = random.Random(name)
    for _ in range(60):
        sentence, pairs = drawn(dice, STRINGS if name in ANY else PLAIN)
        output = {**ANY, **ONLY_PLAIN}[name](pairs)
        assert set(parse(output, task, sentence).pairs or []) == set(pairs), output
        assert parse(output, task, sentence).rules or name == "trained"
