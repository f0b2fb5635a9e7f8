"""The calls under way on one link, and the way back for each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.ports import Result
from fuseboard.upstreams.calls import PROGRESS, Calls, CallScope, progress_token, with_progress_token
from support.links import ACCEPTED, params
from support.links import CallScope as ClientScope

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def progress(token: Any, done: int = 1) -> bytes:
    return params({"progressToken": token, "progress": done})


# Tokens.


@pytest.mark.parametrize(
    ("request_params", "token"),
    [
        pytest.param(None, None, id="no params"),
        pytest.param(b"{}", None, id="no _meta"),
        pytest.param(b'{"_meta":{}}', None, id="none in it"),
        pytest.param(b'{"_meta":{"progressToken":7}}', b"7", id="a number"),
        pytest.param(b'{"_meta":{"progressToken": "a b" }}', b'"a b"', id="text"),
        pytest.param(rb'{"_meta":{"progress\u0054oken":7}}', b"7", id="an escaped letter in the key"),
        pytest.param(rb'{"\u005fmeta":{"progressToken":7}}', b"7", id="an escaped letter in _meta"),
        pytest.param(b'{"_meta":{"progressToken":null}}', b"null", id="null"),
        pytest.param(b'{"_meta":' + b'{"x":' * 5000 + b"1" + b"}" * 5001, None, id="depth"),
        pytest.param(b'{"_meta":null,"x":"progressToken"}', None, id="a _meta of null"),
        pytest.param(b'{"_meta":3,"x":"progressToken"}', None, id="a _meta of another shape"),
        pytest.param(b'{"arguments":{"progressToken":7}}', None, id="an argument of that name"),
    ],
)
def test_the_progress_token_of_a_request(request_params: bytes | None, token: bytes | None) -> None:
    assert progress_token(request_params) == token


def test_another_token_changes_no_other_byte() -> None:
    before = rb'{"arguments":{ "n": 1.10 },"_meta":{"progressToken":"mine","x":[ 1E2 ]}}'
    assert with_progress_token(before, b"9") == rb'{"arguments":{ "n": 1.10 },"_meta":{"progressToken":9,"x":[ 1E2 ]}}'


# What is said to the caller of one call.


def test_progress_comes_back_under_the_caller_s_own_token() -> None:
    client = ClientScope()
    CallScope(client, b'"mine"').notify(PROGRESS, progress(9))
    assert client.noticed == [(PROGRESS, {"progressToken": "mine", "progress": 1})]


@pytest.mark.parametrize("raw", [b'{"progressToken":"mine", "progress":1.10}', b'{"progressToken":"mine"}'])
def test_progress_under_the_right_token_keeps_every_byte(raw: bytes) -> None:
    said: list[bytes | None] = []

    class Raw(ClientScope):
        def notify(self, method: str, params: bytes | None) -> None:
            said.append(params)

    CallScope(Raw(), b'"mine"').notify(PROGRESS, raw)
    assert said == [raw]


def test_a_subscription_s_notice_comes_back_under_the_caller_s_own_request() -> None:
    client = ClientScope()
    CallScope(client, None).notify("notifications/x", params({"_meta": {SUBSCRIPTION: 41, "y": 1}}))
    assert client.noticed == [("notifications/x", {"_meta": {SUBSCRIPTION: 7, "y": 1}})]


@pytest.mark.parametrize(
    "spelled", [rb"io.modelcontextprotocol\/subscriptionId", rb"io.modelcontextprotocol/subscription\u0049d"]
)
def test_a_subscription_s_id_is_found_however_its_key_is_spelled(spelled: bytes) -> None:
    client = ClientScope()
    CallScope(client, None).notify("notifications/x", b'{"_meta":{"%b":41}}' % spelled)
    assert client.noticed == [("notifications/x", {"_meta": {SUBSCRIPTION: 7}})]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{ "data": "of subscriptionId" }', id="a text that speaks of it"),
        pytest.param(b'{ "subscriptionId": 3 }', id="a field of that name"),
        pytest.param(b'{ "_meta": 3, "x": "subscriptionId" }', id="a _meta of another shape"),
        pytest.param(b'{ "_meta": {"subscriptionId": 3} }', id="a name without its prefix"),
        pytest.param(b'{ "x": "io.modelcontextprotocol/subscriptionId", "_meta": null }', id="a _meta of null"),
    ],
)
def test_a_notice_of_no_subscription_keeps_every_byte(raw: bytes) -> None:
    said: list[bytes | None] = []

    class Raw(ClientScope):
        def notify(self, method: str, params: bytes | None) -> None:
            said.append(params)

    CallScope(Raw(), None).notify("notifications/message", raw)
    assert said == [raw]


async def test_what_the_upstream_asks_goes_to_the_caller() -> None:
    client = ClientScope()
    call = CallScope(client, None)
    assert await call.request("elicitation/create", b'{"a":1}') is ACCEPTED
    assert client.asked == [("elicitation/create", {"a": 1})]
    assert call.request_id == b"7"


# Whose is it?


def scope() -> CallScope:
    return CallScope(ClientScope(Result(b"{}")), None)


def test_progress_finds_its_call_by_the_token_that_the_upstream_saw() -> None:
    calls, one, two = Calls(), scope(), scope()
    calls.add(one, b"1")
    calls.add(two, b'"1"')
    assert calls.of_progress(progress(1)) is one
    assert calls.of_progress(progress("1")) is two


@pytest.mark.parametrize("said", [progress(2), b'{"progress":1}', b"[]", b"{", None], ids=repr)
def test_progress_of_nobody_finds_nobody(said: bytes | None) -> None:
    calls = Calls()
    calls.add(scope(), b"1")
    assert calls.of_progress(said) is None


def test_a_call_that_has_ended_gets_no_more_progress() -> None:
    calls, one = Calls(), scope()
    calls.add(one, b"1")
    calls.remove(one, b"1")
    assert calls.of_progress(progress(1)) is None


def test_of_two_calls_with_one_token_the_end_of_the_first_does_not_silence_the_second() -> None:
    calls, one, two = Calls(), scope(), scope()
    calls.add(one, b"1")
    calls.add(two, b"1")
    calls.remove(one, b"1")
    assert calls.of_progress(progress(1)) is two


def test_the_latest_and_the_only_call() -> None:
    calls, one, two = Calls(), scope(), scope()
    assert (calls.latest(), calls.only()) == (None, None)
    calls.add(one, None)
    assert (calls.latest(), calls.only()) == (one, one)
    calls.add(two, None)
    assert (calls.latest(), calls.only()) == (two, None)
    calls.remove(two, None)
    assert (calls.latest(), calls.only()) == (one, one)
    calls.remove(two, None)


# Subscriptions.


def notice(id: object) -> bytes:
    return params({"_meta": {SUBSCRIPTION: id}})


def test_a_subscription_s_notice_finds_its_subscriber_by_the_id_that_opened_it() -> None:
    calls, one, two = Calls(), scope(), scope()
    calls.subscribed(one, b"4")
    calls.subscribed(two, b'"4"')
    assert calls.of_subscription(notice(4)) is one
    assert calls.of_subscription(notice("4")) is two
    calls.unsubscribed(one)
    assert calls.of_subscription(notice(4)) is None
    assert calls.of_subscription(notice("4")) is two


@pytest.mark.parametrize("said", [None, b"{}", b'{"_meta":{}}', b'{"_meta":7}', b'{"subscriptionId":4}'], ids=repr)
def test_a_notice_of_no_subscription_finds_nobody(said: bytes | None) -> None:
    calls = Calls()
    calls.subscribed(scope(), b"4")
    assert calls.of_subscription(said) is None


def test_notices_without_params_pass() -> None:
    client = ClientScope()
    CallScope(client, b"1").notify(PROGRESS, None)
    assert client.noticed == [(PROGRESS, None)]
    assert json.loads(ACCEPTED.raw)["action"] == "accept"
