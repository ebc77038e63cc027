"""The whole chain on a small setting, through real LLaMA-Factory and real vLLM, on the embedded model: data → train → export → serve → eval."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import LABELS
from tests.faulty_proxy import FaultyProxy
from tests.test_process import gone
from tools.chat import probe, prompt
from tools.chat.token_ids import trained_ids
from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.demo import free_port
from tools.errors import ToolError
from tools.example import Example, read_examples
from tools.extract.annotate import understood
from tools.files import ROOT
from tools.predict.client import ask_all
from tools.predict.predictions import Prediction, read_predictions
from tools.predict.questions import SAMPLING, Question
from tools.predict.server import find
from tools.process import Child
from tools.serve.http import poster

NAME = "tiny-qwen2-sample-ner-lora-sft"
CONF = f"conf/{NAME}.yaml"
STEPS, ROWS = 300, 300  # of training, and of the split that is asked
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
    sh(sys.executable, "-m", "tools", "data", "conf/task/sample.yaml", "--out", made.folder / "dataset")
    words = [*made.words, f"max_steps={STEPS}", "save_strategy=steps", f"save_steps={STEPS // 2}"]
    sh("make", "train", f"CONF={CONF}", f"ARGS={' '.join(words)}")
    sh("make", "export", f"CONF={CONF}", f"ARGS={' '.join(made.words)}")
    return made


PROBED: list[str] = []  # what `make serve` printed before "try"


@pytest.fixture(scope="module")
def server(chain: Chain) -> Iterator[str]:
    """`make serve`'s command: base and adapter, and the run's checkpoints. At the end Ctrl-C, after which nothing of it may be left."""
    port = free_port()
    command = [sys.executable, "-m", "tools", "serve", CONF, *chain.words, "--checkpoints", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("try"):
                break
            PROBED.append(line.strip())
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


def test_llamafactory_called_natively_trains_the_same_model_as_the_option_native(chain: Chain, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    cli = Path(sys.executable).with_name("llamafactory-cli")
    words = [chain.words[0], "max_steps=3", "num_train_epochs=1"]
    sh(cli, "train", CONF, *words, f"output_dir={tmp_path}/native/{NAME}")
    sh(sys.executable, "-m", "tools", "train", CONF, *words, f"output_dir={tmp_path}/ours/{NAME}", "--native")
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


def test_the_documents_call_works_as_the_recipe_shows_it(server: str) -> None:
    body = json.loads((ROOT / "docs/recipes/cluener.md").read_text().split("-d '", 1)[1].split("'\n", 1)[0])
    text = "现在的阿森纳恐怕不能再给人以强队的信心，但教授的神经也真是够硬，在英超夺冠几无希望的情况下，"
    user = prompt.renderer(find_task("clue"))(Example("x", text, []))
    assert body["messages"] == prompt.messages(find_task("clue"), user)
    choice = httpx.post(f"{server}/chat/completions", json={**body, "model": NAME}, timeout=120).json()["choices"][0]
    assert (choice["message"]["role"], choice["finish_reason"] in ("stop", "length")) == ("assistant", True)


def test_a_request_to_extract_gets_an_answer_of_the_form_that_the_readme_shows(server: str) -> None:
    readme = (ROOT / "README.md").read_text()
    asked = json.loads(readme.split("/extract -H", 1)[1].split("-d '", 1)[1].split("'\n", 1)[0])
    shown = json.loads(readme.split("```json\n", 1)[1].split("```", 1)[0])
    found = httpx.post(f"{server.removesuffix('/v1')}/extract", json={**asked, "run": NAME}, timeout=120).json()
    assert list(found) == list(shown)
    for one in (*shown["entities"], *found["entities"]):
        assert list(one) == list(shown["entities"][0]) and asked["text"][one["start"] : one["end"]] == one["text"]


def test_the_server_says_that_prompt_and_adapters_are_what_was_trained(server: str) -> None:
    prompt_line, *adapters, ready = PROBED[-5:]
    assert ready.startswith("ready in")
    assert "the server's tokens are the trained ones" in prompt_line
    for name, line in zip((NAME, f"{NAME}@{STEPS // 2}", f"{NAME}@{STEPS}"), adapters, strict=True):
        base, adapter = (float(number) for number in re.findall(r"-\d+\.\d+", line))
        assert f"{name} is live" in line
        assert adapter > base + 1, "training makes its own answers far likelier"


def test_a_prompt_that_was_not_trained_and_an_adapter_that_adds_nothing_are_found(server: str, chain: Chain) -> None:
    post = poster(server.removesuffix("/v1"))
    rows = probe.canaries(load_run(Path(CONF), chain.words).trained())
    ids = [trained_ids(load_run(Path(CONF), chain.words))(row) for row in rows]
    assert len(rows) == probe.CANARIES
    with pytest.raises(ToolError, match=r"isn't the trained one: from token 3 on"):
        probe.prompt_parity(post, NAME, rows, [([*asked[:3], 0, *asked[4:]], answer) for asked, answer in ids], {})
    with pytest.raises(ToolError, match="the adapter isn't live"):
        probe.adapter_is_live(post, "tiny-qwen2", "tiny-qwen2", ids, [probe.log_probability(post, "tiny-qwen2", *row) for row in ids])
    with pytest.raises(ToolError, match=r"/tokenize: the server refuses the probe with HTTP 404"):
        probe.prompt_parity(post, "nobody", rows, ids, {})


def test_the_base_model_is_itself_while_the_adapter_is_asked(server: str, chain: Chain) -> None:
    """vLLM's CPU build has applied the adapter to the base model's tokens where both were in one batch."""
    post = poster(server.removesuffix("/v1"))
    [asked, answer] = trained_ids(load_run(Path(CONF), chain.words))(probe.canaries(load_run(Path(CONF), chain.words).trained())[0])
    alone = probe.log_probability(post, "tiny-qwen2", asked, answer)
    adapter = probe.log_probability(post, NAME, asked, answer)
    assert adapter > alone + 1
    busy = {"model": NAME, "prompt": asked, "max_tokens": 200, "ignore_eos": True, "temperature": 0}
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(post, "/v1/completions", busy) for _ in range(4)]
        beside = [probe.log_probability(post, "tiny-qwen2", asked, answer) for _ in range(3)]
        assert not all(other.done() for other in others), "the adapter answered before the base model was asked beside it"
        for other in others:
            other.result()
    assert beside == pytest.approx([alone] * 3, abs=0.1 * len(answer))


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
        printed = sh(sys.executable, "-m", "tools", "eval", CONF, *chain.words, "--url", server, "--which", which)
    for word in ("Label", "Precision", "Recall", "F1", "Support", "Micro Avg.", "Macro Avg.", *LABELS):
        assert word in printed
    port = free_port()
    printed = sh("make", "eval", f"CONF={CONF}", f"ARGS={' '.join(chain.words)}", "WHICH=merged", f"PORT={port}")
    assert "starting vLLM" in printed
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server of an evaluation ends with it"
    base, adapter, merged = (chain.score(f"sample_dev{which}") for which in ("-base", "", "-merged"))
    assert base["micro"]["f1"] < 0.05
    assert adapter["micro"]["f1"] > 0.3  # the whole run of the demo reaches far more
    assert adapter["unseen"]["f1"] > 0.3
    assert abs(adapter["micro"]["f1"] - merged["micro"]["f1"]) <= 0.02
    pairs = sum(len(example.pairs()) for example in read_examples(chain.folder / "dataset/examples/sample_dev.jsonl"))
    assert (adapter["rows"], adapter["micro"]["support"], adapter["failures"]["missing"]) == (ROWS, pairs, 0)
    assert adapter["unseen"]["support"] > 0.7 * adapter["micro"]["support"]
    rows = [json.loads(line) for line in (chain.output / "eval/sample_dev/predictions.jsonl").read_text().splitlines()]
    assert all(row["error"] is None and row["prompt_tokens"] > 0 for row in rows)


def test_every_row_of_a_real_server_is_answered_once_through_a_faulty_network(server: str, chain: Chain, tmp_path: Path) -> None:
    with FaultyProxy(server, 0.1) as proxy:
        sh(sys.executable, "-m", "tools", "predict", CONF, *chain.words, "--url", proxy.url, "--out", tmp_path)
        assert sum(proxy.faults.values()) - proxy.faults["None"] > 10
    there, here = (read_predictions(folder / "predictions.jsonl") for folder in (chain.output / "eval/sample_dev", tmp_path))
    assert list(here) == list(there)
    assert all(row.error is None for row in here.values())
    same = sum(here[id].output == there[id].output for id in there)
    assert same > 0.9 * len(there), "bf16 sums depend on what else is in a batch; answers hardly do"


def test_in_schema_every_answer_is_one_that_training_could_have_written(server: str, chain: Chain) -> None:
    sh(sys.executable, "-m", "tools", "eval", CONF, *chain.words, "--url", server, "--decoding", "schema", "--which", "base")
    task = find_task("sample")
    found = read_predictions(chain.output / "eval/sample_dev-base-schema/predictions.jsonl")
    whole = [row.output for row in found.values() if row.finish_reason == "stop"]
    assert len(whole) > 10
    for output in whole:
        assert output is not None
        items = json.loads(output)
        assert json.dumps(items, ensure_ascii=False) == output
        assert all(list(item) == ["text", "label"] and item["text"] and item["label"] in task.labels for item in items)
    assert any(json.loads(str(output)) for output in whole), "the base model, left to itself, would write something else"
    score = chain.score("sample_dev-base-schema")
    assert (score["failures"]["unknown_label"], score["failures"]["unparsable"]) == (0, 0)


def test_a_class_is_chosen_from_the_rows_own_options(server: str) -> None:
    options = [["经济", "艺术"], ["Law", "太空"]] * 4
    asked = [Question(str(n), [{"role": "user", "content": "类别？"}], {"choice": names}, "") for n, names in enumerate(options)]
    found: dict[str, Prediction] = {}
    there = find(server)
    assert there
    ask_all(there, "tiny-qwen2", asked, SAMPLING, 8, lambda prediction: found.update({prediction.id: prediction}))
    assert all(found[str(n)].output in names for n, names in enumerate(options))


def test_the_page_asks_base_and_adapter_and_knows_how_likely_an_answer_is(server: str, chain: Chain) -> None:
    from tools.extract import annotate
    from tools.web import web
    from tools.web.sentence_tab import answered
    from tools.web.site import Site

    run, there, task = load_run(Path(CONF), chain.words), find(server), find_task("sample")
    assert there
    site = Site(run, task, there, web.models(run, there, run.variant("adapter")))
    notes, system, user, *raw, answers = asyncio.run(answered(site, "记者了解到，徐舒启毕业于红原三叶足球队<|im_end|>。", [], "en"))
    assert list(site.models) == ["base", "adapter"] and len(raw) == len(answers.found) == 2
    assert "sent as plain text" in notes and system == task.system and "<｜im_end｜>" in user
    assert answers.found[1].prediction.error is None and raw[1].startswith("[")
    assert answers.found[1].entities and all(0 < one.confidence <= 1 for one in answers.found[1].entities if one.confidence is not None)
    assert re.search(r"in [\d,]+ windows", asyncio.run(answered(site, "长" * 300, [], "en"))[0])
    counted, room = annotate.length(there, NAME, [{"role": "user", "content": "长" * 8000}]) or (0, 0)
    assert counted > room > 0
    # The same figures, from the tokens that training saw.
    rows = probe.canaries(run.trained())[:2]
    words = [row["output"] for row in rows]
    assert words[0] != words[1]
    ids = [trained_ids(run.trained())({**rows[0], "output": word}) for word in words]
    post = poster(server.removesuffix("/v1"))
    sums = [probe.log_probability(post, NAME, asked, answer[:-1]) for asked, answer in ids]  # without the line feed behind <|im_end|>
    chat = [{"role": "system", "content": rows[0]["instruction"]}, {"role": "user", "content": rows[0]["input"]}]
    for model, least in ((NAME, 0.99), ("tiny-qwen2", 0.0)):
        found = annotate.probabilities(there, model, chat, words)
        assert list(found) == words and sum(found.values()) == pytest.approx(1)
        assert found[words[0]] >= least
    assert math.log(found[words[0]] / found[words[1]]) != pytest.approx(sums[0] - sums[1], abs=1)  # the base model is another one
    found = annotate.probabilities(there, NAME, chat, words)
    assert math.log(found[words[0]] / found[words[1]]) == pytest.approx(sums[0] - sums[1], abs=0.5)


def test_answers_without_a_server_are_those_of_the_server(server: str, chain: Chain, tmp_path: Path) -> None:
    done = sh(sys.executable, "-m", "tools", "predict", CONF, *chain.words, "--engine", "offline", "--out", tmp_path)
    assert str(tmp_path / "predictions.jsonl") in done
    there, here = (read_predictions(folder / "predictions.jsonl") for folder in (chain.output / "eval/sample_dev", tmp_path))
    assert list(here) == list(there)
    same = sum((here[id].output, here[id].finish_reason) == (there[id].output, there[id].finish_reason) for id in there)
    assert same > 0.9 * len(there)
    assert all(here[id].prompt_tokens == there[id].prompt_tokens for id in there)


def test_two_ray_workers_on_one_machine_answer_as_the_server_does(server: str, chain: Chain, tmp_path: Path) -> None:
    import pandas

    bin_, address = ROOT / ".venv/serve/bin", f"127.0.0.1:{free_port()}"
    short = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # Ray's sockets lie in it, and a socket's path has 107 bytes at most
    texts = {one.id: one.text for one in islice(read_examples(chain.folder / "dataset/examples/sample_dev.jsonl"), 200)}
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in texts.items()))
    head = [bin_ / "ray", "start", "--block", f"--temp-dir={short}", "--disable-usage-stats", "--include-dashboard=false", "--num-cpus=2"]
    nodes = [[*head, "--head", f"--port={address.partition(':')[2]}"], [bin_ / "ray", "start", "--block", f"--address={address}", "--num-cpus=2"]]
    env = ENV | {"PATH": f"{bin_}:{ENV['PATH']}", "RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with open(tmp_path / "ray.log", "w") as log, ExitStack() as cluster:
        cluster.callback(shutil.rmtree, short, ignore_errors=True)
        for node in nodes:
            cluster.enter_context(Child([str(word) for word in node], env, log))
            time.sleep(10)
        words = [tmp_path / "texts.jsonl", *chain.words, "--run", CONF, "--engine", "ray", "--out", tmp_path / "found.parquet"]
        done = subprocess.run(
            [sys.executable, "-m", "tools", "extract", *map(str, words)], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    engines = re.findall(r"vLLMEngineStageUDF\)\) pid=(\d+)", (chain.output / "offline.log").read_text())
    assert len(set(engines)) == 2
    found = pandas.read_parquet(tmp_path / "found.parquet")
    assert list(found["id"]) == list(texts)
    there = read_predictions(chain.output / "eval/sample_dev/predictions.jsonl")
    same = sum(row.output == there[row.id].output for row in found.itertuples())
    assert same > 0.9 * len(texts)
    entities = [one for row in found["entities"] for one in row]
    assert entities and all(0 < one["confidence"] <= 1 for one in entities if one["confidence"] is not None)


def test_entities_of_any_text_come_with_places_and_confidence(server: str, chain: Chain, tmp_path: Path) -> None:
    root = server.removesuffix("/v1")
    [run, *_] = httpx.get(f"{root}/health").json()["runs"]
    assert (run["model"], run["task"], run["calibrated"]) == (NAME, "sample", False)
    assert {one["model"] for one in httpx.get(f"{root}/health").json()["runs"]} > {NAME}
    examples = list(islice(read_examples(chain.folder / "dataset/examples/sample_dev.jsonl"), 60))
    asked = {"texts": [one.text for one in examples], "run": NAME}
    answers = httpx.post(f"{root}/extract", json=asked, timeout=300).json()["results"]
    there = read_predictions(chain.output / "eval/sample_dev/predictions.jsonl")
    task, same = find_task("sample"), 0
    for one, answer in zip(examples, answers, strict=True):
        assert all(one.text[found["start"] : found["end"]] == found["text"] for found in answer["entities"])
        same += {(found["label"], found["start"], found["end"]) for found in answer["entities"]} == set(understood(task, one, there[one.id]).spans)
    assert same > 0.9 * len(examples)
    sure = [found["confidence"] for answer in answers for found in answer["entities"]]
    assert len(sure) > 30 and sum(value is not None and 0 < value <= 1 for value in sure) > 0.9 * len(sure)
    document = "".join(one.text for one in examples)
    whole = httpx.post(f"{root}/extract", json={"text": document, "run": NAME}, timeout=300).json()
    assert whole["windows"] > 20 and len(whole["entities"]) > 0.5 * len(sure)
    assert all(document[found["start"] : found["end"]] == found["text"] for found in whole["entities"])
    refused = httpx.post(f"{root}/extract", json={"text": "甲", "run": NAME, "threshold": {"precision": 0.9}})
    assert refused.status_code == 422 and "./ner calibrate" in refused.text
    counters = httpx.get(f"{root}/metrics").text
    assert "vllm:" in counters and f'ner_factory_extract_texts_total{{model="{NAME}"}}' in counters


def test_confidences_are_calibrated_and_promises_are_kept_or_refused(server: str, chain: Chain, tmp_path: Path) -> None:
    printed = sh(sys.executable, "-m", "tools", "calibrate", CONF, *chain.words, "--url", server)
    found = json.loads((chain.output / "calibration/sample.json").read_text())
    assert found["rows"] == ROWS and found["entities"] > 100 and found["unsure"] < found["entities"]
    assert "0.90" in printed and "0.98" in printed
    assert (chain.output / "calibration/sample.png").stat().st_size > 1000


def test_merged_and_adapter_are_held_against_each_other(server: str, chain: Chain) -> None:
    words = [CONF, *chain.words, "--port", server.rpartition(":")[2].removesuffix("/v1")]
    sh(sys.executable, "-m", "tools", "parity", *words)
    record = json.loads((chain.output / "parity.json").read_text())
    adapter, merged = (chain.score(name)["micro"]["f1"] for name in ("sample_dev", "sample_dev-merged"))
    [row] = record["models"]
    assert (record["passed"], row["difference"], row["rows"]) == (True, merged - adapter, ROWS)
    assert ROWS * 2 / 3 < row["same_answers"] <= ROWS
    bound = abs(row["difference"]) / 2  # 0 where both models answer alike, as in float32
    command = [sys.executable, "-m", "tools", "parity", *words, "--bound", str(bound)]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    apart = bool(row["difference"])
    assert (done.returncode, "of micro F1 away from the adapter" in done.stderr) == (int(apart), apart), done.stderr
    assert done.stdout.count("every row was answered before by this model") == 2  # the adapter's and the merged model's


def test_no_text_of_a_request_is_in_the_servers_log(server: str, chain: Chain) -> None:
    [log] = [path.read_text() for path in chain.output.glob(f"serve-{server.rpartition(':')[2].removesuffix('/v1')}.log")]
    texts = [example.text for example in read_examples(chain.folder / "dataset/examples/sample_dev.jsonl")]
    assert len(log) > 1000
    assert not [text for text in texts if text in log]


def test_the_best_checkpoint_is_the_one_with_the_highest_f1_and_export_takes_it(server: str, chain: Chain) -> None:
    printed = sh("make", "best", f"CONF={CONF}", f"ARGS={' '.join(chain.words)}", f"PORT={server.rpartition(':')[2].removesuffix('/v1')}")
    record = json.loads((chain.output / "best.json").read_text())
    scores = {f"checkpoint-{step}": chain.score(f"sample_dev-checkpoint-{step}")["micro"]["f1"] for step in (STEPS // 2, STEPS)}
    assert scores[record["checkpoint"]] == max(scores.values())
    assert min(scores.values()) < max(scores.values())
    assert "← best" in printed
    assert (chain.output / "best.png").is_file()
    sh("make", "export", f"CONF={CONF}", f"ARGS={' '.join(chain.words)}", "WHICH=best")
    assert json.loads((chain.output / "merged/export.json").read_text())["adapter"] == record["checkpoint"]


def test_a_server_of_another_run_is_an_error_that_says_so(server: str, chain: Chain) -> None:
    other = "conf/tiny-qwen2-clue-ner-lora-sft.yaml"
    command = [sys.executable, "-m", "tools", "eval", other, chain.words[0], "--task", "sample", "--url", server]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    assert (done.returncode, f"serves another run (tiny-qwen2, {NAME}, " in done.stderr) == (2, True), done.stderr


def test_a_server_that_holds_an_older_adapter_is_an_error_that_says_so(server: str, chain: Chain) -> None:
    weights = chain.output / "adapter_model.safetensors"
    written = weights.stat()
    os.utime(weights)  # as if trained again just now
    try:
        command = [sys.executable, "-m", "tools", "eval", CONF, *chain.words, "--url", server, "--fresh"]
        done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    finally:
        os.utime(weights, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert (done.returncode, "it serves an older one" in done.stderr) == (2, True), done.stderr


def test_an_interrupted_evaluation_leaves_no_server(chain: Chain) -> None:
    before = set(vllm_processes(chain.output))
    command = [sys.executable, "-m", "tools", "eval", CONF, *chain.words, "--fresh", "--port", str(free_port())]
    with subprocess.Popen(command, cwd=ROOT, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (started := set(vllm_processes(chain.output)) - before):
            assert process.poll() is None
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert all(gone(pid) for pid in started)


def test_a_server_that_dies_on_start_says_why(chain: Chain) -> None:
    command = [sys.executable, "-m", "tools", "serve", CONF, *chain.words, "--port", str(free_port()), "--max-model-len=99999999"]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "vLLM stopped before it was ready" in done.stderr
    assert "max_model_len" in done.stderr
    assert "Traceback" not in done.stderr
