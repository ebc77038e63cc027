"""Compares the prompt that training sees with the one that the server will send, and the end of each answer with what ends it there.

LLaMA-Factory makes its prompt from `template:`, vLLM from the base model's own chat template. A model that is served another prompt than the trained one answers worse,
and no tool warns. In: a run and some of its rows. Out: the difference, and the templates that would fit.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml template=llama3

The rule: the prompts are equal, token by token, with the `chat_template_kwargs` that each request carries; the answer ends in a token at which the server stops; and a
thought in the answer is one that the base model's own format has. The answer needn't look as the base model's own format shows a past one: Qwen3's puts an empty thought
before the last, and `qwen3_nothink` trains without. Texts are compared first, which takes no tokenizer, and only what agrees there is compared by token ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools.chat.formats import EOS, ChatFormat, format_of, formats, text
from tools.chat.own_format import PROCESSORS, OwnFormat, ends
from tools.chat.prompt import AlpacaRow
from tools.chat.qwen import SETTINGS
from tools.chat.thinking import template_kwargs
from tools.chat.token_ids import base_tokenizer, first_difference, is_plain_tokenizer, takes, trained_ids
from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import read_json

COMPARED = 16  # rows at least, evenly over the data, and the first of each kind
NAMED = 4  # templates in a message
END = 3  # tokens of an answer, of which one must stop the server; a line feed or two may follow it
SHOWN, BEFORE, TOKENS = 40, 10, 8  # characters or tokens of a difference that are shown, some of them before it
MARKS = ("{{", "<|", "<think", "</", "<image>", "<video>", "<audio>")  # a template may treat a row with one of these in its own way
NEUTRAL = {"instruction": "系统", "input": "甲", "output": "[]"}
NOT_THINKING = {"enable_thinking": False}


@dataclass(frozen=True)
class Fit:
    """A template that gives the served prompts, and the `enable_thinking` with which it does."""

    form: ChatFormat
    thinks: bool

    def words(self, run: Run) -> str:
        """Returns what to write into the run."""
        before = bool(run.values.get("enable_thinking", True))
        return self.form.name + ("" if self.thinks == before else " without enable_thinking" if self.thinks else " with enable_thinking: false")


class Agreement:
    """Compares a run's template, or others, with the base model's own chat format, on the rows that tell. Raises ToolError where that can't be rendered."""

    def __init__(self, run: Run, rows: Sequence[AlpacaRow]) -> None:
        self.run, self.rows, self.own = run, telling(rows), OwnFormat(run)
        self._texts: dict[tuple[int, bool], str] = {}

    def served(self, number: int, thinks: bool) -> str:
        """Returns the text of the prompt that the server makes of a row (by its number, from 1), under an `enable_thinking`."""
        if (number, thinks) not in self._texts:
            self._texts[number, thinks] = self.own.prompt(self.rows[number], self._kwargs(thinks))
        return self._texts[number, thinks]

    def trained(self, form: ChatFormat, thinks: Any, number: int) -> str:
        """Returns the text of a row's prompt that training sees."""
        return text(form.slots(self.rows[number], thinks)[0], lambda name: self._special(form, name))

    def differing(self, form: ChatFormat, thinks: Any) -> list[int]:
        """Returns the numbers of the rows whose trained and served prompts differ as texts."""
        return [number for number in self.rows if self.trained(form, thinks, number) != self.served(number, bool(thinks))]

    def has_thought(self, form: ChatFormat) -> bool:
        """Returns whether the base model's own format shows the template's empty thought before an answer, or behind the request for one."""
        past, asked = self.own.past(NEUTRAL), self.own.prompt(NEUTRAL, NOT_THINKING)
        return form.empty_thought + NEUTRAL["output"] in past or asked.endswith(form.empty_thought)

    def name_tokens(self) -> None:
        """Takes the named tokens from the tokenizer itself; its class may have some that its files don't name."""
        self.own.special = {**self.own.special, **base_tokenizer(self.run).special}
        self._texts.clear()

    def stops(self) -> set[int]:
        """Returns the ids at which the server ends an answer."""
        tokenizer, named = base_tokenizer(self.run), ends(self.own.folder)
        eos = tokenizer.special.get(EOS)
        found = {*named, *([tokenizer.token_id(eos)] if eos else [])}
        if not named:  # nothing says where: its own format's turns end as it does
            found |= set(tokenizer.encode(self.own.past(NEUTRAL).rpartition(NEUTRAL["output"])[2])[:1])
        return {token for token in found if token is not None}

    def _kwargs(self, thinks: bool) -> dict[str, bool]:
        return template_kwargs(replace(self.run, values=self.run.values | {"enable_thinking": thinks}))

    def _special(self, form: ChatFormat, name: str) -> str:
        return form.eos(self.own.special.get(EOS, "")) if name == EOS else self.own.special.get(name, "")


