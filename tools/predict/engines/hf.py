"""Answers every row of a split in this process with transformers + PEFT: what a server can't load (prefix, P-tuning), or what you want to look into.

In: a run, and the examples of its task. Out: predictions.jsonl and predictions.meta.json, as from a server.

    python -m tools.predict.predict conf/peft/tiny-qwen2-sample-ner-ptuning.yaml --engine hf --out DIR
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import ToolError, choices
from tools.files import need_file
from tools.predict.client import Keep
from tools.predict.predict import SAMPLING, collect, need_examples
from tools.predict.predictions import FILE, Prediction, read_predictions
from tools.predict.questions import Question

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LINE = "\n" + "-" * 80 + "\n"


@dataclass(frozen=True)
class Local:
    """A model that answers in this process.

    `virtual` tokens stand before every prompt (prefix and P-tuning), `end` are the ids that end an answer, `positions` is what the model has in all, and
    `template` is LLaMA-Factory's, for a tokenizer without a chat template of its own.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    virtual: int
    end: frozenset[int]
    positions: int
    template: Any = None


class Prompt(NamedTuple):
    """A prompt as text and as token ids."""

    text: str
    ids: list[int]


def predict(
    this: Run,
    task: Task,
    split: str,
    which: str,
    out: Path,
    batch_size: int,
    debug: bool = False,
    limit: int | None = None,
    fresh: bool = False,
) -> Path:
    """Predict a split with the run's `which` ('adapter', 'base' or 'merged'); returns the predictions file, one line an example, in their order.

    `debug` prints the first row's prompt, ids and answer, and asks all rows anew. `limit` answers only the first rows. Raises ToolError for a model that isn't
    there, and where `out` holds more predictions than would be written.
    """
    if batch_size < 1 or (limit is not None and limit < 1):
        raise ToolError("--batch-size and --limit must be at least 1.")
    _need_room(out, limit)
    need_examples(this, task, split)
    _need_model(this, which)
    name = this.trained().base_name if which == "base" else this.name

    def answer(asked: list[Question], keep: Keep) -> None:
        local = load(this, which)
        prompts, refused = _prompts(local, {question.id: question.messages for question in asked})
        for prediction in refused.values():
            keep(prediction)
        # Rows of like length together: less padding. With `debug` the first one goes alone and ahead, unpadded, as it is printed.
        first = [question.id for question in asked[:1] if debug and question.id in prompts]
        ids = sorted(prompts.keys() - set(first), key=lambda id: (len(prompts[id].ids), id))
        for batch in [first] * bool(first) + [ids[start : start + batch_size] for start in range(0, len(ids), batch_size)]:
            for prediction in _answer(local, {id: prompts[id] for id in batch}, debug and batch == first).values():
                keep(prediction)

    engine = f"transformers {version('transformers')} + peft {version('peft')}"
    return collect(this, task, split, which, out, name, engine, name, answer, fresh=fresh or debug, limit=limit)


def load(this: Run, which: str) -> Local:
    """The run's base model, base + adapter, or merged model, ready to answer, with that model's own tokenizer and chat template.

    Raises ToolError for a model that isn't there or isn't whole, with the command that makes it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    trained = this.trained()
    folder = _need_model(this, which)
    trust = bool(trained.values.get("trust_remote_code"))
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust, padding_side="left")
    template = None if tokenizer.chat_template else _trained_template(trained)
    gpu = torch.cuda.is_available()
    # A CPU computes float32 faster than bfloat16, and the same weights exactly.
    base = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto" if gpu else torch.float32, device_map="auto" if gpu else None, trust_remote_code=trust
    )
    # Only the tokens that end an answer and fill a batch are the model's to say; its sampling habits (Qwen2.5: repetition_penalty 1.05) are not.
    own = base.generation_config
    end = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
    ends = frozenset(end if isinstance(end, list) else [end])
    padding = own.pad_token_id if own.pad_token_id is not None else tokenizer.pad_token_id
    base.generation_config = GenerationConfig(
        do_sample=False, repetition_penalty=1.0, max_new_tokens=SAMPLING["max_tokens"], eos_token_id=sorted(ends), pad_token_id=padding
    )
    positions = next((int(getattr(base.config, key)) for key in ("max_position_embeddings", "seq_length") if hasattr(base.config, key)), 2**31)
    virtual = 0
    if which in ("adapter", "best"):
        base, virtual = _adapted(base, this.adapter(which))
    return Local(base.eval(), tokenizer, virtual, ends, positions, template)


def _adapted(base: PreTrainedModel, folder: Path) -> tuple[PreTrainedModel, int]:
    """(base + adapter, how many virtual tokens it puts before a prompt)."""
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(base, folder)
    config = adapted.active_peft_config
    if not config.is_prompt_learning:
        return adapted, 0
    # PEFT 0.18 drops position_ids; counted from the batch's padded length, a prompt's distance to the (position-less) prefix would depend on its neighbours.
    # ChatGLM gives a prefix no positions.
    skipped = int(config.num_virtual_tokens) if base.config.model_type == "chatglm" else 0
    base.register_forward_pre_hook(partial(_count_positions, skipped), with_kwargs=True)
    return adapted, int(config.num_virtual_tokens)


def _count_positions(skipped: int, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positions as in training: virtual tokens first, `skipped` of them not counted, and padding not at all."""
    mask, ids = kwargs["attention_mask"], kwargs.get("input_ids")
    length = (kwargs["inputs_embeds"] if ids is None else ids).shape[1]
    return args, {**kwargs, "position_ids": (mask.long().cumsum(-1) - 1 - skipped).clamp(min=0)[:, -length:]}


