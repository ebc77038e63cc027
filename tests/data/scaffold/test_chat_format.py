"""A base model's chat format follows from its chat template, or from its name; a model that always thinks is refused."""

import json
from pathlib import Path

import pytest

from tests.conftest import real
from tools.chat.own_format import find_template
from tools.data.scaffold.chat_format import ChosenFormat, chat_format, said_format
from tools.errors import ToolError
from tools.files import ROOT

GENERATION = "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{# #}{%- endif %}"
CHATML = "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}" + GENERATION
EMPTY = "{{- '<think>\\n\\n</think>\\n\\n' }}"
HYBRID = CHATML.replace("{# #}", f"{{%- if enable_thinking is defined and enable_thinking is false %}}{EMPTY}{{%- endif %}}")
OPENS = HYBRID.replace(f"{EMPTY}{{%- endif", f"{EMPTY}{{%- else %}}{{{{- '<think>\\n' }}}}{{%- endif")
CLOSES = CHATML.replace(
    "{# #}", f"{{%- if enable_thinking is defined and enable_thinking is true %}}{{{{- '<think>\\n' }}}}{{%- else %}}{EMPTY}{{%- endif %}}"
)
ALWAYS = CHATML.replace("{# #}", "{{- '<think>\\n' }}")
OTHER = CHATML.replace("<|im_end|>", "<|end|>")


@pytest.mark.parametrize(
    ("name", "template", "off"),
    [
        ("Qwen2.5-7B-Instruct", "qwen", False),
        ("Qwen1.5-14B-Chat", "qwen", False),
        ("Qwen3-8B", "qwen3_nothink", False),
        ("Qwen3-30B-A3B-Instruct-2507", "qwen3_nothink", False),
        ("Qwen3-Next-80B-A3B-Instruct", "qwen3_nothink", False),
        ("Qwen3.5-0.8B", "qwen3_5", True),
        ("Qwen3.5-35B-A3B", "qwen3_5", True),
        ("Qwen3.6-27B", "qwen3_6", True),
    ],
)
def test_without_its_folder_a_models_name_decides(name: str, template: str, off: bool) -> None:
    assert chat_format(Path("models") / name) == ChosenFormat(template, off)


@pytest.mark.parametrize("name", ["Qwen3-4B-Thinking-2507", "Qwen3-Next-80B-A3B-Thinking", "QwQ-32B"])
def test_a_model_that_always_thinks_is_refused_with_one_that_does_not(name: str) -> None:
    with pytest.raises(ToolError, match=r"that can't be turned off; .* Take a model that answers at once, as Qwen/Qwen3-4B-Instruct-2507"):
        chat_format(Path("models") / name)


@pytest.mark.parametrize("name", ["glm-4-9b-chat", "Qwen2-VL-7B-Instruct", "Qwen3-VL-8B-Instruct", "Qwen3-Embedding-0.6B", "my-model"])
def test_a_name_that_tells_nothing_asks_for_the_template(name: str) -> None:
    with pytest.raises(ToolError, match=r"which chat format\? Its name isn't one of Qwen's"):
        chat_format(Path("models") / name)


def folder(path: Path, kind: str, own: str, *files: str) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": kind}))
    (path / "chat_template.jinja").write_text(own)
    for file in files:
        (path / file).write_text("{}")
    return path


@pytest.mark.parametrize(
    ("kind", "own", "files", "found"),
    [
        ("qwen2", CHATML, (), ChosenFormat("qwen")),
        ("qwen3", CHATML, (), ChosenFormat("qwen3_nothink")),
        ("qwen3", HYBRID, (), ChosenFormat("qwen3_nothink")),
        ("qwen3_moe", OPENS, (), ChosenFormat("qwen3", True)),
        ("qwen3_5", OPENS, ("preprocessor_config.json",), ChosenFormat("qwen3_5", True)),
        ("qwen3_5", CLOSES, ("preprocessor_config.json",), ChosenFormat("qwen3_5", True)),
        ("qwen3_5", OPENS, (), ChosenFormat("qwen3", True)),
    ],
    ids=["qwen2.5", "instruct-2507", "hybrid", "opens", "qwen3.5", "qwen3.5 small", "qwen3.5 without pictures"],
)
@pytest.mark.parametrize("name", ["mine", "Qwen3-4B-Thinking-2507"])
def test_a_models_own_chat_template_tells_more_than_its_name(
    tmp_path: Path, kind: str, own: str, files: tuple[str, ...], found: ChosenFormat, name: str
) -> None:
    assert chat_format(folder(tmp_path / name, kind, own, *files)) == found


@pytest.mark.parametrize(
    ("kind", "own", "message"),
    [
        ("qwen3", ALWAYS, "that can't be turned off"),
        ("qwen3", OTHER, "Its chat template isn't one of Qwen's text models"),
        ("qwen2_vl", CHATML, "which chat format"),
        ("qwen3", "{% if %}", "can't render a system and a user turn"),
    ],
)
def test_a_chat_template_that_fits_none_is_not_guessed_at(tmp_path: Path, kind: str, own: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        chat_format(folder(tmp_path / "Qwen3-8B", kind, own))


@pytest.mark.parametrize(("name", "kind", "template"), [("qwen3", "qwen3", "qwen3_nothink"), ("qwen2.5", "qwen2", "qwen")])
def test_the_real_chat_templates_are_read(tmp_path: Path, name: str, kind: str, template: str) -> None:
    own = find_template(real(f"tokenizers/{name}/tokenizer_config.json").parent)[1]
    assert own and chat_format(folder(tmp_path / "mine", kind, own)) == ChosenFormat(template)
    assert chat_format(ROOT / "models/tiny-qwen2") == ChosenFormat("qwen")


def test_thoughts_are_turned_off_in_a_template_that_is_said() -> None:
    assert [said_format(name).values for name in ("glm4", "qwen3_5")] == [{"template": "glm4"}, {"template": "qwen3_5", "enable_thinking": False}]