def agree_as_texts(run: Run, rows: Sequence[AlpacaRow]) -> bool:
    """Returns whether the prompts agree as texts. A yes isn't certain until token ids are compared, and it takes no tokenizer. Raises as `prompt_problems` does."""
    form, found = format_of(run), Agreement(run, rows)
    return form is not None and takes(run, form) and not found.differing(form, run.values.get("enable_thinking", True))


def prompt_problems(run: Run, rows: Sequence[AlpacaRow]) -> list[str]:
    """Returns a message about the first row that is trained and served differently; an empty list where all agree.

    There must be a row. Raises ToolError where the base model's chat template can't be rendered, or LLaMA-Factory doesn't know the run's.
    """
    found = Agreement(run, rows)
    if run.values.get("template") is None:
        return [f"{run.path}: `template` is missing; LLaMA-Factory would guess the chat format, and no other step would know it.{_advice(found)}"]
    form, thinks = format_of(run), run.values.get("enable_thinking", True)
    if form and not takes(run, form):
        return [
            f"{run.path}: `template: {form.name}` is for a model that takes pictures or sound, and {run.base_model} has no {PROCESSORS[0]}: LLaMA-Factory would refuse"
            f" each row.{_advice(found)}"
        ]
    template = f"{run.path}: `template: {run.values.get('template')}`"
    if form:
        if not is_plain_tokenizer(run) and found.differing(form, thinks):
            found.name_tokens()
        if different := found.differing(form, thinks):
            number = different[0]
            near = _difference(found.trained(form, thinks, number), found.served(number, bool(thinks)))
            return [f"{template} isn't the base model's own chat format: {_row(number, near)}.{_advice(found, len(different))}"]
        if thinks and form.empty_thought and not found.has_thought(form):
            row = found.rows[1]
            return [
                f"{template} isn't the base model's own chat format: trained {(form.empty_thought + row['output'])[:SHOWN]!r} where its own format has the answer"
                f" {row['output'][:SHOWN]!r}.{_advice(found)}"
            ]
    ids, tokenizer, stops = trained_ids(run), base_tokenizer(run), found.stops()
    for number, row in found.rows.items():
        ours, answer = ids(row)
        theirs = tokenizer.encode(found.served(number, bool(thinks)))
        if ours != theirs:
            changing = [key for key in SETTINGS if run.values.get(key) and key != "default_system"]
            fault = (
                f"{run.path}: `{changing[0]}` changes the base model's own tokens"
                if changing
                else f"{template} isn't the base model's own chat format"
            )
            advice = f" Leave {' and '.join(changing)} out." if changing else _advice(found)
            return [f"{fault}: {_row(number, _different_ids(ours, theirs, tokenizer.decode))}.{advice}"]
        if not stops & set(answer[-END:]):
            return [f"{template}: {_endless(found, answer)}{_advice(found, ending=True)}"]
    return []


