"""The pages' commands are held against the Makefile, the table of verbs and each verb's own options; the README names every room."""

import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.cli import VERBS, parser_of
from tools.data.readers import READERS
from tools.files import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("README*.md"), *ROOT.glob("CONTRIBUTING*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z0-9_-]+):", MAKEFILE, re.MULTILINE))
PUBLIC = set(re.findall(r"^([a-z0-9_-]+):.*##", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z_]+) :=", MAKEFILE, re.MULTILINE))
# Variables of other programs that stand in a line about make.
OTHERS = {"UV_INDEX", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "NO_COLOR", "VLLM_API_KEY", "WEB_PASSWORD"}
COMMAND = re.compile(
    r"(?:make +(?P<target>[a-z][a-z-]*)|\./ner (?P<verb>[a-z]+))(?P<words>(?: +(?:[A-Z_]+=(?:\"[^\"`]*\"|[^\s`\"]+)|-{0,2}[^\s`#|;,&)]+))*)"
)
LONGEST_README = 150  # lines


def commands(page: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yields (place, verb, words) for each make or ./ner command of a page; the words of ARGS are the verb's."""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        for found in COMMAND.finditer(line):
            text = re.sub(r'ARGS="([^"]*)"', r"\1", found["words"]) if found["target"] else found["words"]
            words = [word.removeprefix("ARGS=").rstrip(".,") for word in text.split()]
            yield f"{page.relative_to(ROOT)}:{number}", found["target"] or found["verb"], words


def options_of(verb: str) -> set[str]:
    parser = parser_of(verb, importlib.import_module(VERBS[verb].module))
    return {word for action in parser._actions for word in action.option_strings}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST_README
    assert len((ROOT / "README_zh.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_README


def test_every_target_that_a_page_names_exists_and_the_readme_names_every_public_one() -> None:
    named = {target for page in PAGES for target in re.findall(r"make ([a-z0-9-]+)", page.read_text(encoding="utf-8"))}
    assert named - {"sure"} <= TARGETS
    assert PUBLIC - {"help"} <= set(re.findall(r"make ([a-z0-9-]+)", README))


def test_every_make_variable_that_a_page_sets_exists() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES).replace("`MERGED=1`", "").replace("`FRESH=1`", "")  # named as gone
    lines = [line for line in text.splitlines() if re.search(r"\bmake [a-z]", line)]
    used = {name for line in lines for name in re.findall(r"(?<![\w-])([A-Z_]{4,})=", line)}
    assert used <= VARIABLES | OTHERS
    assert {"CONF", "TASK", "ARGS", "WHICH", "PORT"} <= used


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_that_a_page_gives_a_verb_is_one_of_that_verb(page: Path) -> None:
    unknown = []
    for place, verb, words in commands(page):
        if verb in VERBS and not VERBS[verb].passes_on:
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            unknown += [f"{place}: {verb} has no {option}" for option in sorted(given - options_of(verb))]
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_the_environment_whose_python_it_calls(page: Path) -> None:
    assert not re.findall(r"(?<![\w/])python3? -m .*", page.read_text(encoding="utf-8"))


def test_the_commands_of_the_pages_are_really_read() -> None:
    found = [(verb, tuple(words)) for page in PAGES for _, verb, words in commands(page)]
    assert len(found) > 100
    assert ("train", ("CONF=conf/Qwen2.5-7B-Instruct-clue-ner-lora-sft.yaml",)) in found


def test_the_readme_names_every_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "tools").glob("*/__init__.py")}
    assert len(rooms) > 10
    assert {room for room in rooms if f"tools/{room}/" not in README} == set()
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    folders = {path.partition("/")[0] for path in tracked if "/" in path and not path.startswith((".", "requirements/"))}
    assert {folder for folder in folders if f"{folder}/" not in README} == set()


@pytest.mark.parametrize("page", ["docs/own-data.md", "docs/zh/own-data.md"])
def test_every_reader_stands_in_the_table_of_formats_and_nothing_else_does(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table
    cells = [row.rstrip().rstrip("|").rsplit("|", 1)[-1] for row in table[0].splitlines()[2:]]
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(READERS)


def test_the_contracts_commands_are_understood() -> None:
    contract = {
        "data": "--out",
        "check": "--all --fix",
        "new": "--from --dev --reader --model",
        "train": "--fresh --nproc",
        "export": "--which",
        "quantize": "--method",
        "serve": "--which --port",
        "web": "--which --port",
        "predict": "--task --split --which --engine --url --out",
        "score": "--examples --predictions --out",
        "eval": "--which --split --decoding",
    }
    for verb, options in contract.items():
        assert set(shlex.split(options)) <= options_of(verb), verb
