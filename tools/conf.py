"""Reads the two kinds of YAML: a run (`conf/<run>.yaml`, native LLaMA-Factory keys) and a task (`conf/task/<task>.yaml`).

In: a file, then overlays and key=value words. Out: a frozen Run or Task. One merge order everywhere: file < overlays in the order given < key=value.
"""

from __future__ import annotations

import argparse
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.errors import ToolError, all_at_once, choices
from tools.files import need_file, read_json, read_text, sha256

if TYPE_CHECKING:
    from omegaconf import DictConfig

ROOT = Path(__file__).resolve().parent.parent
TASKS = Path("conf/task")
RUNS = Path("conf")
DATASET = Path("data/dataset")
SERVE = "serve"  # conf/serve*.yaml are vLLM's house defaults, not runs
KINDS = ("ner", "classification")
ORDERS = ("source", "text")
ON_ERROR = ("stop", "skip")
PEFT_METHODS = ("prefix", "p_tuning")
CHECKPOINT = re.compile(r"checkpoint-(?P<step>\d+)")
PLAIN_CHECKPOINTS = "pissa_checkpoints"  # in a PiSSA run's folder: its checkpoints as plain LoRA adapters
QUANTIZATIONS = ("awq", "gptq", "fp8")  # how `make quantize` can quantise a merged model
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
LONGEST_LABEL = 200  # characters; folding what is longer could take time that isn't linear
DATASET_NAME = re.compile(r"alpaca_(?P<task>.+)_(?P<split>[^_]+)")


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


