"""Runs vLLM for the engines 'offline' and 'ray', in vLLM's own environment.

In: an engine's name and a job file, as tools/predict/engines/offline.py writes it. Out: one prediction a line, appended to the job's answers file in the order in
which vLLM ends. RAY_ADDRESS names a running cluster, whose machines find model and adapter under the same paths; without it, Ray starts on this machine alone.

    .venv/serve/bin/python -m tools.predict.engines.worker offline job.json
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

WAITING = 4  # questions handed to vLLM for each one that it works on: vLLM never waits, and a million rows need no memory
BATCH = 64  # rows that travel together over Ray
START_S = 1800  # for all engines of a cluster to load the model
SAME = 1e-4  # log-probability of a token; a smaller difference counts as none
MOST_CPUS = 0.6  # of a machine's cores, for its engine: no machine has room for two
SMALL_CPU = 0.1  # of a core, for Ray's stages beside the engine: they would otherwise wait for cores that it holds
ANSWERED = ("id", "generated_text", "num_input_tokens", "num_generated_tokens")  # columns of Ray's rows
# Environment variables for Ray's processes.
SHARED = [
    "PATH",
    "PYTHONPATH",
    "LD_PRELOAD",
    "MALLOC_CONF",
    "VLLM_CPU_KVCACHE_SPACE",
    "VLLM_CPU_NUM_OF_RESERVED_CPU",
    "VLLM_NO_USAGE_STATS",
    "DO_NOT_TRACK",
]


def offline(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the predictions of one engine. A question that vLLM refuses has an error."""
    from vllm import EngineArgs
    from vllm.exceptions import VLLMClientError
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.llm_engine import LLMEngine

    engine = LLMEngine.from_engine_args(EngineArgs(**_arguments(job, EngineArgs)))
    tokenizer, limit = engine.get_tokenizer(), WAITING * int(job["engine"].get("max_num_seqs", 256))
    adapter = LoRARequest(job["adapter"][0], 1, job["adapter"][1]) if job["adapter"] else None
    started: dict[str, float] = {}
    with open(job["questions"], encoding="utf-8") as questions:
        more, live = True, adapter is None
        while more or engine.has_unfinished_requests():
            while more and len(started) < limit:
                if not (line := questions.readline()):
                    more = False
                    break
                question = json.loads(line)
                try:
                    told = {"add_generation_prompt": True, "tokenize": True, "return_dict": False, **job["template_kwargs"]}
                    ids = tokenizer.apply_chat_template(question["messages"], **told)
                    if not live:
                        _need_live(engine, list(ids), adapter)
                        live = True
                    engine.add_request(question["id"], {"prompt_token_ids": list(ids)}, _sampling(job, question), lora_request=adapter)
                    started[question["id"]] = time.perf_counter()
                except (VLLMClientError, ValueError, TypeError) as error:  # too long, or not a text
                    yield {"id": question["id"], "output": None, "error": str(error)[:500]}
            for done in engine.step() if started else []:
                if done.finished:
                    answer = done.outputs[0]
                    yield {
                        "id": done.request_id,
                        "output": answer.text,
                        "finish_reason": answer.finish_reason,
                        "prompt_tokens": len(done.prompt_token_ids or []),
                        "completion_tokens": len(answer.token_ids),
                        "latency_s": round(time.perf_counter() - started.pop(done.request_id), 4),
                        **_tokens(answer.logprobs),
                    }


def _need_live(engine: Any, ids: list[int], adapter: Any) -> None:
    """Raises RuntimeError where the adapter gives a prompt's tokens the very probabilities that the base model gives them."""
    from vllm import SamplingParams

    found = []
    for request in (None, adapter):
        sampling = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
        engine.add_request("probe", {"prompt_token_ids": ids}, sampling, lora_request=request)
        while engine.has_unfinished_requests():
            done = engine.step()
        found.append([place[token].logprob for place, token in zip(done[0].prompt_logprobs[1:], ids[1:], strict=True)])
    if not any(abs(before - after) >= SAME for before, after in zip(*found, strict=True)):
        raise RuntimeError(f"{adapter.lora_name}: the adapter isn't live: it gives a prompt the very probabilities that the base model gives it.")


