"""What a run's folder says about its model, as plain values for the model card; nothing that isn't there is made up.

In: a trained run, its task, and which of its models the card is of. Out: a mapping that tools/eval/card.md renders, free of secrets and of this machine's paths.

    python -m tools.report.card conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.chat.prompt import alpaca, answer, messages, renderer
from tools.conf.run import Run, dataset_names
from tools.conf.task import Task
from tools.errors import ToolError
from tools.example import Entity, Example, read_examples
from tools.files import need_file, read_json, sha256
from tools.predict.predict import SAMPLING
from tools.predict.server import MODELS
from tools.report.card_metadata import id_problem
from tools.report.evaluations import VARIABLES, Evaluation, find_evaluations
from tools.serve.serve import RANKS
from tools.train.download import ORIGIN as DOWNLOADED
from tools.variant import QUANTIZATIONS

ADAPTER, ADAPTER_CONFIG, DONE = "adapter_model.safetensors", "adapter_config.json", "train_results.json"
LABELS = 200  # rows of a table of labels
TEXT = "{text}"  # stands for the sentence in the prompt that a card shows
OPTIONS = "{options}"
# run.yaml's keys that a reader wants to know, and what each is called.
SETTINGS = {
    "finetuning_type": ("method", "方法"),
    "lora_rank": ("rank", "秩"),
    "lora_alpha": ("alpha: the adapter counts alpha / rank times", "alpha：适配器的权重为 alpha / 秩"),
    "lora_dropout": ("dropout before the adapter", "适配器之前的 dropout"),
    "lora_target": ("layers with an adapter", "加适配器的层"),
    "additional_target": ("layers trained in full", "整层训练的层"),
    "use_rslora": ("rank-stabilised scaling", "秩稳定缩放（rsLoRA）"),
    "use_dora": ("weight-decomposed LoRA", "权重分解（DoRA）"),
    "pissa_init": ("starts from the principal singular values", "以主奇异值初始化（PiSSA）"),
    "loraplus_lr_ratio": ("LoRA+: the learning rate of B over that of A", "LoRA+：B 与 A 的学习率之比"),
    "num_virtual_tokens": ("length of the prefix", "前缀长度"),
    "prefix_projection": ("prefix computed through a perceptron", "前缀经感知机计算"),
    "encoder_hidden_size": ("width of the prefix encoder", "前缀编码器宽度"),
    "quantization_bit": ("bits of the base model while training", "训练时基座模型的比特数"),
    "quantization_method": ("its quantisation", "其量化方法"),
    "quantization_type": ("its number format", "其数值格式"),
    "template": ("chat template", "对话模板"),
    "cutoff_len": ("tokens a row at most", "每行最多 token 数"),
    "max_samples": ("rows of a data set at most", "每个数据集最多行数"),
    "val_size": ("share of the training rows held out for the loss", "留出计算损失的训练行比例"),
    "packing": ("several rows a sequence", "多行拼成一个序列"),
    "neat_packing": ("… that don't see each other", "……且互不可见"),
    "train_sampling_strategy": ("order of the rows", "行的顺序"),
    "per_device_train_batch_size": ("rows a process and forward pass", "每进程每次前向的行数"),
    "gradient_accumulation_steps": ("forward passes a step", "每步累积的前向次数"),
    "learning_rate": ("peak learning rate", "最高学习率"),
    "lr_scheduler_type": ("schedule", "学习率调度"),
    "warmup_steps": ("warm-up; below 1 a share of all steps", "预热步数；小于 1 时为占全部步数的比例"),
    "warmup_ratio": ("warm-up, as a share of all steps", "预热步数占全部步数的比例"),
    "num_train_epochs": ("epochs", "轮数"),
    "max_steps": ("steps at most", "最多步数"),
    "optim": ("optimizer", "优化器"),
    "weight_decay": ("weight decay", "权重衰减"),
    "max_grad_norm": ("gradient norm at most", "梯度范数上限"),
    "neftune_noise_alpha": ("noise on embeddings (NEFTune)", "嵌入噪声（NEFTune）"),
    "deepspeed": ("DeepSpeed configuration", "DeepSpeed 配置"),
    "fsdp": ("FSDP", "FSDP"),
    "flash_attn": ("attention", "注意力实现"),
    "seed": ("seed", "随机种子"),
    "load_best_model_at_end": ("keeps the checkpoint with the best metric", "保留指标最好的检查点"),
    "metric_for_best_model": ("… by", "……依据"),
}
# What no published file may hold: secrets, addresses of machines and services, and accounts.
_PRIVATE_KEY = re.compile(
    r"(^|[_-])(token|tokens_file|api_?key|access_?key|key_id|secret|password|passwd|credentials?|webhook(_url)?"
    r"|addr|address|host|hostname|ip|port|url|uri|endpoint|user|username|email|workspace|entity|hub_model_id|space_id|env_vars|runtime_env)$",
    re.IGNORECASE,
)
_SECRET = re.compile(r"\b(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|ms-[0-9a-f]{8}-[0-9a-f-]{20,}|AKIA[A-Z0-9]{12,})")
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
# A path that is absolute or leads out of the checkout; not what follows a word, as in https://host/page, owner/name and 10/20.
_PATH = re.compile(r"""(?:file://|(?<![\w.:/~<]))(?:~[\w.-]*|\.\.)?/[^\s,;:'"<>|()（）。，；]+""")
_CACHED = re.compile(r"models--(?P<owner>[^/]+?)--(?P<name>[^/]+)(/snapshots/[^/]+)?/?$")
_OUTSIDE = re.compile(r"file://|~|/|(.*/)?\.\.(/|$)")


def facts(this: Run, task: Task, which: str, split: str, base_model: str | None = None) -> dict[str, Any]:
    """All that the card says of `which` of the run's models. `base_model` is its base model's name on the hub, where a user gave it.

    Raises ToolError for a run that isn't trained, a model that isn't made or is older than its adapter, and for what can't be read.
    """
    trained, place = this.trained(), model_folder(this, which)
    config = read_json(need_file(this.adapter(which) / ADAPTER_CONFIG, f"make train CONF={this.path}"))
    base, data = _base(trained, base_model), _data(trained, this)
    own, rows, missing = _evaluations(this, task, which, split, config.get("peft_type") != "LORA")
    return {
        "run": this.name,
        "which": which,
        "folder": place,
        "conf": _conf(this),
        "engine": trained.engine,
        "base": base,
        "adapter": _adapter(this, which, config),
        "made": _made(this, which),
        "task": _task(task, trained, split, data),
        "prompt": _prompt(task, trained, data),
        "data": data,
        "settings": _settings(trained.values),
        "training": _training(this, trained, which),
        "manifest": _manifest(this),
        "split": split,
        "own": own,
        "evaluations": rows,
        "missing": missing,
        "parity": _parity(this, task, rows),
        "variable": VARIABLES.get(which, f" QUANTIZED={which.removeprefix('merged-')}"),
        "length": _length(trained),
        "max_tokens": SAMPLING["max_tokens"],
        "trust_remote_code": bool(trained.values.get("trust_remote_code")),
        "run_yaml": public_values(trained.values),
    }


def model_folder(this: Run, which: str) -> Path:
    """Where a model of the run is, and its card goes. Raises ToolError where it isn't made, or was made from another adapter than the one there is now."""
    need_file(this.output_dir / DONE, f"The run isn't trained yet, or its training didn't finish: make train CONF={this.path}")
    if not which.startswith("merged"):
        this.need_plain(this.adapter(which))
        need_file(this.adapter(which) / ADAPTER, f"make train CONF={this.path}")
        return this.adapter(which)
    model, command = this.output_dir / which, _make(this, which)
    need_file(model / "config.json", f"Not made yet: {command}")
    if this.is_stale(_record(this, which)):
        raise ToolError(f"{model}: made from an older adapter than the one in {this.output_dir}: {command}")
    return model


def _record(this: Run, which: str) -> Path:
    return this.output_dir / which / ("export.json" if which == "merged" else "quantize.json")


def _make(this: Run, which: str) -> str:
    return f"make export CONF={_conf(this)}" if which == "merged" else f"make quantize CONF={_conf(this)} METHOD={which.removeprefix('merged-')}"


def _conf(this: Run) -> str:
    """The run's file as a command in the checkout names it."""
    path = this.path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else f"conf/{this.path.name}"


# What may be published


def public_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """A run's values without secrets, addresses and accounts; of a path outside the checkout only the last component stays, at any depth."""
    return {key: _public(value) for key, value in values.items() if not _PRIVATE_KEY.search(str(key))}


def _public(value: Any) -> Any:
    if isinstance(value, Mapping):
        return public_values(value)
    if isinstance(value, list | tuple):
        return [_public(inner) for inner in value]
    return public_text(value) if isinstance(value, str) else value


def public_text(text: str) -> str:
    """The text without what looks like a secret, and with the last component alone of each path that is absolute or leads out of the checkout."""
    text = _LOGIN.sub("", _SECRET.sub("(removed)", text))
    if _OUTSIDE.match(text) and not re.search(r"[,;\n]", text):
        return base_name(text)  # one path, with spaces in it or without
    return _PATH.sub(lambda found: base_name(found[0]), text)


def base_name(path: str) -> str:
    """The last component of a path, or of a model's name on a hub."""
    if found := _CACHED.search(path):
        return found["name"]
    return Path(path.removeprefix("file://")).name or "(path)"


# The base model


def _base(trained: Run, given: str | None) -> dict[str, Any]:
    """The base model's name, its id on a hub with where that is known from ('' where it isn't), and the licence that its own card names."""
    value, id, known_by = trained.base_model, given or "", "user" if given else ""
    if not id and (found := _CACHED.search(value)):
        id, known_by = f"{found['owner']}/{found['name']}", "cache"
    if not id and (record := Path(value) / DOWNLOADED).is_file():
        id, known_by = str(read_json(record)["model"]), "modelscope"
    if not id and is_hub_id(value):
        id, known_by = value, "run"
    return {"name": base_name(id or value), "id": id, "known_by": known_by, "license": _license(Path(value) / "README.md")}


def is_hub_id(name: str) -> bool:
    """Whether a run's `model_name_or_path` is owner/name on a hub, and no folder: not one that is here, nor in models/, where base models are kept."""
    return name.count("/") == 1 and not id_problem(name) and not name.startswith("models/") and not Path(name).exists()


def _license(card: Path) -> str:
    from huggingface_hub import metadata_load

    try:
        metadata = metadata_load(card) if card.is_file() else None
    except Exception:  # YAML's own kinds, and ValueError: somebody else's file, which may say what it likes
        return ""
    found = (metadata or {}).get("license")
    return found.lower() if isinstance(found, str) else ""


# What it was made from, and how


def _adapter(this: Run, which: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The adapter's own figures, and why vLLM can't serve it beside the base model ('' where it can)."""
    rank = max([config.get("r") or 0, *(config.get("rank_pattern") or {}).values()])
    kind = str(config.get("peft_type"))
    refused = (
        kind if kind != "LORA" else next((name for name in ("use_dora", "modules_to_save") if config.get(name)), "rank" if rank > RANKS[-1] else "")
    )
    targets = config.get("target_modules")
    weights = this.adapter(which) / ADAPTER
    return {
        "kind": kind,
        "rank": rank,
        "alpha": config.get("lora_alpha"),
        "dropout": config.get("lora_dropout"),
        "targets": sorted(targets) if isinstance(targets, list) else [str(targets)] if targets else [],
        "max_rank": next((known for known in RANKS if known >= rank), RANKS[-1]),
        "refused": refused,
        "sha256": sha256(weights) if weights.is_file() else "",
        "from": this.adapter(which).name if which == "best" else "",
    }


def _made(this: Run, which: str) -> dict[str, Any]:
    """How a merged or quantised model was made, from the record beside it."""
    if not which.startswith("merged"):
        return {}
    path = _record(this, which)
    record = read_json(path) if path.is_file() else {}
    origin = {"adapter": base_name(str(record.get("adapter", "."))) if record.get("adapter", ".") != "." else "", "method": record.get("method", "")}
    calibration = record.get("calibration") or {}
    return {
        **{**origin, "adapter_sha256": record.get("adapter_sha256", ""), "scheme": record.get("scheme", ""), "group_size": record.get("group_size")},
        **{"calibration_rows": calibration.get("rows"), "bytes": record.get("bytes") or {}, "versions": record.get("versions") or {}},
    }


def _data(trained: Run, this: Run) -> list[dict[str, Any]]:
    """The run's data files: role, name, rows, the SHA-256 that the manifest recorded, and the file itself where it is still that very one."""
    recorded = _manifest(this).get("sha256", {})
    info_path = Path(str(trained.values.get("dataset_dir", "data"))) / "dataset_info.json"
    info = read_json(info_path) if info_path.is_file() else {}
    found = []
    for role in ("dataset", "eval_dataset"):
        for name in dataset_names(trained.values.get(role)):
            file = info_path.parent / str(info.get(name, {}).get("file_name", f"{name}.json"))
            digest = recorded.get(str(file), "")
            same = file.is_file() and bool(digest) and sha256(file) == digest
            rows = read_json(file) if same and file.suffix == ".json" else None
            found.append({"role": role, "name": file.name, "rows": len(rows) if rows is not None else None, "sha256": digest, "alpaca": rows})
    return found


def _settings(values: Mapping[str, Any]) -> list[tuple[str, tuple[str, str], str]]:
    """(key, what it is in English and Chinese, value) of what matters in a run, in SETTINGS' order; what is off or unset is left out."""
    shown = public_values(values)
    precision = "bf16" if shown.get("bf16") or shown.get("pure_bf16") else "fp16" if shown.get("fp16") else "fp32"
    found = [(key, words, _value(shown[key])) for key, words in SETTINGS.items() if shown.get(key) not in (None, False, "", [])]
    return [*found, ("bf16 / fp16", ("precision", "精度"), precision)]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)


def _training(this: Run, trained: Run, which: str) -> dict[str, Any]:
    """How the training went, by the Trainer's own records: steps, losses, seconds, and rows a step as they really were."""
    results = read_json(this.output_dir / DONE)
    path = this.output_dir / "trainer_state.json"
    state = read_json(path) if path.is_file() else {}
    history, steps = state.get("log_history", []), state.get("global_step")
    losses = [entry["loss"] for entry in history if "loss" in entry]
    evaluated = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    seconds, speed = results.get("train_runtime"), results.get("train_samples_per_second")
    command = str(_manifest(this).get("command", ""))
    processes = {name: found[1] for name in ("nproc-per-node", "nnodes") if (found := re.search(rf"--{name} (\S+)", command))}
    best = state.get("best_model_checkpoint") if trained.values.get("load_best_model_at_end") else None
    return {
        **{"steps": steps, "epochs": results.get("epoch"), "seconds": seconds, "mean_loss": results.get("train_loss")},
        "last_loss": losses[-1] if losses else None,
        "eval_loss": evaluated[-1] if evaluated else None,
        "rows_a_step": round(speed * seconds / steps, 1) if steps and seconds and speed else None,
        "processes": processes,
        "kept": this.adapter(which).name if which == "best" else base_name(str(best)) if best else "",
    }


def _manifest(this: Run) -> dict[str, Any]:
    """manifest.json, with no more of the machine than its kind; empty for a run that LLaMA-Factory trained without us."""
    path = this.output_dir / "manifest.json"
    if not path.is_file():
        return {}
    found = read_json(path)
    machine = found.get("machine") or {}
    return {
        **{key: found.get(key) for key in ("commit", "command", "started", "exit_code")},
        "sha256": found.get("sha256") or {},
        "versions": {name: version for name, version in (found.get("versions") or {}).items() if version},
        "attempts": len(found.get("attempts") or []),
        "system": str(machine.get("platform", "")).partition("-")[0],
        "cores": machine.get("cores"),
        "gpus": [str(gpu).partition(",")[0] for gpu in machine.get("gpus") or []],
    }


def _length(trained: Run) -> int:
    """Tokens that a server must have room for: the longest trained row and an answer, or as many as the base model has positions for."""
    wanted = int(trained.values.get("cutoff_len", 2048)) + int(SAMPLING["max_tokens"])
    config = Path(trained.base_model) / "config.json"
    return min(wanted, int(read_json(config).get("max_position_embeddings", wanted))) if config.is_file() else wanted


# The task


def _task(task: Task, trained: Run, split: str, data: list[dict[str, Any]]) -> dict[str, Any]:
    """The task in figures: rows, and how often each label is met, in train and in the evaluated split, as the examples on the disk say."""
    counted, rows = {}, {}
    for name in dict.fromkeys(("train", split)):
        if (path := task.examples(name, trained.dataset)).is_file():
            counted[name], rows[name] = _count(path)
    names = task.labels or sorted({label for counts in counted.values() for label in counts})
    train_rows = sum(one["rows"] or 0 for one in data if one["role"] == "dataset")
    return {
        **{"name": task.name, "kind": task.kind, "version": task.version, "source": public_text(task.source)},
        "labels": [(label, task.names.get(label, label), [counts.get(label, 0) for counts in counted.values()]) for label in names[:LABELS]],
        "left": max(0, len(names) - LABELS),
        "renamed": any(label != name for label, name in task.names.items()),
        "splits": list(counted),
        "rows": rows,
        "changed": bool(train_rows) and "train" in rows and rows["train"] != train_rows,  # the examples aren't those that it was trained on
    }


def _count(path: Path) -> tuple[Counter[str], int]:
    """How often each label is met (a string once a row, as the score counts), and the rows."""
    counts, rows = Counter[str](), 0
    for example in read_examples(path):
        rows += 1
        counts.update(label for label, _ in example.pairs())
    return counts, rows


def _prompt(task: Task, trained: Run, data: list[dict[str, Any]]) -> dict[str, Any]:
    """The prompt with a mark for the text, the form of an answer, and whether the training rows were really made with it (None where nobody can tell)."""
    marked = Example("", TEXT, [], "", [OPTIONS])
    system, user = (message["content"] for message in messages(task, renderer(task)(marked)))
    if task.kind == "ner":
        form, empty = answer(task, Example("", "…", [Entity(task.labels[0], "…", 0, 1)])), answer(task, Example("", "…", []))
    else:
        form, empty = (task.names[task.labels[0]] if task.labels else ""), ""
    return {
        **{"system": system, "user": user, "form": form, "empty": empty, "options": OPTIONS in user},
        "checked": _trained_with(task, trained, data),
    }


def _trained_with(task: Task, trained: Run, data: list[dict[str, Any]]) -> bool | None:
    rows = next((one["alpaca"] for one in data if one["role"] == "dataset" and one["alpaca"]), None)
    path = task.examples("train", trained.dataset)
    first = next(read_examples(path), None) if path.is_file() else None
    if not rows or first is None or not isinstance(rows[0], dict):
        return None
    made = alpaca(task, first, renderer(task))
    return all(rows[0].get(key) == made[key] for key in ("instruction", "input"))


# The evaluations


def _evaluations(
    this: Run, task: Task, which: str, split: str, here: bool
) -> tuple[dict[str, Any] | None, list[dict[str, Any]], list[dict[str, Any]]]:
    """The card's own evaluation; all that are whole, each with what makes it stale; and those of the split that are missing or aren't whole.

    `here` says that no server takes the adapter: it is evaluated in the process.
    """
    found, _ = find_evaluations(this.output_dir, task.name)
    rows = [_evaluation(this, task, one, here) for one in found]
    rows.sort(key=lambda row: (row["split"] != split, row["split"], _order(row["which"]), row["decoding"]))
    own = next((row for row in rows if (row["which"], row["decoding"], row["split"]) == (which, "free", split) and not row["stale"]), None)
    made = [name for name in ("merged", *(f"merged-{method}" for method in QUANTIZATIONS)) if _is_made(this, name)]
    known = {(row["which"], row["decoding"]) for row in rows if row["split"] == split}
    begun = [one for one in _begun(this, task, split) if one not in known]
    lacking = [*begun, *((name, "free") for name in (which, "base", "adapter", *made) if (name, "free") not in {*known, *begun})]
    return (
        own,
        rows,
        [
            {"which": name, "decoding": decoding, "begun": (name, decoding) in begun, "command": again(this, name, split, decoding, here)}
            for name, decoding in dict.fromkeys(lacking)
        ],
    )


def _begun(this: Run, task: Task, split: str) -> list[tuple[str, str]]:
    """(model, decoding) of each evaluation of the split that has a folder with something in it, finished or not."""
    found = []
    for path in sorted(this.output_dir.glob(f"eval/{task.name}_{split}*/")):
        variant = path.name.removeprefix(f"{task.name}_{split}").removeprefix("-")
        which = variant.removesuffix("schema").removesuffix("-") or "adapter"
        if (which in MODELS or re.fullmatch(r"checkpoint-\d+", which)) and any(path.iterdir()):
            found.append((which, "schema" if variant.endswith("schema") else "free"))
    return found


def _is_made(this: Run, which: str) -> bool:
    return (this.output_dir / which / "config.json").is_file()


def _order(which: str) -> tuple[int, str]:
    names = ("base", "adapter", "best", "merged")
    return (names.index(which) if which in names else len(names), which)


def _evaluation(this: Run, task: Task, one: Evaluation, here: bool) -> dict[str, Any]:
    """One evaluation as the card shows it: its score, what it was made with, and what makes it stale."""
    which = str(one.meta.get("which") or one.variant.removesuffix("schema").removesuffix("-") or "adapter")
    decoding = str(one.meta.get("decoding") or ("schema" if one.variant.endswith("schema") else "free"))
    split = str(one.meta["split"])
    stale = _stale(this, task, which, one)
    return {
        **{"which": which, "decoding": decoding, "split": split, "stale": stale, "again": again(this, which, split, decoding, here)},
        **{"engine": public_text(str(one.meta.get("engine", ""))), "sampling": one.meta.get("sampling") or {}},
        **{"examples_sha256": str(one.meta["examples_sha256"]), "task_version": one.meta["task_version"]},
        "score": {} if stale else one.score,
    }


def _stale(this: Run, task: Task, which: str, one: Evaluation) -> list[str]:
    """Which of task_version, prompt, examples, base_model and weights are others than they were when the model was asked."""
    found, meta = [], one.meta
    examples = task.examples(str(meta["split"]), this.trained().dataset)
    if meta["task_version"] != task.version:
        found.append("task_version")
    if meta["prompt_sha256"] != sha256(need_file(task.prompt)):
        found.append("prompt")
    if examples.is_file() and meta["examples_sha256"] != sha256(examples):
        found.append("examples")
    if meta.get("base_model") is not None and base_name(str(meta["base_model"])) != base_name(this.trained().base_model):
        found.append("base_model")
    if which != "base" and not _has_its_weights(this, which, meta):
        found.append("weights")
    return found


def _has_its_weights(this: Run, which: str, meta: Mapping[str, Any]) -> bool:
    """Whether the model that was asked is the one that is there now."""
    if which.startswith("merged"):
        record = _record(this, which)
        return record.is_file() and not this.is_stale(record) and meta.get("merged_sha256", sha256(record)) == sha256(record)
    try:
        weights = this.adapter(which) / ADAPTER
    except ToolError:  # the best checkpoint is gone
        return False
    return weights.is_file() and meta.get("adapter_sha256") == sha256(weights)


def again(this: Run, which: str, split: str, decoding: str, here: bool) -> str:
    """The command that evaluates a model of the run (anew)."""
    if which.startswith("checkpoint-"):
        return f"make best CONF={_conf(this)}" + (f" SPLIT={split}" if split != "dev" else "")
    words = [VARIABLES.get(which, f" QUANTIZED={which.removeprefix('merged-')}"), f" SPLIT={split}" if split != "dev" else ""]
    words += [" DECODING=schema" if decoding == "schema" else "", " ENGINE=hf" if here else ""]
    return f"make eval CONF={_conf(this)}{''.join(words)}"


def _parity(this: Run, task: Task, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """parity.json, where its figures are those of the evaluations above; else only whether there is one ('state': none, older, current)."""
    path = this.output_dir / "parity.json"
    found = read_json(path) if path.is_file() else {}
    if not found or found.get("task") != task.name:
        return {"state": "none"}
    f1 = {row["which"]: row["score"]["micro"]["f1"] for row in rows if row["score"] and (row["split"], row["decoding"]) == (found["split"], "free")}
    same = f1.get("adapter") == found["adapter_micro_f1"] and all(f1.get(model["model"]) == model["micro_f1"] for model in found["models"])
    return {**found, "state": "current"} if same else {"state": "older"}