@dataclass(frozen=True)
class Run:
    """One run file with its overlays and overrides laid over it. `values` are LLaMA-Factory's own keys."""

    path: Path
    values: dict[str, Any]
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The conf file's stem; also the output folder's and the served model's name."""
        return self.path.stem

    @property
    def output_dir(self) -> Path:
        """Where LLaMA-Factory writes the adapter: `data/outputs/<run>` unless the run says otherwise."""
        return Path(str(self.values["output_dir"]))

    @property
    def resolved(self) -> Path:
        """The one file that LLaMA-Factory was given."""
        return self.output_dir / "run.yaml"

    @property
    def merged(self) -> Path:
        """Where `make export` puts the merged model."""
        return self.output_dir / "merged"

    def quantized(self, method: str) -> Path:
        """Where `make quantize` puts the merged model in 4 or 8 bits: `merged-awq`, for instance."""
        return self.output_dir / f"merged-{method}"

    @property
    def best_record(self) -> Path:
        """Where `make best` says which checkpoint scored best."""
        return self.output_dir / "best.json"

    def checkpoints(self) -> list[tuple[int, Path]]:
        """(step, folder) of each checkpoint in the output folder, in no order, whole or not."""
        found = [(CHECKPOINT.fullmatch(path.name), path) for path in self.output_dir.glob("checkpoint-*")]
        return [(int(match["step"]), path) for match, path in found if match and path.is_dir()]

    def is_stale(self, record: Path) -> bool:
        """Whether a model was made from another adapter than the one that is there now, as the record in its folder says; False where nobody can tell."""
        if not record.is_file():
            return False
        origin = read_json(record)
        adapter = self.output_dir / origin.get("adapter", ".") / "adapter_model.safetensors"
        return adapter.is_file() and origin.get("adapter_sha256") != sha256(adapter)

    def best_adapter(self) -> Path:
        """The folder of the checkpoint that scored best. Raises ToolError before `make best`, and where that checkpoint is gone."""
        record = need_file(self.best_record, f"Which checkpoint is best? make best CONF={self.path}")
        folder = self.adapter(str(read_json(record)["checkpoint"]))
        if not (folder / "adapter_model.safetensors").is_file():
            raise ToolError(f"{record}: {folder.name}, the best checkpoint, is gone: make best CONF={self.path}")
        return folder

    def adapter(self, which: str = "adapter") -> Path:
        """The folder of the adapter that is exported, served or asked as `which`: a checkpoint's by its folder's name, the 'best' one's, else the last.

        A PiSSA run's checkpoint fits no model on the disk; its plain copy is meant, where there is one. Raises ToolError as `best_adapter` does.
        """
        if which == "best":
            return self.best_adapter()
        if not CHECKPOINT.fullmatch(which):
            return self.output_dir
        plain = self.output_dir / PLAIN_CHECKPOINTS / which
        return plain if plain.is_dir() else self.output_dir / which

    def need_plain(self, adapter: Path) -> Path:
        """`adapter`, a folder, unless PiSSA's training left an adapter in it that fits no model on the disk: then a ToolError with the command that converts it."""
        if is_pissa(adapter):
            raise ToolError(
                f"{adapter}: still PiSSA's own adapter, which fits only the weights that its training changed. To make a plain one of it: make train"
                f" CONF={self.path} (a training that was interrupted goes on first)."
            )
        return adapter

    @property
    def base_model(self) -> str:
        """The base model's folder, or its name on a hub."""
        return str(self.values["model_name_or_path"])

    @property
    def base_name(self) -> str:
        """The base model's last path component: its name at the server."""
        return Path(self.base_model).name

    @property
    def engine(self) -> str:
        """Who trains it: 'llamafactory', or 'peft' for the runs in conf/peft/ and for methods that LLaMA-Factory hasn't."""
        return "peft" if self.path.parent.name == "peft" or self.values.get("finetuning_type") in PEFT_METHODS else "llamafactory"

    @property
    def dataset(self) -> Path:
        """The folder that holds `examples/` and `alpaca/`: the parent of the run's `dataset_dir`."""
        return Path(str(self.values.get("dataset_dir", DATASET / "alpaca"))).parent

    @property
    def task(self) -> str:
        """The task that the run trains, read from its datasets (`alpaca_<task>_<split>`). Raises ToolError where that isn't one."""
        names = dataset_names(self.values.get("dataset"))
        tasks = sorted({match["task"] for name in names if (match := DATASET_NAME.fullmatch(name))})
        if len(tasks) != 1:
            raise ToolError(f"{self.path}: `dataset: {self.values.get('dataset')}` doesn't tell the task; name it with --task (make: TASK=…).")
        return tasks[0]

    def trained(self) -> Run:
        """The run as it was trained: the resolved file in its output folder, or this run where LLaMA-Factory was called natively."""
        if not self.resolved.is_file():
            return self
        values = _container(load_yaml(self.resolved), self.resolved)
        return Run(self.path, {**values, "output_dir": str(self.output_dir)}, self.overrides)


def is_pissa(adapter: Path) -> bool:
    """Whether the adapter in a folder is one that fits only the weights that PiSSA changed; tools/train/pissa.py makes a plain one of it."""
    config = adapter / "adapter_config.json"
    return config.is_file() and str(read_json(config).get("init_lora_weights")).startswith("pissa")


def dataset_names(value: Any) -> list[str]:
    """LLaMA-Factory's `dataset` / `eval_dataset` value ("a, b", a list or nothing) as names."""
    parts = value if isinstance(value, list) else str(value or "").split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def add_run(parser: argparse.ArgumentParser) -> None:
    """The words that every tool about a run begins with: its conf file, then overlays and key=value."""
    parser.add_argument("conf", nargs="?", type=Path, metavar="conf/<run>.yaml", help="the run (make: CONF=…)")
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value", help="laid over the run, in the order given (make: ARGS=…)")


def run_from(args: argparse.Namespace) -> Run:
    """The run that `add_run`'s words name."""
    if args.conf is None:
        raise ToolError(f"no run is named; say CONF=conf/<run>.yaml.{_available(RUNS)}")
    return load_run(args.conf, args.overrides)


