"""An HTTP proxy between client and server that does what networks do: delays, resets, errors, bodies that break off."""

import http.client
import io
import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("delay", "reset before", "reset after", "500", "503", "429", "cut body", "cut unnoticed", "not JSON", "empty")


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on to `upstream` (a URL that ends in /v1); a POST suffers one of FAULTS with the given probability, drawn by a seeded generator."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, upstream: str, probability: float, seed: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.host = upstream.removeprefix("http://").removesuffix("/v1")
        self.probability, self.random, self.lock = probability, random.Random(seed), threading.Lock()
        self.faults = Counter[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def fault(self) -> str | None:
        with self.lock:
            drawn = self.random.choice(FAULTS) if self.random.random() < self.probability else None
            self.faults[str(drawn)] += 1
            return drawn

    def __enter__(self) -> "FaultyProxy":
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: FaultyProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(*self.forward(None))

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.server.fault()
        if fault == "reset before":
            return self.reset()
        if fault in ("500", "503", "429"):
            return self.answer(int(fault), json.dumps({"error": {"message": f"injected {fault}"}}).encode(), {"Retry-After": "0"})
        if fault == "delay":
            time.sleep(0.3)
        status, body = self.forward(data)
        if fault == "reset after":
            return self.reset()
        if fault == "cut body":
            self.answer(status, body[: len(body) // 2], length=len(body))
            self.close_connection = True
            return None
        if fault == "cut unnoticed":  # as a proxy that speaks HTTP/1.0 would
            self.close_connection = True
            return self.answer(status, body[: len(body) // 2], {"Connection": "close"}, length=-1)
        return self.answer(status, {"not JSON": b"<html>Bad gateway</html>", "empty": b""}.get(str(fault), body))

    def forward(self, data: bytes | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.server.host, timeout=120)
        try:
            connection.request(self.command, self.path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 502, b'{"error": {"message": "nobody behind the proxy"}}'
        finally:
            connection.close()

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if length != -1:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def reset(self) -> None:
        """Close with a TCP reset instead of an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        self.rfile = self.wfile = io.BytesIO()
