"""Runs vLLM for the engine 'offline', in vLLM's own environment.

In: a job file, as tools/predict/engines/offline.py writes it. Out: one prediction a line, appended to the job's answers file in the order in which vLLM ends.

    .venv/serve/bin/python -m tools.predict.engines.worker job.json
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

WAITING = 4  # questions handed to vLLM for each one that it works on: vLLM never waits, and a million rows need no memory


def work(job: dict[str, Any]) -> None:
    """Answers the job's questions. A question that vLLM refuses is answered with its error."""
    from vllm import EngineArgs
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.llm_engine import LLMEngine

    args = EngineArgs(**engine_arguments(job["engine"], {field.name for field in fields(EngineArgs)}))
    engine = LLMEngine.from_engine_args(args)
    tokenizer, limit = engine.get_tokenizer(), WAITING * int(job["engine"].get("max_num_seqs", 256))
    adapter = LoRARequest(job["adapter"][0], 1, job["adapter"][1]) if job["adapter"] else None
    started: dict[str, float] = {}
    with open(job["questions"], encoding="utf-8") as questions, open(job["answers"], "a", encoding="utf-8") as answers:

        def write(**values: Any) -> None:
            answers.write(json.dumps(values, ensure_ascii=False) + "\n")
            answers.flush()

        more = True
        while more or engine.has_unfinished_requests():
            while more and len(started) < limit:
                if not (line := questions.readline()):
                    more = False
                    break
                question = json.loads(line)
                try:
                    ids = tokenizer.apply_chat_template(question["messages"], add_generation_prompt=True, tokenize=True, return_dict=False)
                    engine.add_request(question["id"], {"prompt_token_ids": list(ids)}, sampling(job, question), lora_request=adapter)
                    started[question["id"]] = time.perf_counter()
                except (ValueError, TypeError) as error:  # too long, or not a text
                    write(id=question["id"], output=None, error=str(error)[:500])
            for done in engine.step() if started else []:
                if done.finished:
                    answer = done.outputs[0]
                    write(
                        id=done.request_id,
                        output=answer.text,
                        finish_reason=answer.finish_reason,
                        error=None,
                        prompt_tokens=len(done.prompt_token_ids or []),
                        completion_tokens=len(answer.token_ids),
                        latency_s=round(time.perf_counter() - started.pop(done.request_id), 4),
                    )


def engine_arguments(flags: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Returns the server's flags without those of its HTTP part."""
    return {key: value for key, value in flags.items() if key in known}


def sampling(job: dict[str, Any], question: dict[str, Any]) -> Any:
    """Returns vLLM's SamplingParams for a question, with its constraint."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    constraint = StructuredOutputsParams(**question["constraint"]) if question.get("constraint") else None
    return SamplingParams(**job["sampling"], structured_outputs=constraint, output_kind=RequestOutputKind.FINAL_ONLY)


if __name__ == "__main__":
    work(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
