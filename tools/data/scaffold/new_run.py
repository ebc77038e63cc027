"""Writes a run for a new task as text: the run in conf/ that is most like it, comments included, with other values in some lines.

In: a base model as a user names it, the task's name and kind. Out: the text of `conf/<model>-<task>-<ner|cls>-lora-sft.yaml`.

    ./ner new contracts --from train.txt --model Qwen/Qwen2.5-7B-Instruct
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tools.conf.overlays import RUNS, SERVE
from tools.data.scaffold.chat_format import ChosenFormat
from tools.errors import ToolError, choices
from tools.files import read_json, read_text

MODELS = Path("models")
TINY = MODELS / "tiny-qwen2"
USUAL = "Qwen/Qwen2.5-7B-Instruct"
METHOD = {"ner": "ner-lora-sft", "classification": "cls-lora-sft"}
TINY_RUN = RUNS / "tiny-qwen2-sample-ner-lora-sft.yaml"
SMALL_NER_RUN = RUNS / "Qwen2.5-1.5B-Instruct-ccfbdci-ner-lora-sft.yaml"
LARGE_NER_RUN = RUNS / "Qwen2-7B-Instruct-medical-ner-lora-sft.yaml"
CLASS_RUN = RUNS / "Qwen2.5-1.5B-Instruct-fudan-cls-lora-sft.yaml"
THINKING_OFF = "enable_thinking: false          # the prompt ends with an empty thought; every request carries it as chat_template_kwargs\n"
SMALL = 3  # thousand million parameters up to which a batch of 8 fits a GPU with 16 GB


@dataclass(frozen=True)
class ChosenBase:
    """A base model: its folder, and its name on a hub where it has yet to be downloaded."""

    folder: Path
    hub: str = ""

    @property
    def name(self) -> str:
        """The beginning of a run's name."""
        return self.folder.name

    @property
    def is_tiny(self) -> bool:
        """Whether it is the embedded model."""
        return self.folder == TINY

    @property
    def positions(self) -> int | None:
        """The number of tokens that the model can take; None where its config isn't here or doesn't state it."""
        config = read_json(self.folder / "config.json") if (self.folder / "config.json").is_file() else {}
        found = config.get("max_position_embeddings") if isinstance(config, dict) else None
        return found if isinstance(found, int) else None

    @property
    def has_tokenizer(self) -> bool:
        """Whether rows can be measured with it."""
        return (self.folder / "tokenizer.json").is_file()


def base_model(word: str | None) -> ChosenBase:
    """Returns the base model that `word` names: a folder, the name of one in models/, or owner/name on a hub. Raises ToolError for anything else.

    Without a word it is Qwen2.5-7B-Instruct where that is in models/, else the embedded model.
    """
    if not word:
        usual = MODELS / Path(USUAL).name
        return ChosenBase(usual if usual.is_dir() else TINY)
    word = word.rstrip("/")
    for folder in (Path(word), MODELS / word, MODELS / Path(word).name):
        if (folder / "config.json").is_file() and folder.name:
            return ChosenBase(folder)
    if re.fullmatch(r"[\w-]+/[\w.-]+", word) and not word.startswith(f"{MODELS}/"):
        return ChosenBase(MODELS / word.partition("/")[2], word)
    here = [str(path.parent) for path in MODELS.glob("*/config.json")]
    raise ToolError(f"base model '{word}': neither a folder with a config.json nor owner/name on a hub, as {USUAL}.{choices(word, here)}")


def run_path(base: ChosenBase, task: str, kind: str) -> Path:
    """Returns the run's file. Raises ToolError for a model whose name can't begin a run's name."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", base.name, re.ASCII) or base.name.startswith(SERVE):
        raise ToolError(f"base model {base.folder}: a run's name begins with '{base.name}', which must be letters, digits, '.', '_' and '-'.")
    return RUNS / f"{base.name}-{task}-{METHOD[kind]}.yaml"


def run_text(base: ChosenBase, form: ChosenFormat, task: str, kind: str, longest: int | None) -> str:
    """Returns the text of the run. `longest` is the longest row's number of tokens, or None where it wasn't measured."""
    source, path = _source(base, kind), run_path(base, task, kind)
    cutoff, rows = None, f": `make check TASK={task} CONF=…` counts such rows"
    if longest is not None:
        cutoff, rows = str(cutoff_of(longest, base)), f"; the longest has {longest:,} with the present prompt"
    # key → (value, comment); None keeps the source's
    changes: dict[str, tuple[str | None, str | None]] = {
        "model_name_or_path": (str(base.folder), None),
        "template": (form.template, "the chat format; must be the base model's own"),
        "dataset": (f"alpaca_{task}_train", None),
        "output_dir": (f"data/outputs/{path.stem}", None),
        "warmup_steps": (None, "below 1: the share of all steps in which the rate rises"),
        "cutoff_len": (cutoff, f"tokens; a longer row loses the end of its prompt{rows}"),
    }
    if base.is_tiny:
        changes |= {
            "eval_dataset": (f"alpaca_{task}_dev", None),
            "num_train_epochs": (None, "passes over the training rows"),
            "preprocessing_num_workers": (None, "processes that tokenise"),
        }
    text = read_text(source)
    text = text[text.index("### model") :]
    for key, (value, comment) in changes.items():
        text = _replaced(text, source, key, value, comment)
    if form.thinking_off:
        text = re.sub(r"^template:.*\n", lambda line: line[0] + THINKING_OFF, text, flags=re.MULTILINE)
    return _header(base, task, path, source) + text


def cutoff_of(longest: int, base: ChosenBase) -> int:
    """Returns a cutoff_len with a quarter more room, in case the prompt grows: a multiple of 64, and at most what the model can take."""
    return min(max(256, -(-longest * 5 // (4 * 64)) * 64), base.positions or longest * 2)


def _source(base: ChosenBase, kind: str) -> Path:
    """Returns the run in conf/ that is most like the new one."""
    if base.is_tiny:
        return TINY_RUN
    if kind == "classification":
        return CLASS_RUN
    size = re.search(r"(?<![\d.])(\d+(?:\.\d+)?)B\b", base.name, re.IGNORECASE)
    return SMALL_NER_RUN if size and float(size[1]) <= SMALL else LARGE_NER_RUN


def _header(base: ChosenBase, task: str, path: Path, source: Path) -> str:
    about = "to see every step work on your data without a GPU, not for the score" if base.is_tiny else "LoRA on all linear layers"
    lines = [f"{base.name} on the task {task}: {about}.", ""]
    lines += [f"  make download ARGS={base.hub}"] if base.hub else []
    lines += [f"  make data TASK={task}", f"  make train CONF={path}", ""]
    lines += [f"Made by `make new` from {source}; every value is yours to change. Expected score: not measured yet."]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + "\n"


def _replaced(text: str, source: Path, key: str, value: str | None, comment: str | None) -> str:
    """Returns the run's text with another value or comment in a key's line; None keeps it."""
    found = re.findall(rf"^{key}: *([^#\n]*?)(?: +# (.*))?$", text, re.MULTILINE)
    if len(found) != 1:
        raise ToolError(f"{source}: new runs are made from this file. It has {len(found)} lines `{key}:`, and exactly one is needed.")
    line = f"{key}: {found[0][0] if value is None else value}"
    if comment := found[0][1] if comment is None else comment:
        line = f"{line:31} # {comment}"
    return re.sub(rf"^{key}:.*$", lambda _: line, text, flags=re.MULTILINE)
