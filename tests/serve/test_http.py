"""The helper that asks a server once."""

from collections.abc import Callable

import pytest

from tests.toy_server import Faulty
from tools.errors import ToolError
from tools.serve.http import client_options, fetch, poster, root_of


@pytest.mark.parametrize(
    ("host", "root"), [("127.0.0.1", "http://127.0.0.1:8000"), ("0.0.0.0", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000")]
)
def test_a_server_that_listens_everywhere_is_asked_on_this_machine(host: str, root: str) -> None:
    assert root_of(host, 8000) == root


def test_no_proxy_stands_before_this_machine_and_the_key_goes_along(monkeypatch: pytest.MonkeyPatch, start: Callable[..., Faulty]) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    server = start([])
    assert fetch(f"{server.url}/models") == b'{"data": []}'
    assert client_options(server.url) == {"trust_env": False, "headers": {"Authorization": "Bearer secret"}}
    assert client_options("http://elsewhere:8000/v1")["trust_env"]


def test_a_refused_probe_says_why(start: Callable[..., Faulty]) -> None:
    server = start([])
    with pytest.raises(ToolError, match="/tokenize: the server refuses the probe with HTTP 404"):
        poster(server.url.removesuffix("/v1"))("/tokenize", {})
    with pytest.raises(ToolError, match="/tokenize: the server doesn't answer the probe"):
        poster("http://127.0.0.1:9")("/tokenize", {})