def load_run(path: Path, overrides: Sequence[str] = ()) -> Run:
    """A run with `overrides` (overlay files and key=value) laid over it.

    Raises ToolError for a missing or broken file, a secret among the values, or an output folder that later steps couldn't find.
    """
    need_file(path, _available(RUNS).strip())
    values = _container(merge(path, overrides), path)
    problems = [f"{path}: `{key}` is missing." for key in ("model_name_or_path", "output_dir", "dataset") if not values.get(key)]
    for key, value in values.items():
        if re.search(r"(_token|_api_key|_secret|password)$", key) and value:
            problems.append(f"{path}: `{key}` is a secret and doesn't belong in a file or in argv; export it in the environment instead.")
    if values.get("output_dir") and Path(str(values["output_dir"])).name != path.stem:
        problems.append(
            f"{path}: `output_dir: {values['output_dir']}` must end in the run's name, e.g. data/outputs/{path.stem}: later steps look there."
        )
    all_at_once(problems)
    return Run(path, values, tuple(overrides))


def origins(run: Run) -> dict[str, str]:
    """Where each value of a run comes from: 'run', an overlay's path, or 'command line'; the last that names it."""
    found = dict.fromkeys(map(str, load_yaml(run.path)), "run")
    for word in run.overrides:
        if word.endswith((".yaml", ".yml")) and "=" not in word:
            found |= dict.fromkeys(map(str, load_yaml(Path(word))), word)
    return found | {word.partition("=")[0].split(".")[0]: "command line" for word in run.overrides if re.match(r"[\w.\-]+=", word)}


def load_task(path: Path, overrides: Sequence[str] = ()) -> Task:
    """A task with key=value `overrides` laid over it; all its problems are raised at once as a ToolError."""
    need_file(path, _available(TASKS).strip())
    values = _container(merge(path, overrides), path)
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


def fold(word: str) -> str:
    """A word as it is compared where its exact form isn't: Unicode's NFKC form without white space around it, in lower case. Longer than LONGEST_LABEL, itself."""
    return unicodedata.normalize("NFKC", word).strip().casefold() if len(word) <= LONGEST_LABEL else word


def find_task(name: str, overrides: Sequence[str] = ()) -> Task:
    """The task of that name in `conf/task/`."""
    return load_task(TASKS / f"{name}.yaml", overrides)


def merge(path: Path, overrides: Sequence[str]) -> DictConfig:
    """`path` < overlay files in the order given < key=value words; a ToolError names a word that is neither."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    layers, words = [load_yaml(path)], []
    for word in overrides:
        if re.match(r"[\w.\-]+=", word):
            words.append(word)
        elif word.endswith((".yaml", ".yml")):
            layers.append(load_yaml(need_file(Path(word), _available(RUNS / "overlay").strip())))
        else:
            raise ToolError(f"'{word}': neither key=value nor an overlay file (.yaml).{_available(RUNS / 'overlay')}")
    try:
        merged = OmegaConf.merge(*layers, OmegaConf.from_dotlist(words))
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        raise ToolError(f"{path}: can't lay {' '.join(overrides)} over it: {_first_line(error)}") from None
    except Exception as error:  # a value that isn't YAML: PyYAML's own errors
        raise ToolError(f"{' '.join(words)}: not readable as YAML: {_first_line(error)}") from None
    return merged  # type: ignore[return-value]


def load_yaml(path: Path) -> DictConfig:
    """A YAML mapping as LLaMA-Factory itself would load it (OmegaConf: duplicate keys are refused); a ToolError names file and line."""
    import yaml
    from omegaconf import DictConfig, OmegaConf

    try:
        loaded = OmegaConf.create(read_text(path))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ToolError(f"{path}:{line}: {error.problem or error.context}.") from None
    except Exception as error:
        raise ToolError(f"{path}: {_first_line(error)}") from None
    if not isinstance(loaded, DictConfig):
        raise ToolError(f"{path}: must hold `key: value` lines.")
    return loaded


def _container(config: DictConfig, path: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ToolError(f"{path}: {_first_line(error)}") from None
    return {str(key): value for key, value in values.items()}  # type: ignore[union-attr]


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


def _available(folder: Path) -> str:
    names = sorted(str(file) for file in folder.glob("*.yaml") if not file.name.startswith(SERVE))
    return f" Available: {', '.join(names) or 'none'}."


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".") + "."
