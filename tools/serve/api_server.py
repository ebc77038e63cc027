"""Starts vLLM's API server at a port that `serve` itself is listening at: until vLLM listens, a waiting room answers there.

In: vLLM's own flags. Out: vLLM's server. It runs in vLLM's environment.

    .venv/serve/bin/python -m tools.serve.api_server --config data/outputs/<run>/serve-8000.yaml
"""

from __future__ import annotations

from functools import partial
from typing import Any

GRACE_S = 5  # for open requests, from SIGTERM on


def main() -> None:
    """Runs vLLM's server with SO_REUSEPORT, which vLLM has for several servers of its own. Two sockets of one user may then share the port.

    A server that is stopped ends its engine at once, and so would wait for open requests without end; behind GRACE_S their connections are closed.
    """
    from vllm.entrypoints.launchers.api_server import entry

    set_up, entry.run_server = entry.setup_server, partial(entry.run_server, timeout_graceful_shutdown=GRACE_S)

    def sharing(args: Any, *, reuse_port: bool) -> Any:
        return set_up(args, reuse_port=True)

    entry.setup_server = sharing
    entry.main()


if __name__ == "__main__":
    main()
