"""The model card: a README.md in English and Chinese that tells a stranger what a model of a run is, what it scores, and how to use it.

In: a trained run's folder, its task and its evaluations. Out: README.md in the folder of the adapter, or of the merged or quantised model, with the Hugging
Face hub's metadata at its head. What isn't there is named as missing, with the command that makes it.

    python -m tools.report.card conf/tiny-qwen2-sample-ner-lora-sft.yaml
    python -m tools.report.card conf/tiny-qwen2-sample-ner-lora-sft.yaml --model merged --base-model Qwen/Qwen2.5-7B-Instruct --license apache-2.0
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.conf.run import Run, run_from
from tools.conf.task import Task, find_task
from tools.errors import ToolError, run
from tools.files import read_text, write_text
from tools.predict.server import MODELS
from tools.report.card_facts import LABELS, facts, model_folder
from tools.report.card_metadata import metadata

NAME = "README.md"
ASIDE = "README.md.previous"
TEMPLATE = Path(__file__).with_suffix(".md")
CARDS = tuple(name for name in MODELS if name != "base")
MARK = re.compile(r"<!-- NER Factory's model card; `make card` writes it anew while nobody edits it: sha256 (?P<digest>[0-9a-f]{64}) -->\n")
# Which of the things that must be the same isn't, in the words of a table.
REASONS = {
    "task_version": ("the task has another version now", "任务版本已变"),
    "prompt": ("the prompt has changed", "提示词已变"),
    "examples": ("the examples have changed", "示例已变"),
    "base_model": ("it was another base model", "基座模型不同"),
    "weights": ("the model was made anew, or is gone", "模型已重新生成或已不在"),
}
PROTOCOLS = {
    "span": (
        "label, start and end must be right; a string stands at all its places in the text",
        "标签、起点、终点都须正确；字符串取其在文本中的全部位置",
    ),
    "partial": ("an overlap is half right, whatever its label", "位置重叠即算半对，不论标签"),
    "type": ("an overlap with the right label is right", "位置重叠且标签正确即算对"),
}
SENTENCE = "请把这里换成要处理的文本。"


def card(found: Mapping[str, Any], license: str | None = None, datasets: Sequence[str] = ()) -> str:
    """The card of what `facts` found, with the mark by which a later call knows that nobody has edited it. The same facts give the same bytes.

    Raises ToolError for a name or licence that the hub wouldn't take.
    """
    import jinja2

    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.ChainableUndefined, keep_trailing_newline=True)
    environment.globals |= {"cell": cell, "code": code, "fence": fence, "number": _number, "whole": _whole, "interval": _interval, "level": _level}
    body = environment.from_string(read_text(TEMPLATE)).render(
        **found,
        **_code(found),
        english=lambda english, chinese: english,
        chinese=lambda english, chinese: chinese,
        base_shown=code(found["base"]["id"] or found["base"]["name"]),
        reasons=REASONS,
        protocols=PROTOCOLS,
        most_labels=LABELS,
        examples=_examples(found["evaluations"]),
    )
    head = f"---\n{metadata(found, license, datasets).to_yaml()}\n---\n"
    text = re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"
    digest = _digest(head, text)
    return f"{head}\n<!-- NER Factory's model card; `make card` writes it anew while nobody edits it: sha256 {digest} -->\n\n{text}"


def write(
    this: Run,
    task: Task,
    which: str,
    split: str,
    base_model: str | None = None,
    license: str | None = None,
    datasets: Sequence[str] = (),
) -> tuple[Path, Path | None]:
    """Write the card of one of the run's models into its folder; returns its path, and where a README.md that somebody wrote or edited was moved to, if any.

    Raises ToolError as `facts` and `card` do; then nothing is changed.
    """
    path = model_folder(this, which) / NAME
    text = card(facts(this, task, which, split, base_model), license, datasets)
    aside = None
    if path.is_file() and not is_ours(old := path.read_text(encoding="utf-8", errors="replace")) and not is_generated(old):
        aside = _free(path.with_name(ASIDE))
        with open(aside, "xb") as copy:  # never over another file; the card itself stays until the new one is whole
            copy.write(path.read_bytes())
    write_text(path, text)
    return path, aside


def is_ours(text: str) -> bool:
    """Whether this module wrote the text, and nobody has changed a byte of it."""
    found = MARK.search(text)
    if not found:
        return False
    head, body = text[: found.start()], text[found.end() :]
    return found["digest"] == _digest(head.removesuffix("\n"), body.removeprefix("\n"))


def _digest(head: str, body: str) -> str:
    return hashlib.sha256(f"{head}\n{body}".encode(errors="backslashreplace")).hexdigest()


def is_generated(text: str) -> bool:
    """Whether the text is what transformers' Trainer (and so LLaMA-Factory) or PEFT writes, as it wrote it: one that was filled in is somebody's work."""
    from huggingface_hub import ModelCard, ModelCardData

    try:
        found = ModelCard(text)
    except Exception:  # a head that isn't YAML, or no metadata: not theirs
        return False
    if set(found.data.to_dict()) - _GENERATED_KEYS or found.data.get("license", "other") != "other":
        return False
    template = ModelCard.from_template(ModelCardData())
    return _TRAINERS.fullmatch(found.text.strip()) is not None or _plain(found.text) == _plain(template.text)


_GENERATED_KEYS = {"library_name", "license", "base_model", "tags", "pipeline_tag", "model-index"}
_MORE = r"More information needed"
# The skeleton of transformers.modelcard.TrainingSummary.to_model_card.
_TRAINERS = re.compile(
    r"<!-- This model card has been generated automatically according to the information the Trainer had access to\. You\n"
    r"should probably proofread and complete it, then remove this comment\. -->\n\n"
    r"# [^\n]*\n\nThis model (?:is a fine-tuned version of|was trained from scratch on) [^\n]*\n"
    r"(?:It achieves the following results on the evaluation set:\n(?:- [^\n]*\n)+)?\n"
    rf"## Model description\n\n{_MORE}\n\n## Intended uses & limitations\n\n{_MORE}\n\n## Training and evaluation data\n\n{_MORE}\n\n"
    rf"## Training procedure\n\n+(?:The following `bitsandbytes` quantization config was used during training:\n(?:- \w+: [^\n]*\n)+\n+)?### Training hyperparameters\n\n(?:{_MORE}\n|The following hyperparameters were used during training:\n(?:- \w+: [^\n]*\n)+)\n*"
    r"(?:### Training results\n\n(?:\|[^\n]*\n)*\n*)?### Framework versions\n\n(?:- \w+ [^\n ]+(?:\n|$))+"
)


def _plain(text: str) -> str:
    """PEFT's card without what PEFT adds to the hub's template."""
    return re.sub(r"### Framework versions\n\n(- \w+ [^\n ]+(\n|$))+", "", text).strip()


def _free(path: Path) -> Path:
    """`path`, or with -2, -3 … behind it the first that isn't taken."""
    number, free = 1, path
    while free.exists() or free.is_symlink():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


