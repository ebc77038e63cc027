"""Gathers the facts of a model card from a run's folder. A fact that isn't there is left out.

In: a trained run, its task, and one of the run's models. Out: Facts, which tools/report/card.md renders, free of secrets and of this machine's paths.

    ./ner card conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools.chat.prompt import alpaca, answer, answer_tokens, renderer
from tools.chat.thinking import Thinking, thinking
from tools.conf.overlays import RUNS
from tools.conf.run import Run, dataset_names
from tools.conf.task import Task
from tools.errors import ToolError
from tools.example import Entity, Example, read_examples
from tools.files import need_file, read_json, sha256
from tools.predict.questions import Asking
from tools.report.card_public import CACHED, last_component
from tools.report.evaluations import Evaluation, eval_command, find_evaluations
from tools.serve.preflight import RANKS, REFUSED, longest_answer
from tools.train import manifest
from tools.train.download import ORIGIN as DOWNLOADED
from tools.variant import FINISHED, Variant

LABELS = 200  # of a list or a table
OPTIONS = "{options}"
# An evaluation is up to date where these fields of its predictions.meta.json equal the present ones.
MADE_WITH = (
    *("task_version", "prompt_sha256", "examples_sha256", "base_model", "sampling", "template_kwargs", "thought", "adapter_sha256", "merged_sha256"),
)
Words = tuple[str, str]  # English, Chinese


@dataclass(frozen=True)
class Base:
    """The base model: its name, its name on a hub where that is known (else ''), and the licence that its own card names (else '')."""

    name: str
    id: str
    from_modelscope: bool
    license: str


@dataclass(frozen=True)
class Adapter:
    """The adapter that the model is, or was made from. `refused` is the reason why vLLM can't serve it beside the base model, '' where it can."""

    kind: str
    rank: int
    alpha: Any
    targets: list[str]
    sha256: str
    checkpoint: str  # the checkpoint whose weights it has, '' for the last step's
    refused: str

    @property
    def max_rank(self) -> int:
        """The value of vLLM's --max-lora-rank."""
        return next((known for known in RANKS if known >= self.rank), RANKS[-1])


@dataclass(frozen=True)
class DataFile:
    """One of the run's Alpaca files: the SHA-256 that the manifest recorded, and its rows where it is still that file (else None)."""

    role: str
    name: str
    sha256: str
    rows: list[Any] | None


@dataclass(frozen=True)
class Prompt:
    """The user's turn with marks for text and options, the form of an answer, and whether the training rows were made with it (None where that can't be told)."""

    user: str
    form: str
    empty: str
    checked: bool | None


@dataclass(frozen=True)
class Facts:
    """Everything that a card shows. `record` is export.json or quantize.json, `own` the model's free decoding of `split`, `again` its command.

    `fresh` are the evaluations that are up to date; the figures of the others aren't shown. `thinking` is what requests carry and answers begin with.
    """

    run: Run
    variant: Variant
    task: Task
    split: str
    base: Base
    adapter: Adapter
    record: dict[str, Any]
    prompt: Prompt
    data: list[DataFile]
    results: list[tuple[Words, str]]
    manifest: manifest.Manifest | None
    own: Evaluation | None
    evaluations: list[Evaluation]
    fresh: list[Evaluation]
    again: str
    thinking: Thinking
    length: int
    max_tokens: int


