"""What one request hears: its own progress, the messages that it opted in to, and nothing of the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.bridges.hearing import Ear, level_of
from fuseboard.bridges.losses import Losses
from support.links import CallScope

LEVEL = "io.modelcontextprotocol/logLevel"


class Heard:
    """An ear, and what went to the client through it, and past it."""

    def __init__(self, meta: dict[str, Any] | None = None) -> None:
        self.scope = CallScope()
        self.changes: list[str] = []
        self.losses = Losses()
        params = json.dumps({"_meta": meta}).encode() if meta is not None else None
        self.ear = Ear(self.scope, params, changed=lambda method, _: self.changes.append(method), losses=self.losses)

    def tell(self, method: str, params: dict[str, Any]) -> list[tuple[str, Any]]:
        self.ear.notify(method, json.dumps(params).encode())
        return self.scope.noticed


@pytest.mark.parametrize(
    ("wanted", "said", "heard"),
    [
        ("info", "debug", False),
        ("info", "info", True),
        ("info", "emergency", True),
        ("debug", "debug", True),
        ("emergency", "alert", False),
        (None, "emergency", False),
        ("loud", "emergency", False),
        ("emergency", "x-odd", True),
    ],
)
def test_messages_are_heard_from_the_level_that_the_request_names(wanted: Any, said: str, heard: bool) -> None:
    noticed = Heard({LEVEL: wanted} if wanted else {}).tell("notifications/message", {"level": said, "data": 1})
    assert bool(noticed) is heard


def test_a_level_is_read_where_it_stands_and_nowhere_else() -> None:
    assert level_of(b'{"_meta":{"%b":"notice"}}' % LEVEL.encode()) == 2
    assert level_of(b'{"arguments":{"logLevel":"info"}}') is None
    assert level_of(b'{"_meta":{"%b":["info"]}}' % LEVEL.encode()) is None
    assert level_of(None) is None


def test_progress_goes_by_the_client_s_own_token_and_is_not_sent_unasked() -> None:
    assert Heard({"progressToken": "mine"}).tell("notifications/progress", {"progressToken": 4, "progress": 1}) == [
        ("notifications/progress", {"progressToken": "mine", "progress": 1})
    ]
    assert Heard({}).tell("notifications/progress", {"progressToken": 4, "progress": 1}) == []


def test_changes_go_to_those_who_listen_wherever_they_came() -> None:
    heard = Heard({})
    assert heard.tell("notifications/tools/list_changed", {}) == []
    assert heard.changes == ["notifications/tools/list_changed"]


def test_the_rest_is_passed_on() -> None:
    assert Heard({}).tell("notifications/x-vendor", {"a": 1}) == [("notifications/x-vendor", {"a": 1})]


async def test_it_cannot_be_asked_anything_but_whether_it_lives() -> None:
    heard = Heard({})
    heard.ear.stream()
    heard.ear.release()
    assert (await heard.ear.request("ping", None)).raw == b"{}"
    assert b"cannot be asked roots/list here" in (await heard.ear.request("roots/list", None)).raw
    assert sum(heard.losses.counts.values()) == 1