# Markdown


def cell(text: Any) -> str:
    """Text that isn't ours, for a table's cell or a sentence: on one line, nothing in it means anything to Markdown or HTML, and what can't be seen is written out."""
    line = "".join(c if c.isprintable() else f"⟨U+{ord(c):04X}⟩" for c in str(text).replace("\r\n", " ").replace("\n", " "))
    return re.sub(r"([\\`*\[\]<>|&~$#!]|(?<!\w)_|_(?!\w))", r"\\\1", line).strip()  # inside a word, _ means nothing


def code(text: Any) -> str:
    """Text as inline code for a table's cell; as a plain cell where it has what inline code in a table can't hold."""
    line = str(text)
    return f"`{line}`" if line.isprintable() and line.strip() and not re.search(r"[`|\\]", line) else cell(line)


def fence(text: str, language: str) -> str:
    """A block of code that no backticks in the text can end."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{text}\n{marks}"


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "–"


def _whole(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "–"


def _interval(bounds: Any) -> str:
    return f"{bounds[0]:.4f} – {bounds[1]:.4f}" if isinstance(bounds, list) and len(bounds) == 2 else "–"


def _level(score: Mapping[str, Any]) -> str:
    return f"{(score.get('intervals') or {}).get('level', 0.95):.0%}".replace("%", " %")


def _examples(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """SHA-256 of the examples → the splits that were evaluated on them."""
    found: dict[str, list[str]] = {}
    for one in evaluations:
        found.setdefault(one["examples_sha256"], []).append(one["split"])
    return {digest: ", ".join(dict.fromkeys(splits)) for digest, splits in found.items()}


# Code to copy


def _code(found: Mapping[str, Any]) -> dict[str, str]:
    import yaml

    conf, name, adapter = found["conf"], found["run"], found["which"] in ("adapter", "best")
    trainer = "llamafactory-cli train run.yaml" if found["engine"] == "llamafactory" else "python -m tools.train.engines.peft_engine run.yaml"
    return {
        "serve_command": _serve(found, adapter),
        "curl": _curl(found, name),
        "python_request": _python_request(found, name),
        "python_load": _python_load(found, adapter),
        "run_text": yaml.safe_dump(found["run_yaml"], allow_unicode=True, sort_keys=False, width=1000).rstrip(),
        "reproduce": f"make data TASK={found['task']['name']}\nmake train CONF={conf}\n# or natively, with the run.yaml below: {trainer}",
    }


def _base(found: Mapping[str, Any]) -> str:
    return found["base"]["id"] or f"path/to/{found['base']['name']}"


def _serve(found: Mapping[str, Any], adapter: bool) -> str:
    from shlex import quote

    flags = f"--host 127.0.0.1 --generation-config vllm --max-model-len {found['length']}" + (
        " --trust-remote-code" if found["trust_remote_code"] else ""
    )
    name = quote(found["run"])
    if not adapter:
        return f"vllm serve . --served-model-name {name} {flags}"
    beside = f"--enable-lora --max-lora-rank {found['adapter']['max_rank']} --lora-modules {name}=."
    return f'BASE={quote(_base(found))}\nvllm serve "$BASE" {beside} {flags}'


def _filled(found: Mapping[str, Any]) -> str:
    options = ", ".join(name for _, name, _ in found["task"]["labels"][:3]) or "甲, 乙"
    return found["prompt"]["user"].replace("{options}", options).replace("{text}", SENTENCE)


def _curl(found: Mapping[str, Any], name: str) -> str:
    request = {
        "model": name,
        "messages": [{"role": "system", "content": found["prompt"]["system"]}, {"role": "user", "content": _filled(found)}],
        "temperature": 0,
        "max_tokens": found["max_tokens"],
    }
    body = json.dumps(request, ensure_ascii=False, indent=1)
    return f"curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' -d @- <<'JSON'\n{body}\nJSON"


def _prompt_lines(found: Mapping[str, Any]) -> list[str]:
    """SYSTEM, PROMPT and `messages` in Python."""
    system, user = (json.dumps(found["prompt"][part], ensure_ascii=False) for part in ("system", "user"))
    options = "\noptions = [" + (", ".join(json.dumps(name, ensure_ascii=False) for _, name, _ in found["task"]["labels"][:3]) or '"甲", "乙"') + "]"
    choose = '.replace("{options}", ", ".join(options))' if found["prompt"]["options"] else ""
    return [
        f"SYSTEM = {system}",
        f"PROMPT = {user}",
        f'text = "{SENTENCE}"' + (options if found["prompt"]["options"] else ""),
        f'user = PROMPT{choose}.replace("{{text}}", text)',
        'messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]',
    ]


def _python_request(found: Mapping[str, Any], name: str) -> str:
    return "\n".join(
        [
            "from openai import OpenAI",
            "",
            *_prompt_lines(found),
            'client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="EMPTY")  # or the server\'s VLLM_API_KEY',
            f"answer = client.chat.completions.create(model={json.dumps(name, ensure_ascii=False)}, messages=messages, temperature=0, max_tokens={found['max_tokens']})",
            "print(answer.choices[0].message.content)",
        ]
    )


def _python_load(found: Mapping[str, Any], adapter: bool) -> str:
    trust = ", trust_remote_code=True" if found["trust_remote_code"] else ""
    base = json.dumps(_base(found), ensure_ascii=False)
    load = f'AutoModelForCausalLM.from_pretrained({base if adapter else "folder"}, dtype="auto"{trust})'
    return "\n".join(
        [
            *(["from peft import PeftModel"] if adapter else []),
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            'folder = "."',
            *_prompt_lines(found),
            f"tokenizer = AutoTokenizer.from_pretrained(folder{trust})",
            f"model = {f'PeftModel.from_pretrained({load}, folder)' if adapter else load}.eval()",
            'inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt").to(model.device)',
            f"tokens = model.generate(**inputs, do_sample=False, repetition_penalty=1.0, max_new_tokens={found['max_tokens']})",
            'print(tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.report.card", description=(__doc__ or "").split("\n\n")[0])
    add_run(parser)
    parser.add_argument("--task", metavar="T", help="default: the task that the run trains")
    parser.add_argument("--split", default="dev", help="whose scores stand in detail (default: dev)")
    parser.add_argument("--model", choices=CARDS, default="adapter", help="whose card (default: adapter)")
    parser.add_argument("--base-model", metavar="OWNER/NAME", help="the base model's name on the Hugging Face hub, where the run doesn't tell it")
    parser.add_argument(
        "--license", metavar="ID", help="the licence of these weights, as the hub names it (default: what base model and data agree on, or unknown)"
    )
    parser.add_argument("--dataset", action="append", default=[], metavar="OWNER/NAME", help="a data set's name on the hub; may be given again")
    args = parser.parse_args()
    if args.base_model is not None and args.base_model.count("/") != 1:
        raise ToolError(f"--base-model {args.base_model}: not owner/name, as in Qwen/Qwen2.5-7B-Instruct.")
    this = run_from(args)
    task = find_task(args.task or this.task)
    path, aside = write(this, task, args.model, args.split, args.base_model, args.license, args.dataset)
    if aside:
        print(f"{path}: somebody wrote or edited it; what was there is now {aside}")
    print(path)


if __name__ == "__main__":
    run(main)