def _trained_template(trained: Run) -> Any:
    """LLaMA-Factory's template that the run was trained with."""
    from llamafactory.data.template import TEMPLATES

    name = trained.values.get("template")
    if name not in TEMPLATES:
        raise ToolError(
            f"{trained.path}: neither the tokenizer of {trained.base_model} nor the run (`template`) says how this model is asked.{choices(str(name), TEMPLATES)}"
        )
    return TEMPLATES[name]


def _need_model(this: Run, which: str) -> Path:
    """The folder of the model to load, seen to be there; for an adapter the base model's, with a finished adapter in the run's own folder or its best one's.

    Raises ToolError also for a quantised model: vLLM serves those.
    """
    base = Path(this.trained().base_model)
    if which.startswith("merged-"):
        raise ToolError(f"{this.output_dir / which}: transformers can't load what llm-compressor made of it here. With vLLM: leave ENGINE=hf out.")
    if which == "merged":
        need_file(this.merged / "config.json", f"Not merged yet: make export CONF={this.path}")
        if this.is_stale(this.merged / "export.json"):
            raise ToolError(f"{this.merged}: made from an older adapter than the one in {this.output_dir}: make export CONF={this.path}")
        return this.merged
    need_file(base / "config.json", f"{this.path} names it as base model.")
    if which == "adapter":
        for name in ("train_results.json", "adapter_config.json", "adapter_model.safetensors"):
            need_file(this.output_dir / name, f"The run isn't trained yet, or its training didn't finish: make train CONF={this.path}")
    if which in ("adapter", "best"):
        this.need_plain(this.adapter(which))
    return base


def _need_room(out: Path, limit: int | None) -> None:
    """A few rows must not take the place of a whole split's predictions."""
    if limit is not None and (out / FILE).is_file() and (there := len(read_predictions(out / FILE))) > limit:
        raise ToolError(f"{out / FILE}: holds {there} predictions, --limit {limit} would replace them by fewer; name another folder with --out.")


def _prompts(local: Local, chats: dict[str, list[dict[str, str]]]) -> tuple[dict[str, Prompt], dict[str, Prediction]]:
    """(id → prompt, id → prediction of a row that can't be asked)."""
    prompts, refused = dict[str, Prompt](), dict[str, Prediction]()
    room = local.positions - local.virtual - int(SAMPLING["max_tokens"])
    for id, chat in chats.items():
        try:
            asked = _encode(local, chat)
        except (TypeError, UnicodeEncodeError):  # a lone surrogate has no bytes
            refused[id] = Prediction(id, None, error="the text can't be tokenised: it isn't valid Unicode")
            continue
        if len(asked.ids) > room:
            refused[id] = Prediction(id, None, error=f"the prompt has {len(asked.ids)} tokens, and the model has room for {room} beside the answer")
        else:
            prompts[id] = asked
    return prompts, refused


def _encode(local: Local, chat: list[dict[str, str]]) -> Prompt:
    if local.template is not None:
        system, user = chat
        ids, _ = local.template.encode_oneturn(local.tokenizer, [user, {"role": "assistant", "content": ""}], system["content"])
        return Prompt(local.tokenizer.decode(ids), ids)
    text = local.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return Prompt(text, local.tokenizer(text, add_special_tokens=False)["input_ids"])


def _answer(local: Local, prompts: dict[str, Prompt], debug: bool) -> dict[str, Prediction]:
    """id → prediction for one batch, padded on the left; the latency is the whole batch's."""
    import torch

    started = time.perf_counter()
    padded = local.tokenizer.pad({"input_ids": [asked.ids for asked in prompts.values()]}, padding=True, return_tensors="pt")
    inputs = {key: padded[key].to(local.model.device) for key in ("input_ids", "attention_mask")}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Position ids are not supported")  # PEFT drops them, _count_positions puts them back
        generated = local.model.generate(**inputs)
    cut = [_cut(row, local.end) for row in generated[:, inputs["input_ids"].shape[1] :]]
    outputs = local.tokenizer.batch_decode(cut, skip_special_tokens=True)
    latency = round(time.perf_counter() - started, 4)
    if debug:
        _show(next(iter(prompts.values())).text, inputs, generated, cut, outputs[0])
    return {
        id: Prediction(
            id,
            output,
            finish_reason="stop" if len(row) and int(row[-1]) in local.end else "length",
            prompt_tokens=len(prompts[id].ids),
            completion_tokens=len(row),
            latency_s=latency,
        )
        for id, output, row in zip(prompts, outputs, cut, strict=True)
    }


def _cut(row: Tensor, end: frozenset[int]) -> Tensor:
    """An answer's ids, its end token included, without what fills the batch behind it."""
    stop = next((place for place, id in enumerate(row.tolist()) if id in end), None)
    return row if stop is None else row[: stop + 1]


def _show(text: str, inputs: Any, generated: Tensor, cut: Sequence[Tensor], output: str) -> None:
    """The way from prompt to answer, in the parts and words of the transformers + PEFT document."""
    parts = {
        "构建后的 prompt 文本：": text,
        "tokenized 输入内容 (input_ids & attention_mask)：": inputs,
        "原始生成的 token IDs：": generated,
        "截断后的生成 token IDs（仅回答部分）：": list(cut),
        "最终解码结果（JSON 格式实体识别结果）：": output,
    }
    for title, part in parts.items():
        print(f"【DEBUG】{title}\n{part}{LINE}", flush=True)
