"""The trained prompt and the served one are compared by token ids, and a template that doesn't fit is found."""

import json
import shutil
from pathlib import Path

import pytest

from tests.chat.conftest import TEXTS, this_run
from tests.conftest import real
from tools.chat import template, token_ids
from tools.conf.run import Run
from tools.errors import ToolError

ROWS = [
    {"instruction": "你是专家。", "input": f"找出实体：\n{text}", "output": '[{"text": "叶老桂", "label": "name"}]'}
    for text in TEXTS
    if "<|" not in text
]
QUICK = [row for row in ROWS if "{{idx}}" not in row["input"]]


@pytest.mark.parametrize("quick", [True, False])
def test_qwens_own_template_fits_whichever_way_it_is_asked(monkeypatch: pytest.MonkeyPatch, quick: bool) -> None:
    monkeypatch.setattr(template, "COMPARED", 1000)
    monkeypatch.setattr(template, "is_plain_qwen", lambda run: quick)
    assert template.prompt_problems(this_run(), QUICK) == []


def test_both_ways_give_the_same_tokens() -> None:
    run = this_run()
    own = template.chat_template(Path(run.base_model)) or ""
    (encode, decode), (slow_encode, slow_decode) = template._plain(run, own), template._by_transformers(run)
    for row in ROWS:
        found = template.served(run, encode, row)
        assert found == template.served(run, slow_encode, row)
        assert decode(found[0]) == slow_decode(found[0])


@pytest.mark.parametrize(("name", "shown"), [("llama3", "<|start_header_id|>system"), ("qwen3", "<think>"), ("default", "System: 你是专家。")])
def test_a_template_that_isnt_the_base_models_is_named_with_one_that_is(name: str, shown: str) -> None:
    [problem] = template.prompt_problems(this_run(f"template={name}"), ROWS[:2])
    assert f"`template: {name}` isn't the base model's own chat format: trained '" in problem
    assert shown.replace("\n", "\\n") in problem
    assert "Say template: qwen or" in problem


def test_a_row_whose_text_the_template_changes_is_seen() -> None:
    # LLaMA-Factory fills the turn's number into a text's first {{idx}}.
    [problem] = template.prompt_problems(this_run(), [{**ROWS[0], "input": "第{{idx}}章"}])
    assert "第0章" in problem
    assert "第{{idx}}章" in problem


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (None, "no chat template"),
        ("{{ raise_exception('no system turn') }}", "no system turn"),
        ("{% if %}", "can't render a system and a user turn"),
    ],
)
def test_a_base_model_that_cant_be_asked_in_chat_form_is_named(tmp_path: Path, own: str | None, message: str) -> None:
    base = tmp_path / "base"
    shutil.copytree("models/tiny-qwen2", base)
    (base / "chat_template.jinja").unlink()
    if own is None:
        [problem] = template.prompt_problems(this_run(f"model_name_or_path={base}"), ROWS)
        assert message in problem
        return
    settings = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": own}))
    with pytest.raises(ToolError, match=message):
        template.prompt_problems(this_run(f"model_name_or_path={base}"), ROWS)


def test_the_tokenizer_is_loaded_once_for_all_templates_and_nothing_is_logged(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    loads: list[str] = []

    class Counted(token_ids.LlamaFactory):
        def __init__(self, run: Run) -> None:
            loads.append(run.base_model)
            super().__init__(run)

    monkeypatch.setattr(template, "LlamaFactory", Counted)
    [problem] = template.prompt_problems(this_run("template=qwen3"), ROWS[:2])
    assert "Say template: qwen or" in problem
    assert len(loads) == 1
    assert len("".join(capfd.readouterr()).splitlines()) < 5


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["template=qwen3"], None),
        (["template=qwen"], "Say template: qwen3 or"),
        (["template=qwen3", "enable_thinking=false"], "Leave enable_thinking out. Say template: qwen3 or"),
    ],
)
def test_a_real_qwen3_is_asked_with_an_empty_thought_in_the_answer(tmp_path: Path, words: list[str], advice: str | None) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(real(f"tokenizers/qwen3/{name}"), tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen3", "transformers_version": "5.5.4"}')
    problems = template.prompt_problems(this_run(f"model_name_or_path={tmp_path}", *words), ROWS[:2])
    assert len(problems) == (advice is not None)
    assert not problems or advice in problems[0]
