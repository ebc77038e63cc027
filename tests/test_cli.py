"""The command line: one table of verbs, help that is complete, choices for every typo, and a Makefile that only passes words on."""

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import cli
from tools.cli import SHARED, VERBS, Parser, parser_of
from tools.errors import ToolError
from tools.files import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
RECIPES = {
    target: [line.strip() for line in body.strip().splitlines()]
    for target, body in re.findall(r"^([a-z-]+):(?!=).*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
}
CHECKS = {"help", "test"}  # targets that are no verb
LONGEST_MAKEFILE = 150  # lines


@pytest.fixture(params=sorted(VERBS))
def verb(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def parser(name: str) -> Parser:
    return parser_of(name, importlib.import_module(VERBS[name].module))


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs make without running any recipe."""
    return subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_verbs_module_has_a_main_and_no_command_line_of_its_own(verb: str) -> None:
    module = importlib.import_module(VERBS[verb].module)
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    assert callable(module.main)
    assert "__main__" not in source and "parse_args" not in source and "ArgumentParser(" not in source


def test_a_verbs_help_has_a_line_for_every_word_and_ends_with_examples(verb: str) -> None:
    shown = parser(verb).format_help()
    purpose, _, examples = shown.partition("\nexamples:\n")
    commands = [line for line in examples.splitlines() if line.strip()]
    assert 1 <= len(commands) <= 4
    assert all(line.startswith(f"    ./ner {verb}") for line in commands), examples
    assert re.search(r"^[A-Z][a-z]+s .*[.:]$", purpose, re.MULTILINE), "the description is a sentence that begins with a verb"
    for action in parser(verb)._actions:
        assert action.help and action.help != argparse.SUPPRESS, f"./ner {verb}: {action.option_strings or action.dest} has no help"


def test_the_examples_of_a_verbs_help_are_understood(verb: str) -> None:
    read = parser(verb)
    for line in str(read.epilog).splitlines()[1:]:
        words = line.split("#")[0].split()[2:]
        args, unknown = read.parse_known_intermixed_args([word for word in words if not word.startswith("[")])
        assert VERBS[verb].passes_on or not unknown, line
        if "run" in VERBS[verb].shared and args.conf and "<" not in str(args.conf):
            assert args.conf.is_file(), line


def test_an_unknown_option_names_the_nearest_one_of_the_verb(verb: str) -> None:
    option = next((word for action in parser(verb)._actions for word in action.option_strings if word.startswith("--") and len(word) > 6), "--help")
    if VERBS[verb].passes_on:
        return
    with pytest.raises(ToolError, match=rf"\./ner {verb}: unknown option '{option}x'\. Did you mean '{option}'\?"):
        cli.main([verb, f"{option}x"])


def test_a_number_that_an_option_cannot_take_is_a_message(verb: str) -> None:
    read = parser(verb)
    numbers = [action for action in read._actions if action.option_strings and isinstance(action.default, int) and action.nargs is None]
    assert [action.option_strings for action in read._actions if action.type is int] == [], "tools.text.whole_number has bounds"
    for action in numbers:
        for word in ("9" * 25, "-1" if action.dest != "seed" else "-", "x", "1.5"):
            with pytest.raises(ToolError, match=f"argument {action.option_strings[0]}: .* To see the words: ./ner {verb} --help"):
                read.parse_args([f"{action.option_strings[0]}={word}"])


def test_every_shared_option_is_used_and_none_is_declared_twice() -> None:
    used = {option for verb in VERBS.values() for option in verb.shared}
    assert used == set(SHARED)
    for name in VERBS:
        parser(name)  # argparse refuses an option that is declared twice


def test_the_overview_groups_the_verbs_by_step() -> None:
    for words in ([], ["--help"], ["-h"], ["help"]):
        done = subprocess.run([sys.executable, "-m", "tools", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0
        steps = re.findall(r"^(First steps|\d\. [A-Z]\w+)$", done.stdout, re.MULTILINE)
        assert steps == ["First steps", "1. Data", "2. Train", "3. Export", "4. Serve", "5. Evaluate"]
        assert re.findall(r"^  ([a-z]+) +\S", done.stdout, re.MULTILINE) == list(VERBS)


@pytest.mark.parametrize(("typo", "guess"), [("trian", "train"), ("quantise", "quantize"), ("evaluate", "eval"), ("covert", "export")])
def test_a_typo_in_a_verb_names_the_nearest_and_all(typo: str, guess: str) -> None:
    with pytest.raises(ToolError, match=f"unknown verb '{typo}'.*Available: annotate, best, calibrate.*To see them: ./ner --help") as error:
        cli.main([typo])
    assert f"Did you mean '{guess}'?" in str(error.value) or typo == "covert"


def test_options_may_stand_between_the_words_and_are_never_abbreviated() -> None:
    args = parser("eval").parse_intermixed_args(["conf/a.yaml", "--which", "merged", "lora_rank=4", "--split", "test", "conf/b.yaml"])
    assert (args.conf, args.overrides, args.which, args.split) == (Path("conf/a.yaml"), ["lora_rank=4", "conf/b.yaml"], "merged", "test")
    with pytest.raises(ToolError, match=r"unknown option '--whi'\. Did you mean '--which'"):
        cli.main(["eval", "--whi", "merged"])


def test_a_word_too_many_is_a_message() -> None:
    with pytest.raises(ToolError, match=r"\./ner clean: takes no word 'everything'\. To see the words: \./ner clean --help"):
        cli.main(["clean", "everything"])


def test_words_for_another_program_are_passed_on_by_serve_alone() -> None:
    assert [name for name, verb in VERBS.items() if verb.passes_on] == ["serve"]
    _, unknown = parser("serve").parse_known_intermixed_args(["conf/a.yaml", "--max-num-seqs=8"])
    assert unknown == ["--max-num-seqs=8"]


@pytest.mark.parametrize(("words", "message"), [(["--which", "mergd"], "Did you mean 'merged'"), (["--which"], "expected one argument")])
def test_a_wrong_value_of_a_shared_option_is_a_message(words: list[str], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        cli.main(["eval", *words])


def test_a_package_that_is_missing_names_the_command_that_installs_it() -> None:
    code = "import sys; sys.modules['pydantic'] = None; from tools.errors import run; from tools.cli import main; run(lambda: main(['data', 'x']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: ./ner data: the package 'pydantic' isn't installed here. To install what it needs: make setup\n"


# Make.


def test_every_make_target_calls_one_verb_of_the_table_and_every_verb_has_a_target() -> None:
    called = {}
    for target, lines in RECIPES.items():
        if target not in CHECKS:
            if target == "demo":  # says first how long it takes, before the environments are made
                assert [line.split()[0] for line in lines[:-1]] == ["@echo", "$(SETUP)"]
                lines = lines[-1:]
            words = [re.search(r"(?:\./ner ([a-z]+)|\$\(SETUP\))", line) for line in lines]
            assert len(lines) == 1 and words[0], f"{target}: {lines}"
            called[target] = words[0][1] or "setup"
    assert {target.partition("-")[0] for target in called} == set(VERBS)
    assert all(verb == target.partition("-")[0] for target, verb in called.items())


def test_the_makefile_is_short_and_every_target_is_phony() -> None:
    assert len(MAKEFILE.splitlines()) <= LONGEST_MAKEFILE
    targets = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
    assert targets == re.findall(r"^\.PHONY: ([a-z-]+)$", MAKEFILE, re.MULTILINE)
    assert set(targets) == set(RECIPES)


def test_make_help_shows_each_public_target() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=False)
    shown = re.findall(r"^  make ([a-z]+) +\S", done.stdout, re.MULTILINE)
    assert set(shown) == {target for target in RECIPES if "-" not in target}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MERGED=1", "WHICH=merged"),
        ("QUANTIZED=awq", "WHICH=merged-awq"),
        ("BEST=1", "WHICH=best"),
        ("BASE=1", "WHICH=base"),
        ("FRESH=1", "ARGS=--fresh"),
        ("FIX=1", "ARGS=--fix"),
        ("PLOTS=1", "ARGS=--plots"),
        ("ALL=1", "ARGS=--all"),
        ("ENGINE=hf", 'ARGS="--engine …"'),
        ("DEBUG=1", "ARGS=--debug"),
        ("DECODING=schema", 'ARGS="--decoding schema"'),
        ("BOUND=0.1", 'ARGS="--bound …"'),
        ("METHOD=awq", 'ARGS="--method …"'),
        ("HOST=0.0.0.0", 'ARGS="--host …"'),
        ("WITH=run", 'ARGS="--with …"'),
        ("WEB_PORT=1", 'ARGS="--web-port …"'),
        ("RUNS=a b", 'ARGS="…"'),
        ("FROM=file", 'ARGS="--from …"'),
        ("DEV=file", 'ARGS="--dev …"'),
        ("READER=bio", 'ARGS="--reader …"'),
        ("MODEL=m", 'ARGS="…"'),
        ("NPROC=2", 'ARGS="--nproc …"'),
        ("NNODES=2", 'ARGS="--nnodes …"'),
        ("NODE_RANK=1", 'ARGS="--node-rank …"'),
        ("MASTER_ADDR=h", 'ARGS="--master-addr …"'),
        ("MASTER_PORT=1", 'ARGS="--master-port …"'),
        ("RAY=1", "docs/cluster.md"),
    ],
)
def test_a_make_variable_of_earlier_releases_answers_with_the_new_word(old: str, new: str) -> None:
    done = make("eval", "CONF=conf/x.yaml", old)
    assert done.returncode == 2
    assert f"{old.partition('=')[0]}= is now " in done.stderr and new in done.stderr


def test_every_new_word_that_make_answers_with_is_an_option_of_a_verb() -> None:
    options = {word for name in VERBS for action in parser(name)._actions for word in action.option_strings}
    assert set(re.findall(r"--[a-z-]+", MAKEFILE.partition("GONE :=")[2].partition("$(foreach")[0])) <= options


def test_makes_variables_become_the_verbs_options() -> None:
    words = ("CONF=conf/x.yaml", "TASK=clue", "WHICH=merged-awq", "SPLIT=test", "PORT=8001", "ARGS=lora_rank=4 --fresh")
    (line,) = [line for line in make("eval", *words).stdout.splitlines() if line.startswith("./ner eval")]
    args = parser("eval").parse_intermixed_args(line.split()[2:])
    assert (args.conf, args.overrides, args.which, args.task, args.split, args.port) == (
        Path("conf/x.yaml"),
        ["lora_rank=4"],
        "merged-awq",
        "clue",
        "test",
        8001,
    )


def test_a_variable_of_the_environment_is_no_variable_of_make(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine whose shell exports HOST or DEBUG for other programs."""
    for name in ("HOST", "DEBUG", "MODEL", "RAY"):
        monkeypatch.setenv(name, "1")
    assert make("eval", "CONF=conf/x.yaml").returncode == 0
