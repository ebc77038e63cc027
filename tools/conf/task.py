"""Reads a task, `conf/task/<task>.yaml`: what is annotated, how it is asked, and how an answer is written.

In: the file, with key=value words laid over it. Out: a frozen Task, or one ToolError with every problem. The fields' descriptions are the table of keys in docs/keys.md.

    ./ner data conf/task/clue.yaml on_error=skip
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from tools.conf.overlays import available, container, merge
from tools.conf.spellings import NOTHING, QUOTE_IT, Spellings, alias_problems, spellings_of
from tools.errors import ToolError, all_at_once, choices
from tools.files import need_file
from tools.text import fold, one_line
from tools.variant import CHECKPOINT, WORDS

TASKS = Path("conf/task")
DATASET = Path("data/dataset")
Kind = Literal["ner", "classification"]
KINDS: tuple[str, ...] = get_args(Kind)
SPLIT_NAME = re.compile(r"[A-Za-z0-9-]+")
Text = Annotated[str, StringConstraints(pattern=r"\S")]
Share = Annotated[float, Field(gt=0, lt=1)]
# The end of the evaluation folder of a model other than the adapter, `<task>_<split>-<model>[-schema]`: a split that ends so would share the folder.
MODELS_ENDING = re.compile(rf"-(?:{'|'.join([*WORDS[1:], CHECKPOINT.pattern.replace('?P<step>', '?:'), 'schema'])})$")
# What a reader may ask for by `fields`.
ROLES = ("text", "label", "entities", "start", "end", "length", "span", "tokens", "tags", "annotator", "header", "sheet")
_LINE_END = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"  # what str.splitlines divides at
# What a label's name can't have in an answer of these formats, and the same in words.
UNWRITABLE = {"lines": re.compile(rf": |[{_LINE_END}]"), "inline": re.compile(rf"[|\[\]\\{_LINE_END}]")}
UNWRITABLE_SAYS = {
    "lines": "a name ends at a colon with a space behind it, and stands on one line",
    "inline": "a name has no |, [, ] or \\, which are marks, and stands on one line",
}
# pydantic's kinds of error in the words of YAML.
WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "path_type": "a file's path",
}


def _key(en: str, zh: str, *, default: Any = ..., shown_default: tuple[str, str] | None = None, **constraints: Any) -> Any:
    """Returns a field with its description in English and Chinese. The docs' table shows `shown_default` in place of the value."""
    if callable(default):
        constraints["default_factory"] = default
    elif default is not ...:
        constraints["default"] = default
    return Field(
        description=en,
        json_schema_extra={"zh": zh, **({"default_en": shown_default[0], "default_zh": shown_default[1]} if shown_default else {})},
        **constraints,
    )


class _Strict(BaseModel):
    """A part of a task file: no unknown key, and no value of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Answer(_Strict):
    """The form of an answer, its field names, and the order of its entities."""

    format: Literal["json", "grouped", "lines", "inline"] = _key(
        "the form of an answer: `json` is a list of objects, `grouped` an object with a list of strings for each label, `lines` has a label and a string a line,"
        " `inline` is the text itself with marks in it. The prompt must describe the form: [own-data.md](own-data.md#the-form-of-an-answer)",
        "回答的形式：`json` 是对象的列表，`grouped` 是一个对象（每个标签一个字符串列表），`lines` 每行一个标签和一个字符串，`inline` 是加了记号的原文。"
        "提示词必须说明这种形式：[own-data.md](own-data.md#回答的形式)",
        default="json",
    )
    label: Text = _key(
        "the field of the label in `json`. Shorter names save tokens in each entity",
        "`json` 中标签的字段名。名字越短，每个实体越省 token",
        default="label",
    )
    text: Text = _key(
        "the field of the string in `json`. Text first (`{text: …, label: …}`) lets the model name the label with the string at hand",
        "`json` 中字符串的字段名。先写文本（`{text: …, label: …}`），模型就能看着字符串来定标签",
        default="text",
    )
    order: Literal["source", "text"] = _key(
        "entities as in the raw file (`source`) or by place in the text (`text`); `text` is easier to learn where the raw order is arbitrary."
        " `inline` has the text's order",
        "实体按原始文件里的顺序（`source`）还是按在文本中的位置（`text`）排列；原始顺序没有规律时，`text` 更好学。`inline` 总是按文本中的位置",
        default="source",
    )
    _text_first: bool = PrivateAttr(False)

    @cached_property
    def text_first(self) -> bool:
        """Whether the text comes before the label in the JSON, as the task file's `answer` lists them."""
        return self._text_first

    @property
    def copies_text(self) -> bool:
        """Whether an answer is the text itself with marks in it, which have places."""
        return self.format == "inline"

    @model_validator(mode="wrap")
    @classmethod
    def _in_the_files_order(cls, values: Any, validate: Any) -> Answer:
        answer: Answer = validate(values)
        if isinstance(values, Mapping):
            given = [key for key in values if key in ("label", "text")]
            answer._text_first = given == ["text", "label"]
        return answer

    @model_validator(mode="after")
    def _names_differ(self) -> Answer:
        if self.label == self.text:
            raise ValueError("`answer.label` and `answer.text` must be different names")
        return self