def over_ray(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the predictions of Ray Data's own LLM pipeline: one engine a free GPU, or one a machine without GPUs. A question that vLLM refuses has an error."""
    import ray
    from ray.data.llm import ChatTemplateStageConfig, TokenizerStageConfig, build_processor, vLLMEngineProcessorConfig
    from vllm import AsyncEngineArgs

    environment = {"env_vars": {name: os.environ[name] for name in SHARED if name in os.environ}}
    ray.init(include_dashboard=False, runtime_env=environment)
    has_gpus, engines = "GPU" in ray.cluster_resources(), max(1, int(ray.available_resources().get("GPU", 0)))
    machines = [node["Resources"].get("CPU", 1) for node in ray.nodes() if node["Alive"]]
    arguments = _arguments(job, AsyncEngineArgs)
    adapter = {"model": str(Path(job["adapter"][1]).resolve())} if job["adapter"] else {}

    def asked(row: dict[str, Any]) -> dict[str, Any]:
        question = json.loads(row["text"])
        constraint = {"structured_outputs": question["constraint"]} if question["constraint"] else {}
        return {"id": question["id"], "messages": question["messages"], "sampling_params": {**_own_words(job["sampling"]), **constraint}, **adapter}

    config = vLLMEngineProcessorConfig(
        model_source=str(Path(arguments.pop("model")).resolve()),
        engine_kwargs={**arguments, "distributed_executor_backend": "uni" if has_gpus else "mp"},
        batch_size=BATCH,
        concurrency=(engines, engines) if has_gpus else (len(machines), len(machines)),
        placement_group_config=None if has_gpus else {"bundles": [{"CPU": MOST_CPUS * min(machines)}]},
        chat_template_stage=ChatTemplateStageConfig(num_cpus=SMALL_CPU, concurrency=1, chat_template_kwargs=job["template_kwargs"]),
        tokenize_stage=TokenizerStageConfig(num_cpus=SMALL_CPU, concurrency=1),
        detokenize_stage=False,
        should_continue_on_error=True,
        log_engine_metrics=False,
        runtime_env=environment,
    )
    small = {"num_cpus": SMALL_CPU}
    processor = build_processor(config, preprocess=asked, postprocess=_answered, preprocess_map_kwargs=small, postprocess_map_kwargs=small)
    ray.data.DataContext.get_current().wait_for_min_actors_s = START_S  # else the engine that starts first gets all rows of a small job
    lines = [{"text": line} for line in Path(job["questions"]).read_text(encoding="utf-8").split("\n") if line]  # other machines don't see the file
    blocks = -(-len(lines) // BATCH)  # what travels together: a file would be one block, for one engine alone
    for row in processor(ray.data.from_items(lines, override_num_blocks=blocks)).iter_rows():
        yield _prediction(row, int(job["sampling"]["max_tokens"]))


def _answered(row: dict[str, Any]) -> dict[str, Any]:
    return {**{name: row[name] for name in ANSWERED}, "tokens": json.dumps(_tokens(row.get("logprobs")))}  # Arrow has no column for them


def _prediction(row: dict[str, Any], limit: int) -> dict[str, Any]:
    """Returns the prediction in a row of Ray's; Ray doesn't pass on why an answer ended, and hands a refused row past `_answered`."""
    if error := row.get("__inference_error__"):
        return {"id": row["id"], "output": None, "error": error[:500]}
    length = int(row["num_generated_tokens"])
    return {
        "id": row["id"],
        "output": row["generated_text"],
        "finish_reason": "length" if length >= limit else "stop",
        "prompt_tokens": int(row["num_input_tokens"]),
        "completion_tokens": length,
        **json.loads(row["tokens"]),
    }


def _arguments(job: dict[str, Any], kind: type) -> dict[str, Any]:
    """Returns the server's flags without those of its HTTP part."""
    known = {field.name for field in fields(kind)}
    return {key: value for key, value in job["engine"].items() if key in known}


def _own_words(sampling: dict[str, Any]) -> dict[str, Any]:
    """Returns sampling parameters of a chat as vLLM's engine takes them: `logprobs` is a number there, 0 for the token's own alone."""
    return {**sampling, "logprobs": 0} if sampling.get("logprobs") is True else sampling


def _tokens(logprobs: Iterable[dict[Any, Any]] | None) -> dict[str, list[list[Any]]]:
    """Returns a prediction's `tokens`, [[piece, log-probability], …]; {} where none were asked for.

    Each of vLLM's dictionaries has an answer's own token first, as an object or as a dictionary.
    """
    if logprobs is None:
        return {}
    own = [next(iter(place.values())) for place in logprobs]
    return {"tokens": [[one["decoded_token"], one["logprob"]] if isinstance(one, dict) else [one.decoded_token, one.logprob] for one in own]}


def _sampling(job: dict[str, Any], question: dict[str, Any]) -> Any:
    """Returns vLLM's SamplingParams for a question, with its constraint."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    constraint = StructuredOutputsParams(**question["constraint"]) if question["constraint"] else None
    return SamplingParams(**_own_words(job["sampling"]), structured_outputs=constraint, output_kind=RequestOutputKind.FINAL_ONLY)


def main(engine: str, path: str) -> None:
    """Answers a job's questions; each answer is in the file before the next is waited for."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    with open(job["answers"], "a", encoding="utf-8") as answers:
        for prediction in {"offline": offline, "ray": over_ray}[engine](job):
            answers.write(json.dumps(prediction, ensure_ascii=False) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
