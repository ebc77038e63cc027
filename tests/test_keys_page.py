"""docs/keys.md and docs/zh/keys.md name every key that is in use, and no key that doesn't exist."""

import importlib
import re
from pathlib import Path

import pytest

from tools.cli import VERBS, parser_of
from tools.conf.key_table import BEGIN, PAGES, table, with_table
from tools.conf.overlays import SERVE, load_yaml
from tools.errors import ToolError
from tools.files import ROOT
from tools.train import arguments

SECTIONS = ("order", "task", "run", "peft", "overlay", "serve", "options", "make", "environment")
MAKEFILE = (ROOT / "Makefile").read_text()


def named(page: Path) -> dict[str, list[str]]:
    """Section → the names in the first cells of its tables, in order."""
    parts = re.split(r"^## .*$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(parts) == len(SECTIONS), page
    rows = {name: re.findall(r"^\| (`[^|]*) \|", part, re.MULTILINE) for name, part in zip(SECTIONS, parts, strict=True)}
    return {name: [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)] for name, cells in rows.items()}


def keys_of(pattern: str) -> set[str]:
    """The keys of all YAML files that fit the pattern, vLLM's defaults left out."""
    files = [path for path in ROOT.glob(pattern) if not path.name.startswith(SERVE)]
    assert files, pattern
    return {str(key) for path in files for key in load_yaml(path)}


