"""Counts what the service does, for Prometheus: requests, refusals, entities, labels, confidences. Its text stands behind vLLM's own at /metrics.

In: answers and refusals. Out: text in Prometheus' format. A label's values are few: the task's labels, or 'other'.

    curl http://127.0.0.1:8000/metrics
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tools.extract.forms import Classification, Extraction
from tools.extract.runs import Model

if TYPE_CHECKING:
    from tools.extract.slots import Slots

PREFIX = "ner_factory_extract"
OTHER = "other"  # a class that isn't one of the task's labels
BUCKETS = tuple(tenth / 10 for tenth in range(1, 11))


class Metrics:
    """The service's counters, in a registry of their own: vLLM's may be one of several processes."""

    def __init__(self, slots: Slots) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # type: ignore[import-not-found]  # of vLLM's environment

        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

        self._requests = counter("requests", "Requests to /extract, by HTTP status; 499: the client left.", "status")
        self._refusals = counter("refusals", "Requests, or texts of a stream, that weren't answered, by reason.", "reason")
        self._texts = counter("texts", "Texts that were answered.", "model")
        self._windows = counter("windows", "Windows that these texts were asked in.", "model")
        self._entities = counter("entities", "Entities that were answered.", "model", "label")
        self._classes = counter("classes", "Texts that were classified, by class.", "model", "label")
        self._left_out = counter("left_out", "Pairs of the model's answers that are no entities of the text.", "model", "why")
        self._problems = counter("problems", "Answers that were cut off or couldn't be read.", "model", "problem")
        self._confidence = Histogram(
            f"{PREFIX}_confidence", "Confidence of the entities that were answered.", ("model",), registry=self.registry, buckets=BUCKETS
        )
        self._gauge(Gauge, "in_flight", "Windows that vLLM is asked for at this moment.", lambda: slots.asked)
        self._gauge(Gauge, "room_taken", "Windows that open requests count for; the room is fixed.", lambda: slots.taken)

    def _gauge(self, kind: type, name: str, text: str, value: Callable[[], int]) -> None:
        kind(f"{PREFIX}_{name}", text, registry=self.registry).set_function(value)

    def request(self, status: int) -> None:
        """Counts a request."""
        self._requests.labels(status).inc()

    def refusal(self, reason: str) -> None:
        """Counts a problem."""
        self._refusals.labels(reason).inc()

    def answer(self, model: Model, answer: Extraction | Classification) -> None:
        """Counts what was answered about a text."""
        self._texts.labels(model.name).inc()
        self._windows.labels(model.name).inc(answer.windows)
        for problem in [*answer.problems, *(["truncated"] if answer.truncated else [])]:
            self._problems.labels(model.name, problem).inc()
        if isinstance(answer, Classification):
            self._classes.labels(model.name, answer.label if answer.label in model.task.names else OTHER).inc()
            return
        for entity in answer.entities:
            self._entities.labels(model.name, entity.label).inc()
            if entity.confidence is not None:
                self._confidence.labels(model.name).observe(entity.confidence)
        for pair in answer.left_out:
            self._left_out.labels(model.name, pair.why).inc()

    def text(self) -> bytes:
        """Returns the counters in Prometheus' text format 0.0.4."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
