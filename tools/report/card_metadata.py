"""Makes the head of a model card: the metadata that the Hugging Face hub reads.

In: the card's facts. Out: huggingface_hub's own ModelCardData, which writes it as YAML.

    ./ner card conf/tiny-qwen2-sample-ner-lora-sft.yaml --license apache-2.0
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tools.errors import ToolError, choices
from tools.report.card_facts import Facts, id_problem
from tools.score.score_file import Score

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

# The hub's identifiers of licences (huggingface.co/docs/hub/repositories-licenses) that models and data sets are usually under.
LICENSES = re.findall(
    r"\S+",
    "afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bigscience-bloom-rail-1.0 bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 cc cc-by-2.0 "
    "cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 "
    "cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 eupl-1.1 gemma gfdl gpl "
    "gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 llama2 llama3 llama3.1 llama3.2 llama3.3 mit mpl-2.0 ms-pl ncsa odbl odc-by openrail openrail++ osl-3.0 other pddl "
    "postgresql unknown unlicense wtfpl zlib",
)
VAGUE = {"other", "unknown", "cc", "bsd", "gpl", "lgpl"}  # words that name no single licence in a sentence
METHOD_TAGS = {"PREFIX_TUNING": "p-tuning-v2", "P_TUNING": "p-tuning"}


def metadata(facts: Facts, license: str | None = None, datasets: Sequence[str] = ()) -> ModelCardData:
    """Returns the head of the card. `license` and `datasets` (names on the hub) come from the user; else the licence is that of `license_of`.

    A base model stands in it only where its name on a hub is known. Raises ToolError for a name or licence that the hub wouldn't take.
    """
    from huggingface_hub import ModelCardData

    if license is not None and license not in LICENSES:
        raise ToolError(
            f"--license {license}: not an identifier of the hub.{choices(license, LICENSES)} See huggingface.co/docs/hub/repositories-licenses."
        )
    for name in filter(None, [*datasets, facts.base.id]):
        if problem := id_problem(name):
            raise ToolError(f"{name}: not a name on the hub: {problem}")
    variant, results = facts.variant, eval_results(facts, datasets)
    head: dict[str, Any] = {"language": ["zh"], "license": license or license_of(facts), "pipeline_tag": "text-generation", "tags": tags(facts)}
    head["library_name"] = "peft" if variant.is_adapter else "transformers"
    if facts.base.id:
        relation = "adapter" if variant.is_adapter else "quantized" if variant.quantization else "finetune"
        head |= {"base_model": facts.base.id, "base_model_relation": relation}
    if datasets:
        head["datasets"] = list(datasets)
    if results:
        head |= {"metrics": sorted({result.metric_type for result in results}), "model_name": facts.run.name, "eval_results": results}
    return ModelCardData(**head)


def license_of(facts: Facts) -> str:
    """Returns the licence that both the base model's card and the task's `source` name, where `source` names no other; else 'unknown'."""
    words = set(re.findall(r"[a-z0-9][a-z0-9.+-]*[a-z0-9+]", facts.task.source.lower()))
    return facts.base.license if words & set(LICENSES) - VAGUE == {facts.base.license} else "unknown"


def tags(facts: Facts) -> list[str]:
    """Returns the words that a reader may search for."""
    task = ["ner", "named-entity-recognition", "information-extraction"] if facts.task.kind == "ner" else ["text-classification"]
    trained_by = "llama-factory" if facts.run.engine == "llamafactory" else "peft"
    quantised = [str(facts.variant.quantization), "compressed-tensors"] if facts.variant.quantization else []
    served = ["vllm"] if facts.variant.is_merged or not facts.adapter.refused else []
    return [*task, "chinese", METHOD_TAGS.get(facts.adapter.kind, "lora"), trained_by, *quantised, *served]


def eval_results(facts: Facts, datasets: Sequence[str] = ()) -> list[EvalResult]:
    """Returns the model-index: the evaluations of the card's own model that are up to date, grouped by split as the hub groups them."""
    from huggingface_hub import EvalResult

    ner, task = facts.task.kind == "ner", facts.task.name
    own = [one for one in facts.fresh if one.variant.word == facts.variant.word]
    own.sort(key=lambda one: (one.meta.split != facts.split, one.meta.split, one.meta.examples_sha256, one.meta.decoding))
    return [
        EvalResult(
            task_type="token-classification" if ner else "text-classification",
            task_name="Named Entity Recognition" if ner else "Text Classification",
            dataset_type=datasets[0] if len(datasets) == 1 else task,
            dataset_name=task,
            dataset_split=one.meta.split,
            dataset_revision=one.meta.examples_sha256,
            metric_type=kind,
            metric_name=name + (", schema decoding" if one.meta.decoding == "schema" else ""),
            metric_value=value,
        )
        for one in own
        for kind, name, value in _metrics(one.score)
    ]


def _metrics(score: Score) -> Iterator[tuple[str, str, float]]:
    if "accuracy" in score:
        yield "accuracy", "Accuracy", score["accuracy"]
    yield "f1", "F1 (micro)", score["micro"]["f1"]
    yield "f1", "F1 (macro)", score["macro"]["f1"]
    yield "precision", "Precision (micro)", score["micro"]["precision"]
    yield "recall", "Recall (micro)", score["micro"]["recall"]
    if "unseen" in score:
        yield "f1", "F1 (micro, entities unseen in train)", score["unseen"]["f1"]