def gather(run: Run, task: Task, word: str, split: str, base_model: str | None = None) -> Facts:
    """Returns the facts of the variant `word` of a run. `base_model` is its base model's name on the hub, where a user gave it.

    Raises ToolError for a run that isn't trained, a model that isn't made or is older than its adapter, and for a file that can't be read.
    """
    conf = run.path.absolute()
    run = replace(run, path=conf.relative_to(Path.cwd()) if conf.is_relative_to(Path.cwd()) else RUNS / conf.name)  # no path of this machine
    need_file(run.output_dir / FINISHED, f"The run isn't trained yet, or its training didn't finish: make train CONF={run.path}")
    variant = run.variant(word).need()
    trained, record = run.trained(), manifest.read(run.output_dir)
    adapter, data = _adapter(run, variant), _data(trained, record)
    engine = "" if adapter.kind == "LORA" else "transformers"  # no server takes another adapter
    evaluations = sorted(find_evaluations(run.output_dir, task.name)[0], key=lambda one: (one.meta.split != split, one.meta.split, one.name))
    fresh = [one for one in evaluations if _is_fresh(run, task, one)]
    return Facts(
        run=trained,
        variant=variant,
        task=task,
        split=split,
        base=_base(trained, base_model),
        adapter=adapter,
        record=read_json(variant.record) if variant.is_merged else {},
        prompt=_prompt(task, trained, data),
        data=data,
        results=_results(trained, record),
        manifest=record,
        own=next((one for one in fresh if (one.variant.word, one.meta.split, one.meta.decoding) == (word, split, "free")), None),
        evaluations=evaluations,
        fresh=fresh,
        again=eval_command(variant, split, engine=engine),
        thinking=thinking(trained),
        length=_length(trained),
        max_tokens=answer_tokens(task, trained),
    )


def _base(trained: Run, given: str | None) -> Base:
    value, id, record = trained.base_model, given or "", Path(trained.base_model) / DOWNLOADED
    if not id and (found := CACHED.search(value)):
        id = f"{found['owner']}/{found['name']}"
    downloaded = not id and record.is_file()
    if downloaded:
        id = str(read_json(record)["model"])
    # owner/name on a hub, and no folder: base models are kept in models/
    elif not id and value.count("/") == 1 and not id_problem(value) and not value.startswith("models/") and not Path(value).exists():
        id = value
    return Base(last_component(id or value), id, downloaded, _license(Path(value) / "README.md"))


