"""The trained prompt and the served one are compared, and a template that doesn't fit is refused with one that does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.chat.conftest import TEXTS, edit, this_run
from tests.conftest import real
from tools.chat import template, token_ids
from tools.chat.thinking import template_kwargs
from tools.conf.run import Run
from tools.errors import ToolError

ROWS = [
    {"instruction": "你是专家。", "input": f"找出实体：\n{text}", "output": '[{"text": "叶老桂", "label": "name"}]'}
    for text in TEXTS
    if "<|" not in text
]
QUICK = [row for row in ROWS if "{{idx}}" not in row["input"]]
SYSTEMLESS = [*QUICK[:2], {**QUICK[2], "instruction": ""}]

CHATML = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
ASK = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
# Chat templates in the shape of models whose tokenizers aren't here. Qwen3.5's ask for an answer in one of two ways, by size.
INSTRUCT_2507 = CHATML + ASK
THINKING_2507 = CHATML + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
QWEN3_5 = CHATML + (
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% else %}{{ '<think>\n' }}{% endif %}{% endif %}"
)
QWEN3_5_SMALL = (
    QWEN3_5.replace("enable_thinking is false", "enable_thinking is true")
    .replace("<think>\n\n</think>\n\n", "X")
    .replace("{{ '<think>\n' }}", "{{ '<think>\n\n</think>\n\n' }}")
    .replace("X", "<think>\n")
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the embedded model's files without weights, to be given another chat template."""
    base = tmp_path / "tiny"
    shutil.copytree("models/tiny-qwen2", base, ignore=shutil.ignore_patterns("*.safetensors", "make", "chat_template.jinja"))
    return base


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model folder with Qwen3's own tokenizer."""
    base = tmp_path_factory.mktemp("real") / "Qwen3-8B"
    base.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(real(f"tokenizers/qwen3/{name}"), base / name)
    (base / "config.json").write_text('{"model_type": "qwen3", "eos_token_id": 151645, "transformers_version": "5.5.4"}')
    return base


def problems(base: Path, *words: str, rows: list[dict[str, str]] = QUICK) -> list[str]:
    return template.prompt_problems(this_run(f"model_name_or_path={base}", *words), rows)


def speaks(base: Path, chat_template: Any) -> Path:
    edit(base / "tokenizer_config.json", chat_template=chat_template)
    return base


def test_qwens_own_template_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "COMPARED", 1000)
    assert template.agree_as_texts(this_run(), QUICK)
    assert template.prompt_problems(this_run(), QUICK) == []


@pytest.mark.parametrize(("name", "shown"), [("llama3", "<|start_header_id|>system"), ("qwen3", "<think>"), ("default", "System: 你是专家。")])
def test_a_template_that_isnt_the_base_models_is_named_with_one_that_is(name: str, shown: str) -> None:
    [problem] = template.prompt_problems(this_run(f"template={name}"), ROWS[:2])
    assert f"`template: {name}` isn't the base model's own chat format: " in problem
    assert shown.replace("\n", "\\n") in problem
    assert "Say template: qwen or qwen3_nothink." in problem
    assert not name.startswith(("llama", "default")) or not template.agree_as_texts(this_run(f"template={name}"), ROWS[:2])


def test_a_run_without_a_template_is_told_which_to_name() -> None:
    run = this_run()
    run.values.pop("template")
    [problem] = template.prompt_problems(run, QUICK)
    assert "`template` is missing" in problem
    assert "Say template: qwen or" in problem


def test_a_row_whose_text_the_template_changes_is_seen_among_others() -> None:
    # LLaMA-Factory fills the turn's number into a text's first {{idx}}.
    [problem] = template.prompt_problems(this_run(), [*QUICK[:5] * 20, {**ROWS[0], "input": "第{{idx}}章"}, *QUICK[:5] * 20])
    assert "row 101: trained" in problem
    assert "第0章" in problem
    assert "第{{idx}}章" in problem
    assert "The other kinds of rows agree" in problem or "The other rows agree" in problem


