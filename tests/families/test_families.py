"""The whole chain for each of today's families, through real LLaMA-Factory and real vLLM: data, check, train, export, adapter and merged model served, asked and scored.

The models have a few layers of random weights (tests/families/models.py), so a score says nothing here. What counts is that each step takes the family, that the server's
prompt is the trained one, that the adapter is live, and that the merged model is the adapter's.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.families.models import FAMILIES, Family
from tests.test_chain import ENV, sh
from tools.chat.probe import log_probability
from tools.chat.thinking import Thinking, thinking
from tools.conf.run import Run, load_run
from tools.conf.task import find_task
from tools.demo import free_port
from tools.evaluate.evaluate import evaluated
from tools.files import ROOT
from tools.predict.engines import Options
from tools.predict.predictions import Prediction, read_predictions
from tools.predict.questions import SAMPLING, Asking
from tools.serve.http import poster

TOOLS = (sys.executable, "-m", "tools")
ROWS, TOKENS = 4, 48  # that are asked, and that an answer may have: one of random weights hardly ends by itself
VALUES = {
    **{"stage": "sft", "do_train": True, "finetuning_type": "lora", "lora_rank": 8, "lora_alpha": 32, "lora_target": "all"},
    **{
        "dataset": "alpaca_sample_train",
        "cutoff_len": 704,
        "overwrite_cache": True,
        "preprocessing_num_workers": 1,
        "use_cpu": True,
        "report_to": "none",
    },
    # A rate this high changes random weights in a few steps.
    **{
        "learning_rate": 2e-2,
        "lr_scheduler_type": "constant",
        "max_steps": 8,
        "per_device_train_batch_size": 2,
        "logging_steps": 4,
        "save_strategy": "no",
    },
    "disable_gradient_checkpointing": True,
}
FIRST = '[{"text": "'  # how an answer with an entity begins
FAMILY = pytest.mark.parametrize("chain", FAMILIES, indirect=True)


@dataclass
class Served:
    """What one of a run's models did at a server: the lines of its probes, its prompt's tokens for a row, and the log-probability of that row's trained answer by name."""

    probed: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    likely: dict[str, float] = field(default_factory=dict)


@dataclass
class Chain:
    """One family's run and what each step left."""

    family: Family
    run: Run
    checked: str
    trained: tuple[list[int], list[int]]  # the first row's prompt and answer, as LLaMA-Factory printed them while it trained
    adapter: Served
    merged: Served

    @property
    def thinking(self) -> Thinking:
        return thinking(self.run.trained())

    def answers(self, name: str) -> list[Prediction]:
        return list(read_predictions(self.run.output_dir / f"eval/sample_dev{name}/predictions.jsonl").values())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few of the sample's rows as examples and Alpaca files."""
    folder = tmp_path_factory.mktemp("dataset")
    raw = [f"raw.{split}=data/dataset/sample.{split}.jsonl[:{rows}]" for split, rows in (("train", 32), ("dev", ROWS))]
    sh(*TOOLS, "data", "conf/task/sample.yaml", *raw, "--out", folder)
    return folder


@pytest.fixture(scope="module")
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Chain:
    """Every step for one family, with the product's own commands."""
    family, folder = FAMILIES[request.param], tmp_path_factory.mktemp("family")
    base = family.make(folder)
    name = f"{family.model}-sample-ner-lora-sft"
    values = {
        "model_name_or_path": str(base),
        **VALUES,
        **family.format,
        "dataset_dir": f"{dataset}/alpaca",
        "output_dir": f"{folder}/outputs/{name}",
    }
    conf = folder / f"{name}.yaml"
    conf.write_text(yaml.safe_dump(values))
    run = load_run(conf)
    checked = sh(*TOOLS, "check", conf)
    sh(*TOOLS, "train", conf)
    sh(*TOOLS, "export", conf)
    trained = first_row(run.output_dir / "train.log")
    with server(run, "adapter") as url:
        adapter = look(run, url, trained)
        for decoding in ("free", "schema"):
            evaluate(run, url, "adapter", decoding)
    with server(run, "merged") as url:
        merged = look(run, url, trained)
        evaluate(run, url, "merged")
    return Chain(family, run, checked, trained, adapter, merged)


