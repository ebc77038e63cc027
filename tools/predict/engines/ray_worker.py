"""Runs vLLM over a Ray cluster for the engine 'ray', by Ray Data's own LLM pipeline, in vLLM's environment.

In: a job file, as tools/predict/engines/offline.py writes it. Out: one prediction a line, appended to the job's answers file. RAY_ADDRESS names a running
cluster, whose machines find model and adapter under the same paths; without it, Ray starts on this machine alone. One engine a GPU, or one in all without GPUs.

    .venv/serve/bin/python -m tools.predict.engines.ray_worker job.json
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from tools.predict.engines.worker import engine_arguments

BATCH = 64  # rows that travel together
SMALL_CPU = 0.1  # of a core, for the stages beside the engine: they would otherwise wait for cores that it holds
SHARED = ("VLLM_CPU_KVCACHE_SPACE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "PATH")


def work(job: dict[str, Any]) -> None:
    """Answers the job's questions. A question that vLLM refuses is answered with its error."""
    import ray
    from ray.data.llm import ChatTemplateStageConfig, TokenizerStageConfig, build_processor, vLLMEngineProcessorConfig
    from vllm import AsyncEngineArgs

    environment = {"env_vars": {name: os.environ[name] for name in SHARED if name in os.environ}}
    ray.init(include_dashboard=False, runtime_env=environment)
    gpus = int(ray.cluster_resources().get("GPU", 0))
    arguments = engine_arguments(job["engine"], {field.name for field in fields(AsyncEngineArgs)})
    model = str(Path(arguments.pop("model")).resolve())
    config = vLLMEngineProcessorConfig(
        model_source=model,
        engine_kwargs={**arguments, "distributed_executor_backend": "uni" if gpus else "mp"},
        batch_size=BATCH,
        concurrency=max(1, gpus),
        placement_group_config=None if gpus else {"bundles": [{"CPU": 1}]},
        chat_template_stage=ChatTemplateStageConfig(num_cpus=SMALL_CPU, concurrency=1),
        tokenize_stage=TokenizerStageConfig(num_cpus=SMALL_CPU, concurrency=1),
        detokenize_stage=False,
        should_continue_on_error=True,
        log_engine_metrics=False,
        runtime_env=environment,
    )
    limit = int(job["sampling"]["max_tokens"])
    processor = build_processor(
        config,
        preprocess=_Question(job),
        postprocess=_prediction,
        preprocess_map_kwargs={"num_cpus": SMALL_CPU},
        postprocess_map_kwargs={"num_cpus": SMALL_CPU},
    )
    rows = processor(ray.data.read_text(job["questions"], drop_empty_lines=True, ray_remote_args={"num_cpus": SMALL_CPU}))
    with open(job["answers"], "a", encoding="utf-8") as answers:
        for row in rows.iter_rows():
            cut = row["error"] is None and row["completion_tokens"] >= limit  # Ray doesn't pass on why an answer ended
            reason = None if row["error"] is not None else "length" if cut else "stop"
            answers.write(json.dumps({**row, "finish_reason": reason}, ensure_ascii=False) + "\n")
            answers.flush()


class _Question:
    """Turns a line of the questions file into a row of Ray's pipeline."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._sampling, self._adapter = job["sampling"], job["adapter"]

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        question = json.loads(row["text"])
        constraint = {"structured_outputs": question["constraint"]} if question.get("constraint") else {}
        adapter = {"model": str(Path(self._adapter[1]).resolve())} if self._adapter else {}
        return {"id": question["id"], "messages": question["messages"], "sampling_params": {**self._sampling, **constraint}, **adapter}


def _prediction(row: dict[str, Any]) -> dict[str, Any]:
    error = row.get("__inference_error__") or None
    return {
        "id": row["id"],
        "output": None if error else row["generated_text"],
        "error": str(error)[:500] if error else None,
        "prompt_tokens": None if error else int(row["num_input_tokens"]),
        "completion_tokens": None if error else int(row["num_generated_tokens"]),
    }


if __name__ == "__main__":
    work(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
