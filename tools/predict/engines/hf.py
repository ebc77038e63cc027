"""Answers in this process with transformers + PEFT: for adapters that vLLM can't load (prefix, P-tuning), and to show one row from prompt to answer.

In: an Asking (which rows, of which model, how). Out: an engine that loads the model when it is asked.

    ./ner predict conf/peft/tiny-qwen2-sample-ner-ptuning.yaml --engine hf --out DIR
    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --engine hf --limit 1 --debug --out DIR
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.chat.prompt import ANSWER_TOKENS
from tools.chat.thinking import template_kwargs
from tools.conf.run import Run
from tools.errors import WANTING, ToolError, choices
from tools.files import need_file
from tools.predict.engines import Engine, Options
from tools.predict.predictions import Keep, Prediction
from tools.predict.questions import Asking, Question
from tools.train.adapter import need_trained
from tools.variant import ADAPTER_WEIGHTS, Variant

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LINE = "\n" + "-" * 80 + "\n"
POSITIONS = ("max_position_embeddings", "seq_length")  # a config's key for the positions that a model has


@dataclass(frozen=True)
class Local:
    """A model that answers in this process.

    `room` is the most tokens that a prompt may have, `end` are the ids that end an answer, and `kwargs` are the chat template's arguments. `template` is
    LLaMA-Factory's, for a tokenizer without a chat template of its own.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    room: int
    end: frozenset[int]
    template: Any
    kwargs: dict[str, bool]


@contextmanager
def ready(asking: Asking, options: Options) -> Iterator[Engine]:
    """Yields the engine. With `options.debug` it prints the first row's prompt, ids and answer. Raises ToolError for a model that isn't there."""
    _need_model(asking.run, asking.variant)

    def answer(asked: list[Question], keep: Keep) -> None:
        local = load(asking.run, asking.variant, asking.sampling["max_tokens"])
        prompts, refused = _prompts(local, asked)
        for prediction in refused:
            keep(prediction)
        for batch in _batches(prompts, options.batch_size, asked[0].id if options.debug else None):
            for prediction in _answer(local, {id: prompts[id] for id in batch}, options.debug and batch == [asked[0].id]):
                keep(prediction)

    name = asking.variant.served_name
    yield Engine(name, f"transformers {version('transformers')} + peft {version('peft')}", name, answer)


def load(run: Run, variant: Variant, answer_tokens: int = ANSWER_TOKENS) -> Local:
    """Returns a model of the run, ready to answer in so many tokens, with that model's own tokenizer and chat template.

    Raises ToolError for a model that isn't there or isn't whole, with the command that makes it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trained, folder = run.trained(), _need_model(run, variant)
    trust = bool(trained.values.get("trust_remote_code"))
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust, padding_side="left")
    template = None if tokenizer.chat_template else _trained_template(trained)
    gpu = torch.cuda.is_available()
    # A CPU computes float32 faster than bfloat16, and the same weights exactly.
    dtype, device = ("auto", "auto") if gpu else (torch.float32, None)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map=device, trust_remote_code=trust)
    ends = _decode_greedily(model, tokenizer, answer_tokens)
    positions = next((int(getattr(model.config, key)) for key in POSITIONS if hasattr(model.config, key)), 2**31)
    model, virtual = _adapted(model, variant.folder) if variant.is_adapter else (model, 0)
    return Local(model.eval(), tokenizer, positions - virtual - answer_tokens, ends, template, template_kwargs(trained))


def _decode_greedily(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, answer_tokens: int) -> frozenset[int]:
    """Replaces the model's generation config, and returns the ids that end an answer.

    Only the tokens that end an answer and fill a batch come from the model; its sampling defaults (Qwen2.5: repetition_penalty 1.05) are dropped.
    """
    from transformers import GenerationConfig

    own = model.generation_config
    end = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
    ends = frozenset(end if isinstance(end, list) else [end])
    padding = own.pad_token_id if own.pad_token_id is not None else tokenizer.pad_token_id
    model.generation_config = GenerationConfig(
        do_sample=False, repetition_penalty=1.0, max_new_tokens=answer_tokens, eos_token_id=sorted(ends), pad_token_id=padding
    )
    return ends


def _adapted(base: PreTrainedModel, folder: Path) -> tuple[PreTrainedModel, int]:
    """Returns base + adapter, and the number of virtual tokens that it puts before a prompt."""
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found missing adapter keys")  # an error below
        adapted = PeftModel.from_pretrained(base, folder)
    config = adapted.active_peft_config
    if not config.is_prompt_learning:
        if config.peft_type == "LORA":
            _need_applied(adapted, folder)
        return adapted, 0
    # PEFT 0.18 drops position_ids; counted from the batch's padded length, a prompt's distance to the (position-less) prefix would depend on its neighbours.
    # ChatGLM gives a prefix no positions.
    skipped = int(config.num_virtual_tokens) if base.config.model_type == "chatglm" else 0
    base.register_forward_pre_hook(partial(_count_positions, skipped), with_kwargs=True)
    return adapted, int(config.num_virtual_tokens)


def _need_applied(adapted: PeftModel, folder: Path) -> None:
    """Raises ToolError (1) where PEFT left out a part of a LoRA adapter, for want of a layer of that name, or where the adapter holds nothing."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    need_trained(folder)
    held = {name.removesuffix(".weight") for name in get_peft_model_state_dict(adapted, save_embedding_layers=False)}
    with safe_open(folder / ADAPTER_WEIGHTS, "np") as weights:
        given = {name.removesuffix(".weight").removesuffix(".default") for name in weights.keys()}  # noqa: SIM118 - no mapping
    if lost := sorted(name for name in given ^ held if ".lora_" in name):
        raise ToolError(
            f"{folder / ADAPTER_WEIGHTS}: {len(lost)} matrices of it or of its adapter_config.json fit no layer of the other, and would be left out without"
            f" a word, e.g. {lost[0]}. Was it trained on another base model, or in another form of it? Train again.",
            WANTING,
        )