def id_problem(name: str) -> str:
    """Returns huggingface_hub's reason why `name` can't be a model or a data set on the hub; '' where it can."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        return str(error).splitlines()[0]
    return ""


def _license(card: Path) -> str:
    from huggingface_hub import metadata_load

    try:
        found = (metadata_load(card) or {}).get("license") if card.is_file() else None
    except Exception:  # YAML's own kinds, and ValueError: somebody else's file
        return ""
    return found.lower() if isinstance(found, str) else ""


def _adapter(run: Run, variant: Variant) -> Adapter:
    source = variant.source().source()  # quantised → merged → adapter
    folder = source.folder if source.folder.is_dir() else run.output_dir
    config = read_json(need_file(folder / "adapter_config.json", f"make train CONF={run.path}"))
    kind, targets = str(config.get("peft_type")), config.get("target_modules")
    rank = max([config.get("r") or 0, *(config.get("rank_pattern") or {}).values()])
    refused = kind if kind != "LORA" else next((what for key, what in REFUSED if config.get(key)), f"rank {rank}" if rank > RANKS[-1] else "")
    origin = variant.origin()
    return Adapter(
        kind=kind,
        rank=rank,
        alpha=config.get("lora_alpha"),
        targets=sorted(targets) if isinstance(targets, list) else [str(targets)] if targets else [],
        sha256=origin.adapter_sha256 if origin else sha256(source.weights),
        checkpoint="" if folder == run.output_dir else folder.name,
        refused=refused,
    )


def _data(trained: Run, record: manifest.Manifest | None) -> list[DataFile]:
    info_path = Path(str(trained.values.get("dataset_dir", "data"))) / "dataset_info.json"
    info, found = read_json(info_path) if info_path.is_file() else {}, []
    for role in ("dataset", "eval_dataset"):
        for name in dataset_names(trained.values.get(role)):
            file = info_path.parent / str(info.get(name, {}).get("file_name", f"{name}.json"))
            digest = record.sha256.get(str(file), "") if record else ""
            same = bool(digest) and file.is_file() and file.suffix == ".json" and sha256(file) == digest
            found.append(DataFile(role, file.name, digest, read_json(file) if same else None))
    return found


def _results(trained: Run, record: manifest.Manifest | None) -> list[tuple[Words, str]]:
    """Returns what the Trainer and the manifest recorded, with its name in English and Chinese."""
    done, path = read_json(trained.output_dir / FINISHED), trained.output_dir / "trainer_state.json"
    state = read_json(path) if path.is_file() else {}
    losses, evaluated = ([entry[key] for entry in state.get("log_history", []) if key in entry] for key in ("loss", "eval_loss"))
    steps, seconds, speed = state.get("global_step"), done.get("train_runtime"), done.get("train_samples_per_second")
    trained_rows = speed * seconds if seconds and speed else None
    found = [
        (("steps", "步数"), f"{steps:,}" if steps else ""),
        (("rows a step, all processes together", "每步样本数（所有进程合计）"), f"{trained_rows / steps:.1f}" if steps and trained_rows else ""),
        (("loss, mean of all steps", "损失（所有步的平均）"), f"{done['train_loss']:.4f}" if "train_loss" in done else ""),
        (("loss, last logged", "损失（最后一次记录）"), f"{losses[-1]:.4f}" if losses else ""),
        (("loss on held-out rows, last", "留出样本的损失（最后一次）"), f"{evaluated[-1]:.4f}" if evaluated else ""),
        (("seconds, of the last attempt", "秒数（最后一次启动）"), f"{seconds:,.0f}" if seconds else ""),
    ]
    if record:
        machine = [record.machine.platform.split("-")[0], f"{record.machine.cores} CPU", *(gpu.split(",")[0] for gpu in record.machine.gpus)]
        software = ", ".join(f"{name} {version}" for name, version in record.versions.items() if version)
        found += [(("attempts", "启动次数"), str(len(record.attempts))), (("machine", "机器"), ", ".join(machine)), (("software", "软件"), software)]
    return [one for one in found if one[1]]


def _length(trained: Run) -> int:
    """Returns the tokens that a server needs room for: the longest trained row and an answer, or all positions of the base model."""
    wanted = int(trained.values.get("cutoff_len", 2048)) + longest_answer(trained)
    config = Path(trained.base_model) / "config.json"
    return min(wanted, int(read_json(config).get("max_position_embeddings", wanted))) if config.is_file() else wanted


def _prompt(task: Task, trained: Run, data: list[DataFile]) -> Prompt:
    render = renderer(task)
    user = render(Example("", "{text}", [], "", [OPTIONS]))
    form, empty = (task.names[task.labels[0]] if task.labels else ""), ""
    if task.kind == "ner":
        form, empty = answer(task, Example("", "…", [Entity(task.labels[0], "…", 0, 1)])), answer(task, Example("", "…", []))
    rows = next((one.rows for one in data if one.role == "dataset" and one.rows), None)
    path = task.examples("train", trained.dataset)
    first = next(read_examples(path), None) if path.is_file() else None
    checked = None
    if rows and first and isinstance(rows[0], dict):
        made = alpaca(task, first, render)
        checked = all(rows[0].get(key) == made[key] for key in ("instruction", "input"))
    return Prompt(user, form, empty, checked)


def _is_fresh(run: Run, task: Task, one: Evaluation) -> bool:
    meta, examples = one.meta, task.examples(one.meta.split, run.trained().dataset)
    try:
        variant = run.variant(meta.which)
        now = Asking(run, task, meta.split, variant, meta.decoding).conditions(meta.model, meta.engine)
        present = {**vars(now), "examples_sha256": sha256(examples) if examples.is_file() else meta.examples_sha256}
        return all(present[name] == getattr(meta, name) for name in MADE_WITH) and not variant.stale()
    except ToolError:  # the best checkpoint, or its record, is gone
        return False
