"""Each command of the pages' code blocks is run here, is run by another test, or stands in a table with the reason why no test runs it.

What is run here runs in a copy of the tracked files with the environments linked into it, as in an empty clone, in the order of the pages. A made-up
run takes the place of a trained one: answers with errors, and the records of a training.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs_commands import NAME, Command, commands
from tools import setup
from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.example import read_examples
from tools.files import ROOT, sha256, write_json, write_text
from tools.labelling.exchange import Sheet, send
from tools.predict.predictions import FILE, META, Prediction
from tools.predict.questions import Asking
from tools.score.score import evaluate

PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FOUND = commands((str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")) for page in PAGES)
CONF = f"conf/{NAME}.yaml"
OF_RUN = rf"CONF=conf/{NAME}\.yaml"


class Checkout:
    """A copy of the tracked files. Each command runs once; `home` stands for the user's."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder.with_name("home")
        self.home.mkdir()
        self.done: dict[str, subprocess.CompletedProcess[str]] = {}
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        self.tracked = [name for name in listed if name and (ROOT / name).is_file()]
        self.restore()
        (folder / ".venv").symlink_to(ROOT / ".venv")

    def restore(self) -> None:
        """Puts back tracked files that a command changed."""
        for name in self.tracked:
            original, copy = ROOT / name, self.folder / name
            if original.is_file() and not (copy.is_file() and copy.stat().st_mtime_ns == original.stat().st_mtime_ns):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(original, copy)

    def run(self, text: str, language: str = "bash") -> subprocess.CompletedProcess[str]:
        """Runs a command as a user does; output and errors are one text."""
        if text not in self.done:
            words = [sys.executable, "-c", text] if language == "python" else ["bash", "-c", text]
            env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
            env |= {"HOME": str(self.home), "XDG_CACHE_HOME": env.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))}
            env |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
            self.done[text] = subprocess.run(
                words, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            )
            self.restore()
        return self.done[text]


# What a command needs: functions that write it into a checkout.


def nothing(checkout: Checkout) -> None:
    """The tracked files are enough."""


def examples(checkout: Checkout) -> None:
    """The sample's examples."""
    assert checkout.run("make data TASK=sample").returncode == 0


def a_run(checkout: Checkout) -> None:
    """The embedded run as if trained and merged, its log, and an evaluation of base, adapter and merged model."""
    examples(checkout)
    folder = checkout.folder / "data/outputs" / NAME
    if folder.exists():
        return
    with contextlib.chdir(checkout.folder):
        run, task = load_run(Path(CONF)), find_task("sample")
        write_text(run.resolved, yaml.safe_dump(run.values, allow_unicode=True))
        adapter = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": ["q_proj"], "base_model_name_or_path": "x"}
        write_json(run.output_dir / "adapter_config.json", adapter)
        write_text(run.output_dir / "adapter_model.safetensors", "made up")
        write_json(run.output_dir / "train_results.json", {"epoch": 1.0, "train_loss": 0.25, "train_runtime": 9.0, "train_samples_per_second": 2.0})
        write_json(run.output_dir / "trainer_state.json", {"global_step": 9, "log_history": [{"loss": 0.25, "step": 9}]})
        train = run.dataset / "alpaca/alpaca_sample_train.json"
        facts = {"run": NAME, "command": "made up", "commit": "ab" * 20, "started": "2026-01-01T00:00:00+00:00", "exit_code": 0, "attempts": [{}]}
        machine = {"platform": "made up", "cores": 2, "gpus": []}
        write_json(run.output_dir / "manifest.json", {**facts, "sha256": {str(train): sha256(train)}, "versions": {}, "machine": machine})
        for name in ("train", "serve-8000"):
            write_text(run.output_dir / f"{name}.log", "made up\n")
        origin = run.variant("adapter").origin_here().to_dict()
        for which in ("merged", "merged-awq"):
            write_json(run.variant(which).folder / "config.json", {})
        write_json(run.variant("merged").folder / "export.json", origin)
        gold = task.examples("dev", run.dataset)
        for which, errors in (("base", 0.9), ("adapter", 0.3), ("merged", 0.3)):
            asked = Asking(run, task, "dev", run.variant(which), "free").conditions(NAME, "made up")
            rng, answers = random.Random(which), []
            for one in read_examples(gold):
                kept = [{"text": text, "label": label} for label, text in dict.fromkeys(one.pairs()) if rng.random() > errors]
                answers.append(Prediction(one.id, json.dumps(kept, ensure_ascii=False), "stop"))
            place = run.variant(which).evaluation(task.name, "dev")
            write_text(place / FILE, "".join(f"{one.to_json()}\n" for one in answers))
            write_json(place / META, {**asked.to_dict(), "examples_sha256": sha256(gold)})
            evaluate(task, gold, place / FILE, place)