class Shares(_Strict):
    """The division of one raw file: each split's share of the texts, by a hash of seed and text. The rest stays in the raw file's own split."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Share] = Field(init=False)
    seed: int = _key("another seed is another division: scores no longer compare", "换一个种子就是另一种切分，分数不能再互相比较", default=42)

    @property
    def of(self) -> dict[str, float]:
        """The share of each split, in (0, 1)."""
        return self.__pydantic_extra__

    @model_validator(mode="after")
    def _leaves_a_rest(self) -> Shares:
        if not self.of:
            raise ValueError("`split` names no share; write e.g. `split: {dev: 0.1, seed: 42}`")
        if sum(self.of.values()) >= 1:
            raise ValueError(f"the shares of `split` add up to {sum(self.of.values()):g}; less than 1 must be left for the rest")
        return self


class Published(_Strict):
    """A figure that others reached."""

    model: Text
    split: Text
    metric: Text
    f1: float = Field(ge=0, le=1)
    source: Text


class Task(_Strict):
    """A task file, checked.

    `labels` are the raw files' own; `names` maps each to its name in prompt and answers. A classification task may have none: then its labels are its rows' options.
    """

    kind: Kind = _key("`ner` or `classification`: what an answer is, and how it is scored", "`ner` 或 `classification`：回答是什么，怎样评分")
    source: str = _key(
        "where the data comes from and its licence; changes nothing", "数据来源与许可；不影响结果", default="", shown_default=("empty", "空")
    )
    raw: dict[str, Text] = _key(
        "split → raw file, e.g. `{train: …, dev: …}`; a path may end in a slice of rows, `train.jsonl[:-1000]`. A split's name is letters, digits and `-`",
        "数据划分 → 原始文件，如 `{train: …, dev: …}`；路径末尾可以带行切片，如 `train.jsonl[:-1000]`。数据划分的名称只能用字母、数字和 `-`",
    )
    reader: Text = _key(
        "the raw format, one of the readers in [own-data.md](own-data.md#1-export). A wrong one shows in `make check` as offsets that disagree with the text",
        "原始格式，即 [own-data.md](own-data.md#1-导出) 里的一个读取器；选错了，`make check` 会报出与文本对不上的偏移",
    )
    fields: dict[str, Text] = _key(
        "which field or column of the raw file has what, where its name doesn't tell: `{text: 正文, label: 类别}`",
        "原始文件的字段（列）名看不出含义时，在这里说明哪个字段是什么：`{text: 正文, label: 类别}`",
        default=dict,
        shown_default=("empty", "空"),
    )
    numbers: list[Text] = _key(
        "the labels or tags that the raw file's numbers 0, 1, 2, … stand for, in order: `[O, B-PER, I-PER]`",
        "原始文件里的数字 0、1、2…… 依次代表的标签：`[O, B-PER, I-PER]`",
        default=list,
        shown_default=("empty", "空"),
    )
    offsets: Literal["code-points", "utf-16", "crlf-as-one", "utf-16-crlf-as-one", "inclusive", "from-one", "from-one-inclusive"] | None = _key(
        "what the raw file's offsets count, where it has no strings to tell: `code-points`, `utf-16` units (JavaScript), code points with `crlf-as-one`,"
        " both (`utf-16-crlf-as-one`), code points with `inclusive` ends, or from 1 on (`from-one`, `from-one-inclusive`). Without it the format's own, and `make data` stops where the file speaks against that",
        "原始文件只有偏移、没有字符串时，偏移按什么计：`code-points`（码点）、`utf-16`（JavaScript 的单位）、`crlf-as-one`（CR+LF 算一个）、"
        "`utf-16-crlf-as-one`（两者兼有）、`inclusive`（末尾含在内）、`from-one`、`from-one-inclusive`（从 1 数起）。"
        "不写就按格式自己的规定；文件显然不是这样时，`make data` 会报错停止",
        default=None,
    )
    split: Shares | None = _key(
        "divides the one raw file, e.g. `{dev: 0.1, seed: 42}`: shares of the texts by a hash of seed and text; the rest stays in the raw file's split."
        " Equal texts never stand on both sides, and repeated ones are left out",
        "切分唯一的原始文件，如 `{dev: 0.1, seed: 42}`：按 seed 和文本的哈希取一定比例，其余留在原来的数据划分。相同的文本不会同时出现在两边，重复的文本会去掉",
        default=None,
    )
    on_error: Literal["stop", "skip"] = _key(
        "`stop`: one bad row and nothing is written. `skip`: bad rows are left out and listed in `<task>_<split>.skipped.jsonl`",
        "`stop`：只要有一行有错，就什么都不写。`skip`：跳过出错的行，并列在 `<task>_<split>.skipped.jsonl` 里",
        default="stop",
    )
    system: Text = _key(
        "the system line, in training and at the server. A row without one would get the chat template's own",
        "system 行，训练和服务都用它。对话没有 system 时，对话模板会填入自己默认的那一行",
    )
    prompt: Path = _key(
        "the file with the user turn: `{text}` (needed), `{labels}`, `{options}`. In a prompt of your own put `{text}` last: a server keeps what stands before it in its cache,"
        " where that is the same in all requests ([what that saves](serving.md#throughput)). A prompt that a published model was trained with stays as it was published",
        "user 消息的模板文件：`{text}`（必需）、`{labels}`、`{options}`。自己写提示词时，把 `{text}` 放在最后：它前面的部分如果在所有请求中都相同，服务就能缓存"
        "（[能省多少](serving.md#吞吐量)）。已发布的模型训练时用的提示词，保持发布时的原样",
        strict=False,
    )
    names: dict[str, str] = _key(
        "a list, or a mapping from the raw file's label to its name in prompt and answer (`{PER: 人名}`). Names that say what is meant help a small model; long"
        " ones cost tokens in each answer",
        "列表，或者映射：原始文件里的标签 → 它在提示词和回答中的名称（`{PER: 人名}`）。含义明确的名称对小模型有帮助；名称太长，每个回答都要多花 token",
        default=dict,
        shown_default=("needed; may be empty for `classification`", "必填；`classification` 可为空"),
        alias="labels",
        validate_default=True,
    )
    aliases: dict[str, list[Text]] = _key(
        "label → other names that an answer may use. Never shown to the model; more answers are read as right",
        "标签 → 回答里可以接受的其他叫法。不会给模型看；更多回答能判为正确",
        default=dict,
    )
    nothing: list[Text] = _key(
        "more ways to say that there is no entity, beside `NOTHING` in `tools/conf/spellings.py`",
        "除 `tools/conf/spellings.py` 里的 `NOTHING` 之外，还有哪些说法表示“没有实体”",
        default=list,
    )
    answer: Answer = _key(
        "how an answer is written; the order of `label` and `text` here is their order in the JSON",
        "回答的写法；这里 `label` 与 `text` 的先后就是 JSON 里的先后",
        default=Answer,
        shown_default=("see below", "见下"),
    )
    version: int = _key(
        "raise it when prompt, split, aliases or scorer change: scores of different versions are never compared",
        "提示词、数据划分、别名或评分方式变了就加一：不同版本的分数不会放在一起比较",
        default=1,
    )
    published: list[Published] = _key(
        "figures that others reached (`model`, `split`, `metric`, `f1`, `source`), shown beside the score",
        "别人公布的数字（`model`、`split`、`metric`、`f1`、`source`），显示在分数旁边",
        default=list,
    )
    path: Path

    @field_validator("raw", mode="before")
    @classmethod
    def _splits_with_a_file(cls, raw: Any) -> Any:
        """Leaves out a split without a file: an override such as `raw.dev=null` takes it away."""
        if isinstance(raw, dict) and raw and not (raw := {split: path for split, path in raw.items() if path is not None}):
            raise ValueError("`raw` names no file; write e.g. `raw: {train: data/dataset/train.jsonl}`")
        return raw

    @field_validator("raw")
    @classmethod
    def _raw_is_named_well(cls, raw: dict[str, str]) -> dict[str, str]:
        _all("raw", [problem for split in raw for problem in _name_problems(split)])
        return raw

    @field_validator("fields", mode="before")
    @classmethod
    def _numbers_are_names(cls, fields: Any) -> Any:
        """Takes a whole number for its digits: the id of an annotator, a column by its number."""
        return {role: str(name) if type(name) is int else name for role, name in fields.items()} if isinstance(fields, dict) else fields

    @field_validator("fields")
    @classmethod
    def _fields_have_roles(cls, fields: dict[str, str]) -> dict[str, str]:
        _all("fields", [f"no reader looks for '{role}'.{choices(role, ROLES)}".rstrip(".") for role in fields if role not in ROLES])
        return fields

    @field_validator("split")
    @classmethod
    def _split_divides_one_file(cls, split: Shares | None, info: ValidationInfo) -> Shares | None:
        raw = info.data.get("raw")
        if split and raw:
            several = [] if len(raw) == 1 else [f"divides one raw file, and raw names {len(raw)} ({', '.join(raw)}); keep one of the two"]
            both = [f"raw and split both name '{name}'" for name in split.of if name in raw]
            _all("split", several + both + [problem for name in split.of for problem in _name_problems(name)])
        return split

    @field_validator("names", mode="before")
    @classmethod
    def _label_names(cls, labels: Any, info: ValidationInfo) -> dict[str, str]:
        """Returns the names in prompt and answer of a list or mapping of labels."""
        if not labels and info.data.get("kind") == "ner":
            raise ValueError("`labels` is missing")
        if not isinstance(labels, list | dict):
            raise ValueError(f"`labels` must be a list, or a mapping to the names in answers, this is {labels!r}")
        names = list(labels.values()) if isinstance(labels, dict) else labels
        if not all(isinstance(word, str) and word for word in (*labels, *names)):
            raise ValueError(f"`labels`: every label must be text; {QUOTE_IT}")
        if twice := sorted(word for word, times in Counter(names).items() if times > 1):
            raise ValueError(f"`labels`: {'names of labels' if isinstance(labels, dict) else 'labels'} stand twice: {', '.join(twice)}")
        return dict(zip(labels, names, strict=True))

    @field_validator("aliases", mode="before")
    @classmethod
    def _mean_one_label(cls, aliases: Any, info: ValidationInfo) -> Any:
        if isinstance(aliases, dict):
            _all("aliases", alias_problems(info.data.get("names", {}), aliases))
        return aliases

    @field_validator("answer")
    @classmethod
    def _holds_the_label_names(cls, answer: Answer, info: ValidationInfo) -> Answer:
        """Refuses the names of labels that can't be told from the rest of an answer."""
        if info.data.get("kind") == "ner" and (mark := UNWRITABLE.get(answer.format)):
            named = [one_line(repr(name), 60) for name in info.data.get("names", {}).values() if mark.search(name)]
            why = f"{UNWRITABLE_SAYS[answer.format]}; give the label another name, `labels: {{label: name}}`, or take another format"
            _all("answer.format", [f"{answer.format} can't write the label name {name}: {why}" for name in named])
        return answer

    @cached_property
    def labels(self) -> list[str]:
        """The labels as the raw files call them."""
        return list(self.names)

    @cached_property
    def spellings(self) -> Spellings:
        """The ways to write a label in an answer, as `spellings_of` returns them."""
        return spellings_of(self.names, self.aliases)

    @cached_property
    def sentinels(self) -> frozenset[str]:
        """Every way to say that there is nothing, folded."""
        return frozenset(fold(word) for word in (*NOTHING, *self.nothing))

    @property
    def name(self) -> str:
        """The conf file's stem; names the examples, the Alpaca files and the score."""
        return self.path.stem

    def examples(self, split: str, dataset: Path = DATASET) -> Path:
        """Returns the file of a split's canonical examples: `<dataset>/examples/<task>_<split>.jsonl`."""
        return dataset / "examples" / f"{self.name}_{split}.jsonl"

    def changed(self, **values: Any) -> Task:
        """Returns this task with other values of its fields, which aren't checked."""
        task = self.model_copy(update=values)
        for derived in ("labels", "spellings", "sentinels"):
            task.__dict__.pop(derived, None)
        return task


