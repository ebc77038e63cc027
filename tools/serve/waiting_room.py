"""Answers 503 at a port until the server that is loading listens there: a client that comes meanwhile learns when to try again, and isn't refused a connection.

In: an address. Out: the gate's own refusal, with Retry-After and STARTING, to every request. When vLLM listens too, each of both gets a part of the connections; then the room
is closed.

    ./ner serve conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread

from tools.serve.gate import HEADERS, REFUSAL

LOOK_S = 0.05  # between two looks whether the room is to be closed
LINGER_S = 5.0  # for a client that is still sending: a connection that is closed before takes the answer with it
PIECE = 65536


class _Refusing(BaseHTTPRequestHandler):
    protocol_version, timeout = "HTTP/1.1", LINGER_S

    def log_message(self, *args: object) -> None:
        """Logs nothing."""

    def do_GET(self) -> None:
        """Refuses, and reads what is still coming."""
        body = json.dumps(REFUSAL).encode()
        self.send_response(503)
        for name, value in {**HEADERS, "Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(PIECE):
                pass

    do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = do_GET


class _Room(ThreadingTCPServer):
    allow_reuse_address = allow_reuse_port = daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request: object, client_address: object) -> None:
        """Leaves a client that has gone."""


@contextmanager
def waiting_room(host: str, port: int) -> Iterator[None]:
    """Answers at an address until the block ends. Clients that are connected then still get their answer. Raises OSError where the address is taken."""
    kind = type("_Room6", (_Room,), {"address_family": socket.AF_INET6}) if ":" in host else _Room
    room = kind((host, port), _Refusing)
    thread = Thread(target=room.serve_forever, args=(LOOK_S,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        room.shutdown()
        thread.join()
        room.timeout = 0
        while select.select([room.socket], [], [], 0)[0]:
            room.handle_request()
        room.server_close()