def an_export(*edit: str) -> Callable[[Checkout], None]:
    """Label Studio's export.json of three rows of the sample, of which the first was given another label, and of one new text where `edit` says so."""

    def write(checkout: Checkout) -> None:
        examples(checkout)
        for path in (checkout.folder / "data/dataset").glob("sample.*.v*.jsonl"):  # of a merge before
            path.unlink()
        with contextlib.chdir(checkout.folder):
            task = find_task("sample")
            some = [one for one in read_examples(task.examples("dev")) if len(one.entities) == 1][:3]
            path = send("label_studio", task, [Sheet(one, one, "a run") for one in some], checkout.home / "sent")
        rows = json.loads(path.read_text(encoding="utf-8"))
        value = rows[0]["annotations"][0]["result"][0]["value"]
        value["labels"] = ["game" if value["labels"] != ["game"] else "book"]
        if edit:
            rows.append({"data": {"text": "王小明昨天到了青石镇。"}, "annotations": [{"result": []}]})
        (checkout.folder / "export.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")

    return write


def baseline(checkout: Checkout) -> None:
    """The base model's evaluation, kept in a folder of its own."""
    a_run(checkout)
    shutil.copytree(checkout.folder / "data/outputs" / NAME / "eval/sample_dev-base", checkout.folder / "baselines/sample_dev", dirs_exist_ok=True)


def best(checkout: Checkout) -> None:
    """A checkpoint that was found to be the best."""
    a_run(checkout)
    folder = checkout.folder / "data/outputs" / NAME
    shutil.copytree(folder, folder / "checkpoint-9", ignore=lambda _, names: [name for name in names if not name.startswith("adapter")])
    write_json(folder / "best.json", {"checkpoint": "checkpoint-9"})


def clue(checkout: Checkout) -> None:
    """The sample's rows under the names of CLUENER's files, which has the same labels and the same format."""
    for split in ("train", "dev"):
        for path in (f"data/dataset/clue.{split}.jsonl", f"given/{split}.jsonl", f"cluener_public/{split}.json"):
            (checkout.folder / path).parent.mkdir(exist_ok=True)
            shutil.copy2(checkout.folder / f"data/dataset/sample.{split}.jsonl", checkout.folder / path)


def no_contracts(checkout: Checkout) -> None:
    """Files of characters and tags, and no task of the name `contracts`."""
    examples(checkout)
    for place in ("conf", "conf/task", "data/prompts", "data/dataset"):
        for path in (checkout.folder / place).glob("*contracts*"):
            path.unlink()
    for split in ("train", "dev"):
        lines = []
        for one in read_examples(checkout.folder / f"data/dataset/examples/sample_{split}.jsonl"):
            tags = ["O"] * len(one.text)
            for entity in one.entities:
                tags[entity.start : entity.end] = [f"B-{entity.label}"] + [f"I-{entity.label}"] * (len(entity.text) - 1)
            lines += [f"{letter} {tag}\n" for letter, tag in zip(one.text, tags, strict=True) if not letter.isspace()] + ["\n"]
        (checkout.folder / f"{split}.txt").write_text("".join(lines), encoding="utf-8")


def contracts_jsonl(checkout: Checkout) -> None:
    """Rows of texts with spans, and no task of the name `contracts`."""
    no_contracts(checkout)
    shutil.copy2(checkout.folder / "data/dataset/examples/sample_train.jsonl", checkout.folder / "contracts.jsonl")


def weibo(checkout: Checkout) -> None:
    """Lists of characters with numbers for tags."""
    rows = [
        {"tokens": list(f"{name}今天在家第{number}次"), "ner_tags": [1, 2, *[0] * (6 + len(str(number)))]}
        for name in ("王明", "李兰")
        for number in range(30)
    ]
    (checkout.folder / "weibo.jsonl").write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")