KEYS = {field.alias or name: field for name, field in Task.model_fields.items() if field.description}
PARTS: dict[str, type[BaseModel]] = {"answer": Answer, "split": Shares, "published": Published}


def load_task(path: Path, overrides: Sequence[str] = ()) -> Task:
    """Returns a task with key=value `overrides` laid over it. Raises ToolError with all its problems at once."""
    need_file(path, available(TASKS).strip())
    values = container(merge(path, overrides), path)
    problems = [f"{path}: unknown key '{key}'.{choices(key, KEYS)}" for key in values if key not in KEYS]
    # Nothing, as in `split=null` on a command line, takes a key away.
    given = {
        key: value for key, value in values.items() if key in KEYS and value not in (None, [], {}) and (value != "" or not KEYS[key].is_required())
    }
    try:
        task = Task.model_validate({**given, "path": path})
    except ValidationError as error:
        problems += [f"{path}: {problem}." for details in error.errors() for problem in _problems(details)]
        raise ToolError("\n".join(problems)) from None
    all_at_once(problems)
    return task


def find_task(name: str, overrides: Sequence[str] = ()) -> Task:
    """Returns the task of that name in `conf/task/`."""
    return load_task(TASKS / f"{name}.yaml", overrides)


def _all(key: str, problems: Sequence[str]) -> None:
    if problems:
        raise ValueError("\n".join(f"`{key}`: {problem}" for problem in problems))


