"""The helper that asks a server once."""

import time
from collections.abc import Callable

import pytest

from tests.toy_server import Faulty
from tools.errors import ToolError
from tools.serve import http
from tools.serve.http import Patience, client_options, fetch, poster, root_of


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


def test_a_probes_patience_follows_tokens_and_weights_and_its_end_says_what_it_waited_for(
    start: Callable[..., Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Patience(10**9, 2e9).seconds(250) - Patience(10**9, 2e9).seconds(0) == 125
    monkeypatch.setattr(http, "START_S", 0.2)
    server = start([])
    server.others = lambda path, body: time.sleep(1)
    with pytest.raises(
        ToolError, match=r"/v1/completions: the probe waited 0 s for 3 tokens of mine, 0\.0 GB of weights, and no answer came"
    ) as error:
        poster(server.url.removesuffix("/v1"), Patience(0, 1))("/v1/completions", {"model": "mine", "prompt": [1, 2, 3]})
    assert error.value.exit_code == 1