def mine(checkout: Checkout) -> None:
    """A task of the user's, whose offsets count UTF-16 units."""
    row = {"text": "😀王明在家", "entities": [[2, 4, "name"]]}
    write_text(checkout.folder / "data/dataset/mine.jsonl", f"{json.dumps(row, ensure_ascii=False)}\n")
    write_text(checkout.folder / "data/prompts/mine_prompt.txt", "{labels}\n{text}\n")
    task = {"kind": "ner", "raw": {"train": "data/dataset/mine.jsonl"}, "reader": "spans", "system": "x", "labels": ["name"]}
    write_text(checkout.folder / "conf/task/mine.yaml", yaml.safe_dump({**task, "prompt": "data/prompts/mine_prompt.txt"}))


# What a page writes → the test. Patterns stand for the whole command; the first that fits decides, those of RUN before those of BY and NOT.

RUN: dict[str, Callable[[Checkout], None]] = {
    r"make setup": nothing,
    r"make (data|check) TASK=sample( ARGS=\S+)?": nothing,
    rf"make (check|show) {OF_RUN}( .*)?": examples,
    r"make (data|check) TASK=clue( .*)?": clue,
    r"cp cluener_public/\w+\.json data/dataset/.*": clue,
    r"make suspects TASK=sample": examples,
    r"make merge TASK=sample ARGS=export\.json": an_export(),
    r"make merge TASK=sample ARGS=\"export\.json --add-to train\"": an_export("a new text"),
    rf"make report {OF_RUN}( .*)?": a_run,
    rf"make compare (TASK=sample|ARGS=\"{NAME}.*\")": a_run,
    rf"make gate {OF_RUN} ARGS=\"--baseline {NAME}.*\"": a_run,
    rf"make gate {OF_RUN} ARGS=\"--baseline baselines/sample_dev.*\"": baseline,
    rf"make card {OF_RUN} WHICH=best": best,
    rf"make card {OF_RUN}( WHICH=merged)?": a_run,
    rf"tail -\d+ data/outputs/{NAME}/\S+": a_run,
    r"export \w+=(?!…).*": nothing,
    r"make new TASK=contracts ARGS=\"--from train\.txt .*": no_contracts,
    r"make new TASK=contracts ARGS=\"--from contracts\.jsonl --model models/tiny-qwen2\"": contracts_jsonl,
    r"make (data|check) TASK=contracts": nothing,  # the task that the command before has made
    r"make new TASK=weibo .*": weibo,
    r"make data TASK=mine .*": mine,
}
CHAIN, TRAINED = "tests/test_chain.py::", "test_training_leaves_the_adapter_its_curve_and_its_records"
SERVED, SERVICE = "test_the_server_lists_base_and_adapter_as_the_document_shows", "tests/extract/test_service_page.py::"
BY = {
    rf"make train {OF_RUN}": CHAIN + TRAINED,
    rf"make train {OF_RUN} ARGS=\"--nproc 2\"": "tests/train/test_distributed.py::test_two_processes_resume_the_killed_job_and_reach_what_one_process_reaches",
    rf"make train {OF_RUN} ARGS=\"--nnodes 2 .*": "tests/train/test_distributed.py::test_two_machines_reach_what_one_process_reaches",
    rf"make train {OF_RUN} ARGS=\"conf/overlay/qlora\.yaml .*": "tests/train/test_methods.py::"
    "test_qlora_holds_the_base_model_in_4_bits_and_merges_onto_the_unquantised_one",
    rf"make export {OF_RUN}": CHAIN + "test_export_leaves_a_whole_model_that_differs_from_the_base",
    rf"make serve {OF_RUN}( ARGS=--checkpoints)?": CHAIN + SERVED,
    rf"make (serve|eval) {OF_RUN} (WHICH=(base|merged)|PORT=8001)|make eval {OF_RUN}": CHAIN
    + "test_what_the_adapter_adds_is_visible_and_merging_keeps_it",
    rf"make eval {OF_RUN} ARGS=--fresh": CHAIN + "test_a_server_that_holds_an_older_adapter_is_an_error_that_says_so",
    rf"make parity {OF_RUN}( ARGS=\"--bound .*\")?": CHAIN + "test_merged_and_adapter_are_held_against_each_other",
    rf"make eval {OF_RUN} ARGS=\"--decoding schema\"": CHAIN + "test_in_schema_every_answer_is_one_that_training_could_have_written",
    rf"make best {OF_RUN}( .*)?": CHAIN + "test_the_best_checkpoint_is_the_one_with_the_highest_f1_and_export_takes_it",
    rf"(make|\./ner) calibrate .*{NAME}.*": CHAIN + "test_confidences_are_calibrated_and_promises_are_kept_or_refused",
    r"\./ner extract .* --engine ray .*": CHAIN + "test_two_ray_workers_on_one_machine_answer_as_the_server_does",
    r"\./ner predict .* --engine offline .*": CHAIN + "test_answers_without_a_server_are_those_of_the_server",
    r"curl -s http://127\.0\.0\.1:8000/v1/models": CHAIN + SERVED,
    r"curl -s http://127\.0\.0\.1:8000/extract .*": SERVICE + "test_the_pages_curl_finds_the_entities",
    r"import json\nimport os\nfrom urllib\.request .*/extract.*": SERVICE + "test_the_pages_ten_lines_of_python_find_the_names",
    r"import json\nimport os\nimport time\n.*": "tests/serve/test_serving_page.py::test_the_client_sends_the_trained_prompt_and_drops_what_cannot_be",
    r"\.venv/train/bin/python -c .*renderer.*": "tests/serve/test_serving_page.py::test_the_command_that_prints_the_prompt_prints_it",
    r"/srv/ner-factory/.* serve .*": "tests/serve/test_serving_page.py::test_the_units_command_is_understood_and_its_run_exists",
    r"(make|\./ner) extract .*": "tests/extract/test_extract.py::test_a_csv_stays_a_csv_and_parquet_holds_the_same",
    r"(make|\./ner) annotate .*": "tests/labelling/test_preannotate.py::test_the_fields_of_a_csv_and_of_jsonl_are_found_as_extract_finds_them",
    r"make suspects .*--folds .*": "tests/labelling/test_held_out.py::test_every_row_is_asked_once_of_a_model_that_was_trained_on_none_of_its_fold",
    rf"make curve {OF_RUN}.*": "tests/evaluate/test_learning_curve.py::test_every_share_is_trained_with_every_seed_one_seed_after_the_other",
    rf"make quantize {OF_RUN} .*": "tests/train/test_quantize.py::test_a_quantised_model_is_smaller_whole_and_recorded",
    rf"make (serve|eval|card) {OF_RUN} WHICH=merged-awq": "tests/train/test_quantize.py::test_vllm_serves_the_awq_model_under_the_runs_name",
    rf"make (train|eval) CONF=conf/peft/tiny\S+( .*)?|make eval {OF_RUN} ARGS=\"--engine hf.*": "tests/predict/engines/test_hf.py::"
    "test_a_prefix_is_trained_and_evaluated_without_a_server",
    rf"make web {OF_RUN}": "tests/web/test_sentence_tab.py::test_a_sentence_is_marked_for_both_models_and_every_entity_is_listed",
    r"\.venv/train/bin/hf upload .*": "tests/report/test_card.py::test_the_docs_upload_commands_take_the_weights_and_leave_what_is_private",
}
NOT = {
    r"(make|\./ner) \w+ +CONF=conf/(peft/)?(?!tiny)\S+( .*)?": "a base model of gigabytes, and a GPU; the same verbs run on the embedded model",
    r"make (check|compare) .*Qwen2\.5-7B-Instruct-contracts.*|make new .* --model models/(?!tiny).*": "a base model of gigabytes",
    r"curl .*/chat/completions .*\"Qwen.*": "a base model of gigabytes; tests/test_chain.py asks the embedded model so",
    r"make (check|data) TASK=(ccfbdci|fudan|medical).*": "a published data set; the tests of its reader have rows of its format",
    r"(\w+=\S+ )?(make download|git clone|wget|(\S+/)?(hf|modelscope) download) .*": "a download",
    r"(unzip|cp) .*": "a copy of a file that the command before downloads",
    r"mv models/(?!tiny)\S+ models/\S+": "moves a base model of gigabytes out of the way",
    r"(\w+=\S+ )?docker .*": "a container engine; tests/test_docker.py reads the files and runs what the images run",
    r"\./ner setup quantize": "within an image; an environment of 5 GB",
    r"make setup .*|rm \.venv/.*|pip config .*": "would change the environments or the settings of the machine that tests",
    r"nvidia-smi|ss .*": "shows what is on the user's machine",
    r"make (train|eval|serve) CONF=conf/tiny-qwen2-contracts\S+": "a run of the user's data; the same steps run on the sample",
    r"make demo": "minutes of training; tests/test_chain.py runs its steps one by one",
    r"make test": "runs this test",
    rf"make train {OF_RUN} ARGS=.*": "minutes of training for one more option; test_every_option_that_a_page_gives_a_verb_is_one_of_that_verb holds the words",
    r"USE_RAY=1 .*": "eight workers of a Ray cluster",
    rf"make serve {OF_RUN} ARGS=.*": "vLLM with an option of its own, some of them a GPU's",
    rf"make web {OF_RUN} ARGS=.*|export WEB_PASSWORD=…": "a page that the network reaches",
    r"\.venv/serve/bin/python -m vllm\S* --help": "vLLM's own list of options",
    r"\.venv/train/bin/python -m bench\.\S+ .*": "a measurement of many minutes",
}
# Lines of output that a page shows below a command that is run here, and that this run can't print.
NOT_COMPARED = {
    r"clue (train|dev): .*|train\.txt: reader bio, .*|ner: 1,497 entities, .*": "the figures of published files, which aren't here: CLUENER's, and résumés",
}