def _name_problems(split: str) -> list[str]:
    if not SPLIT_NAME.fullmatch(split):
        return [f"'{split}': a split's name is letters, digits and '-'; it becomes part of file names"]
    if match := MODELS_ENDING.search(split):
        return [f"'{split}': a split's name can't end in '{match[0]}', as the evaluation folders of a run's models do"]
    return []


def _problems(error: ErrorDetails) -> list[str]:
    """Returns pydantic's error in this project's words, without the end of the sentence; a check of ours may hold several lines."""
    kind, value = error["type"], error["input"]
    if kind == "value_error":
        return str(error["ctx"]["error"]).splitlines()
    if "[key]" in error["loc"] or kind == "invalid_key":
        return [f"`{error['loc'][0]}`: the key {one_line(repr(value), 60)} must be text; {QUOTE_IT}"]
    keys = [part for part in error["loc"] if isinstance(part, str)]
    entry = next((f" (entry {part + 1})" for part in error["loc"] if isinstance(part, int)), "")
    name = ".".join(keys)
    if kind == "missing":
        return [f"`{name}`{entry} is missing"]
    if kind == "extra_forbidden":
        return [f"unknown key '{name}'{entry}.{choices(keys[-1], PARTS[keys[0]].model_fields)}".rstrip(".")]
    if kind == "literal_error":
        allowed = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        return [f"unknown {name} '{one_line(str(value))}'.{choices(str(value), allowed)}".rstrip(".")]
    if kind == "string_pattern_mismatch":
        return [f"`{name}`{entry} must be text, and not empty"]
    quote = f"; {QUOTE_IT}" if kind == "string_type" and isinstance(value, bool | int | float) else ""
    wanted = WANTED.get(kind) or error["msg"].removeprefix("Input should be ")
    return [f"`{name}`{entry} must be {wanted}, this is {one_line(repr(value), 60)}{quote}"]
