"""Defines what a client of the service may send and what it gets, and reads a request strictly: all its mistakes are told at once.

In: the body of a request. Out: an ExtractRequest, or a Problem. The models here are the tables of `/extract/docs`.

    curl http://127.0.0.1:8000/extract -H 'Content-Type: application/json' -d '{"text": "王小明在北京工作。"}'
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from tools.errors import choices
from tools.extract.problems import Problem, RequestFault, fault, mistaken
from tools.files import json_problem
from tools.text import one_line

TEXT_CHARACTERS = 200_000  # of one text
TEXTS = 256  # of one request
REQUEST_CHARACTERS = 400_000  # of all texts of a request
BODY_BYTES = 6 * 1024 * 1024  # of a request: each of its characters may be an escape of 12 bytes
BODY_SECONDS = 60  # for sending them
SECONDS = 1800  # for one request, from its first byte to the last of its answer
NAMES = 1000  # labels or options of a request
LONGEST_NAME = 60  # characters of a key or label that a message repeats

_SURROGATE = re.compile("[\ud800-\udfff]")
_WANTED = {"string_type": "must be text", "list_type": "must be a list of texts", "model_type": "must be an object", "dict_type": "must be an object"}
_THRESHOLD = 'must be a number from 0 to 1, or {"precision": p} with p above 0 and not above 1'


class _StrictForm(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Precision(_StrictForm):
    """A promise instead of a threshold: the share of right entities among those that are answered."""

    precision: Annotated[float, Field(gt=0, le=1)] = Field(description="needs a run that was calibrated: `./ner calibrate RUN`")


class ExtractRequest(_StrictForm):
    """A text, or several, and which of their entities are wanted."""

    text: str | None = Field(None, description=f"one text of at most {TEXT_CHARACTERS:,} characters; the answer is one object")
    texts: list[str] | None = Field(
        None, description=f"at most {TEXTS} texts with {REQUEST_CHARACTERS:,} characters together; the answer is {{'results': […]}} in their order"
    )
    labels: list[str] | None = Field(None, description="only entities with these labels, as the task or its answers name them")
    threshold: Annotated[float, Field(ge=0, le=1)] | Precision | None = Field(
        None, description="only entities with this confidence or more; those without a confidence are left out"
    )
    run: str | None = Field(None, description="which of the served models is asked; needed only where there are several")
    options: list[str] | None = Field(None, description="the classes to choose from, for a classification whose rows have options of their own")

    @property
    def all_texts(self) -> list[str]:
        """The texts, whichever way they were sent."""
        return [self.text] if self.text is not None else list(self.texts or ())


class FoundEntity(BaseModel):
    """An entity: `text` is the request's text[start:end], counted in code points, `end` exclusive."""

    label: str
    text: str
    start: int
    end: int
    confidence: float | None = Field(description="the probability that it is right; null where the model's answer gives none")


class LeftOut(BaseModel):
    """A pair of the model's answer that is no entity of the text."""

    label: str
    text: str
    why: Literal["not in the text", "unknown label"]


class _AnswerForm(BaseModel):
    model: str = Field(description="the name at the server; a run's name for an adapter or a merged model")
    task: str
    version: int = Field(description="the task's version")
    truncated: bool = Field(description="the model's answer was cut off: entities may be missing")
    calibrated: bool = Field(description="whether confidences were corrected on a split of known answers")
    windows: int = Field(description="into how many windows the text was cut to be asked; 0 for an empty text, which isn't asked")
    problems: list[str] = Field(description="'unparsable': an answer, or that of a window, couldn't be read, and counts as empty")


class Extraction(_AnswerForm):
    """The entities of one text, sorted by start, the longer first."""

    entities: list[FoundEntity]
    left_out: list[LeftOut] = Field(description="what the model named and the text or the task doesn't have")


class Classification(_AnswerForm):
    """The class of one text. `label` is null where the model's answer is none of the options; `probabilities` is empty where the model gives none."""

    label: str | None
    probabilities: dict[str, float] = Field(description="the probability of each option as the whole answer, normalised")


class Results(BaseModel):
    """The answers about several texts, in their order."""

    results: list[Extraction | Classification]


