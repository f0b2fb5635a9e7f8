"""What an upstream says beside its results is clean before anybody hears it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fuseboard.cleaning.result import Cleaner
from fuseboard.era import Era
from fuseboard.ports import Failure, Reply, Request, Result
from fuseboard.upstreams.cleaned import Bath, CleanInbound, cleaned
from support.fake_server import FakeServer, FakeTool, says
from support.leaks import OPEN, SECRETS
from support.links import CallScope
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

DIRTY, CLEAN = '{"message":"a\u202eb plainsecret0123456789"}'.encode(), '{"message":"ab «secret»"}'.encode()


class Ear:
    """Hears what comes outside any call."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    async def request(self, request: Request, scope: Any) -> Reply:
        self.heard.append(request.params)
        return Result(b"{}")

    def notified(self, method: str, params: bytes | None) -> None:
        self.heard.append(params)

    def lost(self, reason: str) -> None:
        self.heard.append(reason)


def bath() -> Bath:
    return Bath("lab", Cleaner(OPEN, SECRETS))


async def test_notifications_and_questions_are_cleaned() -> None:
    ear = Ear()
    inbound = CleanInbound(ear, bath())
    inbound.notified("notifications/progress", DIRTY)
    inbound.notified("notifications/initialized", None)
    await inbound.request(Request(b"1", "elicitation/create", DIRTY), CallScope(b"1"))
    inbound.lost("gone")
    assert ear.heard == [CLEAN, None, CLEAN, "gone"]


async def test_what_is_clean_stays_the_same_object() -> None:
    ear, said = Ear(), b'{"progress":1,"message":"fine"}'
    CleanInbound(ear, bath()).notified("notifications/progress", said)
    assert ear.heard[0] is said


async def test_answers_are_cleaned_but_for_those_that_are_settled_elsewhere() -> None:
    one = bath()
    assert one.answer("completion/complete", Result(DIRTY)) == Result(CLEAN)
    assert one.answer("completion/complete", Failure(DIRTY)) == Failure(CLEAN)
    for method in ("tools/call", "tools/list", "tasks/result"):
        reply = Result(DIRTY)
        assert one.answer(method, reply) is reply


async def test_a_link_is_used_as_before() -> None:
    server = FakeServer("lab", FakeTool("look", says("hello")))
    link = await cleaned("lab", server.connect, Cleaner(OPEN, SECRETS))(Era.STATELESS, Ear())
    assert link.open
    reply = await link.request("tools/call", b'{"name":"look","arguments":{}}', CallScope(b"1"))
    assert msgspec.json.decode(reply.raw)["content"][0]["text"] == "hello"
    await link.close()
    assert not link.open
