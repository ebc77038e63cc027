"""Which server answers; that a real one does is shown by tests/test_chain.py."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.toy_server import ADAPTER, Faulty
from tools.conf.run import Run
from tools.errors import ToolError
from tools.predict.server import Server, find, find_ready, model_name, serving


def found(server: Faulty) -> Server:
    answer = find(server.url)
    assert answer
    return answer


@pytest.mark.parametrize(
    ("cards", "which", "message"),
    [
        ([{"id": "other", "root": "x"}], "adapter", r"serves another run \(other\), not toy-run"),
        ([{"id": "toy-run", "root": "x"}], "adapter", "as the merged model, not as an adapter"),
        ([ADAPTER], "merged", r"as base \+ adapter, not as a merged model"),
        ([ADAPTER], "base", "not base"),
        ([{**ADAPTER, "root": "/tmp"}], "adapter", "serves toy-run from /tmp"),
    ],
)
def test_a_server_of_something_else_says_so(start: Callable[..., Faulty], run_: Run, cards: list[dict], which: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        model_name(found(start(cards)), run_.variant(which))


@pytest.mark.parametrize(("age", "stale"), [(-60, True), (60, False)])
def test_a_server_older_than_the_adapter_is_refused(start: Callable[..., Faulty], run_: Run, age: float, stale: bool) -> None:
    adapter = run_.output_dir / "adapter_model.safetensors"
    adapter.parent.mkdir()
    adapter.write_bytes(b"x")
    server = start([{**ADAPTER, "root": str(run_.output_dir)}])
    server.started = adapter.stat().st_mtime + age
    if stale:
        with pytest.raises(ToolError, match=r"was started before .*adapter_model\.safetensors was written: it serves an older one"):
            model_name(found(server), run_.variant("adapter"))
    else:
        assert model_name(found(server), run_.variant("adapter")) == "toy-run"


def test_something_else_at_the_port_says_so(start: Callable[..., Faulty], run_: Run) -> None:
    server = start([])
    with pytest.raises(ToolError, match="not as an OpenAI-compatible server"):
        find(server.url.removesuffix("/v1"))


def test_a_named_server_that_doesnt_answer_is_not_replaced_by_one_of_ours(run_: Run) -> None:
    with pytest.raises(ToolError, match="no server answers there"), serving(run_, run_.variant("adapter"), "http://127.0.0.1:9/v1", 8000):
        pass


def test_whoever_looks_for_a_server_waits_until_its_probes_are_through(
    start: Callable[..., Faulty], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluation that asked at once would keep the probes waiting until they gave up. The server says so itself, on whichever machine it is."""
    monkeypatch.setattr("tools.predict.server.PAUSE_S", 0.01)
    server = start([ADAPTER])
    server.starting = True
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(find_ready, server.url)
        with pytest.raises(TimeoutError):
            looking.result(0.5)
        server.starting = False
        assert looking.result(10)
    assert capsys.readouterr().out.splitlines() == [f"{server.url}: the server is starting; waiting until its probes are through …"]
