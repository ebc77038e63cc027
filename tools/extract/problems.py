"""Describes a refusal or failure of the service as RFC 9457 problem details: never a traceback, and never the text that was sent.

In: a status, a reason in one word, and a sentence. Out: an exception that turns into `application/problem+json`.

    curl -i http://127.0.0.1:8000/extract -H 'Content-Type: application/json' -d '{"txt": "…"}'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypedDict

from tools.serve.gate import RETRY_S

MEDIA_TYPE = "application/problem+json"


class RequestFault(TypedDict):
    """One mistake in a request: a JSON pointer (RFC 6901) to its place, and a sentence."""

    pointer: str
    detail: str


class Problem(Exception):
    """A request that isn't answered. `reason` is one of few words, for programs and counters; `mistakes` are the request's mistakes, all at once."""

    def __init__(self, status: int, reason: str, detail: str, mistakes: Sequence[RequestFault] = (), headers: Mapping[str, str] = {}) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.mistakes = status, reason, detail, list(mistakes)
        self.headers = {**({"Retry-After": str(RETRY_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}), **headers}

    def to_dict(self) -> dict[str, Any]:
        """Returns the members of RFC 9457, section 3.1, and our own `reason` and `errors`."""
        members = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
        }
        return members | ({"errors": self.mistakes} if self.mistakes else {})


def mistaken(mistakes: Sequence[RequestFault]) -> Problem:
    """Returns the problem of a request with mistakes in it."""
    return Problem(422, "invalid", "; ".join(f"{one['pointer'] or 'the request'} {one['detail']}" for one in mistakes[:8]), mistakes)


def fault(pointer: str, detail: str) -> Problem:
    """Returns the problem of a request with one mistake in it."""
    return mistaken([{"pointer": pointer, "detail": detail}])