def kind(command: Command) -> tuple[str, str] | None:
    """Returns which table has a command, and its pattern there."""
    for name, table in (("RUN", RUN), ("BY", BY), ("NOT", NOT)):
        for pattern in table:
            if re.fullmatch(pattern, command.text, re.DOTALL):
                return name, pattern
    return None


KINDS = {text: kind(command) for text, command in FOUND.items()}
RUNS = [command for text, command in FOUND.items() if (KINDS[text] or ("",))[0] == "RUN"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    for name in setup.USUAL:
        if not setup.is_made(setup.VENV / name, "auto", ""):
            pytest.skip(f".venv/{name} isn't of today's lock, and `make` would install it: make setup")
    folder = tmp_path_factory.mktemp("clone") / "ner-factory"
    folder.mkdir()
    yield Checkout(folder)
    if prefix := sys.pycache_prefix:
        shutil.rmtree(f"{prefix}{folder}", ignore_errors=True)


def test_commands_are_read_as_bash_reads_them_and_output_belongs_to_the_block_above() -> None:
    page = """# X

```
$ make check CONF=conf/<run>.yaml   # a comment
curl x -d '{
  "a": 1
}'
docker run \\
  image
```

It prints:

```
1 error
```

## Y

```
2 errors
```
- run: make x
```yaml
steps:
  - run: make data   # in CI
```
"""
    found = commands([("a.md", page), ("b.md", "```bash\nmake data\n```\n")])
    assert list(found) == [f"make check CONF={CONF}", "curl x -d '{\n \"a\": 1\n}'", "docker run image", "make data"]
    assert found["make data"].places == ["a.md:26", "b.md:2"]
    assert [one.shown for one in found.values()] == [[("a.md:15", "1 error")]] * 3 + [[]]


def test_each_command_is_run_or_named_with_the_test_that_runs_it_or_with_a_reason() -> None:
    assert len(FOUND) > 100
    unknown = [str(FOUND[text]) for text, found in KINDS.items() if not found]
    assert not unknown, "in none of the tables RUN, BY, NOT:\n" + "\n".join(unknown)


def test_each_entry_of_the_tables_decides_about_a_command() -> None:
    used = {found for found in KINDS.values() if found}
    entries = {(name, pattern) for name, table in (("RUN", RUN), ("BY", BY), ("NOT", NOT)) for pattern in table}
    assert entries - used == set()
    shown = [line for command in RUNS for _, line in command.shown]
    assert [pattern for pattern in NOT_COMPARED if not any(re.fullmatch(pattern, line.strip()) for line in shown)] == []


def test_the_tests_that_the_table_names_exist() -> None:
    for place in set(BY.values()):
        path, name = place.split("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}, place


@pytest.mark.parametrize("command", RUNS, ids=lambda command: command.text[:80])
def test_a_command_runs_and_prints_what_its_page_shows(command: Command, checkout: Checkout) -> None:
    RUN[KINDS[command.text][1]](checkout)  # type: ignore[index]
    done = checkout.run(command.text, command.language)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
    assert "Traceback" not in done.stdout
    together = [one for one in RUNS if one is command or {*one.shown} & {*command.shown}]
    if command is not together[-1]:
        return  # the last of a block's commands looks for what the page shows below them all
    printed = [" ".join(line.split()) for one in together for line in checkout.run(one.text, one.language).stdout.splitlines()]
    for place, line in command.shown:
        if not any(re.fullmatch(pattern, line.strip()) for pattern in NOT_COMPARED):
            wanted = re.compile(".*".join(re.escape(part) for part in " ".join(line.split()).split("…")))
            assert any(wanted.search(one) for one in printed), f"{place}: {command.text} doesn't print: {line}"