def _count_positions(skipped: int, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Counts positions as in training: virtual tokens first, `skipped` of them not counted; padding isn't counted."""
    mask, ids = kwargs["attention_mask"], kwargs.get("input_ids")
    length = (kwargs["inputs_embeds"] if ids is None else ids).shape[1]
    return args, {**kwargs, "position_ids": (mask.long().cumsum(-1) - 1 - skipped).clamp(min=0)[:, -length:]}


def _trained_template(trained: Run) -> Any:
    """Returns LLaMA-Factory's template that the run was trained with. Raises ToolError where the run names none."""
    from llamafactory.data.template import TEMPLATES

    name = trained.values.get("template")
    if name not in TEMPLATES:
        raise ToolError(
            f"{trained.path}: neither the tokenizer of {trained.base_model} nor the run (`template`) says how this model is asked.{choices(str(name), TEMPLATES)}"
        )
    return replace(TEMPLATES[name], enable_thinking=not template_kwargs(trained))


def _need_model(run: Run, variant: Variant) -> Path:
    """Returns the folder of the model to load: the merged model's, or the base model's, beside which an adapter was seen to be whole.

    Raises ToolError for a model that isn't there, and for a quantised one, which vLLM serves.
    """
    if variant.quantization:
        raise ToolError(f"{variant.folder}: transformers can't load what llm-compressor made of it here. With vLLM: leave --engine hf out.")
    folder = Path(variant.base_model) if variant.is_adapter else variant.folder
    variant.need()
    need_file(folder / "config.json", f"{run.path} names it as base model.")
    return folder


def _prompts(local: Local, asked: Sequence[Question]) -> tuple[dict[str, list[int]], list[Prediction]]:
    """Returns id → the prompt's token ids, and the predictions of rows that can't be asked."""
    prompts, refused = dict[str, list[int]](), list[Prediction]()
    for question in asked:
        try:
            ids = _encode(local, question.messages)
        except (TypeError, UnicodeEncodeError):  # a lone surrogate has no bytes
            error = "the text can't be tokenised: it isn't valid Unicode"
        else:
            error = f"the prompt has {len(ids)} tokens, and the model has room for {local.room} beside the answer" if len(ids) > local.room else ""
        if error:
            refused.append(Prediction(question.id, None, error=error))
        else:
            prompts[question.id] = ids
    return prompts, refused


def _batches(prompts: Mapping[str, list[int]], size: int, shown: str | None) -> Iterator[list[str]]:
    """Yields ids of rows of like length, which need less padding. `shown`, a row that is printed, goes alone and ahead, without padding."""
    if shown in prompts:
        yield [str(shown)]
    ids = sorted(prompts.keys() - {shown}, key=lambda id: (len(prompts[id]), id))
    yield from (ids[start : start + size] for start in range(0, len(ids), size))


def _encode(local: Local, chat: list[dict[str, str]]) -> list[int]:
    if local.template is None:
        return list(local.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False, **local.kwargs))
    system, user = chat
    return list(local.template.encode_oneturn(local.tokenizer, [user, {"role": "assistant", "content": ""}], system["content"])[0])


def _answer(local: Local, prompts: dict[str, list[int]], debug: bool) -> list[Prediction]:
    """Returns the predictions of one batch, padded on the left; the latency is the whole batch's."""
    import torch

    started = time.perf_counter()
    padded = local.tokenizer.pad({"input_ids": list(prompts.values())}, padding=True, return_tensors="pt")
    inputs = {key: padded[key].to(local.model.device) for key in ("input_ids", "attention_mask")}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Position ids are not supported")  # PEFT drops them, _count_positions puts them back
        generated = local.model.generate(**inputs)
    cut = [_cut(row, local.end) for row in generated[:, inputs["input_ids"].shape[1] :]]
    outputs = local.tokenizer.batch_decode(cut, skip_special_tokens=True)
    latency = round(time.perf_counter() - started, 4)
    if debug:
        _show(local.tokenizer.decode(next(iter(prompts.values()))), inputs, generated, cut, outputs[0])
    return [
        Prediction(
            id,
            output,
            finish_reason="stop" if len(row) and int(row[-1]) in local.end else "length",
            prompt_tokens=len(prompts[id]),
            completion_tokens=len(row),
            latency_s=latency,
        )
        for id, output, row in zip(prompts, outputs, cut, strict=True)
    ]


def _cut(row: Tensor, end: frozenset[int]) -> Tensor:
    """Returns an answer's ids with its end token, without the padding behind it."""
    stop = next((place for place, id in enumerate(row.tolist()) if id in end), None)
    return row if stop is None else row[: stop + 1]


def _show(text: str, inputs: Any, generated: Tensor, cut: Sequence[Tensor], output: str) -> None:
    """Prints the way from prompt to answer, in the parts and words of the transformers + PEFT document."""
    parts = {
        "构建后的 prompt 文本：": text,
        "tokenized 输入内容 (input_ids & attention_mask)：": inputs,
        "原始生成的 token IDs：": generated,
        "截断后的生成 token IDs（仅回答部分）：": list(cut),
        "最终解码结果（JSON 格式实体识别结果）：": output,
    }
    for title, part in parts.items():
        print(f"【DEBUG】{title}\n{part}{LINE}", flush=True)