@pytest.fixture(params=sorted(PAGES))
def page(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    return named(PAGES[request.param])


def test_every_key_of_a_run_or_overlay_is_named(page: dict[str, list[str]]) -> None:
    used = keys_of("conf/*.yaml") | keys_of("conf/peft/*.yaml") | keys_of("conf/overlay/*.yaml")
    assert "lora_rank" in used
    assert used - {*page["run"], *page["peft"]} == set()


@pytest.mark.parametrize("language", sorted(PAGES))
def test_the_table_of_a_tasks_keys_is_the_one_that_the_fields_make(language: str) -> None:
    page = PAGES[language].read_text(encoding="utf-8")
    assert page == with_table(page, language), "write it anew: .venv/train/bin/python -m tools.conf.key_table"
    rows = table(language).splitlines()
    assert len(rows) == 24
    assert all(row.startswith("| `") and row.count(" | ") >= 2 and "None" not in row for row in rows[2:])


@pytest.mark.parametrize("language", sorted(PAGES))
def test_a_figure_that_was_measured_or_computed_has_its_source_in_its_row(language: str) -> None:
    rows = [line for line in PAGES[language].read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    told = [
        row
        for row in (line.rstrip(" |").rpartition(" | ")[2] for line in rows)
        if re.search(r"\d (?:×|%|GB|million|billion)|\d(?:%| ?倍| ?[万亿]| GB)|0\.373", row)
    ]
    assert len(told) > 4
    assert [row for row in told if not re.search(r"\]\(|computed|算得|arXiv", row)] == []


def test_a_page_without_the_marks_of_the_table_is_a_message() -> None:
    with pytest.raises(ToolError, match="has no line <!-- task keys"):
        with_table("a page", "en")
    with pytest.raises(ToolError, match="has no line <!-- end of task keys -->"):
        with_table(f"a page\n{BEGIN}", "en")


def test_every_task_key_is_named(page: dict[str, list[str]]) -> None:
    assert keys_of("conf/task/*.yaml") <= set(page["task"])


def test_every_overlay_is_named(page: dict[str, list[str]]) -> None:
    assert page["overlay"] and set(page["overlay"]) == {str(path.relative_to(ROOT)) for path in ROOT.glob("conf/overlay/*.yaml")}


def test_every_key_for_vllm_is_named_and_exists(page: dict[str, list[str]]) -> None:
    house = {str(key) for name in ("serve", "serve-cpu") for key in load_yaml(ROOT / "conf" / f"{name}.yaml")}
    plan = "\n".join(path.read_text() for path in (ROOT / "tools" / "serve").glob("*.py"))
    decided = set(re.findall(r'"([a-z]+(?:-[a-z]+)+|model|port)": ', plan))
    assert {"max-model-len", "max-lora-rank", "enable-lora"} <= decided
    assert (house | decided) - set(page["serve"]) == set()
    installed = next((ROOT / ".venv/serve").glob("lib/python*/site-packages/vllm"), None)
    if installed is None:
        pytest.skip("vLLM isn't installed here: that its keys exist can't be asked")
    files = [installed / "engine" / "arg_utils.py", *installed.glob("entrypoints/**/cli_args.py")]
    known = "\n".join(file.read_text() for file in files)
    assert [key for key in page["serve"] if not re.search(rf"\b{key.replace('-', '_')}\b", known)] == []


def test_every_key_in_the_run_tables_is_one_that_an_engine_takes_with_the_default_that_is_told() -> None:
    known, peft = arguments.arguments(), arguments.arguments("peft")
    sections = named(PAGES["en"])
    assert [key for key in sections["run"] if key not in known] == []
    assert [key for key in sections["peft"] if key not in peft or key in known] == []
    told = dict(re.findall(r"^\| `(\w+)` \| `?\"?([\w./-]+)\"?`? \|", PAGES["en"].read_text(), re.MULTILINE))
    checked = 0
    for key in (*sections["run"], *sections["peft"]):
        default = {**peft, **known}[key]["default"]
        if isinstance(default, bool):
            assert told[key] == str(default).lower(), key
        elif isinstance(default, int | float) and told.get(key):
            assert float(told[key]) == float(default), key
        elif isinstance(default, str):
            assert told[key] == default, key
        else:
            continue
        checked += 1
    assert checked > 50


def test_every_public_make_variable_is_named_and_no_other(page: dict[str, list[str]]) -> None:
    public = set(re.findall(r"^([A-Z_]+) :=(?! *[@$])", MAKEFILE, re.MULTILINE)) - {"GONE"}
    assert {"CONF", "WHICH", "TORCH_BACKEND"} <= public
    assert set(page["make"]) == public


def test_an_option_belongs_to_the_verbs_that_its_row_names_and_to_no_other(page: dict[str, list[str]]) -> None:
    options = {name: set(parser_of(name, importlib.import_module(verb.module))._option_string_actions) for name, verb in VERBS.items()}
    assert set(page["options"]) <= set().union(*options.values())
    section = PAGES["en"].read_text().partition("## Options of the verbs")[2].partition("\n## ")[0]
    for option, verbs in re.findall(r"^\| `(--[\w-]+)` \|[^|]*\|([^|]*)\|", section, re.MULTILINE):
        if option.removeprefix("--").upper() not in page["make"]:  # else the variable's row names the verbs
            assert {verb for verb in options if option in options[verb]} == set(re.findall(r"`([a-z]+)`", verbs)), option


def test_every_environment_variable_that_a_tool_reads_or_sets_is_named(page: dict[str, list[str]]) -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "tools").rglob("*.py"))
    read = set(re.findall(r"env(?:iron)?\.get\(\"([A-Z_]+)\"", sources)) | set(re.findall(r"environ\[\"([A-Z_]+)\"\]", sources))
    given = set(re.findall(r"\"((?:VLLM|UV|RAY|TOKENIZERS|DO_NOT|SSL|TQDM|LLM)_[A-Z_]+)\"", sources))
    assert {"VLLM_API_KEY", "CUDA_VISIBLE_DEVICES"} <= read
    assert (read | given) - {*page["environment"], "PATH"} == set()


def test_both_languages_name_the_same_keys_in_the_same_order() -> None:
    assert named(PAGES["en"]) == named(PAGES["zh"])


@pytest.mark.parametrize("language", sorted(PAGES))
@pytest.mark.parametrize("variable", ["TASK", "WHICH", "SPLIT", "PORT"])
def test_the_targets_that_use_a_make_variable_are_the_makefiles(language: str, variable: str) -> None:
    known = {*re.findall(rf"^(\w+_?\w*) = .*\$\({variable}\b", MAKEFILE, re.MULTILINE), variable}
    known |= {name for name, value in re.findall(r"^(\w+) = (.*)$", MAKEFILE, re.MULTILINE) if any(f"$({one})" in value for one in known)}
    recipes = re.findall(r"^([a-z]+):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    users = {target for target, recipe in recipes if any(re.search(rf"\$\((?:if \$\()?{one}\b", recipe) for one in known)}
    [row] = re.findall(rf"^\| `{variable}` \|[^|]*\|([^|]*)\|", PAGES[language].read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`([a-z]+)`", row)) == users
