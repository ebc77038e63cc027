"""The docs can't drift: README's commands, targets and file map against the Makefile, every tool's --help, and the tree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.files import ROOT

README = (ROOT / "README.md").read_text()
PAGES = "".join(page.read_text() for page in (*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z0-9_-]+):", MAKEFILE, re.MULTILINE))
TOOLS = sorted(
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
    for folder in ("tools", "bench")
    for path in (ROOT / folder).rglob("*.py")
    if re.search(r"\b((Argument)?Parser|command)\(\s*prog=", path.read_text())
)


def test_every_target_that_a_page_names_exists_and_the_readme_names_every_public_one() -> None:
    assert set(re.findall(r"make ([a-z0-9-]+)", PAGES)) - {"sure"} <= TARGETS
    named = set(re.findall(r"make ([a-z0-9-]+)", README))
    public = set(re.findall(r"^([a-z0-9_-]+):.*##", MAKEFILE, re.MULTILINE))
    assert public - {"help"} <= named


def test_every_make_variable_that_a_page_sets_exists() -> None:
    variables = set(re.findall(r"^([A-Z_]+) :?=", MAKEFILE, re.MULTILINE))
    used = {name for line in PAGES.splitlines() if "make " in line for name in re.findall(r"\b([A-Z_]+)=", line)}
    assert used <= variables | {"UV_INDEX", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "NO_COLOR", "VLLM_API_KEY"}
    assert {"CONF", "TASK", "ARGS", "MODEL", "MERGED"} <= used


def test_every_target_is_phony_and_help_lists_the_public_ones() -> None:
    assert set(re.findall(r"^\.PHONY: (\S+)", MAKEFILE, re.MULTILINE)) == TARGETS
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in re.findall(r"^([a-z0-9_-]+):.*##", MAKEFILE, re.MULTILINE):
        assert f"make {target} " in shown


@pytest.mark.parametrize("target", sorted(TARGETS - {"help", "setup", "setup-train"}))
def test_a_target_calls_a_tool_that_exists(target: str) -> None:
    shown = subprocess.run(["make", "-n", target, "CONF=conf/x.yaml", "MODEL=a/b"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    modules = [name for name in re.findall(r"-m ([\w.]+)", shown) if name != "pytest"]
    assert len(modules) > 0
    assert set(modules) <= set(TOOLS)


@pytest.mark.parametrize("module", TOOLS)
def test_a_tool_explains_itself_and_its_docstring_shows_how_to_call_it(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"python -m {module}" in done.stdout.replace("python3", "python")
    source = (ROOT / (module.replace(".", "/") + ".py")).read_text()
    assert re.search(rf"-m {re.escape(module)}\b", source[: source.index('"""', 3)]), "the module's docstring has no command"


def test_the_contracts_commands_are_understood() -> None:
    contract = {
        "tools.data.convert": ["--out"],
        "tools.train.train": ["overlay.yaml", "key=value"],
        "tools.train.export": ["conf/<run>.yaml"],
        "tools.serve.serve": ["--merged", "--port"],
        "tools.predict.predict": ["--task", "--split", "--url", "--out"],
        "tools.score.score": ["--examples", "--predictions", "--out"],
    }
    for module, words in contract.items():
        shown = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for word in words:
            assert word in shown, (module, word)


def test_the_file_map_names_every_file_once_and_no_other() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    block = README[README.index("## File map") :].split("```")[1]
    mapped = [line.split()[0] for line in block.splitlines() if line.strip()]
    assert len(set(mapped)) == len(mapped)
    for path in mapped:
        assert (ROOT / path).exists() or path.startswith(("data/dataset/examples", "data/dataset/alpaca", "data/dataset/check", "data/outputs")), path
    folders = tuple(path for path in mapped if path.endswith("/"))
    for file in tracked:
        if Path(file).name not in ("__init__.py", ".gitignore"):
            assert file in mapped or file.startswith(folders), f"{file} isn't in the README's file map"
