"""The service in front of a toy model, on a port: `.venv/serve/bin/python -m tests.extract.toy_service PORT`. It runs in vLLM's environment, with vLLM's order of layers."""

import asyncio
import os
import sys
from typing import Any

import uvicorn

from tests.extract.toy_model import ToyModel, written
from tools.extract.service import Service
from tools.serve.guard import Guard


def say(text: str) -> str:
    return written(*(pair for pair in (("name", "王小明"), ("address", "北京"), ("book", "红楼梦")) if pair[1] in text or pair[0] == "book"))


class SlowToy(ToyModel):
    """A toy model that never comes to an end with a text that says so."""

    async def chat(self, body: dict[str, Any]) -> Any:
        if "没完没了" in self.shown(body):
            await asyncio.Event().wait()
        return await super().chat(body)


if __name__ == "__main__":
    app = SlowToy(say).application()
    for layer in (Service, *([Guard] if os.environ.get("VLLM_API_KEY") else [])):
        app.add_middleware(layer)
    uvicorn.run(app, port=int(sys.argv[1]))
