"""Names one of a run's models in one word, and holds everything that follows from the word.

In: a word (`adapter`, `base`, `best`, `merged`, `merged-awq`, `checkpoint-40`) and a run's folder. Out: a Variant: its weights, its name at a server, the folder
of its evaluation, what it was made from, and whether that has changed since.

    ./ner eval conf/tiny-qwen2-sample-ner-lora-sft.yaml --which merged
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tools.errors import WANTING, ToolError, choices
from tools.files import need_file, read_json, sha256, write_json

QUANTIZATIONS = ("awq", "gptq", "fp8")  # the methods of `./ner quantize`
WORDS = ("adapter", "base", "best", "merged", *(f"merged-{method}" for method in QUANTIZATIONS))
CHECKPOINT = re.compile(r"checkpoint-(?P<step>[0-9]+)")
ADAPTER_WEIGHTS = "adapter_model.safetensors"
BEST_RECORD = "best.json"
FINISHED = "train_results.json"  # LLaMA-Factory writes it last


def variant_word(word: str) -> str:
    """Returns `word` if it names a variant. Raises ToolError with the choices otherwise."""
    if word in WORDS or CHECKPOINT.fullmatch(word):
        return word
    raise ToolError(f"--which {word}: a run has no such model.{choices(word, (*WORDS, 'checkpoint-<step>'))}")


@dataclass(frozen=True)
class Origin:
    """A merged or quantised model's source. `adapter` is the word of an adapter: 'adapter' or 'checkpoint-<step>'."""

    run: str
    base_model: str
    adapter: str
    adapter_sha256: str

    @classmethod
    def of(cls, record: Path) -> Origin:
        """Reads export.json or quantize.json. Raises ToolError for a file that isn't such a record.

        Records of earlier releases name the adapter by its folder within the run's: '.', or 'checkpoint-40'.
        """
        values = read_json(record)
        try:
            word = Path(values.get("adapter", ".")).name or "adapter"
            if word != "adapter" and not CHECKPOINT.fullmatch(word):
                raise KeyError(word)
            return cls(str(values["run"]), str(values["base_model"]), word, str(values["adapter_sha256"]))
        except (AttributeError, KeyError, TypeError):
            raise ToolError(f"{record}: does not name the adapter that the model was made from. Make the model again.", WANTING) from None

    def same_weights(self, other: Origin) -> bool:
        """Returns whether both name the same base model and the same adapter weights, whatever the adapter's folder."""
        return (self.base_model, self.adapter_sha256) == (other.base_model, other.adapter_sha256)

    def to_dict(self) -> dict[str, Any]:
        """Returns the record's fields."""
        return asdict(self)


