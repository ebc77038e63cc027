"""A task, `conf/task/<task>.yaml`: what is annotated, how it is asked, and how an answer is written.

In: the file, with key=value words laid over it. Out: a frozen Task, or every problem at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from tools.conf.overlays import available, container, merge
from tools.errors import all_at_once, choices
from tools.files import need_file
from tools.text import fold

TASKS = Path("conf/task")
DATASET = Path("data/dataset")
KINDS = ("ner", "classification")
ORDERS = ("source", "text")
ON_ERROR = ("stop", "skip")
# How models say that there is nothing, in place of a list or of an entity; a task's `nothing` adds to it. Compared after `fold`.
NOTHING = (
    *("没有找到任何实体", "没有找到实体", "没有找到", "未找到任何实体", "未找到实体", "未找到", "找不到任何实体", "找不到实体"),
    *("没有任何实体", "没有实体", "无任何实体", "无实体", "没有命名实体", "没有任何命名实体", "无命名实体"),
    *("不存在任何实体", "不存在实体", "不存在", "不包含任何实体", "不包含实体", "未提及", "未发现任何实体", "未发现实体"),
    *("没有发现任何实体", "没有发现实体", "未识别到任何实体", "未识别到实体", "没有识别到任何实体", "没有识别到实体"),
    *("未识别出任何实体", "未识别出实体", "没有识别出任何实体", "没有识别出实体", "未检测到任何实体", "未检测到实体"),
    *("没有符合条件的实体", "没有相关实体", "无相关实体", "没有可提取的实体", "没有需要提取的实体"),
    *("没有", "无", "空", "暂无", "空列表"),
    *("none", "null", "nil", "n/a", "na", "nothing", "empty", "no entity", "no entities"),
    *("no entities found", "no entity found", "no named entities", "no named entity", "not found"),
)


@dataclass(frozen=True)
class Answer:
    """How an answer is written: the JSON field names of label and text, which of them comes first, and the order of entities ('source' or 'text')."""

    label: str = "label"
    text: str = "text"
    order: str = "source"
    text_first: bool = False  # as the task file's `answer` lists them


@dataclass(frozen=True)
class Shares:
    """How one raw file is divided: each split's share of the texts, in [0, 1], by a hash of seed and text; what is left stays in the raw file's own split."""

    of: dict[str, float]
    seed: int = 42


@dataclass(frozen=True)
class Task:
    """One task file, checked. `raw` maps a split to a path, which may end in a slice of rows: `train.jsonl[:-1000]`.

    `labels` are the raw files' own; `names` says how the prompt and the answers call them (themselves, where the file lists no other name). A classification
    task may have none: then its labels are whatever the rows' options are. `aliases` are more names that an answer may use for a label, and `nothing` more ways
    to say that there is no entity (beside NOTHING); neither is ever shown to the model.
    """

    path: Path
    kind: str
    raw: dict[str, str]
    reader: str
    system: str
    prompt: Path
    labels: list[str]
    names: dict[str, str]
    source: str = ""
    answer: Answer = field(default_factory=Answer)
    split: Shares | None = None
    on_error: str = "stop"
    version: int = 1
    aliases: dict[str, list[str]] = field(default_factory=dict)
    nothing: list[str] = field(default_factory=list)
    published: list[dict[str, Any]] = field(default_factory=list)  # figures that others reached: model, split, metric, f1, source

    @cached_property
    def spellings(self) -> dict[str, tuple[str, str]]:
        """Every way to write a label in an answer → (the label, the parser's rule that this takes: '' for the name that is trained).

        Look a word up as it is, then folded: a folded spelling stands here where it can mean only one label.
        """
        known = {name: (label, "") for label, name in self.names.items()}
        for label in self.names:
            known.setdefault(label, (label, "file_label"))
        for label, others in self.aliases.items():
            for alias in others:
                known.setdefault(alias, (label, "label_alias"))
        folded: dict[str, set[str]] = {}
        for spelling, (label, _) in known.items():
            folded.setdefault(fold(spelling), set()).add(label)
        for spelling, labels in folded.items():
            if len(labels) == 1:
                known.setdefault(spelling, (next(iter(labels)), "label_spelling"))
        return known

    @cached_property
    def sentinels(self) -> frozenset[str]:
        """Every way to say that there is nothing, folded."""
        return frozenset(fold(word) for word in (*NOTHING, *self.nothing))

    @property
    def name(self) -> str:
        """The conf file's stem; names the examples, the Alpaca files and the score."""
        return self.path.stem

    def examples(self, split: str, dataset: Path = DATASET) -> Path:
        """Where the canonical examples of a split are: `<dataset>/examples/<task>_<split>.jsonl`."""
        return dataset / "examples" / f"{self.name}_{split}.jsonl"


def load_task(path: Path, overrides: Sequence[str] = ()) -> Task:
    """A task with key=value `overrides` laid over it; all its problems are raised at once as a ToolError."""
    need_file(path, available(TASKS).strip())
    values = container(merge(path, overrides), path)
    problems = _task_problems(path, values)
    all_at_once(problems)
    raw = {split: str(value) for split, value in values["raw"].items() if value is not None}
    fields_given = list(values.get("answer", {}))
    text_first = "text" in fields_given and (fields_given.index("text") < fields_given.index("label") if "label" in fields_given else False)
    answer = Answer(**values.get("answer", {}), text_first=text_first)
    labels = values.get("labels") or []
    names = labels if isinstance(labels, dict) else {label: label for label in labels}
    shares = dict(values["split"]) if values.get("split") else None
    split = Shares(seed=shares.pop("seed", 42), of=shares) if shares else None
    return Task(
        path=path,
        kind=values["kind"],
        raw=raw,
        reader=values["reader"],
        labels=list(names),
        names=names,
        answer=answer,
        split=split,
        on_error=values.get("on_error", "stop"),
        prompt=Path(values["prompt"]),
        system=values["system"],
        source=values.get("source", ""),
        version=values.get("version", 1),
        aliases=values.get("aliases") or {},
        nothing=values.get("nothing") or [],
        published=values.get("published") or [],
    )


def find_task(name: str, overrides: Sequence[str] = ()) -> Task:
    """The task of that name in `conf/task/`."""
    return load_task(TASKS / f"{name}.yaml", overrides)


def _task_problems(path: Path, values: dict[str, Any]) -> list[str]:
    known = [f.name for f in fields(Task) if f.name not in ("path", "names")]
    problems = [f"{path}: unknown key '{key}'.{choices(key, known)}" for key in values if key not in known]
    wanted: dict[str, Any] = {"kind": str, "raw": dict, "reader": str, "system": str, "prompt": str, "labels": (list, dict)}
    optional: dict[str, Any] = {
        "source": str,
        "answer": dict,
        "version": int,
        "split": dict,
        "on_error": str,
        "aliases": dict,
        "nothing": list,
        "published": list,
    }
    for key, kind in {**wanted, **optional}.items():
        if key in wanted and values.get(key) in (None, "", [], {}) and not (key == "labels" and values.get("kind") == "classification"):
            problems.append(f"{path}: `{key}` is missing.")
        elif values.get(key) is not None and not isinstance(values[key], kind):
            problems.append(f"{path}: `{key}` must be a {_YAML_NAMES[kind]}, this is a {type(values[key]).__name__}.")
    if problems:
        return problems
    for key, allowed in {"kind": KINDS, "on_error": ON_ERROR}.items():
        if values.get(key, allowed[0]) not in allowed:
            problems.append(f"{path}: unknown {key} '{values[key]}'.{choices(values[key], allowed)}")
    return (
        problems
        + _label_problems(path, values.get("labels") or [])
        + _answer_problems(path, values.get("answer") or {})
        + _split_problems(path, values)
        + _alias_problems(path, values.get("labels") or [], values.get("aliases") or {})
        + [
            f"{path}: nothing: {word!r} must be text, and not empty."
            for word in values.get("nothing") or []
            if not isinstance(word, str) or not word.strip()
        ]
        + _published_problems(path, values.get("published") or [])
    )


def _label_problems(path: Path, labels: list[Any] | dict[Any, Any]) -> list[str]:
    names = [*labels, *(labels.values() if isinstance(labels, dict) else [])]
    if not all(isinstance(label, str) and label for label in names):
        return [f"{path}: every label must be text; quote what YAML would read as something else (no, on, 1)."]
    for kind, group in (("labels", list(labels)), ("names of labels", list(labels.values()) if isinstance(labels, dict) else [])):
        if twice := sorted({label for label in group if group.count(label) > 1}):
            return [f"{path}: {kind} stand twice: {', '.join(twice)}."]
    return []


def _answer_problems(path: Path, answer: dict[str, Any]) -> list[str]:
    names = ("label", "text", "order")
    problems = [f"{path}: unknown key 'answer.{key}'.{choices(key, names)}" for key in answer if key not in names]
    problems += [f"{path}: answer.{key} must be text, this is {answer[key]!r}." for key in names if not isinstance(answer.get(key, ""), str)]
    if (order := answer.get("order", "source")) not in ORDERS:
        problems.append(f"{path}: unknown answer.order '{order}'.{choices(str(order), ORDERS)}")
    if answer.get("label", "label") == answer.get("text", "text"):
        problems.append(f"{path}: answer.label and answer.text must be different names.")
    return problems


def _alias_problems(path: Path, labels: list[Any] | dict[Any, Any], aliases: dict[str, Any]) -> list[str]:
    problems = []
    names = {label: labels[label] if isinstance(labels, dict) else label for label in labels if isinstance(label, str)}
    own = {fold(str(word)): label for label, name in names.items() for word in (name, label)}
    owner: dict[str, str] = {}
    for label, words in aliases.items():
        if names and label not in names:
            problems.append(f"{path}: aliases: unknown label '{label}'.{choices(str(label), map(str, names))}")
        if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
            problems.append(
                f"{path}: aliases.{label} must be a list of names, this is {words!r}; quote what YAML would read as something else (no, on, 1)."
            )
            continue
        for word in map(fold, words):
            if own.get(word, label) != label:
                problems.append(f"{path}: aliases.{label}: '{word}' is the label '{own[word]}' itself.")
            elif word in owner:
                problems.append(f"{path}: aliases: '{word}' stands twice: for '{owner[word]}' and for '{label}'.")
            owner.setdefault(word, str(label))
    return problems


def _split_problems(path: Path, values: dict[str, Any]) -> list[str]:
    split = values.get("split")
    if not split:
        return []
    shares = {name: share for name, share in split.items() if name != "seed"}
    problems = [
        f"{path}: split.{name} must be a share between 0 and 1, this is {share!r}."
        for name, share in shares.items()
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1
    ]
    if type(split.get("seed", 0)) is not int:
        problems.append(f"{path}: split.seed must be a whole number, this is {split['seed']!r}.")
    if not shares:
        problems.append(f"{path}: split names no share; write e.g. `split: {{dev: 0.1, seed: 42}}`.")
    if not problems and sum(shares.values()) >= 1:
        problems.append(f"{path}: the shares of split add up to {sum(shares.values()):g}; less than 1 must be left for the rest.")
    raw = [name for name, value in values["raw"].items() if value is not None]
    if len(raw) != 1:
        problems.append(f"{path}: split divides one raw file, and raw names {len(raw)} ({', '.join(raw)}); keep one of the two.")
    problems += [f"{path}: raw and split both name '{name}'." for name in shares if name in raw]
    return problems


def _published_problems(path: Path, published: list[Any]) -> list[str]:
    wanted: dict[str, Any] = {"model": str, "split": str, "metric": str, "f1": (int, float), "source": str}
    problems = []
    for number, figure in enumerate(published, 1):
        if not isinstance(figure, dict) or set(figure) != set(wanted) or not all(isinstance(figure[key], kind) for key, kind in wanted.items()):
            problems.append(f"{path}: published figure {number} must have model, split, metric and source as text, and f1 as a number.")
        elif not 0 <= figure["f1"] <= 1:
            problems.append(f"{path}: published figure {number}: f1 must be between 0 and 1, this is {figure['f1']}.")
    return problems


_YAML_NAMES: dict[Any, str] = {
    list: "list",
    str: "string",
    dict: "mapping",
    (list, dict): "list, or a mapping to the names in answers",
    int: "whole number",
}
