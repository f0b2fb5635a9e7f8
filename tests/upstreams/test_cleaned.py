"""What an upstream says beside its results is clean before anybody hears it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from fuseboard.cleaning.result import Cleaner
from fuseboard.era import Era
from fuseboard.ports import Failure, Reply, Request, Result
from fuseboard.upstreams.cleaned import Bath, CleanInbound, CleanScope, cleaned
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


async def test_what_a_client_answers_is_cleaned_but_for_others_secrets() -> None:
    github = "ghp_" + "aB3dE5fG7h" * 4
    said = f'{{"action":"accept","content":{{"a\u200bb":"x\u202ey plainsecret0123456789 {github[:40]}"}}}}'.encode()
    scope = CallScope(Result(said))
    reply = await CleanScope(scope, bath()).request("elicitation/create", b"{}")
    assert msgspec.json.decode(reply.raw) == {"action": "accept", "content": {"ab": f"xy «secret» {github[:40]}"}}
    sampled = Result('{"role":"assistant","model":"m","content":{"type":"text","text":"a\u202eb"}}'.encode())
    clean = bath().answered("sampling/createMessage", sampled)
    assert msgspec.json.decode(clean.raw)["content"]["text"] == "ab"
    roots = bath().answered("roots/list", Result('{"roots":[{"uri":"file:///a","name":"a\u202eb"}]}'.encode()))
    assert msgspec.json.decode(roots.raw)["roots"][0]["name"] == "ab"
    assert bath().answered("roots/list", Failure(DIRTY)) == Failure(CLEAN)
    plain = Result(b'{"action":"decline"}')
    assert bath().answered("elicitation/create", plain) is plain


async def test_what_no_policy_judges_goes_out_clean_too() -> None:
    one = bath()
    assert one.sent("completion/complete", DIRTY) == CLEAN
    assert one.sent("notifications/progress", DIRTY) == CLEAN
    assert one.sent("ping", None) is None
    fine = b'{"argument":{"name":"a","value":"b"}}'
    assert one.sent("completion/complete", fine) is fine


async def test_of_a_governed_request_only_the_answers_are_cleaned_here() -> None:
    """Its arguments were, before they were judged; these may be a bridge's own."""
    answers = '{"q":{"action":"accept","content":{"y":"\u202ez"}}}'
    said = f'{{"name":"a","arguments":{{"x":"\u202e"}},"inputResponses":{answers}}}'
    sent = bath().sent("tools/call", said.encode())
    assert msgspec.json.decode(sent or b"") == {
        "name": "a",
        "arguments": {"x": "\u202e"},
        "inputResponses": {"q": {"action": "accept", "content": {"y": "z"}}},
    }
    without = '{"name":"a","arguments":{"x":"\u202e"}}'.encode()
    assert bath().sent("tools/call", without) is without


@pytest.mark.parametrize("method", ["tasks/get", "tasks/cancel", "tasks/update"])
async def test_how_a_task_stands_is_cleaned_and_what_came_of_it_is_left_to_its_judge(method: str) -> None:
    state = '{"taskId":"1","status":"working","statusMessage":"a\u202eb","result":{"content":[{"text":"\u202e"}]}}'
    clean = bath().answer(method, Result(state.encode()))
    value = msgspec.json.decode(clean.raw)
    assert value["statusMessage"] == "ab"
    assert value["result"] == {"content": [{"text": "\u202e"}]}
    fine = Result(b'{"taskId":"1","status":"working","result":{}}')
    assert bath().answer(method, fine) is fine


async def test_a_list_of_tasks_is_cleaned() -> None:
    listed = Result('{"tasks":[{"taskId":"1","status":"failed","statusMessage":"a\u202eb"}]}'.encode())
    clean = bath().answer("tasks/list", listed)
    assert msgspec.json.decode(clean.raw)["tasks"][0]["statusMessage"] == "ab"


async def test_a_notification_is_no_longer_than_a_result_may_be() -> None:
    ear = Ear()
    short = SimpleNamespace(**{**vars(OPEN), "max_bytes": 2000})
    inbound = CleanInbound(ear, Bath("lab", Cleaner(short)))
    inbound.notified("notifications/message", b'{"level":"info","data":"' + b"x" * 5000 + b'"}')
    assert len(ear.heard[0]) < 200
    assert msgspec.json.decode(ear.heard[0])["level"] == "info"
