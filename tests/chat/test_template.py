"""The trained prompt and the served one are compared by token ids, and a template that doesn't fit is found."""

import json
import shutil
from pathlib import Path

import pytest
from tests.test_lengths import TEXTS

from tools.chat import template as parity
from tools.conf.run import Run, load_run

CONF = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")
ROWS = [
    {"instruction": "你是专家。", "input": f"找出实体：\n{text}", "output": '[{"text": "叶老桂", "label": "name"}]'}
    for text in TEXTS
    if "<|" not in text
]
QUICK = [row for row in ROWS if "{{idx}}" not in row["input"]]


def run(*words: str) -> Run:
    return load_run(CONF, words)


@pytest.mark.parametrize("quick", [True, False])
def test_qwens_own_template_fits_whichever_way_it_is_asked(monkeypatch: pytest.MonkeyPatch, quick: bool) -> None:
    monkeypatch.setattr(parity, "COMPARED", 1000)
    monkeypatch.setattr(parity, "is_quick", lambda run: quick)
    assert parity.prompt_problems(run(), QUICK) == []


def test_both_ways_give_the_same_tokens() -> None:
    (trained, served, _), (own, theirs, _) = parity._plain(run()), parity._by_llamafactory(run())
    for row in ROWS:
        assert trained(row) == own(row)
        assert served(row) == theirs(row)


@pytest.mark.parametrize(("template", "shown"), [("llama3", "<|start_header_id|>system"), ("qwen3", "<think>"), ("default", "System: 你是专家。")])
def test_a_template_that_isnt_the_base_models_is_named_with_one_that_is(template: str, shown: str) -> None:
    [problem] = parity.prompt_problems(run(f"template={template}"), ROWS[:2])
    assert f"`template: {template}` isn't the base model's own chat format: trained '" in problem
    assert shown.replace("\n", "\\n") in problem
    assert "Say template: qwen or" in problem


def test_a_row_whose_text_the_template_changes_is_seen() -> None:
    # LLaMA-Factory fills the turn's number into a text's first {{idx}}.
    [problem] = parity.prompt_problems(run(), [{**ROWS[0], "input": "第{{idx}}章"}])
    assert "第0章" in problem
    assert "第{{idx}}章" in problem


@pytest.mark.parametrize(
    ("template", "message"),
    [(None, "no chat template"), ("{{ raise_exception('no system turn') }}", "no system turn"), ("{% if %}", "isn't readable")],
)
def test_a_base_model_that_cant_be_asked_in_chat_form_is_named(tmp_path: Path, template: str | None, message: str) -> None:
    from tools.errors import ToolError

    base = tmp_path / "base"
    shutil.copytree("models/tiny-qwen2", base)
    (base / "chat_template.jinja").unlink()
    if template is None:
        [problem] = parity.prompt_problems(run(f"model_name_or_path={base}"), ROWS)
        assert message in problem
        return
    settings = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    with pytest.raises(ToolError, match=message):
        parity.prompt_problems(run(f"model_name_or_path={base}"), ROWS)
