"""A server in vLLM's place, with vLLM's own way of taking middleware: it lists a model, fails at /v1/completions, and ends at /stop.

`--wait-for=FILE` loads until the file is there.
"""

import importlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def answer(request: Request) -> Any:
    if request.url.path == "/stop":
        os._exit(3)
    if request.url.path == "/v1/completions":
        print("(EngineCore pid=7) ERROR 11-29 16:32:30 [core.py:1] RuntimeError: Unexpected head dim size, 32", flush=True)
        return JSONResponse({"error": "See stack trace (above)"}, 500)
    return JSONResponse({"data": [{"id": "toy"}], "version": "0"})


if __name__ == "__main__":
    with open(sys.argv[sys.argv.index("--config") + 1], encoding="utf-8") as file:
        flags = {key: json.loads(value) for key, value in (line.rstrip("\n").split(": ", 1) for line in file)}
    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    for word in sys.argv:
        if word.startswith("--middleware="):
            module, name = word.removeprefix("--middleware=").rsplit(".", 1)
            app.add_middleware(getattr(importlib.import_module(module), name))
    for word in sys.argv:
        while word.startswith("--wait-for=") and not Path(word.removeprefix("--wait-for=")).exists():
            time.sleep(0.05)
    with socket.socket() as shared:  # as tools.serve.api_server has vLLM do it
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((flags["host"], flags["port"]))
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run([shared])
