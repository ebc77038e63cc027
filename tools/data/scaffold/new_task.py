"""Writes a task file and its prompt as text, from the rows of the raw files.

In: the task's name, its raw files, and what their reader found in them. Out: the texts of `conf/task/<task>.yaml` and `data/prompts/<task>_prompt.txt`.

    ./ner new contracts --from data/dataset/sample.train.jsonl
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field

from tools.conf.task import KINDS
from tools.data.readers.row import LONE_SURROGATE
from tools.data.scaffold.guess import Trial
from tools.errors import WANTING, ToolError
from tools.text import LONGEST_LABEL, neutralise

MANY = 100  # labels; a prompt with more is long, and more often than not the field is no label
MOST = 1000
SOURCE = "TODO - whose texts these are, who annotated them and when, and under which licence"
SYSTEM = {
    "ner": "你是一个文本实体识别领域的专家，擅长从自然语言中提取不同类别的实体名称。",
    "classification": "你是一个文本分类领域的专家，你会接收到一段文本和几个潜在的分类选项，请输出文本内容的正确类型。",
}
# Words that YAML 1.1, YAML 1.2 or OmegaConf doesn't read as text.
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf", "infinity", "nan"}
_PLAIN = re.compile(r"[^\W\d_](?:[\w -]*[\w-])?")
_PLAIN_PATH = re.compile(r"[^\W\d_][\w./-]*")


@dataclass(frozen=True)
class Draft:
    """A task to be written. `raw` maps a split to its file; of a single file, `share` of the texts becomes dev; `labels` are counted and in their order."""

    name: str
    kind: str
    reader: str
    raw: dict[str, str]
    labels: Counter[str]
    share: float | None = None
    offered: int = 0  # different options, where every row has its own: then the task lists no labels
    dropped: list[str] = field(default_factory=list)  # labels that no task can have

    @property
    def names(self) -> dict[str, str]:
        """Each label's name in prompt and answer: the label itself where a prompt can hold it."""
        names: dict[str, str] = {}
        for label in self.labels:
            name = wanted = readable(label)
            for number in range(2, len(self.labels) + 2):
                if name not in names.values() and (name == label or name not in self.labels):
                    break
                name = f"{wanted}_{number}"
            names[label] = name
        return names

    @property
    def prompt(self) -> str:
        """The place of the prompt's file."""
        return f"data/prompts/{self.name}_prompt.txt"


def kind_of(trials: list[Trial], asked: str | None, name: str) -> str:
    """Returns 'ner' or 'classification', by the annotation. Raises ToolError for files with both and no `asked`, with neither, or without `asked`."""
    found = {"ner": sum(r.entities.total() for r in trials), "classification": sum(r.classes.total() for r in trials)}
    if not any(found.values()):
        raise ToolError(
            f"{name}: no entity and no class in its {sum(r.rows for r in trials):,} rows: there is nothing to learn from. Annotate some first.",
            WANTING,
        )
    if asked and not found[asked]:
        other = next(kind for kind in KINDS if found[kind])
        raise ToolError(f"{name}: no row has {'an entity' if asked == 'ner' else 'a class'}; --kind {other} fits its annotation.", WANTING)
    if asked:
        return asked
    if all(found.values()):
        raise ToolError(
            f"{name}: {found['ner']:,} entities, and {found['classification']:,} rows with a class; what is the task about? Choose --kind ner or --kind classification"
            ' (make: ARGS="--kind ner").'
        )
    return next(kind for kind in KINDS if found[kind])


def labels_of(trials: list[Trial], kind: str, order: str, name: str) -> tuple[Counter[str], list[str], int]:
    """Returns (labels with their counts, labels that no task can have, number of options). Where every row has its own options there are no labels.

    Order 'frequency' is the most frequent first, equals by first appearance; 'first' is by first appearance. Raises ToolError for no label, or more than MOST.
    """
    counts: Counter[str] = sum((r.entities if kind == "ner" else r.classes for r in trials), Counter())
    if kind == "classification" and all(r.with_options == r.rows for r in trials):
        offered: set[str] = set().union(*(r.options for r in trials))
        return Counter(), [], len(offered)
    if kind == "classification":
        counts.update({option: 0 for r in trials for option in r.options})
    dropped = [label for label in counts if not label.strip() or len(label) > LONGEST_LABEL or LONE_SURROGATE.search(label)]
    kept = Counter({label: count for label, count in counts.items() if label not in dropped})
    if len(kept) > MOST:
        raise ToolError(
            f"{name}: {len(kept):,} labels, e.g. {', '.join(map(repr, list(kept)[:3]))}: that is hardly a label but a text of its own. Is it the right field? If it is,"
            " write the task file by hand: docs/own-data.md.",
            WANTING,
        )
    if not kept:
        raise ToolError(f"{name}: every label in it is empty, or far too long to be one.", WANTING)
    return Counter(dict(kept.most_common())) if order == "frequency" else kept, dropped, 0


def task_text(draft: Draft) -> str:
    """Returns the text of the task file."""
    lines = [
        f"# {draft.name}: made by `make new`; every value is yours to change.",
        "#",
        f"#   make check TASK={draft.name}",
        f"#   make data TASK={draft.name}",
        "",
        f"kind: {draft.kind}",
        f"source: {SOURCE}",
        "raw:",
        *(f"  {split}: {scalar(path, _PLAIN_PATH)}" for split, path in draft.raw.items()),
        f"reader: {draft.reader}",
    ]
    if draft.share:
        lines.append(_commented(f"split: {{dev: {draft.share:g}, seed: 42}}", "one file: this share of its texts becomes dev, by a hash of the text"))
    lines += [
        f"system: {SYSTEM[draft.kind]}",
        f"prompt: {draft.prompt}",
        *_label_lines(draft),
    ]
    if draft.kind == "ner":
        lines.append(
            _commented("answer: {label: label, text: text, order: text}", "the JSON fields of an answer; entities as they stand in the text")
        )
    lines.append(_commented("version: 1", "raise it when prompt, split or scorer changes: older scores no longer compare"))
    return "\n".join(lines) + "\n"


def prompt_text(draft: Draft) -> str:
    """Returns the text of the prompt's file, a `str.format` template. The row's text comes last, so that a server can reuse its work on the rest."""
    if draft.kind == "classification" and draft.offered:
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


def scalar(value: str, plain: re.Pattern[str] = _PLAIN) -> str:
    """Returns text as a YAML scalar: in double quotes where some reader of YAML might not read it as text."""
    if plain.fullmatch(value) and value.casefold() not in _WORDS and value.isprintable():
        return value
    escaped = re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if plain is _PLAIN_PATH else value  # OmegaConf fills in ${…}
    return "".join(c if c.isprintable() else _escape(c) for c in json.dumps(escaped, ensure_ascii=False))


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def _label_lines(draft: Draft) -> list[str]:
    if not draft.labels:
        return [_commented("labels: []", "each row has its own options")]
    names = draft.names
    if all(label == name for label, name in names.items()):
        lines = [_commented("labels:", "the prompt lists them too; behind each, its number in the raw files")]
        return lines + [_commented(f"  - {scalar(label)}", f"{count:,}") for label, count in draft.labels.items()]
    lines = [_commented("labels:", "label in the raw files: name in prompt and answer; behind each, its number in the raw files")]
    return lines + [_commented(f"  {scalar(label)}: {scalar(names[label])}", f"{count:,}") for label, count in draft.labels.items()]


def _commented(line: str, comment: str) -> str:
    return f"{line.ljust(38)} # {comment}" if len(line) < 39 else f"{line}   # {comment}"