def telling(rows: Sequence[AlpacaRow]) -> dict[int, AlpacaRow]:
    """Returns the rows to compare by their numbers, from 1: some evenly over the data, the longest, and the first of each kind that a template may treat differently."""
    kinds: dict[Any, int] = {}
    for number, row in enumerate(rows, 1):
        asked = row["instruction"] + row["input"]
        kind = (
            not row["instruction"],
            *(row[key] != row[key].strip() for key in NEUTRAL),
            *(mark in asked for mark in MARKS),
            MARKS[2] in row["output"],
        )
        kinds.setdefault(kind, number)
    longest = max(range(1, len(rows) + 1), key=lambda number: len(rows[number - 1]["input"]))
    return {number: rows[number - 1] for number in dict.fromkeys([*range(1, len(rows) + 1, max(1, len(rows) // COMPARED)), longest, *kinds.values()])}


def fitting(found: Agreement) -> list[Fit]:
    """Returns the templates that give the served ids and end where the server stops, the likeliest first: they are compared as texts, and the first few by ids."""
    known = _added(found.own.folder)
    likely = [
        fit
        for fit in (Fit(form, thinks) for form in formats().values() for thinks in (True, False) if thinks or form.empty_thought)
        if set(fit.form.stop_words) <= known
        and takes(found.run, fit.form)
        and not found.differing(fit.form, fit.thinks)
        and (not (fit.thinks and fit.form.empty_thought) or found.has_thought(fit.form))
    ]
    return [fit for fit in _family(found, likely) if _has_ids(found, fit)]


def _family(found: Agreement, fits: list[Fit]) -> list[Fit]:
    """Returns the templates whose names begin most like the base model's type or name, or else the first of any name; those that need no thought first."""
    config = read_json(found.own.folder / "config.json") if (found.own.folder / "config.json").is_file() else {}
    names = [_plain(str(config.get("model_type", ""))), _plain(found.own.folder.resolve().name)]
    bare = Agreement(found.run, [{**NEUTRAL, "instruction": ""}]) if fits else found

    def alike(fit: Fit) -> int:
        return max(first_difference(_plain(fit.form.name), name) for name in names)

    def rank(fit: Fit) -> tuple[int, bool, int, bool]:
        thought = 0 if not fit.form.empty_thought else 2 if fit.thinks else 1
        return -alike(fit), bool(_differing(bare, fit)), thought, bool(fit.form.plugin)

    best = max(map(alike, fits), default=0)
    return sorted((fit for fit in fits if alike(fit) == best), key=rank)[:NAMED]


def _differing(found: Agreement, fit: Fit) -> list[int]:
    """Returns the rows that differ under a template; none where the base model can't be asked without a system line."""
    try:
        return found.differing(fit.form, fit.thinks)
    except ToolError:
        return []


def _has_ids(found: Agreement, fit: Fit) -> bool:
    """Returns whether a template gives the served token ids, and answers that end at the server."""
    tokenizer = base_tokenizer(found.run)
    ids, stops = tokenizer.ids(fit.form, fit.thinks), found.stops()
    both = ((ids(row), tokenizer.encode(found.served(number, fit.thinks))) for number, row in found.rows.items())
    return all(ours == theirs and stops & set(answer[-END:]) for (ours, answer), theirs in both)


def _advice(found: Agreement, different: int = 0, ending: bool = False) -> str:
    """Returns the end of the message: the templates that fit, or why there is none. `different` rows differ as texts."""
    if fits := fitting(found):
        return f" Say template: {' or '.join(fit.words(found.run) for fit in fits)}."
    if ending:
        return ""
    if different and different < len(found.rows):
        return f" The other {'rows agree' if different == 1 else 'kinds of rows agree'}: mend the text, or leave the row out."
    if all(_opens_thought(found.served(1, thinks)) for thinks in (True, False)):
        name = found.own.folder.name
        other = f", such as {name.replace('Thinking', 'Instruct')}" if "Thinking" in name else ""
        return f" The base model begins each answer with a thought, whatever a request says, and extraction is trained without: take an Instruct model{other}."
    if found.own.prompt(NEUTRAL, {}) == found.own.opening(NEUTRAL):
        return f" {found.own.place}: its chat template writes no request for an answer (`add_generation_prompt` changes nothing), and none of LLaMA-Factory's fits it."
    return " None of LLaMA-Factory's templates fits it: take a base model whose chat format one of them has."


def _endless(found: Agreement, answer: list[int]) -> str:
    """Returns what is wrong with the end of a trained answer, and how the server would be told of it."""
    tokenizer, stops = base_tokenizer(found.run), sorted(found.stops())
    last = next((token for token in reversed(answer) if tokenizer.decode([token]).strip()), answer[-1])
    return (
        f"answers are trained to end in {tokenizer.decode([last])!r}, and the server stops at {' or '.join(repr(tokenizer.decode([stop])) for stop in stops)} alone:"
        f' each answer would run on. Take the Instruct model, or write "eos_token_id": {[last, *stops]} into {found.own.folder / "generation_config.json"}.'
    )


def _opens_thought(prompt: str) -> bool:
    """Returns whether a prompt ends inside a thought."""
    words = {form.thought_words for form in formats().values() if form.empty_thought}
    return any(prompt.rstrip().endswith(opened.strip()) for opened, _ in words)


def _row(number: int, near: tuple[str, str]) -> str:
    return f"row {number}: trained {near[0]!r} where the server sends {near[1]!r}"


def _difference(ours: str, theirs: str) -> tuple[str, str]:
    start = max(0, first_difference(ours, theirs) - BEFORE)
    return ours[start : start + SHOWN], theirs[start : start + SHOWN]


def _different_ids(ours: list[int], theirs: list[int], decode: Callable[[list[int]], str]) -> tuple[str, str]:
    """Returns the texts from shortly before the first token that differs, or the tokens themselves where the texts are equal."""
    start = max(0, first_difference(ours, theirs) - 3)
    near = decode(ours[start:])[:SHOWN], decode(theirs[start:])[:SHOWN]
    return near if near[0] != near[1] else (str(ours[start : start + TOKENS]), str(theirs[start : start + TOKENS]))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _added(folder: Path) -> set[str]:
    """Returns the tokens that a base model's tokenizer cuts no text through."""
    own = read_json(folder / "tokenizer.json")
    config = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    listed = [own.get("added_tokens") if isinstance(own, dict) else (), config.get("added_tokens_decoder") if isinstance(config, dict) else ()]
    return {
        str(token.get("content"))
        for tokens in listed
        for token in (tokens.values() if isinstance(tokens, dict) else tokens or ())
        if isinstance(token, dict)
    }
