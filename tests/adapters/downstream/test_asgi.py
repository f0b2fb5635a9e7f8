from __future__ import annotations

from typing import Any

import pytest

from fuseboard.adapters.downstream.asgi import Caller, Head, Incoming, Refusal, accepts, prefers_streams


@pytest.mark.parametrize(
    ("header", "json", "stream"),
    [
        (b"application/json, text/event-stream", True, True),
        (b"Application/JSON;q=1 , Text/Event-Stream", True, True),
        (b"*/*", True, True),
        (b"application/*", True, False),
        (b"text/*", False, True),
        (b"application/jsonp, text/event-streams", False, False),
        (b"", False, False),
        (None, False, False),
    ],
)
def test_what_a_client_accepts(header: bytes | None, json: bool, stream: bool) -> None:
    assert accepts(header) == (json, stream)


@pytest.mark.parametrize(
    ("header", "prefers"),
    [
        (b"text/event-stream, application/json", True),
        (b" Text/Event-Stream,application/json", True),
        (b"application/json, text/event-stream", False),
        (b"*/*", False),
        (None, False),
    ],
)
def test_what_a_client_names_first_it_prefers(header: bytes | None, prefers: bool) -> None:
    assert prefers_streams(header) is prefers


def test_values_come_without_the_white_space_around_them() -> None:
    head = Head([(b"mcp-name", b"  echo \t")])
    assert head.text(b"mcp-name") == "echo"
    assert head.get(b"mcp-name") == b"echo"
    assert head.text(b"other") is None
    assert head.starting(b"mcp-") == {"mcp-name": "echo"}


def test_repeated_names_are_known() -> None:
    assert Head([(b"a", b"1"), (b"b", b"2"), (b"a", b"1")]).repeated == {b"a"}
    assert Head([(b"a", b"1"), (b"b", b"2")]).repeated == set()


def incoming(*messages: dict[str, Any]) -> Incoming:
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(left)

    async def send(message: Any) -> None:
        raise AssertionError

    return Incoming({"type": "http"}, receive, send, Head([]), Caller("local"))


def piece(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        pytest.param([piece(b"abc", more=False)], b"abc", id="whole"),
        pytest.param([piece(b"a", more=True), piece(b"bc", more=False)], b"abc", id="in pieces"),
        pytest.param([piece(b"abc", more=True), piece(b"", more=False)], b"abc", id="empty last piece"),
        pytest.param([piece(b"abcd", more=False)], 413, id="too large"),
        pytest.param([piece(b"abc", more=True), piece(b"d", more=False)], 413, id="too large at the end"),
        pytest.param([piece(b"abcd", more=True)], 413, id="too large already"),
        pytest.param([GONE], None, id="gone"),
        pytest.param([piece(b"a", more=True), GONE], None, id="gone in the middle"),
    ],
)
async def test_a_body_is_read_up_to_its_limit(messages: list[dict[str, Any]], body: bytes | int | None) -> None:
    found = await incoming(*messages).body(3)
    assert (found.status if isinstance(found, Refusal) else found) == body


async def test_a_server_that_cannot_abort_is_not_asked_to() -> None:
    incoming().abort()


def test_repeated_names_are_found_in_a_time_that_grows_with_their_number_alone() -> None:
    headers = [(b"%d" % (number % 20_000), b"") for number in range(40_000)]
    assert len(Head(headers).repeated) == 20_000  # quadratic, this took half a minute
