"""The head of a model card: what the Hugging Face hub reads of it.

In: the card's facts (tools.report.card_facts). Out: huggingface_hub's own ModelCardData, which writes it as YAML.

    python -m tools.report.card conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tools.errors import ToolError, choices

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

# The hub's identifiers of licences (huggingface.co/docs/hub/repositories-licenses) that models and data sets are usually under.
LICENSES = (
    *(
        "afl-3.0",
        "agpl-3.0",
        "apache-2.0",
        "artistic-2.0",
        "bigscience-bloom-rail-1.0",
        "bigscience-openrail-m",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
    ),
    *("bsd-3-clause-clear", "bsl-1.0", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    *("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    *(
        "cc0-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "cdla-sharing-1.0",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "eupl-1.1",
        "gemma",
        "gfdl",
        "gpl",
    ),
    *("gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "mit", "mpl-2.0", "ms-pl"),
    *("ncsa", "odbl", "odc-by", "openrail", "openrail++", "osl-3.0", "other", "pddl", "postgresql", "unknown", "unlicense", "wtfpl", "zlib"),
)
RELATIONS = {"adapter": "adapter", "best": "adapter", "merged": "finetune"}  # any other model is a quantised one
METHOD_TAGS = {"PREFIX_TUNING": "p-tuning-v2", "P_TUNING": "p-tuning"}


def metadata(facts: Mapping[str, Any], license: str | None = None, datasets: Sequence[str] = ()) -> ModelCardData:
    """The head of the card. `license` and `datasets` (ids on the hub) are what a user says; else there are no data sets, and the licence is `license_of`'s.

    A base model stands in it only where its name on a hub is known. Raises ToolError for what the hub wouldn't take.
    """
    from huggingface_hub import ModelCardData

    if license is not None and license not in LICENSES:
        raise ToolError(
            f"--license {license}: not one of the hub's identifiers.{choices(license, LICENSES)} See huggingface.co/docs/hub/repositories-licenses."
        )
    for name in (*datasets, *filter(None, [facts["base"]["id"]])):
        need_id(name)
    adapter, ner = RELATIONS.get(facts["which"]) == "adapter", facts["task"]["kind"] == "ner"
    results = eval_results(facts, datasets)
    head: dict[str, Any] = {
        "language": ["zh"],
        "license": license or license_of(facts),
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": tags(facts),
    }
    if facts["base"]["id"]:
        head |= {"base_model": facts["base"]["id"], "base_model_relation": RELATIONS.get(facts["which"], "quantized")}
    if datasets:
        head |= {"datasets": list(datasets)}
    if results:
        head |= {"metrics": [*(["accuracy"] if not ner else []), "f1", "precision", "recall"], "model_name": facts["run"], "eval_results": results}
    return ModelCardData(**head)


def need_id(name: str) -> None:
    """Raise ToolError unless `name` can be a model's or a data set's on the hub."""
    if problem := id_problem(name):
        raise ToolError(f"{name}: not a name on the hub: {problem}")


def id_problem(name: str) -> str:
    """Why `name` can't be a model's or a data set's on the hub, as huggingface_hub says it; '' where it can."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        return str(error).splitlines()[0]
    return ""


def license_of(facts: Mapping[str, Any]) -> str:
    """The licence that the base model's card and the task's `source` both name, and no other is named; 'unknown' where they don't agree or don't say."""
    base, words = facts["base"]["license"], re.findall(r"[a-z0-9][a-z0-9.+-]*[a-z0-9+]", facts["task"]["source"].lower())
    named = {word for word in words if word in LICENSES} - {"other", "unknown", "cc", "bsd", "gpl", "lgpl"}
    return base if named == {base} else "unknown"


def tags(facts: Mapping[str, Any]) -> list[str]:
    """What a reader may search for."""
    task = ["ner", "named-entity-recognition", "information-extraction"] if facts["task"]["kind"] == "ner" else ["text-classification"]
    method = METHOD_TAGS.get(facts["adapter"]["kind"], "lora")
    trained_by = "llama-factory" if facts["engine"] == "llamafactory" else "peft"
    quantised = [facts["made"]["method"], "compressed-tensors"] if facts["made"].get("method") else []
    served = [] if facts["adapter"]["refused"] and not facts["made"] else ["vllm"]
    return [*task, "chinese", method, trained_by, *quantised, *served]


def eval_results(facts: Mapping[str, Any], datasets: Sequence[str] = ()) -> list[EvalResult]:
    """The model-index: the evaluations of the card's own model that are up to date, one after the other as the hub groups them."""
    from huggingface_hub import EvalResult

    ner, task = facts["task"]["kind"] == "ner", facts["task"]["name"]
    found: dict[tuple[str, str], list[EvalResult]] = {}
    for one in facts["evaluations"]:
        if one["which"] != facts["which"] or not one["score"]:
            continue
        decoding = ", schema decoding" if one["decoding"] == "schema" else ""
        for kind, name, value in _metrics(one["score"], ner):
            result = EvalResult(
                task_type="token-classification" if ner else "text-classification",
                task_name="Named Entity Recognition" if ner else "Text Classification",
                dataset_type=datasets[0] if len(datasets) == 1 else task,
                dataset_name=task,
                dataset_split=one["split"],
                dataset_revision=one["examples_sha256"],
                metric_type=kind,
                metric_name=f"{name}{decoding}",
                metric_value=value,
            )
            found.setdefault((one["split"], one["examples_sha256"]), []).append(result)
    return [result for group in found.values() for result in group]


def _metrics(score: Mapping[str, Any], ner: bool) -> Iterator[tuple[str, str, float]]:
    if not ner:
        yield "accuracy", "Accuracy", score["accuracy"]
    yield "f1", "F1 (micro)", score["micro"]["f1"]
    yield "f1", "F1 (macro)", score["macro"]["f1"]
    yield "precision", "Precision (micro)", score["micro"]["precision"]
    yield "recall", "Recall (micro)", score["micro"]["recall"]
    if "unseen" in score:
        yield "f1", "F1 (micro, entities unseen in train)", score["unseen"]["f1"]
