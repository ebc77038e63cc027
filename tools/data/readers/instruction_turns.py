"""Takes a row of instruction tuning apart: what is asked, field by field, and the answer.

In: a row of any of the common forms. Out: Turns. One table has the fields' names.

{"instruction": "…", "input": "…", "output": "…"}                                       Alpaca
{"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}]}      ShareGPT
{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}  OpenAI
{"kind": "NER", "input": "…", "target": "…"}, {"prompt": "…", "response": "…"}           Firefly, BELLE and others

Sources: github.com/hiyouga/LLaMA-Factory data/README.md; OpenAI's guide to fine-tuning; huggingface.co/datasets/YeungNLP/firefly-train-1.1M.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tools.data.raw.fields import Unusable
from tools.data.raw.row import shown

# The fields of one turn that may hold a row's text, and those that may hold its answer; of the latter the first that is there is taken.
ASKED = ("system", "instruction", "prompt", "query", "question", "input", "context", "text")
BESIDE = {"system", "context", "text"}  # these alone ask nothing
ANSWERED = ("output", "response", "completion", "target", "answer")
CHINESE = {
    "系统": "system",
    "指令": "instruction",
    "提示": "prompt",
    "问题": "question",
    "输入": "input",
    "输出": "output",
    "回答": "answer",
    "答案": "answer",
}
# The field of a list of turns, with the names of the role and of the words in each.
CHATS = {"conversations": (("from", "role"), ("value", "content")), "messages": (("role", "from"), ("content", "value"))}
SIDES = {"human": "input", "assistant": "output"}  # of Firefly's and XTuner's `conversation`
ROLES = {
    **dict.fromkeys(("system",), "system"),
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "bot", "chatgpt", "model"), "answer"),
}


class Turns(NamedTuple):
    """What a row asks, by field ('user' and 'system' for a chat), without empty fields, and its answer: a string, or JSON as it stands in the row."""

    asked: dict[str, str]
    answer: Any


def canonical(key: str) -> str:
    """Returns the table's name of a row's field."""
    key = key.strip().lower()
    return CHINESE.get(key, key)


def turns_of(row: dict[str, Any]) -> Turns:
    """Returns a row's turns. Raises Unusable for a row of another kind, and for one of several turns."""
    row = {canonical(key): value for key, value in row.items()}
    if key := next((key for key in CHATS if isinstance(row.get(key), list)), ""):
        return _chat(row, key)
    if isinstance(one := row.get("conversation"), list):
        if len(one) != 1 or not isinstance(one[0], dict):
            raise Unusable(f"one question and one answer are needed, 'conversation' has {len(one)} turns.", "named")
        row = {**row, **{SIDES.get(str(side), str(side)): value for side, value in one[0].items()}}
    answered = next((key for key in ANSWERED if key in row), "")
    asked = {key: row[key] for key in ASKED if isinstance(row.get(key), str) and row[key].strip()}
    if any(one in asked.get("text", "") for key, one in asked.items() if key != "text"):
        del asked["text"]  # the whole prompt, made of the other fields
    if not answered or not asked.keys() - BESIDE:
        raise Unusable(f"no question ({', '.join(ASKED[1:6])}) with an answer ({', '.join(ANSWERED)}); the row's keys are {shown(list(row))}.")
    if row.get("history"):
        raise Unusable("the row has a 'history' of earlier turns; one question and one answer are read.", "named")
    return Turns(asked, row[answered])


def _chat(row: dict[str, Any], key: str) -> Turns:
    asked = {"system": row["system"]} if isinstance(row.get("system"), str) and row["system"].strip() else {}
    answers = []
    for turn in row[key]:
        role, words = _turn(turn, *CHATS[key])
        if role == "answer":
            answers.append(words)
        elif role in asked:
            raise Unusable(f"several turns of '{role}' in '{key}'; one question and one answer are read.", "named")
        elif words.strip():
            asked[role] = words
    if len(answers) != 1 or "user" not in asked:
        raise Unusable(f"one question and one answer are needed, '{key}' has {len(answers)} answers: {shown(row[key])}.")
    return Turns(asked, answers[0])


def _turn(turn: Any, roles: tuple[str, ...], contents: tuple[str, ...]) -> tuple[str, str]:
    """Returns a turn's role ('system', 'user' or 'answer') and its words."""
    if isinstance(turn, dict):
        role = next((turn[key] for key in roles if key in turn), None)
        words = next((turn[key] for key in contents if key in turn), None)
        if isinstance(words, list) and len(words) == 1 and isinstance(words[0], dict):  # OpenAI's parts of a message
            words = words[0].get("text")
        if isinstance(role, str) and role in ROLES and isinstance(words, str):
            return ROLES[role], words
    raise Unusable(f"a turn must have one of the roles {', '.join(ROLES)} and its words, it is {shown(turn)}.")