def test_a_setting_that_changes_tokens_is_named_and_no_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "trained_ids", lambda run: lambda row: ([1, 2, 3], [2060]))
    [problem] = template.prompt_problems(this_run("split_special_tokens=true"), QUICK)
    assert "`split_special_tokens` changes the base model's own tokens: row 1: trained '" in problem
    assert problem.endswith("Leave split_special_tokens out.")


def test_a_row_without_a_system_line_decides_between_templates_that_differ_in_their_own() -> None:
    assert template.prompt_problems(this_run("template=qwen3_nothink"), QUICK) == []
    [problem] = template.prompt_problems(this_run("template=qwen3_nothink"), SYSTEMLESS)
    assert "row 3: trained" in problem
    assert "You are Qwen" in problem
    assert problem.endswith("Say template: qwen.")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (None, "no chat template"),
        ("{{ raise_exception('no system turn') }}", "no system turn"),
        ("{% if %}", "can't render a system and a user turn"),
        ("{{ messages[0].content.nothing() }}", "can't render a system and a user turn"),
        ("{{ 1 // 0 }}", "can't render a system and a user turn"),
        ([{"name": "tool_use", "template": INSTRUCT_2507}], "several chat templates .tool_use., and none is named 'default'"),
    ],
)
def test_a_base_model_that_cant_be_asked_in_chat_form_is_named(model: Path, own: Any, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        problems(speaks(model, own))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (CHATML, "writes no request for an answer"),
        (INSTRUCT_2507.replace("+ '\n'", "+ ':'"), "None of LLaMA-Factory's templates fits it"),
        (THINKING_2507, "begins each answer with a thought, whatever a request says"),
    ],
)
def test_a_chat_format_that_no_template_has_is_explained(model: Path, own: str, message: str) -> None:
    [problem] = problems(speaks(model, own), rows=SYSTEMLESS)
    assert message in problem


def test_of_several_chat_templates_the_default_counts_and_a_file_comes_before_them(model: Path) -> None:
    speaks(model, [{"name": "tool_use", "template": "{{ 1 // 0 }}"}, {"name": "default", "template": INSTRUCT_2507}])
    assert problems(model, "template=qwen3_nothink", rows=SYSTEMLESS) == []
    (model / "chat_template.jinja").write_text("{{ bos_token }}" + CHATML + ASK)
    edit(model / "tokenizer_config.json", bos_token={"content": "<|endoftext|>"})
    [problem] = problems(model, "template=qwen3_nothink")
    assert "<|endoftext|><|im_start|>system" in problem
    assert "Say template: " in problem


def test_a_template_that_would_add_tokens_is_never_advised(model: Path) -> None:
    llama = (
        "{{ '<|start_header_id|>user<|end_header_id|>\n\n' + messages[-1].content + '<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    )
    [problem] = problems(speaks(model, llama))
    assert "none of LLaMA-Factory's fits it" in problem


def test_a_model_that_stops_elsewhere_is_refused_with_the_line_that_mends_it(model: Path) -> None:
    shutil.copy("models/tiny-qwen2/chat_template.jinja", model)
    edit(model / "tokenizer_config.json", eos_token="<|endoftext|>")
    edit(model / "generation_config.json", eos_token_id=2058)
    [problem] = problems(model)
    assert "answers are trained to end in '<|im_end|>', and the server stops at '<|endoftext|>' alone" in problem
    assert f'write "eos_token_id": [2060, 2058] into {model}/generation_config.json' in problem
    edit(model / "generation_config.json", eos_token_id=[2060, 2058])
    assert problems(model) == []


def test_the_tokenizer_is_loaded_once_for_all_templates_and_nothing_is_logged(
    qwen3: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    loads: list[str] = []
    load = token_ids.load_tokenizer
    token_ids._base_tokenizer.cache_clear()
    monkeypatch.setattr(token_ids, "load_tokenizer", lambda run: loads.append(run.base_model) or load(run))
    monkeypatch.setattr(token_ids, "LlamaFactory", lambda run: pytest.fail("LLaMA-Factory isn't needed"))
    for name in ("glm4", "llama3", "deepseek3", "qwen2_vl", "qwen3_5"):
        [problem] = problems(qwen3, f"template={name}", rows=SYSTEMLESS)
        assert "Say template: qwen3_nothink or qwen3 with enable_thinking: false or qwen3." in problem
    assert len(loads) == 1
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["template=qwen3"], None),
        (["template=qwen3", "enable_thinking=false"], None),
        (["template=qwen3", "enable_thinking=null"], None),
        (["template=qwen3_nothink"], None),
        (["template=qwen3_nothink", "enable_thinking=false"], "Say template: qwen3_nothink without enable_thinking or qwen3 or"),
        (["template=qwen"], "Say template: qwen3_nothink or qwen3 with enable_thinking: false or qwen3."),
        (["template=glm4"], "Say template: qwen3_nothink or qwen3 with enable_thinking: false or qwen3."),
    ],
)
def test_a_real_qwen3_agrees_with_the_right_pairs_alone(qwen3: Path, words: list[str], advice: str | None) -> None:
    found = problems(qwen3, *words, rows=SYSTEMLESS)
    assert len(found) == (advice is not None), found
    assert not found or advice in found[0]


