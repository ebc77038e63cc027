"""Messages in Chinese: every message has its translation, and comes out of it with its values in their places."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.conf import ROOT
from tools.help import STEP
from tools.language import CATALOGUE, VALUE, is_chinese, match, translate

ENTRIES: dict[str, str] = json.loads(CATALOGUE.read_text(encoding="utf-8"))
# Modules that say nothing to a user, or say it in both languages themselves (the page's words), and strings that aren't messages though they look like sentences.
SILENT = (
    "tools/tiny/",
    "tools/language.py",
    "tools/serve/worker.py",
    "tools/serve/ray_worker.py",
    "tools/train/rank.py",
    "tools/data/repeats.py",
    *(f"tools/serve/{name}.py" for name in ("page", "site", "words", "sentence_tab", "file_tab", "run_tab")),
)
# Modules that write files: only what they hand to `say`, ToolError or `help=` is a message.
WRITERS = ("tools/data/new_run.py", "tools/data/new_task.py", "tools/eval/card.py", "tools/eval/card_facts.py", "tools/eval/card_metadata.py")
CODE = re.compile(
    r"^\[?\{\"\w|^(CREATE|SELECT|INSERT|DELETE|PRAGMA|UPDATE|import) |\(\?|\\[bdsw]|^\^|^python3? -m |^make [a-z]+( [A-Z_]+=\S*)+$|^\{desc\}|^[\w.]+(, [\w.]+)+$"
)
CALLS = {"say", "in_language", "ToolError", "_complain"}
# Not messages, though they look like sentences: what a model says, LLaMA-Factory's text, code, the shape of a row.
NO_MESSAGES = {
    *("no entities found", "no entity found", "no named entities", "no named entity"),
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    '["entity", "label"] or ["label", "entity"]',
    '{"label": {}, "text": {}, "start": {}, "end": {}}',
    '{"id": {}, "text": {}, "entities": [{}]}',
    "default-src 'none'; base-uri 'none'; form-action 'none'; {}; {}",
    "torch.cuda.is_available() or sys.exit('torch ' + torch.__version__ + ' cannot use the GPU')",
    "{}; import vllm._C_stable_libtorch",
    "requirements/{}.txt",
    *("make serve … PORT", "make web … WEB_PORT"),
    "train_sampling_strategy: group_by_length",
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
    "{} as {}",
    "叶 B-PER   (one token and its tag a line, a blank line between sentences)",
    ".venv/train/bin/python -c",
    "{'TEXT': 'text', 'CLASS': 'label'}",
    "outside lower center",
    "unexpected end of data",
    'root ::= "[" (object (", " object)*)? "]"',
    "Position ids are not supported",
    "tokenized 输入内容 (input_ids & attention_mask)：",
    "TASK.yaml [key=value …]",
    "error: {}: {}",
    "error: {}",
}


def test_every_message_is_in_the_catalogue() -> None:
    wanted = {template: place for place, template in messages()}
    assert len(wanted) > 500
    missing = [f"{place}: {template}" for template, place in wanted.items() if template not in ENTRIES]
    assert missing == [], "add these to tools/zh.json, with their Chinese"
    said = set(wanted) | ARGPARSE | {template.strip() for path in (ROOT / "tools").rglob("*.py") for _, template in literals(path, every=True)}
    assert [template for template in ENTRIES if template not in said] == [], "no module says these any more"


def test_a_translation_has_the_values_and_the_commands_of_its_message() -> None:
    faults = []
    for english, chinese in ENTRIES.items():
        used = {int(number) for number in re.findall(r"\{(\d+)\}", chinese)}
        if used != set(range(english.count(VALUE))):
            faults.append(f"each value once or more, and no other: {chinese}")
        if not re.search(r"[\u4e00-\u9fff]", chinese):
            faults.append(f"not Chinese: {chinese}")
        commands = re.findall(r"make [a-z]+ [A-Z]+=|--[a-z][a-z-]+|\b[A-Z_]{3,}=|`[^`]+`", english)
        faults += [f"{command} is part of the message: {chinese}" for command in commands if VALUE not in command and command not in chinese]
    assert faults == []


def test_a_message_with_values_comes_out_in_chinese() -> None:
    faults = []
    for english, chinese in ENTRIES.items():
        values = [f"v{number}" for number in range(english.count(VALUE))]
        wanted = re.sub(r"\{(\d+)\}", r"v\1", chinese)
        if (said := translate(filled(english, values))) != wanted:
            faults.append(f"{english} → {said}, not {wanted}")
    assert faults == []


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "conf/x.yaml: unknown key 'foo'. Did you mean 'food'? Available: food, bar.",
            "conf/x.yaml: 未知的键 'foo'。是不是想写 'food'？可选: food, bar。",
        ),
        ("data/x.jsonl:3: the text is empty.", "data/x.jsonl:3: 文本为空。"),
        ("sample train: 2,000 rows, 3 bad rows", "sample train: 2,000 行，3 个无效行"),
        ("error", "错误"),
        ("step 10/500  loss 5.8, lr 0.1, 53.3 rows/s, 0:02:40 left", "第 10/500 步  loss 5.8，lr 0.1，53.3 行/秒，剩余 0:02:40"),
        (
            "trained: data/outputs/x  next: make export CONF=conf/x.yaml, or make eval CONF=conf/x.yaml",
            "训练完成: data/outputs/x  下一步: make export CONF=conf/x.yaml，或 make eval CONF=conf/x.yaml",
        ),
        ("a.jsonl:5: the file ends in the middle of this row (not JSON: cut).", "a.jsonl:5: 文件在这一行中途结束（不是 JSON: cut）。"),
        ("clue train: 2 rows, 1 rows without an entity → data/x.json", "clue train: 2 行，1 行没有实体 → data/x.json"),
        (
            "127.0.0.1:80: Address already in use. Take another port: make serve … PORT=81",
            "127.0.0.1:80: Address already in use。换一个端口: make serve … PORT=81",
        ),
        ("what somebody wrote in a text of three words", "what somebody wrote in a text of three words"),
        ("conf/x.yaml: nothing is called 'error'.", "conf/x.yaml: nothing is called 'error'."),
        ("    next: make data TASK=sample", "    下一步: make data TASK=sample"),
        ("nothing that anybody has translated", "nothing that anybody has translated"),
        ("", ""),
    ],
)
def test_messages_are_put_together_in_chinese_as_in_english(english: str, chinese: str) -> None:
    assert translate(english) == chinese


def test_values_that_look_like_places_of_values_stay_what_they_are() -> None:
    assert translate("{0}: no such file. {1}") == "{0}: 没有这个文件。{1}"
    assert match(["a", "b", "c"], "a1b2c") == ["1", "2"]
    assert match(["a", "b", "c"], "a1c") is None
    assert match(["a", "a"], "a") is None


def test_the_locale_decides_as_posix_says() -> None:
    assert is_chinese({"LANG": "zh_CN.UTF-8"})
    assert is_chinese({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW"})
    assert not is_chinese({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"})
    assert is_chinese({"LANG": "zh_CN.UTF-8", "LC_ALL": ""})
    assert not is_chinese({})


def test_a_tool_speaks_chinese_where_the_locale_does(tool: Callable[..., Any]) -> None:
    done = tool("tools.train.check", "conf/nothing.yaml", env={"LC_ALL": "zh_CN.UTF-8"})
    assert done.returncode == 2
    assert done.stderr.startswith("错误: conf/nothing.yaml: 没有这个文件。可选: conf/")
    shown = tool("tools.eval.predict", "--help", env={"LC_ALL": "zh_CN.UTF-8"}).stdout
    assert shown.startswith("用法: python -m tools.eval.predict")
    assert "显示本帮助并退出" in shown
    refused = tool("tools.help", "--colour", env={"LC_ALL": "zh_CN.UTF-8"})
    assert refused.stderr.endswith("错误: 无法识别的参数: --colour\n")


def filled(template: str, values: list[str]) -> str:
    """The template with its values."""
    parts = template.split(VALUE)
    return parts[0] + "".join(value + part for value, part in zip(values, parts[1:], strict=True))


# What argparse itself says.
ARGPARSE = {
    "{}: error: {}",
    "show this help message and exit",
    "positional arguments",
    "options",
    "the following arguments are required: {}",
    "unrecognized arguments: {}",
    "argument {}: {}",
    "invalid choice: {} (choose from {})",
    "invalid {} value: {}",
    "expected one argument",
}


def messages() -> Iterator[tuple[str, str]]:
    """Each (file:line, template) of the Makefile's help and of tools/ that a user may see, one for each line of a message."""
    for found in STEP.finditer((ROOT / "Makefile").read_text(encoding="utf-8")):
        for text in (found["title"], found["text"], found["variables"]):
            if text and re.search(r"[a-z]{2}", re.sub(r"\S+=\S+( b:merged\")?", "", text)):
                yield "Makefile", text
    for path in sorted((ROOT / "tools").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not name.startswith(SILENT):
            for line, literal in literals(path):
                for part in literal.split("\n"):
                    if part.strip() not in NO_MESSAGES and not CODE.search(part.strip()) and re.search(r"[A-Za-z]{2}", part.replace(VALUE, "")):
                        yield f"{name}:{line}", part.strip()


def literals(path: Path, every: bool = False) -> Iterator[tuple[int, str]]:
    """(line, template) of each string in a module: what is handed to `say`, ToolError or `help=`, and whatever else has three words or more, or any."""
    writer = str(path.relative_to(ROOT)).startswith(WRITERS)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    direct: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            skipped.add(id(node.body[0].value))  # type: ignore[attr-defined]
        elif isinstance(node, ast.JoinedStr):
            skipped.update(id(value) for value in node.values)
        elif isinstance(node, ast.Call):
            named = getattr(node.func, "id", getattr(node.func, "attr", ""))
            direct.update(id(word.value) for word in node.keywords if word.arg in ("help", "desc"))
            if named in CALLS:
                direct.update(id(argument) for argument in node.args)
    if re.search(r"\bParser\(\s*prog=", path.read_text(encoding="utf-8")) and (doc := ast.get_docstring(tree)):
        yield 1, doc.split("\n\n")[0]
    for node in ast.walk(tree):
        if id(node) not in skipped and (template := template_of(node)) is not None:
            words = len(re.findall(r"[A-Za-z]{2,}", template))
            if every or id(node) in direct or (words >= 3 and not writer and " " in template.strip() and not CODE.search(template)):
                yield node.lineno, template  # type: ignore[attr-defined]


def template_of(node: ast.AST) -> str | None:
    """A string or f-string with {} for each value; two values with nothing between them are one. None for anything else."""
    if isinstance(node, ast.JoinedStr):
        whole = "".join(str(part.value) if isinstance(part, ast.Constant) else VALUE for part in node.values)
        return re.sub(r"(\{\}){2,}", VALUE, whole)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
