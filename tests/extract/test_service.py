"""The service in front of a toy model, in process: requests, answers, refusals, streams, and a client that leaves."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.extract.toy_model import END, TOO_LONG, Client, Counted, ToyModel, classes, log_probability, model, written
from tools.chat.windows import Reach
from tools.extract import forms, job, service
from tools.extract.confidence import Calibration
from tools.serve.guard import Guard
from tools.text import neutralise

TEXT = "王小明在北京工作，李雷也在北京。"
SAID = (("name", "王小明"), ("address", "北京"), ("name", "韩梅梅"), ("city", "北京"))
CALIBRATION = Calibration(x=(0.0, 1.0), y=(0.0, 0.9), promises=((0.5, 0.8), (0.85, 0.95)), split="dev")


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Counted]:
    """The counters of each application that a test makes."""
    made = list[Counted]()

    def count(slots: Any) -> Counted:
        made.append(Counted(slots))
        return made[-1]

    monkeypatch.setattr(service, "Metrics", count)
    return made


def test_a_text_is_answered_with_places_confidence_and_what_was_left_out(counted: list[Counted]) -> None:
    toy = ToyModel(lambda _: written(*SAID))
    answer = Client(toy).ask(text=TEXT)
    assert [(one["label"], one["text"], one["start"], one["end"]) for one in answer["entities"]] == [
        ("name", "王小明", 0, 3),
        ("address", "北京", 4, 6),
        ("address", "北京", 13, 15),
    ]
    assert all(0 < one["confidence"] < 1 for one in answer["entities"])
    assert {(one["label"], one["text"], one["why"]) for one in answer["left_out"]} == {
        ("name", "韩梅梅", "not in the text"),
        ("city", "北京", "unknown label"),
    }
    rest = {key: answer[key] for key in ("model", "task", "version", "truncated", "calibrated", "windows", "problems")}
    assert rest == {
        "model": "toy-run",
        "task": "sample",
        "version": toy.task.version,
        "truncated": False,
        "calibrated": False,
        "windows": 1,
        "problems": [],
    }
    assert toy.bodies[0]["logprobs"] is True and toy.bodies[0]["temperature"] == 0 and toy.bodies[0]["model"] == "toy-run"
    assert (counted[0].requests, len(counted[0].answers)) == ([200], 1)


def test_texts_are_answered_in_their_order_and_an_empty_one_is_not_asked() -> None:
    toy = ToyModel(lambda text: written(("name", text[:1])))
    answer = Client(toy).ask(texts=["甲在", "", "乙在", "丙在"])
    assert [[one["text"] for one in result["entities"]] for result in answer["results"]] == [["甲"], [], ["乙"], ["丙"]]
    assert [result["windows"] for result in answer["results"]] == [1, 0, 1, 1] and len(toy.bodies) == 3


def test_labels_and_thresholds_choose_among_the_entities() -> None:
    client = Client(ToyModel(lambda _: written(*SAID)), [model(calibration=CALIBRATION)])
    assert {one["label"] for one in client.ask(text=TEXT, labels=["address"])["entities"]} == {"address"}
    sure = [one["confidence"] for one in client.ask(text=TEXT)["entities"]]
    kept = client.ask(text=TEXT, threshold=max(sure))["entities"]
    assert kept and all(one["confidence"] >= max(sure) for one in kept) and len(kept) < len(sure)
    assert client.ask(text=TEXT, threshold=0.9)["entities"] == []  # above what the calibration gives
    assert client.ask(text=TEXT, threshold={"precision": 0.95})["entities"] == [
        one for one in client.ask(text=TEXT)["entities"] if one["confidence"] >= 0.85
    ]
    told = client.problem(422, json={"text": TEXT, "threshold": {"precision": 0.99}})
    assert "0.950" in told["detail"] and told["errors"][0]["pointer"] == "/threshold/precision"


def test_an_entity_without_a_confidence_does_not_reach_a_threshold() -> None:
    client = Client(ToyModel(lambda _: '{"name": ["王小明"]}'))  # can be read, and isn't the trained form
    assert [(one["text"], one["confidence"]) for one in client.ask(text=TEXT)["entities"]] == [("王小明", None)]
    assert client.ask(text=TEXT, threshold=0)["entities"] == []


def test_an_uncalibrated_run_promises_no_precision_and_names_the_command() -> None:
    told = Client(ToyModel(lambda _: "[]")).problem(422, json={"text": TEXT, "threshold": {"precision": 0.9}})
    assert "./ner calibrate conf/toy-run.yaml" in told["detail"]


def test_an_answer_that_cannot_be_read_and_one_that_was_cut_off_are_told() -> None:
    assert Client(ToyModel(lambda _: "我不知道你在说什么")).ask(text=TEXT)["problems"] == ["unparsable"]
    cut = {"choices": [{"finish_reason": "length", "message": {"content": written(("name", "王小明"))[:-1]}, "logprobs": {"content": []}}]}
    assert Client(ToyModel(lambda _: (200, cut))).ask(text=TEXT)["truncated"] is True


def test_a_long_text_is_asked_in_windows_and_a_window_that_is_too_long_in_halves() -> None:
    sentence = "王小明在北京工作。"
    text = sentence * 30
    toy = ToyModel(lambda shown: written(("name", "王小明"), ("address", "北京")))
    answer = Client(toy).ask(text=text)
    assert answer["windows"] == len(toy.bodies) > 10 and max(len(toy.shown(body)) for body in toy.bodies) <= 24
    assert [one["start"] for one in answer["entities"] if one["label"] == "name"] == list(range(0, len(text), len(sentence)))
    short = ToyModel(lambda shown: written(("name", "王小明")) if len(shown) <= 12 else (400, {"error": {"message": TOO_LONG}}))
    halved = Client(short).ask(text=text)
    assert [one["start"] for one in halved["entities"]] == list(range(0, len(text), len(sentence))) and halved["windows"] > answer["windows"]
    unwindowed = Client(short, [model(reach=None)]).ask(text=text)
    assert unwindowed["entities"] == halved["entities"]
    single = Client(ToyModel(lambda shown: written(("name", shown)) if len(shown) == 1 else (400, {"error": {"message": TOO_LONG}})))
    for length in (1, 2, 3, 5, 9, 50):
        assert [one["start"] for one in single.ask(text="王李张赵钱" * (length // 5) + "王李张赵钱"[: length % 5])["entities"]] == list(range(length))
    never = ToyModel(lambda _: (400, {"error": {"message": TOO_LONG}}))
    assert Client(never).problem(413, json={"text": "王小明"})["reason"] == "too_long"


@pytest.mark.parametrize(
    ("reply", "status", "reason"),
    [
        ((400, {"error": {"message": f"something about {TEXT}"}}), 502, "model_failed"),
        ((500, {"error": "EngineCore"}), 502, "model_failed"),
        ((503, {}), 503, "model_down"),
        ((401, {"error": "Unauthorized"}), 401, "no_key"),
        ((200, {"choices": []}), 502, "model_failed"),
        ((200, [TEXT]), 502, "model_failed"),
    ],
)
def test_a_refusal_of_the_models_is_a_problem_that_does_not_repeat_it(reply: tuple[int, Any], status: int, reason: str) -> None:
    client = Client(ToyModel(lambda _: reply))
    told = client.problem(status, json={"texts": [TEXT, "甲"]})
    assert told["reason"] == reason and TEXT not in json.dumps(told, ensure_ascii=False)
    assert client.slots.taken == client.slots.asked == 0


@pytest.mark.parametrize(
    "reply", [(500, {"error": "EngineDeadError"}), (200, {"choices": [{"finish_reason": "abort", "message": {"content": "[]"}}]})]
)
def test_a_server_that_is_being_stopped_is_tried_again(reply: tuple[int, Any]) -> None:
    toy = ToyModel(lambda _: reply)
    toy.is_well = False
    assert Client(toy).problem(503, json={"text": TEXT})["reason"] == "model_down"


def test_a_failure_of_ours_is_a_problem_and_its_text_is_in_no_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> None:
        raise ValueError(f"{TEXT} can't be read")

    monkeypatch.setattr(job, "completion", fail)
    told = Client(ToyModel(lambda _: "[]")).problem(500, json={"text": TEXT})
    assert TEXT not in str(told) and "ValueError" in told["detail"]
    assert "/extract failed: ValueError at " in caplog.text and "test_service.py" in caplog.text and TEXT not in caplog.text


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"text=abc", {"content-type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        (b'{"text": "a"}', {}, 415, "application/json"),
        ('{"text": "王"}'.encode("gb18030"), {"content-type": "application/json; charset=gb18030"}, 415, "UTF-8"),
        ('{"text": "王"}'.encode("gb18030"), JSON, 400, "isn't UTF-8 at byte 10"),
        (b'{"text": "a"', JSON, 400, "isn't JSON"),
        (b"", JSON, 400, "isn't JSON"),
        (b'{"threshold": ' + b"1" * 5000 + b"}", JSON, 400, "isn't JSON"),
        (b'{"text": ' + b"[" * 100_000, JSON, 400, "isn't JSON"),
        (b'["a"]', JSON, 422, "must be a JSON object"),
        (b'{"text": "a", "text": "b"}', JSON, 422, "'text' twice"),
        (b"{}", JSON, 422, "either text or texts"),
        (b'{"text": "a", "texts": ["b"]}', JSON, 422, "either text or texts"),
        (b'{"texts": []}', JSON, 422, "must not be empty"),
        (b'{"texts": "abc"}', JSON, 422, "/texts must be a list"),
        (b'{"texts": ["a", 7]}', JSON, 422, "/texts/1 must be text"),
        (b'{"text": 7}', JSON, 422, "/text must be text"),
        (b'{"txt": "abc"}', JSON, 422, "Did you mean 'text'"),
        (b'{"text": "a", "labels": ["nam"]}', JSON, 422, "Did you mean 'name'"),
        (b'{"text": "a", "threshold": 2}', JSON, 422, "number from 0 to 1"),
        (b'{"text": "a", "threshold": "0.5"}', JSON, 422, "number from 0 to 1"),
        (b'{"text": "a", "threshold": true}', JSON, 422, "number from 0 to 1"),
        (b'{"text": "a", "threshold": NaN}', JSON, 422, "number from 0 to 1"),
        (b'{"text": "a", "threshold": {"precision": 0}}', JSON, 422, "number from 0 to 1"),
        (b'{"text": "a", "threshold": {"recall": 0.5}}', JSON, 422, "number from 0 to 1"),
        (b'{"text": "a", "run": "other"}', JSON, 422, "Available: toy-run"),
        (b'{"text": "a", "options": ["b", "c"]}', JSON, 422, "no classes"),
        (b'{"text": "ab\\ud83dc"}', JSON, 422, "/text has a lone surrogate at character 2"),
        (b'{"texts": ["a", "\\udc00"]}', JSON, 422, "/texts/1 has a lone surrogate at character 0"),
        (b'{"text": "a", "labels": ["\\udc00"]}', JSON, 422, "/labels/0 has a lone surrogate"),
    ],
)
def test_a_request_that_cannot_be_answered_is_told_why_and_what_would_do(
    body: bytes, headers: dict[str, str], status: int, says: str, counted: list[Counted]
) -> None:
    toy = ToyModel(lambda _: "[]")
    told = Client(toy).problem(status, content=body, headers=headers)
    assert says in told["detail"] and toy.bodies == []
    assert (counted[0].requests, counted[0].refusals) == ([status], [told["reason"]])


def test_every_mistake_is_told_at_once_with_its_place_and_without_the_text() -> None:
    told = Client(ToyModel(lambda _: "[]")).problem(422, json={"text": [TEXT], "labels": "name", "treshold": 0.5})
    assert [one["pointer"] for one in told["errors"]] == ["/text", "/labels", "/treshold"]
    assert TEXT not in json.dumps(told, ensure_ascii=False)


def test_the_limits_hold_at_their_numbers_and_not_before() -> None:
    client = Client(ToyModel(lambda _: "[]"), [model(reach=None)])
    most = "字" * forms.TEXT_CHARACTERS
    assert client.ask(text=most)["entities"] == []
    assert client.ask(texts=[most, most])["results"][1]["entities"] == []
    assert len(client.ask(texts=["字"] * forms.TEXTS)["results"]) == forms.TEXTS
    for body, says in (
        ({"text": most + "字"}, "/text has 200,001 characters; 200,000 are allowed"),
        ({"texts": ["", most + "字"]}, "/texts/1 has 200,001 characters"),
        ({"texts": [most, most, "字"]}, f"has {forms.REQUEST_CHARACTERS + 1:,} characters together"),
        ({"texts": [""] * (forms.TEXTS + 1)}, f"has {forms.TEXTS + 1} texts; {forms.TEXTS} are allowed"),
        ({"text": "字", "labels": ["name"] * 1001}, "/labels has more than 1,000 entries"),
    ):
        assert says in client.problem(413, json=body)["detail"]
    assert len(json.dumps({"texts": ["𠀀" * forms.TEXT_CHARACTERS] * 2})) <= forms.BODY_BYTES  # what the other limits allow is let through


def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    sent = [0]

    async def endless() -> Any:
        while True:
            sent[0] += 1
            yield b" " * 65536

    told = Client(ToyModel(lambda _: "[]")).problem(413, content=endless(), headers=JSON)
    assert f"{forms.BODY_BYTES:,}" in told["detail"] and sent[0] <= forms.BODY_BYTES // 65536 + 2


def test_several_runs_are_chosen_by_name(tmp_path: Path) -> None:
    both = [model(name="one"), model(name="two")]
    toy = ToyModel(lambda _: written(("name", "王小明")))
    client = Client(toy, both)
    told = client.problem(422, json={"text": TEXT})
    assert "/run is missing" in told["detail"] and "one, two" in told["detail"]
    assert client.ask(text=TEXT, run="two")["model"] == "two" and toy.bodies[-1]["model"] == "two"


def test_a_class_has_the_probability_of_each_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "probabilities", lambda post, name, messages, names, thinking: {name: 1 / len(names) for name in names})
    task = classes(tmp_path, ["经济", "艺术"])
    client = Client(ToyModel(lambda _: "艺术", task), [model(task)])
    answer = client.ask(text=TEXT)
    assert (answer["label"], answer["probabilities"], answer["problems"]) == ("艺术", {"经济": 0.5, "艺术": 0.5}, [])
    assert "entities" not in answer
    wild = Client(ToyModel(lambda _: "天气", task), [model(task)]).ask(text=TEXT)
    assert wild["label"] is None and wild["problems"]
    assert client.ask(text="")["label"] is None
    for body in ({"labels": ["经济"]}, {"threshold": 0.5}, {"options": ["甲", "乙"]}):
        client.problem(422, json={"text": TEXT, **body})


def test_the_probabilities_are_those_of_the_options_tokens(tmp_path: Path) -> None:
    task = classes(tmp_path, ["经济", "艺术"])
    toy = ToyModel(lambda _: "艺术", task)
    client = Client(toy, [model(task)])
    answer = client.ask(text=TEXT)
    sums = [sum(map(log_probability, [*map(ord, name), END])) for name in task.labels]
    shares = [math.exp(one) / sum(map(math.exp, sums)) for one in sums]
    assert list(answer["probabilities"].values()) == pytest.approx(shares, abs=1e-5) and sums[0] != sums[1]
    assert client.slots.asked == 0


def test_a_task_without_labels_takes_the_requests_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "probabilities", lambda post, name, messages, names, thinking: dict.fromkeys(names, 0.5))
    task = classes(tmp_path, [])
    toy = ToyModel(lambda _: "乙", task)
    client = Client(toy, [model(task)])
    assert client.ask(text=TEXT, options=["甲", "乙"])["label"] == "乙"
    assert "甲, 乙" in toy.bodies[-1]["messages"][-1]["content"]
    assert "must name two classes" in client.problem(422, json={"text": TEXT})["detail"]


def lines(answer: Any) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


STREAM = {"accept": "application/x-ndjson"}


def test_a_stream_has_an_object_a_text_as_soon_as_it_is_ready(counted: list[Counted]) -> None:
    order = list[str]()

    async def slow_first(body: dict[str, Any]) -> Any:
        text = toy.shown(body)
        while text == "甲" and len(order) < 2:
            await asyncio.sleep(0)
        order.append(text)
        return await ToyModel.chat(toy, body)

    toy = ToyModel(lambda text: "?" if text == "丙" else written(("name", text)))
    toy.chat = slow_first  # type: ignore[method-assign]
    found = lines(asyncio.run(Client(toy).asked(json={"texts": ["甲", "乙", "丙"]}, headers=STREAM)))
    assert [one["index"] for one in found][-1] == 0 and {one["index"] for one in found} == {0, 1, 2}
    assert {one["index"]: [entity["text"] for entity in one["entities"]] for one in found} == {0: ["甲"], 1: ["乙"], 2: []}
    [single] = lines(asyncio.run(Client(ToyModel(lambda _: "[]")).asked(json={"text": TEXT}, headers=STREAM)))
    assert single["index"] == 0 and single["entities"] == []


def test_a_text_that_fails_in_a_stream_is_a_problem_with_its_index(counted: list[Counted]) -> None:
    toy = ToyModel(lambda text: (500, {}) if text == "乙" else "[]")
    client = Client(toy)
    found = {one["index"]: one for one in lines(asyncio.run(client.asked(json={"texts": ["甲", "乙", "丙"]}, headers=STREAM)))}
    assert (found[1]["status"], found[1]["reason"], found[0]["entities"], found[2]["entities"]) == (502, "model_failed", [], [])
    assert counted[0].refusals == ["model_failed"] and client.slots.taken == 0
    assert client.problem(422, json={"text": 7}, headers=STREAM)["status"] == 422  # before it begins, a refusal is an ordinary one


def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "SECONDS", 0.2)
    toy = ToyModel(lambda _: "[]")
    toy.pause = 60
    client = Client(toy)
    assert client.problem(504, json={"texts": ["甲", "乙"]})["reason"] == "too_late"
    found = lines(asyncio.run(client.asked(json={"texts": ["甲", "乙"]}, headers=STREAM)))
    assert [(one["index"], one["status"]) for one in found] == [(0, 504), (1, 504)]
    assert Counter(toy.aborted) == {"甲": 2, "乙": 2} and client.slots.taken == client.slots.asked == 0


@pytest.mark.parametrize("headers", [{}, STREAM])
def test_a_client_that_leaves_ends_the_models_work(headers: dict[str, str], counted: list[Counted]) -> None:
    toy = ToyModel(lambda _: "[]")
    toy.pause = 60
    client = Client(toy)

    async def leave() -> None:
        started = asyncio.Event()
        body = json.dumps({"texts": ["甲", "乙", "丙"]}).encode()
        waiting = [{"type": "http.request", "body": body}]

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            while toy.now < 3:
                await asyncio.sleep(0)
            started.set()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            pass

        head = [(b"content-type", b"application/json"), *((name.encode(), value.encode()) for name, value in headers.items())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/extract",
            "raw_path": b"/extract",
            "query_string": b"",
            "headers": head,
        }
        await client.app(scope, receive, send)
        assert started.is_set()

    asyncio.run(leave())
    assert set(toy.aborted) == {"甲", "乙", "丙"} and len(toy.aborted) == 3
    assert toy.now == client.slots.taken == client.slots.asked == 0


def test_no_more_windows_are_asked_at_once_than_vllm_computes_and_a_request_has_half_of_them() -> None:
    toy = ToyModel(lambda _: "[]")
    toy.pause = 0.01
    client = Client(toy, at_once=8)
    client.ask(texts=["字"] * 60)
    assert toy.most == 4

    async def several() -> None:
        await asyncio.gather(*(client.asked(json={"texts": ["字"] * 30}) for _ in range(4)))

    asyncio.run(several())
    assert toy.most == 8


def test_a_request_that_finds_no_room_is_refused_at_once_and_a_long_text_leaves_room_for_others() -> None:
    toy = ToyModel(lambda _: "[]")
    toy.pause = 0.05
    client = Client(toy, at_once=4)  # room for 64 windows; 16 count of a request

    async def crowd() -> None:
        long = [asyncio.create_task(client.asked(json={"texts": ["字"] * 200})) for _ in range(4)]
        while client.slots.taken < 64:
            await asyncio.sleep(0)
        refused = await client.asked(json={"text": "字"})
        assert (refused.status_code, refused.json()["reason"], int(refused.headers["retry-after"]) > 0) == (503, "busy", True)
        long.pop().cancel()
        while client.slots.taken == 64:
            await asyncio.sleep(0)
        short = asyncio.create_task(client.asked(json={"text": "字"}))
        await asyncio.wait([short, *long], return_when=asyncio.FIRST_COMPLETED)
        assert short.done() and not any(task.done() for task in long)
        for task in long:
            task.cancel()
        await asyncio.gather(*long, return_exceptions=True)

    asyncio.run(crowd())
    assert client.slots.taken == client.slots.asked == 0


def test_health_tells_what_is_served_and_is_as_well_as_the_engine() -> None:
    toy = ToyModel(lambda _: "[]")
    client = Client(toy)
    answer = asyncio.run(client.asked("GET", "/health"))
    assert answer.json() == {"status": "ok", "runs": [model().facts]}
    toy.is_well = False
    assert client.problem(503, method="GET", path="/health")["reason"] == "model_failed"


def test_the_counters_stand_behind_vllms_own() -> None:
    text = asyncio.run(Client(ToyModel(lambda _: "[]")).asked("GET", "/metrics")).text
    assert text.index("vllm:num_requests_running 0.0") < text.index("ner_factory_extract_requests_total")


def test_other_methods_and_paths_are_problems() -> None:
    client = Client(ToyModel(lambda _: "[]"))
    assert client.problem(405, method="GET")["reason"] == "wrong_method"
    assert client.problem(404, method="GET", path="/extract/docs/../../secret")["reason"] == "not_found"
    assert client.problem(404, method="GET", path="/extract/nothing")["reason"] == "not_found"


def test_within_vllms_layers_the_key_is_asked_for_and_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    toy = ToyModel(lambda _: written(("name", "王小明")))
    monkeypatch.setenv("VLLM_API_KEY", "sécret")
    monkeypatch.setenv("NER_FACTORY_SERVED", str(tmp_path / "served.json"))
    (tmp_path / "served.json").write_text('{"at_once": 4, "runs": []}')
    monkeypatch.setattr(service, "load_model", lambda served: served)
    own = service.application
    monkeypatch.setattr(service, "application", lambda inside, models, slots: own(inside, [model()], slots))
    app = toy.application()
    for layer in (service.Service, Guard):
        app.add_middleware(layer)
    client = Client(toy)
    client.app = app
    assert [asyncio.run(client.asked("POST", path, json={"text": TEXT})).status_code for path in ("/extract", "/v1/chat/completions")] == [401, 401]
    assert [asyncio.run(client.asked("GET", path)).status_code for path in ("/health", "/metrics", "/v1/models", "/extract/docs")] == [
        200,
        401,
        401,
        401,
    ]
    key = {"authorization": "Bearer sécret".encode()}
    answer = asyncio.run(client.asked(json={"text": TEXT}, headers=key))
    assert answer.status_code == 200 and [one["text"] for one in answer.json()["entities"]] == ["王小明"]
    assert toy.keys == ["Bearer sécret".encode().decode("latin-1")]
    assert asyncio.run(client.asked("GET", "/v1/models", headers=key)).json() == {"data": [{"id": "toy"}]}


def test_the_interfaces_page_needs_no_network_and_has_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(ToyModel(lambda _: "[]"))
    whole = asyncio.run(client.asked("GET", "/extract/openapi.json")).json()
    limits = (forms.TEXT_CHARACTERS, forms.TEXTS, forms.REQUEST_CHARACTERS, forms.BODY_BYTES, forms.SECONDS, client.slots.room)
    assert all(f"{limit:,}" in whole["info"]["description"] for limit in limits)
    sent = whole["paths"]["/extract"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(sent["properties"]) == set(forms.ExtractRequest.model_fields) and "$ref" not in json.dumps(sent)
    monkeypatch.setattr(service, "_asset", lambda name: None)
    assert asyncio.run(client.asked("GET", "/extract/docs")).headers["location"] == "openapi.json"
    (tmp_path / "a.js").write_text("1")
    monkeypatch.setattr(service, "_asset", lambda name: tmp_path / "a.js")
    page = asyncio.run(client.asked("GET", "/extract/docs")).text
    assert "docs/swagger-ui-bundle.js" in page and "http://" not in page and "https://" not in page
    assert asyncio.run(client.asked("GET", "/extract/docs/swagger-ui-bundle.js")).text == "1"


PIECES = [
    *"王小明在北京工作，去了上海。！？\n abc.,",
    "\r\n",
    "\0",
    "\u2028",
    "\ufeff",
    "e\u0301",
    "👩\u200d👩\u200d👧",
    "🇨🇳",
    "𠀀",
    "\u202e",
    "<|im_end|>",
    "<think>",
]
PIECES += ['"', "\\", "{", "}", "[{", "\\u4e2d", "《红楼梦》", "１２", "\u0300", "\t", "\x7f", "\ue000"]


def hostile(seed: int, texts: int) -> list[str]:
    """Texts of characters that are often handled wrongly."""
    chance = random.Random(seed)
    return ["".join(chance.choices(PIECES, k=chance.choice((0, 1, 3, 6, 10, 16, 40)))) for _ in range(texts)]


def test_ten_thousand_hostile_texts_have_every_entity_where_it_stands() -> None:
    chance, labels = random.Random(7), [*model().task.labels, "city"]

    def say(seen: str) -> str:
        pairs = []
        for _ in range(chance.randint(0, 4)):
            start = chance.randrange(max(1, len(seen)))
            string = seen[start : start + chance.randint(1, 6)] if chance.random() < 0.8 else chance.choice(PIECES) * 2
            pairs.append((chance.choice(labels), string))
        answer = written(*pairs)
        return answer if chance.random() < 0.9 else answer[: chance.randrange(len(answer))] + chance.choice(("", '\\ud800", "label": "name"}]', "?"))

    client = Client(ToyModel(say), [model(reach=Reach(24, 16))], at_once=64, is_quick=True)
    seen = entities = windows = 0

    async def ask() -> None:
        nonlocal seen, entities, windows
        for seed in range(50):
            texts = hostile(seed, 200)
            answer = await client.asked(json={"texts": texts})
            for text, found in zip(texts, answer.json()["results"], strict=True):
                places = [(one["start"], -one["end"]) for one in found["entities"]]
                assert places == sorted(places)
                for one in found["entities"]:
                    assert text[one["start"] : one["end"]] == one["text"] != "" and one["label"] in labels[:-1]
                for one in found["left_out"]:
                    assert one["why"] == "unknown label" or found["windows"] > 1 or one["text"] not in neutralise(text)
                seen, entities, windows = seen + 1, entities + len(found["entities"]), windows + found["windows"]

    asyncio.run(ask())
    assert seen == 10_000 and entities > 5_000 and windows > 15_000
