"""Made-up rows in which names, towns and firms recur, for tests of suspects and of what annotators bring back."""

from __future__ import annotations

import random

from tools.example import Entity, Example

NAMES = ["林晓", "周建国", "欧阳娜", "陈一鸣", "王小川", "孟繁星", "赵海棠", "李云飞"]
TOWNS = ["云岭县", "青石镇", "长乐市", "河西区", "南湾镇", "东港市"]
FIRMS = ["远大公司", "星河集团", "百川银行", "江南银行", "华天公司", "北辰集团"]
FRAMES = [
    "{name}昨天从{town}去了{firm}。",
    "{firm}的{name}说，{town}很好。",
    "在{town}，{name}见到了{firm}的人。",
    "记者在{town}采访{firm}。",
    "{name}说，天气很好。",
]
LABELS = ["name", "address", "company"]


def rows(count: int, seed: int = 0, task: str = "toy", split: str = "train") -> list[Example]:
    """Returns rows without a mistake."""
    chance = random.Random(seed)
    made = []
    for number in range(1, count + 1):
        frame, words = chance.choice(FRAMES), {"name": chance.choice(NAMES), "town": chance.choice(TOWNS), "firm": chance.choice(FIRMS)}
        text = frame.format(**words)
        entities = [(label, words[key]) for key, label in (("name", "name"), ("town", "address"), ("firm", "company")) if f"{{{key}}}" in frame]
        made.append(marked(f"{task}-{split}-{number:06d}", text, *entities))
    return made


def marked(id: str, text: str, *entities: tuple[str, str]) -> Example:
    """Returns an example whose entities are the first places of (label, string) pairs, from the left."""
    found = [Entity(label, string, text.index(string), text.index(string) + len(string)) for label, string in entities]
    return Example(id, text, sorted(found, key=lambda one: one.start))
