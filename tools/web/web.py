"""Opens a page on which to try a run: a sentence asked of base model and adapter, a file annotated, the run's scores and loss.

In: a trained run. Out: a page on 127.0.0.1 until Ctrl-C. It asks the server that runs at --port or --url; where none answers at --port, one is started and ends
with the page.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml --which merged --web-port 7861
"""

from __future__ import annotations

import argparse
import hmac
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from tools.conf.run import Run, run_from
from tools.conf.task import find_task
from tools.errors import ToolError
from tools.example import Example
from tools.predict.foreign import need_trained_prompt
from tools.predict.questions import questions
from tools.predict.server import Server, model_name, serving
from tools.serve.http import LOOPBACK
from tools.serve.serve import need_free
from tools.text import whole_number
from tools.variant import Variant

if TYPE_CHECKING:
    import gradio as gr
    from starlette.requests import Request
    from starlette.responses import Response

HOST, PORT = "127.0.0.1", 7860
PASSWORD = "WEB_PASSWORD"
# The browser sends requests to this server only. 'unsafe-inline': Gradio puts its settings into an inline script, and the report in its frame is one file
# with its script and styles. 'unsafe-eval': Gradio's plots (Vega) compile their expressions. data: and blob: are made by the page itself.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self';"
    " object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


def models(run: Run, server: Server, variant: Variant) -> dict[str, str]:
    """Returns variant word → name at the server, for each model that the page asks: an adapter beside its base model, a whole model alone.

    Raises ToolError when the server serves something else.
    """
    asked = [run.variant("base"), variant] if variant.is_adapter else [variant]
    return {one.word: model_name(server, one) for one in asked}


def need_address(host: str, port: int) -> None:
    """Raises ToolError for a host that others can reach while there is no password, and for a port that is taken."""
    if host not in LOOPBACK and not os.environ.get(PASSWORD):
        raise ToolError(f"--host {host}: others could use the page; export {PASSWORD}=<secret> first, or stay on {HOST}.")
    need_free(host, port, "./ner web … --web-port")


@contextmanager
def opened(page: gr.Blocks, words: gr.I18n, host: str, port: int) -> Iterator[str]:
    """Opens the page until the block ends, and yields its address. With WEB_PASSWORD in the environment the page asks for it, under any user name."""
    from starlette.middleware import Middleware
    from starlette.routing import Route

    from tools.extract.annotated_file import MAX_BYTES

    secret = os.environ.get(PASSWORD)

    def may_enter(user: str, password: str) -> bool:
        return hmac.compare_digest(password.encode(), str(secret).encode())

    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            auth=may_enter if secret else None,
            share=False,
            quiet=True,
            show_api=False,
            prevent_thread_lock=True,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            max_file_size=MAX_BYTES,
            i18n=words,
            app_kwargs={
                "middleware": [Middleware(OnlyFromHere)],
                "routes": [Route("/gradio_api/upload_progress", _upload_progress)],
                **dict.fromkeys(("docs_url", "redoc_url", "openapi_url")),
            },
        )
        yield address
    finally:
        page.close(verbose=False)


class OnlyFromHere:
    """ASGI middleware (asgi.readthedocs.io, version 3) that adds HEADERS to every answer, and takes the connections to Google's font hosts from the page.

    A Content-Security-Policy refuses requests, but no `<link rel="preconnect">`, of which Gradio's page has two.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def guarded(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            elif message["type"] == "http.response.body" and scope["path"] == "/":
                message["body"] = message.get("body", b"").replace(b'rel="preconnect"', b'rel="no-connect"')  # as long: content-length stays
            await send(message)

        await self._app(scope, receive, guarded)


async def _upload_progress(request: Request) -> Response:
    """Ends the progress of an upload: Gradio 5.50's file field asks for it under no name, and its browser would log an error for each file."""
    from starlette.responses import PlainTextResponse

    return PlainTextResponse('data: {"msg": "done"}\n\n', media_type="text/event-stream")


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yields a folder for uploaded and written files, which is removed when the block ends; Gradio's own requests to outside are off meanwhile.

    `tempfile` makes its files beside Gradio's folder, not within: Gradio makes no copy of a file in its own folder.
    """
    with tempfile.TemporaryDirectory(prefix="ner-factory-web-") as folder:
        local = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))
        ours = {"GRADIO_TEMP_DIR": f"{folder}/gradio", "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        ours |= dict.fromkeys(("NO_PROXY", "no_proxy"), local)
        before, usual = {name: os.environ.get(name) for name in ours}, tempfile.tempdir
        os.environ.update(ours)
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = usual
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def stay(server: Server, address: str) -> None:
    """Waits for Ctrl-C. When the server that we started ends, prints that once: the page stays open and shows it too."""
    if server.process is not None:
        code = server.process.wait()
        print(f"the server ended with exit code {code}; the reason is above. The page at {address} can't ask it: Ctrl-C, and call again.", flush=True)
    while True:
        signal.pause()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the page's own address."""
    parser.add_argument("--web-port", type=whole_number(1, 65535), default=PORT, metavar="N", help=f"the page's own port (default: {PORT})")
    parser.add_argument("--host", default=HOST, help=f"the page's address (default: {HOST}); any other demands {PASSWORD} in the environment")


def main(args: argparse.Namespace) -> None:
    """Opens the page, and stays until Ctrl-C."""
    run = run_from(args)
    task, variant = find_task(args.task or run.task), run.variant(args.which)
    need_address(args.host, args.web_port)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    with private_folder(), serving(run, variant, args.url, args.port) as server:
        from tools.web.page import build
        from tools.web.site import Site

        warnings.simplefilter("ignore", DeprecationWarning)  # for words that Gradio 6 renames; LLaMA-Factory needs Gradio 5

        site = Site(run, task, server, models(run, server, variant))
        _ = site.reach, site.calibrated  # read before the page opens: the terminal says what can't be read
        if server.process is None:
            [asked] = questions(task, [Example("row", "甲", [])], "free")
            need_trained_prompt(server, site.models[variant.word], run, asked.messages)
        with opened(*build(site), args.host, args.web_port) as address:
            print(f"the page: {address.rstrip('/')}    stop: Ctrl-C", flush=True)
            stay(server, address)
