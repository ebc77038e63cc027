"""The worker's loop around vLLM; that a real engine answers is shown by tests/test_chain.py."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tools.predict.engines import worker


@dataclass
class EngineArgs:
    model: str


class VLLMClientError(Exception):
    """As vLLM's: no ValueError."""


class Engine:
    """In vLLM's place: it answers one question a step with the length of its prompt, and refuses prompts longer than 3."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, int]] = []

    def get_tokenizer(self) -> Any:
        # Thinking that is turned off makes a prompt one token longer, as in Qwen3's own template.
        return SimpleNamespace(apply_chat_template=lambda chat, **told: list(chat[0]["content"]) + [0] * (told.get("enable_thinking") is False))

    def add_request(self, id: str, prompt: dict[str, Any], *_: Any, **__: Any) -> None:
        if len(prompt["prompt_token_ids"]) > 3:
            raise VLLMClientError("too long")
        self.waiting.append((id, len(prompt["prompt_token_ids"])))

    def has_unfinished_requests(self) -> bool:
        return bool(self.waiting)

    def step(self) -> list[Any]:
        id, length = self.waiting.pop()
        answer = SimpleNamespace(text=str(length), finish_reason="stop", token_ids=[7], logprobs=None)
        return [SimpleNamespace(finished=True, request_id=id, prompt_token_ids=[0] * length, outputs=[answer])]


@pytest.mark.parametrize(("kwargs", "more"), [({}, 0), ({"enable_thinking": False}, 1)])
def test_a_question_that_vllm_refuses_has_an_error_and_the_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kwargs: dict[str, bool], more: int
) -> None:
    modules = {
        "vllm": {"EngineArgs": EngineArgs},
        "vllm.exceptions": {"VLLMClientError": VLLMClientError},
        "vllm.lora.request": {"LoRARequest": None},
        "vllm.v1.engine.llm_engine": {"LLMEngine": SimpleNamespace(from_engine_args=lambda _: Engine())},
    }
    for name, values in modules.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**values))
    monkeypatch.setattr(worker, "_sampling", lambda *_: None)
    questions, answers, path = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl", tmp_path / "job.json"
    questions.write_text(
        "".join(json.dumps({"id": text, "messages": [{"content": text}], "constraint": None}) + "\n" for text in ("a", "aaaa", "bb"))
    )
    job = {"engine": {"model": "m", "port": 0}, "adapter": None, "sampling": {}, "template_kwargs": kwargs}
    path.write_text(json.dumps({**job, "questions": str(questions), "answers": str(answers)}))
    worker.main("offline", str(path))
    found = {row["id"]: row for row in map(json.loads, answers.read_text().splitlines())}
    assert {id: (row["output"], row.get("error")) for id, row in found.items()} == {
        "a": (str(1 + more), None),
        "aaaa": (None, "too long"),
        "bb": (str(2 + more), None),
    }
    assert (found["bb"]["prompt_tokens"], found["bb"]["completion_tokens"], found["bb"]["finish_reason"]) == (2 + more, 1, "stop")


@pytest.mark.parametrize(("change", "live"), [(0.0, False), (float("nan"), False), (0.1, True)])
def test_an_adapter_that_changes_no_probability_ends_it(monkeypatch: pytest.MonkeyPatch, change: float, live: bool) -> None:
    class Probed:
        """An engine that gives each prompt token -1, and the adapter's `change` more."""

        def add_request(self, id: str, prompt: dict[str, Any], sampling: Any, lora_request: Any) -> None:
            self.ids, self.value, self.steps = prompt["prompt_token_ids"], -1.0 + (change if lora_request else 0.0), 2

        def has_unfinished_requests(self) -> bool:
            return self.steps > 0

        def step(self) -> list[Any]:
            self.steps -= 1
            places = [None, *({token: SimpleNamespace(logprob=self.value)} for token in self.ids[1:])]
            return [SimpleNamespace(prompt_logprobs=places)] if not self.steps else []

    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=lambda **_: None))
    adapter = SimpleNamespace(lora_name="mine")
    if live:
        worker._need_live(Probed(), [1, 2, 3], adapter)
    else:
        with pytest.raises(RuntimeError, match="mine: the adapter isn't live"):
            worker._need_live(Probed(), [1, 2, 3], adapter)


def test_a_row_of_rays_is_an_answer_cut_or_whole_or_an_error() -> None:
    counts = {"id": "a", "generated_text": "[]", "num_input_tokens": 9.0, "num_generated_tokens": 2.0}
    row = {**worker._answered(counts), "__inference_error__": ""}
    assert worker._prediction(row, 3) == {"id": "a", "output": "[]", "finish_reason": "stop", "prompt_tokens": 9, "completion_tokens": 2}
    assert worker._prediction(row, 2)["finish_reason"] == "length"
    token = {"decoded_token": "[]", "logprob": -0.5}
    asked = worker._answered({**counts, "logprobs": [{7: token, 8: {**token, "decoded_token": "{"}}]})
    assert worker._prediction({**asked, "__inference_error__": ""}, 3)["tokens"] == [["[]", -0.5]]
    refused = {"id": "b", "generated_text": None, "num_input_tokens": 0, "num_generated_tokens": None, "__inference_error__": "too long"}
    assert worker._prediction(refused, 3) == {"id": "b", "output": None, "error": "too long"}
