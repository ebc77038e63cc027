"""The whole chain on a small setting, through real LLaMA-Factory and real vLLM, on the embedded model: data → train → export → serve → eval."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import LABELS
from tests.test_process import gone
from tools.conf import ROOT, find_task
from tools.data import prompt
from tools.demo import free_port
from tools.example import Example, read_examples

NAME = "tiny-qwen2-sample-ner-lora-sft"
CONF = f"conf/{NAME}.yaml"
STEPS = 300
# Make's own variables would make a `make` below `make test` talk of itself.
ENV = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


@dataclass(frozen=True)
class Chain:
    """Where the chain's files are, and the overrides that keep them there."""

    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "outputs" / NAME

    @property
    def words(self) -> list[str]:
        return [f"dataset_dir={self.folder}/dataset/alpaca", f"output_dir={self.output}"]

    def score(self, name: str) -> dict[str, Any]:
        return json.loads((self.output / "eval" / name / "score.json").read_text())


def sh(*words: Any) -> str:
    """Run a command from the checkout, as a user would; returns all that it printed."""
    done = subprocess.run([str(word) for word in words], cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{words}:\n{done.stdout[-5000:]}"
    return done.stdout


def processes() -> dict[int, bytes]:
    """Every process's command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            found[int(folder.name)] = (folder / "cmdline").read_bytes()
    return found


def group_of(leader: int) -> list[int]:
    """The members of a process group."""
    found = []
    for pid in processes():
        with suppress(ProcessLookupError):
            if os.getpgid(pid) == leader:
                found.append(pid)
    return found


def vllm_processes(output: Path) -> list[int]:
    """The vLLM servers of this chain's files."""
    return [pid for pid, line in processes().items() if str(output).encode() in line and b"api_server" in line]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Data, training and export, through make."""
    made = Chain(tmp_path_factory.mktemp("chain"))
    sh(sys.executable, "-m", "tools.data.convert", "conf/task/sample.yaml", "--out", made.folder / "dataset")
    words = [*made.words, f"max_steps={STEPS}", "save_strategy=steps", f"save_steps={STEPS // 2}"]
    sh("make", "train", f"CONF={CONF}", f"ARGS={' '.join(words)}")
    sh("make", "export", f"CONF={CONF}", f"ARGS={' '.join(made.words)}")
    return made


@pytest.fixture(scope="module")
def server(chain: Chain) -> Iterator[str]:
    """`make serve`'s command: base and adapter, and the run's checkpoints. At the end Ctrl-C, after which nothing of it may be left."""
    port = free_port()
    command = [sys.executable, "-m", "tools.serve.vllm", CONF, *chain.words, "--checkpoints", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                break
        assert process.poll() is None, (chain.output / f"serve-{port}.log").read_text()[-3000:]
        yield f"http://127.0.0.1:{port}/v1"
        [leader] = vllm_processes(chain.output)
        group = group_of(leader)
        assert len(group) > 1, "vLLM runs its engine in processes of their own"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert gone(leader)
    assert all(gone(pid) for pid in group)


def test_training_leaves_the_adapter_its_curve_and_its_records(chain: Chain) -> None:
    for name in ("adapter_model.safetensors", "adapter_config.json", "train_results.json", "trainer_log.jsonl", "training_loss.png", "run.yaml"):
        assert (chain.output / name).is_file(), name
    manifest = json.loads((chain.output / "manifest.json").read_text())
    assert (manifest["exit_code"], manifest["run"]) == (0, NAME)
    assert f"max_steps: {STEPS}" in (chain.output / "run.yaml").read_text()
    config = json.loads((chain.output / "adapter_config.json").read_text())
    assert (config["peft_type"], len(config["target_modules"])) == ("LORA", 7)


def test_llamafactory_called_natively_trains_the_same_model(chain: Chain, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    cli = Path(sys.executable).with_name("llamafactory-cli")
    words = [chain.words[0], "max_steps=3", "num_train_epochs=1"]
    sh(cli, "train", CONF, *words, f"output_dir={tmp_path}/native/{NAME}")
    sh(sys.executable, "-m", "tools.train.launch", CONF, *words, f"output_dir={tmp_path}/ours/{NAME}")
    native, ours = (load_file(tmp_path / which / NAME / "adapter_model.safetensors") for which in ("native", "ours"))
    assert native.keys() == ours.keys()
    assert all((native[key] == ours[key]).all() for key in native)


def test_export_leaves_a_whole_model_that_differs_from_the_base(chain: Chain) -> None:
    origin = json.loads((chain.output / "merged/export.json").read_text())
    layers = json.loads((ROOT / "models/tiny-qwen2/config.json").read_text())["num_hidden_layers"]
    assert origin["changed_tensors"] == layers * 7
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
        assert (chain.output / "merged" / name).is_file()


def test_the_server_lists_base_and_adapter_as_the_document_shows(server: str, chain: Chain) -> None:
    base, adapter, *checkpoints = httpx.get(f"{server}/models").json()["data"]
    assert [card["id"] for card in checkpoints] == [f"{NAME}@{STEPS // 2}", f"{NAME}@{STEPS}"]
    assert (base["id"], base["parent"]) == ("tiny-qwen2", None)
    assert (adapter["id"], adapter["parent"], adapter["root"]) == (NAME, "tiny-qwen2", str(chain.output))


def test_the_documents_call_works_as_the_readme_shows_it(server: str) -> None:
    body = json.loads((ROOT / "README.md").read_text().split("-d '", 1)[1].split("'\n", 1)[0])
    text = "现在的阿森纳恐怕不能再给人以强队的信心，但教授的神经也真是够硬，在英超夺冠几无希望的情况下，"
    user = prompt.renderer(find_task("clue"))(Example("x", text, []))
    assert body["messages"] == prompt.messages(find_task("clue"), user)
    choice = httpx.post(f"{server}/chat/completions", json={**body, "model": NAME}, timeout=120).json()["choices"][0]
    assert (choice["message"]["role"], choice["finish_reason"] in ("stop", "length")) == ("assistant", True)


def test_the_served_prompt_is_the_trained_one_token_by_token(server: str, chain: Chain) -> None:
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models/tiny-qwen2")
    template = get_template_and_fix_tokenizer(tokenizer, DataArguments(template="qwen"))
    rows = json.loads((chain.folder / "dataset/alpaca/alpaca_sample_dev.json").read_text())[:20]
    for row in rows:
        turns = [{"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["output"]}]
        trained, answer = template.encode_oneturn(tokenizer, turns, row["instruction"])
        chat = [{"role": "system", "content": row["instruction"]}, turns[0]]
        served = httpx.post(f"{server.removesuffix('/v1')}/tokenize", json={"model": NAME, "messages": chat}, timeout=30).json()["tokens"]
        assert served == trained
        # LLaMA-Factory's qwen template ends an answer with <|im_end|> and a line feed.
        assert tokenizer.decode(answer) == row["output"] + "<|im_end|>\n"


def test_what_the_adapter_adds_is_visible_and_merging_keeps_it(server: str, chain: Chain) -> None:
    for which in ("base", "adapter"):
        printed = sh(sys.executable, "-m", "tools.eval.run", CONF, *chain.words, "--url", server, "--model", which)
    for word in ("Label", "Precision", "Recall", "F1", "Support", "Micro Avg.", "Macro Avg.", *LABELS):
        assert word in printed
    port = free_port()
    printed = sh("make", "eval", f"CONF={CONF}", f"ARGS={' '.join(chain.words)}", "MERGED=1", f"PORT={port}")
    assert "starting vLLM" in printed
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server of an evaluation ends with it"
    base, adapter, merged = (chain.score(f"sample_dev{which}") for which in ("-base", "", "-merged"))
    assert base["micro"]["f1"] < 0.05
    assert adapter["micro"]["f1"] > 0.3  # the whole run of the demo reaches far more
    assert adapter["unseen"]["f1"] > 0.3
    assert abs(adapter["micro"]["f1"] - merged["micro"]["f1"]) <= 0.02
    pairs = sum(len(example.pairs()) for example in read_examples(chain.folder / "dataset/examples/sample_dev.jsonl"))
    assert (adapter["rows"], adapter["micro"]["support"], adapter["failures"]["missing"]) == (300, pairs, 0)
    assert adapter["unseen"]["support"] > 0.7 * adapter["micro"]["support"]
    rows = [json.loads(line) for line in (chain.output / "eval/sample_dev/predictions.jsonl").read_text().splitlines()]
    assert all(row["error"] is None and row["prompt_tokens"] > 0 for row in rows)


def test_the_best_checkpoint_is_the_one_with_the_highest_f1_and_export_takes_it(server: str, chain: Chain) -> None:
    printed = sh("make", "best", f"CONF={CONF}", f"ARGS={' '.join(chain.words)}", f"PORT={server.rpartition(':')[2].removesuffix('/v1')}")
    record = json.loads((chain.output / "best.json").read_text())
    scores = {f"checkpoint-{step}": chain.score(f"sample_dev-checkpoint-{step}")["micro"]["f1"] for step in (STEPS // 2, STEPS)}
    assert scores[record["checkpoint"]] == max(scores.values())
    assert min(scores.values()) < max(scores.values())
    assert "← best" in printed
    assert (chain.output / "best.png").is_file()
    sh("make", "export", f"CONF={CONF}", f"ARGS={' '.join(chain.words)}", "BEST=1")
    assert json.loads((chain.output / "merged/export.json").read_text())["adapter"] == record["checkpoint"]


def test_a_server_of_another_run_is_an_error_that_says_so(server: str, chain: Chain) -> None:
    other = "conf/tiny-qwen2-clue-ner-lora-sft.yaml"
    command = [sys.executable, "-m", "tools.eval.run", other, chain.words[0], "--task", "sample", "--url", server]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    assert (done.returncode, f"serves another run (tiny-qwen2, {NAME}, " in done.stderr) == (2, True), done.stderr


def test_a_server_that_holds_an_older_adapter_is_an_error_that_says_so(server: str, chain: Chain) -> None:
    weights = chain.output / "adapter_model.safetensors"
    written = weights.stat()
    os.utime(weights)  # as if trained again just now
    try:
        command = [sys.executable, "-m", "tools.eval.run", CONF, *chain.words, "--url", server]
        done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    finally:
        os.utime(weights, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert (done.returncode, "it serves an older one" in done.stderr) == (2, True), done.stderr


def test_an_interrupted_evaluation_leaves_no_server(chain: Chain) -> None:
    before = set(vllm_processes(chain.output))
    command = [sys.executable, "-m", "tools.eval.run", CONF, *chain.words, "--port", str(free_port())]
    with subprocess.Popen(command, cwd=ROOT, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (started := set(vllm_processes(chain.output)) - before):
            assert process.poll() is None
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert all(gone(pid) for pid in started)


def test_a_server_that_dies_on_start_says_why(chain: Chain) -> None:
    command = [sys.executable, "-m", "tools.serve.vllm", CONF, *chain.words, "--port", str(free_port()), "--max-model-len=99999999"]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "vLLM stopped before it was ready" in done.stderr
    assert "max_model_len" in done.stderr
    assert "Traceback" not in done.stderr
