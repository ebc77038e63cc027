"""The page to try a run on: type a sentence and see what base model and adapter find, annotate a file, look at scores and loss.

In: a trained run. Out: a page on 127.0.0.1 until Ctrl-C, in front of the server that runs already, or of one that is started for it and ends with it.

    python -m tools.web.web conf/tiny-qwen2-sample-ner-lora-sft.yaml
    python -m tools.web.web conf/tiny-qwen2-sample-ner-lora-sft.yaml --model merged --web-port 7861
"""

from __future__ import annotations

import hmac
import os
import re
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from tools.conf.run import Run, run_from
from tools.conf.task import find_task
from tools.errors import ToolError, run
from tools.predict.server import MODELS, Server, model_name, serving
from tools.serve.http import LOOPBACK
from tools.serve.serve import need_free

if TYPE_CHECKING:
    import gradio as gr

PORT = 7860
PASSWORD = "WEB_PASSWORD"
# Beside the adapter its base model answers too; a merged model is alone at its server.
BESIDE = {"adapter": ("base", "adapter"), "base": ("base",), "best": ("base", "best")}
# A second wall behind the page's own care: the browser itself asks nobody but this server. Gradio's scripts are inline, and its plots compile theirs.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self';"
    " object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
# What Gradio's page loads from elsewhere, needed or not.
_OUTSIDE = re.compile(rb"""<link\b[^>]*\brel="preconnect"[^>]*>|<script\b[^>]*\bsrc="https?://[^>]*>\s*</script>""")


def models(this: Run, server: Server, which: str) -> dict[str, str]:
    """Which models the page asks → their names at the server. Raises ToolError when the server serves something else."""
    return {one: model_name(server, this, one) for one in BESIDE.get(which, (which,))}


def need_address(host: str, port: int) -> None:
    """Raise ToolError for a host that others can reach while there is no password, and for a port that is taken."""
    if host not in LOOPBACK and not os.environ.get(PASSWORD):
        raise ToolError(f"--host {host}: others could use the page; export {PASSWORD}=<secret> first, or stay on 127.0.0.1.")
    need_free(host, port, "make web … WEB_PORT")


@contextmanager
def opened(page: gr.Blocks, words: gr.I18n, host: str, port: int) -> Iterator[str]:
    """The page, open at an address, which is given, until the block ends. With WEB_PASSWORD in the environment it asks for that, under any user name."""
    from starlette.middleware import Middleware

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
            inbrowser=False,
            quiet=True,
            show_api=False,
            prevent_thread_lock=True,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            max_file_size=MAX_BYTES,
            i18n=words,
            app_kwargs={"middleware": [Middleware(OnlyFromHere)], "docs_url": None, "redoc_url": None, "openapi_url": None},
        )
        yield address
    finally:
        page.close(verbose=False)


class OnlyFromHere:
    """ASGI middleware that takes from Gradio's page what it would load from elsewhere, and has the browser refuse the rest."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].endswith("/upload_progress") and scope["query_string"] == b"upload_id=undefined":
            await _done(send)
            return
        start: dict[str, Any] = {}
        body = b""

        async def guarded(message: dict[str, Any]) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                ours = {b"content-security-policy": POLICY, b"x-content-type-options": "nosniff", b"referrer-policy": "no-referrer"}
                message["headers"] = [*message["headers"], *((name, value.encode()) for name, value in ours.items())]
                if dict(message["headers"]).get(b"content-type", b"").startswith(b"text/html"):
                    start = message
                    return
            elif start and message["type"] == "http.response.body":
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                message = {"type": "http.response.body", "body": _OUTSIDE.sub(b"", body)}
                kept = [(name, value) for name, value in start["headers"] if name != b"content-length"]
                await send({**start, "headers": [*kept, (b"content-length", str(len(message["body"])).encode())]})
            await send(message)

        await self._app(scope, receive, guarded)


async def _done(send: Any) -> None:
    """What ends the progress of an upload: Gradio 5.50's file field asks for it under no name, and would log an error for each file."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b'data: {"msg": "done"}\n\n'})


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for all that is uploaded and made, gone when the block ends; none of Gradio's requests to outside are made meanwhile.

    What `tempfile` makes stands beside Gradio's own folder, which it copies to: of a file within that it would take no copy.
    """
    with tempfile.TemporaryDirectory(prefix="ner-factory-web-") as folder:
        local = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))
        given, made = (Path(folder) / name for name in ("gradio", "made"))
        given.mkdir()
        made.mkdir()
        ours = {"GRADIO_TEMP_DIR": str(given), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "NO_PROXY": local, "no_proxy": local}
        before, usual = {name: os.environ.get(name) for name in ours}, tempfile.tempdir
        os.environ.update(ours)
        tempfile.tempdir = str(made)
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = usual
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def stay(server: Server, address: str) -> None:
    """Until Ctrl-C. Should our own server end, say so once: the page goes on to say so, too."""
    told = False
    while True:
        time.sleep(0.5)
        if server.process is not None and not told and (code := server.process.poll()) is not None:
            say(
                f"the server ended with exit code {code}; why stands above. The page at {address} can't ask any more: Ctrl-C, and call again.",
                flush=True,
            )
            told = True


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.web.web", description=(__doc__ or "").split("\n\n")[0])
    add_run(parser)
    parser.add_argument("--task", metavar="T", help="default: the task that the run trains")
    parser.add_argument(
        "--model", choices=MODELS, default="adapter", help="which of the run's models answers; the base model answers beside its adapter"
    )
    parser.add_argument("--url", help="a server that runs already, e.g. http://127.0.0.1:8000/v1 (default: one at --port, started if none answers)")
    parser.add_argument("--port", type=int, default=8000, help="vLLM's port (default: 8000)")
    parser.add_argument("--web-port", type=int, default=PORT, help=f"the page's own port (default: {PORT}; make: WEB_PORT=…)")
    parser.add_argument(
        "--host", default="127.0.0.1", help=f"default: 127.0.0.1; any other demands {PASSWORD} in the environment (make: HOST=0.0.0.0)"
    )
    args = parser.parse_args()
    this = run_from(args)
    task = find_task(args.task or this.task)
    need_address(args.host, args.web_port)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    with private_folder(), serving(this, args.model, args.url, args.port) as server:
        from tools.web.page import build
        from tools.web.site import Site

        warnings.simplefilter("ignore", DeprecationWarning)  # of what Gradio 6 will call otherwise; LLaMA-Factory keeps us at 5

        site = Site(this, task, server, models(this, server, args.model))
        with opened(*build(site), args.host, args.web_port) as address:
            say(f"the page: {address.rstrip('/')}    stop: Ctrl-C", flush=True)
            stay(server, address)


if __name__ == "__main__":
    run(main)
