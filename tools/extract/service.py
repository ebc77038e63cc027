"""Answers texts with their entities, within vLLM's server: the same host, port and key as the OpenAI API.

In: `POST /extract` with a text or several. Out: for each text its entities with places and confidence, or its class. `GET /extract/docs` shows the whole interface,
`/health` says what is served, `/metrics` has our counters behind vLLM's. Every other path is vLLM's own. It runs as ASGI middleware in vLLM's environment.

    NER_FACTORY_SERVED=… .venv/serve/bin/python -m tools.serve.api_server … --middleware tools.extract.service.Service
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import ExitStack, aclosing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from tools.errors import choices
from tools.extract import forms, slots
from tools.extract.annotate import Selection
from tools.extract.forms import Classification, Extraction, ExtractRequest, Precision, Results, chosen, read_request
from tools.extract.inside import Header, Inside
from tools.extract.job import FEW, Job, PendingText, down, texts_of
from tools.extract.metrics import Metrics
from tools.extract.problems import MEDIA_TYPE, Problem, fault
from tools.extract.runs import Model, load_model
from tools.extract.slots import Slots
from tools.serve.served import SERVED, read_served
from tools.text import one_line

OURS = ("/extract", "/health", "/metrics")
LINES = "application/x-ndjson"
LEFT = 499  # the client closed the connection (nginx's word for it); nobody reads it
ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css")  # vLLM ships them: the page needs no network
REFUSALS = {
    400: "not JSON",
    401: "no key, or a wrong one",
    408: "the body came too slowly",
    413: "more than the limits allow, or than the model's context holds",
    415: "not `application/json`",
    422: "mistakes in the request; `errors` has the place of each",
    502: "vLLM gave no answer that can be used",
    503: "starting, or busy: try again after the seconds in `Retry-After`",
    504: "not answered in time",
}
log = logging.getLogger(__name__)
T = TypeVar("T")


class Service:
    """ASGI middleware (asgi.readthedocs.io, version 3) that answers OURS, and asks `app`, vLLM's own application, for it."""

    def __init__(self, app: ASGIApp) -> None:
        told = read_served(Path(os.environ[SERVED]))
        self.app, self.inside = app, Inside(app)
        self.own = application(self.inside, [load_model(run) for run in told.runs], Slots(told.at_once))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if scope["type"] == "http" and _is_ours(scope):
            self.inside.owner = scope.get("app")
            await self.own(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def application(inside: Inside, models: list[Model], places: Slots) -> FastAPI:
    """Returns the application with its paths."""
    app = FastAPI(
        title="NER Factory", description=_description(places), version="1", openapi_url="/extract/openapi.json", docs_url=None, redoc_url=None
    )
    metrics, by_name = Metrics(places), {model.name: model for model in models}
    for model in models:
        if model.uncalibrated:
            log.warning("%s: confidences aren't calibrated: %s", model.name, model.uncalibrated)

    @app.post("/extract", responses=_responses(), openapi_extra=_body(), summary="The entities or the class of each text")
    async def extract(request: Request) -> Response:
        response = await _answered(request, by_name, inside, places, metrics)
        metrics.request(response.status_code)
        return response

    @app.get("/health", summary="What is served, once it is ready")
    async def health() -> Response:
        reply = await inside.get("/health")
        if reply.status != 200:
            return _refused(Problem(503, "model_failed", "the model's engine isn't alive"), metrics)
        return _json({"status": "ok", "runs": [model.facts for model in models]})

    @app.get("/metrics", summary="Counters for Prometheus")
    async def counters(request: Request) -> Response:
        reply = await inside.get("/metrics", _key(request))
        own = b"" if b"\n# HELP ner_factory_extract_" in reply.body else metrics.text()  # with several processes vLLM's registry has ours too
        return Response(reply.body + own, reply.status, {name.decode(): value.decode() for name, value in reply.headers if name == b"content-type"})

    @app.get("/extract/docs", include_in_schema=False)
    async def docs() -> Response:
        if _asset(ASSETS[0]) is None:
            return RedirectResponse("openapi.json")
        script, style = (f"docs/{name}" for name in ASSETS)
        return get_swagger_ui_html(
            openapi_url="openapi.json", title=app.title, swagger_js_url=script, swagger_css_url=style, swagger_favicon_url="data:,"
        )

    @app.get("/extract/docs/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        path = _asset(name)
        return FileResponse(path) if path else _refused(Problem(404, "not_found", "no such page"), metrics)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        reason = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "invalid")
        return _refused(Problem(error.status_code, reason, "no such page, or not by this method", headers=error.headers or {}), metrics)

    return app


async def _answered(request: Request, models: Mapping[str, Model], inside: Inside, places: Slots, metrics: Metrics) -> Response:
    """Returns the answer to a request, or the problem that stands in its way. Whatever fails, neither the text nor a traceback is told."""
    try:
        async with asyncio.timeout(forms.SECONDS):
            with places.admitted(1):  # nothing is read where there is no room
                wanted = read_request(await _read(request), request.headers.get("content-type", ""))
            model = _model(wanted, models)
            job = Job(model, inside, places, await _texts(model, wanted), _wanted(model, wanted), _key(request))
            with ExitStack() as room:
                room.enter_context(places.admitted(job.windows))
                if LINES in request.headers.get("accept", ""):
                    return _LineStream(job, metrics, room.pop_all())
                return await unless_gone(request.receive, _all(job, wanted, metrics))
    except Problem as problem:
        return _refused(problem, metrics)
    except TimeoutError:
        return _refused(_too_late(), metrics)
    except ClientDisconnect:
        return Response(status_code=LEFT)
    except Exception as error:
        return _refused(down() if inside.is_stopping else failure(error), metrics)


async def _all(job: Job, request: ExtractRequest, metrics: Metrics) -> Response:
    """Returns the answers about all texts. Raises the first text's Problem where one has none: half of the answers would look like all of them."""
    found = dict[int, Extraction | Classification]()
    async with aclosing(job.answers()) as answers:
        async for number, answer in answers:
            if isinstance(answer, Problem):
                raise answer
            metrics.answer(job.model, answer)
            found[number] = answer
    if request.text is not None:
        return _json(found[0].model_dump())
    return _json({"results": [found[number].model_dump() for number in sorted(found)]})


class _LineStream(StreamingResponse):
    """A stream of one JSON object a text, each with its `index`, in the order in which they are ready. A text that isn't answered has a problem's object."""

    def __init__(self, job: Job, metrics: Metrics, room: ExitStack) -> None:
        super().__init__(self._lines(job, metrics), media_type=LINES)
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the lines, and ends the work when the client leaves."""
        with self._room, suppress(ClientDisconnect):
            await unless_gone(receive, self.stream_response(send))

    async def _lines(self, job: Job, metrics: Metrics) -> AsyncIterator[bytes]:
        open_ = {text.number for text in job.texts}

        def line(number: int, values: dict[str, Any]) -> bytes:
            open_.discard(number)
            return _encoded({"index": number, **values}) + b"\n"

        try:
            async with asyncio.timeout(forms.SECONDS), aclosing(job.answers()) as answers:
                async for number, answer in answers:
                    if isinstance(answer, Problem):
                        metrics.refusal(answer.reason)
                        yield line(number, answer.to_dict())
                    else:
                        metrics.answer(job.model, answer)
                        yield line(number, answer.model_dump())
        except Exception as error:
            problem = _too_late() if isinstance(error, TimeoutError) else error if isinstance(error, Problem) else failure(error)
            problem = down() if job.inside.is_stopping else problem
            metrics.refusal(problem.reason)
            for number in sorted(open_):
                yield line(number, problem.to_dict())


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Returns the result of some work. Ends it and raises ClientDisconnect when the client leaves before; the request's body must have been read."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(request: Request) -> bytes:
    """Returns a request's body. Raises Problem (413) as soon as it is too large, whatever Content-Length says."""
    limit = Problem(413, "too_large", f"the body has more than {forms.BODY_BYTES:,} bytes")
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told[:20]) > forms.BODY_BYTES:
        raise limit
    body = bytearray()
    try:
        async with asyncio.timeout(forms.BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > forms.BODY_BYTES:
                    raise limit
    except TimeoutError:
        raise Problem(408, "too_slow", f"the body wasn't sent within {forms.BODY_SECONDS} seconds") from None
    return bytes(body)


def _model(request: ExtractRequest, models: Mapping[str, Model]) -> Model:
    """Returns the model that a request names, or the only one. Raises Problem with the choices."""
    if request.run is not None:
        return models[chosen(request.run, {name: name for name in models}, "/run", "served run")]
    if len(models) == 1:
        return next(iter(models.values()))
    raise fault("/run", f"is missing: several runs are served.{choices('', models)}")


async def _texts(model: Model, request: ExtractRequest) -> list[PendingText]:
    """Returns the texts with their questions. Raises Problem for options that don't fit the task."""
    task, own = model.task, request.options
    if own is not None and (task.kind == "ner" or task.labels):
        raise fault("/options", f"aren't for the task {task.name}, which has {'no classes' if task.kind == 'ner' else 'labels of its own'}")
    if task.kind == "classification" and not task.labels and len(set(own or ())) < 2:
        raise fault("/options", f"must name two classes or more: the task {task.name} has none of its own")
    texts = request.all_texts
    if sum(map(len, texts)) <= FEW:
        return texts_of(model, texts, own)
    return await asyncio.to_thread(texts_of, model, texts, own)  # cutting a long text must not keep others waiting


def _wanted(model: Model, request: ExtractRequest) -> Selection:
    """Returns which entities a request wants. Raises Problem for a label that the task doesn't have, and for a precision that can't be promised."""
    if model.task.kind != "ner":
        for key in ("labels", "threshold"):
            if getattr(request, key) is not None:
                raise fault(f"/{key}", f"is for entities; the task {model.task.name} is a classification")
        return Selection()
    labels = None
    if request.labels is not None:
        labels = frozenset(chosen(word, model.labels, f"/labels/{number}", "label of this task") for number, word in enumerate(request.labels))
    if isinstance(request.threshold, Precision):
        return Selection(labels, _threshold(model, request.threshold.precision))
    return Selection(labels, request.threshold)


def _threshold(model: Model, precision: float) -> float:
    """Returns the confidence that promises a precision. Raises Problem where there is none."""
    if model.calibration is None:
        raise fault("/threshold/precision", f"can't be promised: {one_line(model.uncalibrated, 1000)}")
    threshold = model.calibration.threshold(precision)
    if threshold is None:
        raise fault("/threshold/precision", f"can't be promised: the best that this run can promise is {model.calibration.best_precision:.3f}")
    return threshold


def failure(error: Exception) -> Problem:
    """Returns the problem of a mistake of ours, and logs its kind and place. Its own words may hold a text, so they go nowhere."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "nowhere"
    log.error("/extract failed: %s at %s", type(error).__name__, where)
    return Problem(500, "failed", f"the service failed ({type(error).__name__}); its log has the place")


def _too_late() -> Problem:
    return Problem(504, "too_late", f"not answered within {forms.SECONDS:,} seconds")


def _refused(problem: Problem, metrics: Metrics) -> Response:
    metrics.refusal(problem.reason)
    return Response(_encoded(problem.to_dict()), problem.status, problem.headers, MEDIA_TYPE)


def _json(value: Any) -> Response:
    return Response(_encoded(value), media_type="application/json")


def _encoded(value: Any) -> bytes:
    """Returns a value as JSON in UTF-8. A model's answer may hold half a character, which UTF-8 doesn't have: it becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def _key(request: Request) -> list[Header]:
    """Returns the header that carries the client's key: vLLM asks for it too."""
    return [(b"authorization", value.encode("latin-1"))] if (value := request.headers.get("authorization")) else []


def _is_ours(scope: Scope) -> bool:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return path in OURS or path.startswith("/extract/")


def _asset(name: str) -> Path | None:
    """Returns a file that vLLM ships for a page like this one."""
    vllm = find_spec("vllm")
    path = Path(vllm.origin).parent / "entrypoints/serve/instrumentator/static" / name if vllm and vllm.origin and name in ASSETS else None
    return path if path and path.is_file() else None


def _description(places: Slots) -> str:
    return f"""Finds entities in texts of any length, with a run that was trained for it.

Limits: a text has at most {forms.TEXT_CHARACTERS:,} characters; a request at most {forms.TEXTS:,} texts, {forms.REQUEST_CHARACTERS:,} characters and
{forms.BODY_BYTES:,} bytes, {forms.BODY_SECONDS} seconds to send them, and {forms.SECONDS:,} seconds in all. vLLM computes {places.at_once:,} windows at once, and a request has at most {places.a_request:,} of them. The room for
waiting is {places.room:,} windows; a request counts for at most {places.room // slots.PART:,} of them. A request that finds no room gets 503.

`Accept: {LINES}` streams one object a text as soon as it is ready, with its `index`. Places count code points, and `end` is exclusive.

Errors are `{MEDIA_TYPE}` (RFC 9457): `status`, `title`, `detail`, `reason` (one word) and, for mistakes in the request, `errors` with a JSON pointer each."""


def _body() -> dict[str, Any]:
    schema = ExtractRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    precision = schema.pop("$defs")["Precision"]
    schema["properties"]["threshold"]["anyOf"] = [precision if "$ref" in one else one for one in schema["properties"]["threshold"]["anyOf"]]
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _responses() -> dict[int | str, dict[str, Any]]:
    problem = {"type": "object", "properties": {name: {} for name in ("type", "title", "status", "detail", "reason", "errors")}}
    found: dict[int | str, dict[str, Any]] = {200: {"model": Extraction | Classification | Results}}
    return found | {status: {"description": text, "content": {MEDIA_TYPE: {"schema": problem}}} for status, text in REFUSALS.items()}
