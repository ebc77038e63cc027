"""A server that serves something else than what was trained is found, without a server."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.chat.conftest import this_run
from tools.chat.probe import CANARIES, adapter_is_live, canaries, log_probability, probes
from tools.chat.token_ids import trained_ids
from tools.conf.run import Run, load_run
from tools.errors import ToolError

ROWS = [{"instruction": "你是专家。", "input": f"句子{n}", "output": "[]"} for n in range(9)]


class Server:
    """Answers as vLLM does: the trained ids, and the same log-probability for every token of a model."""

    def __init__(self, run: Run, values: dict[str, float], changed: int | None = None) -> None:
        self.ids, self.values, self.changed = trained_ids(run), values, changed
        self.asked: list[str] = []
        self.kwargs: list[Any] = []

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.asked.append(path)
        if path == "/v1/completions":
            tokens = body["prompt"]
            places = [None, *({str(token): {"logprob": self.values[body["model"]]}} for token in tokens[1:])]
            return {"choices": [{"prompt_logprobs": places}]}
        assert body["model"] in self.values
        self.kwargs.append(body.get("chat_template_kwargs"))
        *system, user = body["messages"]
        tokens = self.ids({"instruction": system[0]["content"] if system else "", "input": user["content"], "output": ""})[0]
        return {"tokens": tokens if self.changed is None else [*tokens[: self.changed], 7, *tokens[self.changed + 1 :]]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "alpaca").mkdir()
    (tmp_path / "alpaca/alpaca_sample_train.json").write_text(json.dumps(ROWS), encoding="utf-8")
    return this_run(f"dataset_dir={tmp_path / 'alpaca'}", f"output_dir={tmp_path / 'tiny-qwen2-sample-ner-lora-sft'}")


def test_a_live_adapter_and_the_trained_prompt_are_a_line_each(run: Run) -> None:
    lines = probes(run, Server(run, {"base": -2.0, "mine": -0.5}).post, "base", ["mine"])
    assert len(lines) == 2
    assert "the server's tokens are the trained ones" in lines[0] and f"in {CANARIES} rows" in lines[0]
    assert lines[1].endswith("-2.00 (base) → -0.50")


def test_a_merged_model_computes_before_it_is_called_ready(run: Run) -> None:
    server = Server(run, {"merged": -1.0})
    parity, computes = probes(run, server.post, "merged", [])
    assert "trained ones" in parity and computes == f"model: merged computes: log-probability a token of {CANARIES} answers -1.00"
    assert server.asked.count("/v1/completions") == CANARIES
    for value in (float("nan"), float("-inf")):
        with pytest.raises(ToolError, match=r"merged: the server gives 4 answers no finite probability: (nan|-inf)"):
            probes(run, Server(run, {"merged": value}).post, "merged", [])


def test_another_prompt_is_an_error_that_names_the_first_token(run: Run) -> None:
    with pytest.raises(ToolError, match=r"isn't the trained one: from token 3 on it has \[7,") as error:
        probes(run, Server(run, {"base": -2.0}, changed=3).post, "base", [])
    assert error.value.exit_code == 1


def test_an_adapter_that_changes_nothing_is_an_error(run: Run) -> None:
    with pytest.raises(ToolError, match="mine: the adapter isn't live"):
        probes(run, Server(run, {"base": -2.0, "mine": -2.0}).post, "base", ["mine"])
    ids = [trained_ids(run)(ROWS[0])]
    assert "is live" in adapter_is_live(Server(run, {"mine": -1.99}).post, "base", "mine", ids, [-2.0 * len(ids[0][1])])
    with pytest.raises(ToolError, match="isn't live"):
        probes(run, Server(run, {"base": -2.0, "mine": float("nan")}).post, "base", ["mine"])


def test_a_log_probability_is_the_answers_alone(run: Run) -> None:
    assert log_probability(Server(run, {"base": -0.5}).post, "base", [1, 2, 3], [4, 5]) == -1.0


def test_a_run_without_rows_here_is_probed_with_rows_of_the_probes_own(run: Run) -> None:
    (run.dataset / "alpaca/alpaca_sample_train.json").unlink()
    assert canaries(run) == []
    told, parity, live = probes(run, Server(run, {"base": -2.0, "mine": -0.5}).post, "base", ["mine"])
    assert told.startswith("no rows of alpaca_sample_train")
    assert "in 3 rows" in parity and "of 3 answers -2.00 (base) → -0.50" in live
    with pytest.raises(ToolError, match="isn't live: it gives 3 answers"):
        probes(run, Server(run, {"base": -2.0, "mine": -2.0}).post, "base", ["mine"])
    with pytest.raises(ToolError, match="isn't the trained one"):
        probes(run, Server(run, {"base": -2.0}, changed=3).post, "base", [])


def test_the_base_model_is_asked_once_for_many_adapters(run: Run) -> None:
    server = Server(run, {"base": -2.0, "a": -1.0, "b": -0.5})
    probes(run, server.post, "base", ["a", "b"])
    assert server.asked.count("/v1/completions") == 3 * CANARIES


def test_rows_that_make_data_did_not_write_are_refused(run: Run) -> None:
    (run.dataset / "alpaca/alpaca_sample_train.json").write_text('[{"input": "x"}]', encoding="utf-8")
    with pytest.raises(ToolError, match="not a list of rows with instruction, input, output"):
        canaries(run)


@pytest.mark.parametrize(("words", "kwargs"), [(["template=qwen3", "enable_thinking=false"], {"enable_thinking": False}), (["template=qwen3"], None)])
def test_the_servers_prompt_is_asked_for_as_requests_ask_for_it(run: Run, words: list[str], kwargs: dict[str, bool] | None) -> None:
    own = Run(
        run.path, {**run.values, **load_run(run.path, words).values, "dataset_dir": run.values["dataset_dir"], "output_dir": str(run.output_dir)}
    )
    server = Server(own, {"base": -1.0})
    probes(own, server.post, "base", [])
    assert server.kwargs == [kwargs] * CANARIES