@pytest.mark.parametrize(
    ("own", "words", "advice"),
    [
        (INSTRUCT_2507, ["template=qwen3_nothink"], None),
        (INSTRUCT_2507, ["template=qwen3_nothink", "enable_thinking=false"], None),
        (INSTRUCT_2507, ["template=qwen3"], "Say template: qwen3_nothink."),
        (INSTRUCT_2507, ["template=qwen3", "enable_thinking=false"], "Say template: qwen3_nothink without enable_thinking."),
        (THINKING_2507, ["template=qwen3"], "take an Instruct model, such as Qwen3-4B-Instruct-2507."),
        (THINKING_2507, ["template=qwen3_nothink"], "take an Instruct model, such as Qwen3-4B-Instruct-2507."),
        (QWEN3_5, ["template=qwen3", "enable_thinking=false"], None),
        (QWEN3_5, ["template=qwen3"], "Say template: qwen3 with enable_thinking: false."),
        (QWEN3_5, ["template=qwen3_nothink"], "Say template: qwen3 with enable_thinking: false."),
        (QWEN3_5_SMALL, ["template=qwen3", "enable_thinking=false"], None),
        (QWEN3_5_SMALL, ["template=qwen3"], "Say template: qwen3 with enable_thinking: false."),
    ],
)
def test_thinking_must_be_the_same_on_both_sides(model: Path, own: str, words: list[str], advice: str | None) -> None:
    base = model.rename(model.with_name("Qwen3-4B-Thinking-2507"))
    edit(base / "config.json", model_type="qwen3")
    found = problems(speaks(base, own), *words, rows=SYSTEMLESS)
    assert len(found) == (advice is not None), found
    assert not found or found[0].endswith(f" {advice}")


def test_the_prompt_is_rendered_with_what_each_request_carries(qwen3: Path) -> None:
    run = this_run(f"model_name_or_path={qwen3}", "template=qwen3", "enable_thinking=false")
    found = template.Agreement(run, QUICK)
    assert template_kwargs(run) == {"enable_thinking": False}
    assert found.served(1, False).endswith("<think>\n\n</think>\n\n")
    assert found.served(1, True).endswith("assistant\n")


def test_one_row_of_each_kind_is_compared() -> None:
    plain = [{"instruction": "系统", "input": f"文本{number}", "output": "[]"} for number in range(1000)]
    odd = {700: {"input": " 两端"}, 701: {"instruction": ""}, 702: {"input": "<think>"}, 703: {"input": "长" * 99}, 704: {"output": "<think>"}}
    rows = [{**row, **odd.get(number, {})} for number, row in enumerate(plain)]
    assert {number + 1 for number in odd} <= set(template.telling(rows))
    assert len(template.telling(rows)) < 30
    assert list(template.telling(rows[:1])) == [1]


def test_a_run_is_only_read(qwen3: Path) -> None:
    run: Run = this_run(f"model_name_or_path={qwen3}", "template=glm4")
    before = json.dumps(run.values)
    template.prompt_problems(run, QUICK)
    assert json.dumps(run.values) == before
