"""Writes a task file and its prompt as text, from the rows of the raw files.

In: the task's name, its raw files, and the labels that stand in them. Out: the texts of `conf/task/<task>.yaml` and `data/prompts/<task>_prompt.txt`.

    ./ner new contracts --from data/dataset/sample.train.jsonl
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import chain, count

from tools.data.scaffold.said import NOTHING, Said
from tools.text import neutralise, padded

SOURCE = "TODO - whose texts these are, who annotated them and when, and under which licence"
SYSTEM = {
    "ner": "你是一个文本实体识别领域的专家，擅长从自然语言中提取不同类别的实体名称。",
    "classification": "你是一个文本分类领域的专家，你会接收到一段文本和几个潜在的分类选项，请输出文本内容的正确类型。",
}
# Text that needs no quotes in YAML, but for these words, which YAML 1.1, YAML 1.2 or OmegaConf reads as something else.
_PLAIN = re.compile(r"[^\W\d_](?:[\w ./-]*[\w-])?")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf", "infinity", "nan"}


@dataclass(frozen=True)
class Draft:
    """A task to be written. `raw` maps a split to its file; of a single file, `share` of the texts becomes dev; `labels` are counted and in their order.

    There are none where every row has its own options. `said` is what the reader needs to know beside.
    """

    name: str
    kind: str
    reader: str
    raw: dict[str, str]
    labels: Counter[str]
    share: float | None = None
    said: Said = NOTHING

    @property
    def names(self) -> dict[str, str]:
        """Each label's name in prompt and answer: the label itself where a prompt can hold it, else one that no other label has."""
        names: dict[str, str] = {}
        for label in self.labels:
            wanted = readable(label)
            candidates = chain([wanted], (f"{wanted}_{number}" for number in count(2)))
            names[label] = next(name for name in candidates if name not in names.values() and (name == label or name not in self.labels))
        return names

    @property
    def prompt(self) -> str:
        """The place of the prompt's file."""
        return f"data/prompts/{self.name}_prompt.txt"


def task_text(draft: Draft) -> str:
    """Returns the text of the task file."""
    division = _commented(f"split: {{dev: {draft.share}, seed: 42}}", "one file: this share of its texts becomes dev, by a hash of the text")
    answer = _commented("answer: {label: label, text: text, order: text}", "the JSON fields of an answer; entities as they stand in the text")
    lines = [
        f"# {draft.name}: made by `make new`; every value is yours to change.",
        "#",
        f"#   make check TASK={draft.name}",
        f"#   make data TASK={draft.name}",
        "",
        f"kind: {draft.kind}",
        f"source: {SOURCE}",
        "raw:",
        *(f"  {split}: {_filled_in(path)}" for split, path in draft.raw.items()),
        f"reader: {draft.reader}",
        *_said_lines(draft.said),
        *([division] if draft.share else []),
        f"system: {SYSTEM[draft.kind]}",
        f"prompt: {draft.prompt}",
        *_label_lines(draft),
        *([answer] if draft.kind == "ner" else []),
        _commented("version: 1", "raise it when prompt, split or scorer changes: older scores no longer compare"),
    ]
    return "\n".join(lines) + "\n"


def prompt_text(draft: Draft) -> str:
    """Returns the text of the prompt's file, a `str.format` template. The row's text comes last, so that a server can reuse its work on the rest.

    Where each row has options of its own, the rest differs anyway, and the text comes first.
    """
    if not draft.labels:
        return "文本：{text}\n类型选项：{options}\n正确类型：\n"
    # One a line, so that the user can write each one's meaning behind it.
    labels = "\n".join(f"- {name}" for name in draft.names.values())
    if draft.kind == "classification":
        return (
            "请判断给定的文本属于以下哪一个类别。\n\n"
            f"<类别集合>\n{labels}\n\n"
            "<任务说明>\n1. 只输出一个类别的名称，不要输出其他内容。\n2. 必须严格使用上面的类别名称（不可更改）。\n\n"
            "<输入文本>\n{text}\n"
        )
    return (
        "请从给定的句子中识别并提取出以下指定类别的实体。\n\n"
        f"<实体类别集合>\n{labels}\n\n"
        "<任务说明>\n1. 仅提取属于上述类别的实体，忽略其他类型的实体。\n2. 以json格式输出，对于每个识别出的实体，请提供：\n"
        "   - label: 实体类型，必须严格使用上面的类别名称（不可更改）\n   - text: 实体在原文中的内容\n3. 没有实体时，输出[]。\n\n"
        '<输出格式要求>\n```json\n[{{"label": "实体类别", "text": "实体名称"}}]\n```\n\n'
        "<输入文本>\n{text}\n"
    )


def readable(label: str) -> str:
    """Returns a label as a prompt can hold it: no braces (the prompt is a template), commas (they part labels), control tokens, control characters or outer spaces."""
    name = neutralise(label).translate({ord("{"): "｛", ord("}"): "｝", ord(","): "，"})
    name = "".join(c if c.isprintable() or c == "\u3000" else " " for c in name).strip()
    return {"": "label", "???": "？？？"}.get(name, name)  # '???' is OmegaConf's own word for what is missing


def scalar(value: str) -> str:
    """Returns text as a YAML scalar: in double quotes where some reader of YAML might not read it as text."""
    import yaml

    if _PLAIN.fullmatch(value) and value.casefold() not in _WORDS and value.isprintable():
        return value
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf")).rstrip("\n")


def _label_lines(draft: Draft) -> list[str]:
    names = draft.names
    if not names:
        return [_commented("labels: []", "each row has its own options")]
    if all(label == name for label, name in names.items()):
        about, lines = "the prompt lists them too", [f"  - {scalar(label)}" for label in names]
    else:
        about, lines = "label in the raw files: name in prompt and answer", [f"  {scalar(label)}: {scalar(name)}" for label, name in names.items()]
    numbers = map("{:,}".format, draft.labels.values())
    return [_commented("labels:", f"{about}; behind each, its number in the raw files"), *map(_commented, lines, numbers)]


def _said_lines(said: Said) -> list[str]:
    fields = ", ".join(f"{role}: {_filled_in(name)}" for role, name in said.fields.items())
    lines = [_commented(f"fields: {{{fields}}}", "which field or column of the raw file has what")] if fields else []
    if said.numbers:
        lines.append(_commented(f"numbers: [{', '.join(map(_filled_in, said.numbers))}]", "what the raw file's 0, 1, 2, … stand for"))
    return [*lines, _commented(f"offsets: {said.offsets}", "what the raw file's offsets count")] if said.offsets else lines


def _filled_in(value: str) -> str:
    """Returns text as a YAML scalar in which OmegaConf fills in no ${…}."""
    return scalar(value.replace("${", r"\${"))


def _commented(line: str, comment: str) -> str:
    return f"{padded(line, 38)} # {comment}"