@dataclass(frozen=True)
class Variant:
    """One of a run's models. `run`, `conf` and `output_dir` are the run's name, file and folder; `base_model` is a folder or a name on a hub."""

    word: str
    run: str
    conf: Path
    output_dir: Path
    base_model: str

    @property
    def is_base(self) -> bool:
        """Whether it is the base model alone."""
        return self.word == "base"

    @property
    def is_merged(self) -> bool:
        """Whether it is a whole model of its own, quantised or not."""
        return self.word.startswith("merged")

    @property
    def is_adapter(self) -> bool:
        """Whether it is an adapter on the base model: the last one, the best one, or a checkpoint's."""
        return not (self.is_base or self.is_merged)

    @property
    def quantization(self) -> str | None:
        """The method that it was quantised with, or None."""
        return self.word.removeprefix("merged-") if self.word.startswith("merged-") else None

    @property
    def folder(self) -> Path:
        """The folder of its weights: the adapter's, or the whole model's. Raises ToolError for `best` before `./ner best`."""
        if self.is_base:
            return Path(self.base_model)
        if self.word == "best":
            return self.output_dir / self._best()["checkpoint"]
        return self.output_dir if self.word == "adapter" else self.output_dir / self.word

    @property
    def weights(self) -> Path:
        """The file whose age and hash tell one version of the model from another: the adapter's weights, or a whole model's record."""
        if self.is_adapter:
            return self.folder / ADAPTER_WEIGHTS
        return self.record if self.is_merged else self.folder / "config.json"

    @property
    def record(self) -> Path:
        """The file that names the model's source: export.json, quantize.json or best.json."""
        if self.word == "best":
            return self.output_dir / BEST_RECORD
        return self.folder / ("quantize.json" if self.quantization else "export.json")

    @property
    def served_name(self) -> str:
        """The name of the model at a server: the base model's last path component, `<run>@<step>`, or the run's name."""
        if self.is_base:
            return Path(self.base_model).name
        match = CHECKPOINT.fullmatch(self.word)
        return f"{self.run}@{match['step']}" if match else self.run

    @property
    def make_word(self) -> str:
        """The word that names the model in a make command, with a space before it; empty for the adapter."""
        return "" if self.word == "adapter" else f" WHICH={self.word}"

    @property
    def made_by(self) -> str:
        """The command that makes the model. A merged model is made again from the adapter that it was made from."""
        if self.quantization:
            return f'make quantize CONF={self.conf} ARGS="--method {self.quantization}"'
        if self.word == "merged":
            return f"make export CONF={self.conf}{self.source().make_word}"
        return f"make {'best' if self.word == 'best' else 'train'} CONF={self.conf}"

    def command(self, verb: str) -> str:
        """Returns the make command of a verb about this model, such as `make eval CONF=… WHICH=merged`."""
        return f"make {verb} CONF={self.conf}{self.make_word}"

    def evaluation(self, task: str, split: str, decoding: str = "free") -> Path:
        """Returns the folder of its evaluation: `<output_dir>/eval/<task>_<split>[-<variant>][-schema]`."""
        parts = [f"{task}_{split}", *([] if self.word == "adapter" else [self.word]), *([] if decoding == "free" else [decoding])]
        return self.output_dir / "eval" / "-".join(parts)

    def origin(self) -> Origin | None:
        """Returns the source of a merged or quantised model; None for any other model, and where no record is there."""
        return Origin.of(self.record) if self.is_merged and self.record.is_file() else None

    def source(self) -> Variant:
        """Returns the model that this one was made from: quantised → merged → an adapter. Any other model returns itself."""
        if self.quantization:
            return replace(self, word="merged")
        if not self.is_merged:
            return self
        origin = self.origin()
        return replace(self, word=origin.adapter if origin else "adapter")

    def stale(self) -> str:
        """Explains why the model is older than its source; an empty string where it isn't. A source that is gone can't be compared."""
        if self.word == "best":
            known = self._best().get("adapter_sha256")
            changed = known is not None and sha256(self.weights) != known
            return f"{self.record}: {self.folder.name} has changed since it was found best" if changed else ""
        origin = self.origin()
        if not origin:
            return ""
        if self.quantization and (merge := self.source().origin()) and not merge.same_weights(origin):
            return f"{self.folder}: made from another merged model than the one in {self.source().folder}"
        weights = replace(self, word=origin.adapter).weights
        if weights.is_file() and sha256(weights) != origin.adapter_sha256:
            return f"{self.folder}: made from an older adapter than the one in {weights.parent}"
        return ""

    def need(self) -> Variant:
        """Returns itself. Raises ToolError with the next command where the model isn't there, isn't whole, or is older than its source."""
        if self.is_adapter:
            self._need_adapter()
        elif self.is_merged:
            need_file(self.folder / "config.json", f"Not {'quantised' if self.quantization else 'merged'} yet: {self.made_by}")
            need_file(self.record, self.made_by)
        if reason := self.stale():
            raise ToolError(f"{reason}: {self.made_by}")
        return self

    def _need_adapter(self) -> None:
        if self.word == "adapter":
            need_file(self.output_dir / FINISHED, f"The run isn't trained yet, or its training didn't finish: {self.made_by}")
        elif not self.folder.is_dir():
            steps = sorted((path.name for path in self.output_dir.glob("checkpoint-*")), key=lambda name: (len(name), name))
            raise ToolError(f"{self.folder}: no such checkpoint. Available: {', '.join(steps) or 'none'}.")
        need_file(self.folder / "adapter_config.json", self.made_by)
        need_file(self.weights, self.made_by)
        if is_pissa(self.folder):
            raise ToolError(
                f"{self.folder}: an adapter in PiSSA's own form, which fits no model on the disk. "
                f"To make a plain adapter of the run's last one: make train CONF={self.conf}; then leave WHICH out."
            )

    def origin_here(self) -> Origin:
        """Returns the origin that a model made from this adapter now has."""
        word = "adapter" if self.folder == self.output_dir else self.folder.name
        return Origin(self.run, self.base_model, word, sha256(self.weights))

    def write_best(self, values: dict[str, Any]) -> None:
        """Writes best.json: `values`, which name the checkpoint, and the hash of its adapter."""
        folder = self.output_dir / str(values["checkpoint"])
        write_json(self.output_dir / BEST_RECORD, {**values, "adapter_sha256": sha256(folder / ADAPTER_WEIGHTS)})

    def _best(self) -> dict[str, Any]:
        values = read_json(need_file(self.record, f"Which checkpoint is best? {self.made_by}"))
        if not isinstance(values, dict) or not CHECKPOINT.fullmatch(str(values.get("checkpoint"))):
            raise ToolError(f"{self.record}: names no checkpoint: {self.made_by}", WANTING)
        if not (self.output_dir / values["checkpoint"] / ADAPTER_WEIGHTS).is_file():
            raise ToolError(f"{self.record}: {values['checkpoint']}, the best checkpoint, is gone: {self.made_by}")
        return values


def is_pissa(adapter: Path) -> bool:
    """Returns whether the adapter in a folder fits only the weights that PiSSA changed; tools/train/pissa.py makes a plain one of it."""
    config = adapter / "adapter_config.json"
    return config.is_file() and str(read_json(config).get("init_lora_weights")).startswith("pissa")