def read_request(body: bytes, content_type: str) -> ExtractRequest:
    """Returns the request in a body. Raises Problem: 415 for another media type, 400 for what isn't JSON, 413 for too much, 422 for every mistake in it."""
    _need_json(content_type)
    try:
        value = json.loads(body.decode(), object_pairs_hook=_without_repeats)
    except UnicodeDecodeError as error:
        raise Problem(400, "not_json", f"the body isn't UTF-8 at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise Problem(400, "not_json", f"the body isn't JSON: {json_problem(error)}") from None
    if not isinstance(value, dict):
        raise fault("", "must be a JSON object")
    if halves := list(_surrogates(value)):
        raise mistaken(halves)
    try:
        request = ExtractRequest.model_validate(value)
    except ValidationError as error:
        raise mistaken(list(_mistakes(error.errors(include_url=False)))) from None
    _need_texts(request)
    return request


def _need_json(content_type: str) -> None:
    kind, _, parameters = content_type.lower().partition(";")
    charset = re.search(r'charset="?([^";\s]+)', parameters)
    if kind.strip() != "application/json" or (charset and charset[1] not in ("utf-8", "utf8")):
        raise Problem(415, "not_json", "Content-Type must be application/json, in UTF-8", headers={"Accept": "application/json"})


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object's members. Raises Problem for a key that stands twice: one of the two values would be lost without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set[str]()
        again = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise fault("", f"has the key {_shown(again)} twice")
    return found


def _surrogates(value: dict[str, Any]) -> Iterator[RequestFault]:
    """Yields the place of each half of a character, which JSON's escapes can write and no text has."""
    for key, held in value.items():
        for place, text in enumerate(held) if isinstance(held, list) else [(None, held)]:
            if isinstance(text, str) and (lone := _SURROGATE.search(text)):
                pointer = f"/{_shown(key, quote='')}" + ("" if place is None else f"/{place}")
                yield {"pointer": pointer, "detail": f"has a lone surrogate at character {lone.start()}; half a character can't be sent"}


def _mistakes(errors: list[ErrorDetails]) -> Iterator[RequestFault]:
    """Yields each of pydantic's errors in plain words, without the value that was sent."""
    told = set[str]()
    for error in errors:
        keys = error["loc"][:1] if error["loc"][0] == "threshold" else error["loc"]
        if (pointer := "".join(f"/{_shown(str(key), quote='')}" for key in keys)) not in told:
            told.add(pointer)
            yield {"pointer": pointer, "detail": _detail(error)}


def _detail(error: ErrorDetails) -> str:
    kind, first = error["type"], str(error["loc"][0])
    if kind == "extra_forbidden" and len(error["loc"]) == 1:
        return f"is an unknown key.{choices(one_line(first, LONGEST_NAME), ExtractRequest.model_fields)}"
    if first == "threshold":
        return _THRESHOLD
    return _WANTED.get(kind) or "isn't allowed"


def _need_texts(request: ExtractRequest) -> None:
    """Raises Problem for neither or both of text and texts, and 413 for more than the limits allow."""
    if (request.text is None) == (request.texts is None):
        raise fault("", "must have either text or texts")
    texts, over = request.all_texts, list[RequestFault]()
    if not texts:
        raise fault("/texts", "must not be empty")
    for key in ("labels", "options"):
        if len(getattr(request, key) or ()) > NAMES:
            over.append({"pointer": f"/{key}", "detail": f"has more than {NAMES:,} entries"})
    if len(texts) > TEXTS:
        over.append({"pointer": "/texts", "detail": f"has {len(texts):,} texts; {TEXTS} are allowed"})
    for number, text in enumerate(texts):
        if len(text) > TEXT_CHARACTERS:
            pointer = "/text" if request.text is not None else f"/texts/{number}"
            over.append({"pointer": pointer, "detail": f"has {len(text):,} characters; {TEXT_CHARACTERS:,} are allowed"})
    if not over and (total := sum(map(len, texts))) > REQUEST_CHARACTERS:
        over.append({"pointer": "/texts", "detail": f"has {total:,} characters together; {REQUEST_CHARACTERS:,} are allowed"})
    if over:
        raise Problem(413, "too_large", mistaken(over).detail, over)


def _shown(name: str, quote: str = "'") -> str:
    return f"{quote}{one_line(name, LONGEST_NAME)}{quote}"


def chosen(word: str, known: Mapping[str, str], pointer: str, what: str) -> str:
    """Returns what a word stands for. Raises Problem with the choices for a word that isn't known."""
    if word in known:
        return known[word]
    shown = one_line(word, LONGEST_NAME)
    raise fault(pointer, f"names no {what}: '{shown}'.{choices(shown, known)}")