def evaluate(run: Run, url: str, which: str, decoding: str = "free") -> None:
    """Does what `./ner eval` does, with fewer tokens."""
    asking = Asking(run, find_task("sample"), "dev", run.variant(which), decoding, sampling={**SAMPLING, "max_tokens": TOKENS})
    evaluated(asking, Options(url=f"{url}/v1"))


PROBED: dict[str, list[str]] = {}  # address → what `serve` printed


@contextmanager
def server(run: Run, which: str) -> Iterator[str]:
    """Yields the address of `./ner serve`, once it has probed itself."""
    port = free_port()
    command = [*TOOLS, "serve", str(run.path), "--which", which, "--port", str(port)]
    env = {**ENV, "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}  # a process less to start: the engine works itself
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        printed = PROBED[f"http://127.0.0.1:{port}"] = []
        for line in process.stdout:
            printed.append(line.strip())
            if line.startswith("try"):
                break
        assert process.poll() is None, "\n".join(printed)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def look(run: Run, url: str, trained: tuple[list[int], list[int]]) -> Served:
    """Returns what a server says about the first training row."""
    row, post = json.loads((run.dataset / "alpaca/alpaca_sample_train.json").read_text())[0], poster(url)
    names = next(line.split("models: ")[1].split(", ") for line in PROBED[url] if line.startswith("ready"))
    chat = [{"role": "system", "content": row["instruction"]}, {"role": "user", "content": row["input"]}]
    body = {"model": names[-1], "messages": chat, **thinking(run.trained()).body}
    likely = {name: log_probability(post, name, *trained) / len(trained[1]) for name in names}
    return Served(PROBED[url], post("/tokenize", body)["tokens"], likely)


def first_row(log: Path) -> tuple[list[int], list[int]]:
    """Returns the ids of the first row's prompt and answer from the log of its training."""
    ids, labels = (json.loads(re.search(rf"^{name}:\n(\[.*\])$", log.read_text(), re.MULTILINE)[1]) for name in ("input_ids", "label_ids"))  # type: ignore[index]
    prompt = labels.count(-100)
    assert labels[prompt:] == ids[prompt:]
    return ids[:prompt], ids[prompt:]


@FAMILY
def test_the_check_finds_nothing_wrong_and_the_training_leaves_an_adapter(chain: Chain) -> None:
    assert "nothing is wrong with the run" in chain.checked
    config = json.loads((chain.run.output_dir / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"]) == ("LORA", 8)
    assert json.loads((chain.run.output_dir / "merged/export.json").read_text())["changed_tensors"] >= 10


@FAMILY
def test_the_served_prompt_is_the_one_that_llamafactory_printed_token_by_token(chain: Chain) -> None:
    asked, answer = chain.trained
    assert len(asked) > 50 and answer
    assert chain.adapter.asked == asked
    assert chain.merged.asked == asked
    for served in (chain.adapter, chain.merged):
        assert any("the server's tokens are the trained ones" in line for line in served.probed), served.probed


@FAMILY
def test_the_adapter_is_live_and_the_merged_model_is_as_sure_of_the_trained_answer(chain: Chain) -> None:
    base, adapter = chain.adapter.likely.values()
    [merged] = chain.merged.likely.values()
    assert any(f"{chain.run.name} is live" in line for line in chain.adapter.probed), chain.adapter.probed
    assert abs(adapter - base) > 0.5
    assert merged == pytest.approx(adapter, abs=0.2)  # merging rounds each weight to bf16


@FAMILY
def test_every_row_is_answered_by_adapter_and_merged_model(chain: Chain) -> None:
    for name in ("", "-schema", "-merged"):
        answers = chain.answers(name)
        assert len(answers) == ROWS
        assert all(answer.error is None and answer.prompt_tokens > 50 for answer in answers), name  # type: ignore[operator]
        assert json.loads((chain.run.output_dir / f"eval/sample_dev{name}/score.json").read_text())["rows"] == ROWS


@FAMILY
def test_schema_decoding_lets_only_the_trained_form_through(chain: Chain) -> None:
    labels = find_task("sample").labels
    for answer in chain.answers("-schema"):
        assert answer.output is not None and answer.output.startswith(chain.thinking.before), answer.output
        body = answer.output.removeprefix(chain.thinking.before)
        assert body == "[]" or body.startswith(FIRST), body
        if answer.finish_reason == "stop":
            items = json.loads(body)
            assert json.dumps(items, ensure_ascii=False) == body
            assert all(item["label"] in labels for item in items)
