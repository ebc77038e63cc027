"""Thinking is decided once: what requests carry and what answers begin with, and trained = served with Qwen3's real tokenizer and chat template."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chat.conftest import row
from tests.conftest import real
from tools.chat import formats
from tools.chat.decoding import constraint
from tools.chat.own_format import find_template
from tools.chat.prompt import trained_messages
from tools.chat.qwen import is_plain_qwen, load_tokenizer
from tools.chat.thinking import KNOWN, Thinking, empty_thought, template_kwargs, thinking
from tools.chat.token_ids import trained_ids
from tools.conf.run import Run
from tools.conf.task import find_task
from tools.errors import ToolError

EMPTY = "<think>\n\n</think>\n\n"
OFF = {"enable_thinking": False}
ANSWER = '[{"label": "name", "text": "叶老桂"}]'
# The generation prompt of Qwen3.5's larger models, and that of its small ones, as read in public copies of their chat templates; the rest is Qwen3's.
OPENS = "{%- else %}{{- '<think>\\n' }}"
CLOSES = "{%- elif enable_thinking is not defined %}{{- '<think>\\n\\n</think>\\n\\n' }}"
ENDS = "{{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}"


def a_run(template: str | None, base: Path | str = "models/x", **values: Any) -> Run:
    return Run(Path("x.yaml"), {"model_name_or_path": str(base), "template": template, "output_dir": "data/outputs/x", **values})


@pytest.mark.parametrize(
    ("template", "values", "kwargs", "before"),
    [
        ("qwen", {}, {}, ""),
        ("qwen3_nothink", {}, {}, ""),
        ("qwen3", {}, {}, EMPTY),
        ("qwen3", {"enable_thinking": True}, {}, EMPTY),
        ("qwen3", {"enable_thinking": False}, OFF, ""),
        ("qwen3", {"enable_thinking": None}, OFF, ""),  # LLaMA-Factory puts the thought into the prompt here too
        ("qwen3_5", {"enable_thinking": False}, OFF, ""),
        ("qwen3_6", {}, {}, EMPTY),
        ("deepseekr1", {}, {}, EMPTY),
        ("glm4_7", {}, {}, "</think>\n"),
        ("kimi_vl", {}, {}, "◁think▷◁/think▷"),
        ("llama3", {}, {}, ""),
        ("glm4", {}, {}, "\n"),
        ("glm4_moe", {}, {}, EMPTY + "\n"),
        ("chatglm3", {}, {}, "\n"),
        ("mistral", {}, {}, " "),
        (None, {}, {}, ""),
    ],
)
def test_a_runs_requests_and_answers_follow_from_two_of_its_keys(
    template: str | None, values: dict[str, Any], kwargs: dict[str, bool], before: str
) -> None:
    run = a_run(template, **values)
    assert (template_kwargs(run), thinking(run).before) == (kwargs, before)
    assert thinking(run).body == ({"chat_template_kwargs": OFF} if kwargs else {})


def test_the_templates_that_are_answered_at_once_are_llamafactorys() -> None:
    found = {name: (form.empty_thought, form.opening) for name, form in formats.formats().items()}
    assert found.items() >= KNOWN.items()
    assert {name for name in found if name.startswith("qwen3") and found[name][0]} == {"qwen3", "qwen3_vl", "qwen3_omni", "qwen3_5", "qwen3_6"}


def test_without_llamafactory_an_unknown_template_is_no_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    assert empty_thought("qwen3_5") == EMPTY
    with pytest.raises(ToolError, match=r"LLaMA-Factory's templates aren't in .* `make setup`"):
        empty_thought("hunyuan")


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3's real tokenizer as a base model's folder, with its own chat template."""
    folder = tmp_path_factory.mktemp("base") / "Qwen3-0B"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(real(f"tokenizers/qwen3/{name}"), folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    return folder


@pytest.fixture(scope="module")
def encode(qwen3: Path) -> Callable[[str], list[int]]:
    tokenizer = load_tokenizer(a_run("qwen3", qwen3))
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def served(folder: Path, messages: list[dict[str, str]], kwargs: dict[str, bool], ask: bool = True, own: str | None = None) -> str:
    """The text that vLLM makes of a request, by transformers' own function."""
    from transformers.utils.chat_template_utils import render_jinja_template

    [text], _ = render_jinja_template([messages], chat_template=own or find_template(folder)[1], add_generation_prompt=ask, **kwargs)
    return str(text)


@pytest.mark.parametrize(("template", "values"), [("qwen3_nothink", {}), ("qwen3", {}), ("qwen3", {"enable_thinking": False})])
def test_with_qwen3_the_trained_tokens_are_the_served_ones(
    qwen3: Path, encode: Callable[[str], list[int]], template: str, values: dict[str, Any]
) -> None:
    run = a_run(template, qwen3, **values)
    assert is_plain_qwen(run)
    ids, decided = trained_ids(run), thinking(run)
    for user in ("请识别实体：\n叶老桂在浙商银行。", "  两端 有空格  \n\n", "/no_think 与 /think"):
        chat = row(user, ANSWER)
        prompt, answer = ids(chat)
        assert prompt == encode(served(qwen3, trained_messages(chat), decided.kwargs))
        # What the model should write: the thought where it is part of the answer, and the answer; both as the tokenizer cuts them when they are one text.
        assert answer == encode(f"{decided.before}{ANSWER}<|im_end|>\n")
        assert (encode("<think>")[0] in answer) == bool(decided.thought)
        allowed = constraint(find_task("sample"), "", [], decided.before)["grammar"].splitlines()[0]
        assert allowed.startswith('root ::= "' + decided.before.replace("\n", "\\n") + "[")


def test_with_qwen3_other_pairs_differ(qwen3: Path, encode: Callable[[str], list[int]]) -> None:
    chat = row("叶老桂", ANSWER)
    prompt, _ = trained_ids(a_run("qwen3_nothink", qwen3, enable_thinking=False))(chat)
    text = served(qwen3, trained_messages(chat), template_kwargs(a_run("qwen3_nothink", qwen3, enable_thinking=False)))
    assert text.endswith(EMPTY)
    assert prompt != encode(text)


@pytest.mark.parametrize(("change", "default"), [(OPENS, "<think>\n"), (CLOSES, EMPTY)], ids=["large", "small"])
def test_with_qwen3_5s_generation_prompt_only_the_closed_thought_in_the_prompt_fits(
    qwen3: Path, encode: Callable[[str], list[int]], change: str, default: str
) -> None:
    own = find_template(qwen3)[1] or ""
    assert own.count(ENDS) == 1
    own = own.replace(ENDS, ENDS.replace("\n    {%- endif %}", f"\n    {change}{{%- endif %}}", 1))
    chat, run = row("叶老桂", ANSWER), a_run("qwen3", qwen3, enable_thinking=False)  # qwen3_5 registers the same words
    asked = served(qwen3, trained_messages(chat), thinking(run).kwargs, own=own)
    assert trained_ids(run)(chat)[0] == encode(asked)
    plain = a_run("qwen3", qwen3)
    asked = served(qwen3, trained_messages(chat), thinking(plain).kwargs, own=own)
    assert asked.endswith(default)
    assert trained_ids(plain)(chat)[0] != encode(asked)


def test_a_decision_holds_one_half_at_most() -> None:
    assert Thinking() == thinking(a_run("qwen3_nothink"))
    assert all(
        not (one.kwargs and one.thought) for one in map(thinking, (a_run(name, enable_thinking=on) for name in KNOWN for on in (True, False, None)))
    )
