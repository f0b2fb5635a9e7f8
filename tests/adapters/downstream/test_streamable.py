from __future__ import annotations

import anyio
import pytest

from fuseboard.adapters.downstream.limits import Limits
from fuseboard.ports import Reply, Request, Scope
from fuseboard.wire import frames
from support.edge import HELLO, Client, frame, modern, serving
from support.gateway import INITIALIZED, FakeGateway, result

CALL = {"name": "echo", "arguments": {"text": "hello"}}


async def test_a_plain_call_is_answered_in_json_with_the_clients_own_id() -> None:
    async with serving(FakeGateway()) as served:
        client = await served.open()
        answer = await client.ask(frame("a", "tools/call", CALL))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["id"] == "a"
    assert answer.json["result"]["content"][0]["text"] == '{"text": "hello"}'


async def test_initialize_opens_a_session_with_an_id_that_cannot_be_guessed() -> None:
    gateway = FakeGateway()
    async with serving(gateway) as served:
        one, other = await served.open(), await served.open()
        assert len(one.session) == 32
        assert one.session != other.session
        int(one.session, 16)
    assert [session.origin.session for session in gateway.sessions] == [one.session, other.session]
    assert gateway.sessions[0].origin.transport == "http"


async def test_an_initialize_that_streams_names_its_session_all_the_same() -> None:
    gateway = FakeGateway()

    async def tell(request: Request, scope: Scope) -> Reply:
        scope.notify("notifications/message", None)
        return result(INITIALIZED)

    gateway.acts["initialize"] = tell
    async with serving(gateway) as served, served.wire() as wire:
        answer = await wire.ask("POST", "/mcp", {}, frame(1, "initialize", HELLO))
        assert answer.streams
        assert len(await wire.events()) == 2
        client = Client(served, answer.headers["mcp-session-id"], {})
        assert (await client.ask(frame(2, "ping"))).status == 200


async def test_a_refused_initialize_leaves_no_session_behind() -> None:
    gateway = FakeGateway()

    async def refuse(request: Request, scope: Scope) -> Reply:
        return frames.failure(-32602, "no")

    gateway.acts["initialize"] = refuse
    async with serving(gateway) as served:
        answer = await served.ask("POST", "/mcp", body=frame(1, "initialize", HELLO))
        assert answer.json["error"]["code"] == -32602
        assert "mcp-session-id" not in answer.headers
        await gateway.sessions[0].closed.wait()


@pytest.mark.parametrize(
    ("session", "status"),
    [pytest.param(None, 400, id="missing"), pytest.param("f" * 32, 404, id="unknown")],
)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_without_its_session_a_request_is_refused(method: str, session: str | None, status: int) -> None:
    headers = {"Accept": "application/json, text/event-stream", "Mcp-Session-Id": session}
    async with serving(FakeGateway()) as served:
        answer = await served.ask(method, "/mcp", headers, frame(1, "tools/list") if method == "POST" else b"")
    assert answer.status == status
    assert answer.json["error"]["code"] == -32600


async def test_a_modern_request_without_its_version_header_is_told_so() -> None:
    headers, body = modern(1, "tools/list")
    async with serving(FakeGateway()) as served:
        answer = await served.ask("POST", "/mcp", {**headers, "MCP-Protocol-Version": None}, body)
    assert answer.status == 400
    assert answer.json["error"]["code"] == -32020


async def test_a_session_belongs_to_the_credential_that_opened_it() -> None:
    auth = {"token-of-ann": ("ann", ("dev",)), "token-of-bob": ("bob", ()), "other-of-ann": ("ann", ("dev",))}
    gateway = FakeGateway()
    async with serving(gateway, auth=auth) as served:
        ann = await served.open(Authorization="Bearer token-of-ann")
        assert (await ann.ask(frame(2, "ping"))).status == 200
        for token in ("token-of-bob", "other-of-ann"):
            thief = Client(served, ann.session, {"Authorization": f"Bearer {token}"})
            assert (await thief.ask(frame(3, "ping"))).status == 404
            async with thief.listening() as (answer, _):
                assert answer.status == 404
            assert (await served.ask("DELETE", "/mcp", thief.headers)).status == 404
        assert (await ann.ask(frame(4, "ping"))).status == 200
    assert gateway.sessions[0].origin.principal == "ann"
    assert gateway.sessions[0].origin.roles == ("dev",)


async def test_deleting_a_session_ends_it_for_good() -> None:
    gateway = FakeGateway()
    async with serving(gateway) as served:
        client = await served.open()
        assert (await served.ask("DELETE", "/mcp", client.headers)).status == 200
        await gateway.sessions[0].closed.wait()
        assert (await client.ask(frame(2, "ping"))).status == 404
        assert (await served.ask("DELETE", "/mcp", client.headers)).status == 404


async def test_sessions_are_limited() -> None:
    async with serving(FakeGateway(), limits=Limits(sessions=2)) as served:
        first = await served.open()
        await served.open()
        full = await served.ask("POST", "/mcp", body=frame(1, "initialize", HELLO))
        assert full.status == 503
        assert "too many sessions are open here, of all clients together" in full.json["error"]["message"]
        await served.ask("DELETE", "/mcp", first.headers)
        await served.open()


async def test_an_idle_session_ends_but_not_one_that_is_listened_to_or_at_work() -> None:
    gateway = FakeGateway()
    started, done = anyio.Event(), anyio.Event()

    async def slow(request: Request, scope: Scope) -> Reply:
        started.set()
        await done.wait()
        return result({})

    gateway.acts["slow"] = slow
    async with serving(gateway) as served:
        idle, listens, works = await served.open(), await served.open(), await served.open()
        async with listens.listening(), works.asking(frame(2, "slow")) as wire:
            await started.wait()
            served.edge.sweep(anyio.current_time() + 10_000)
            assert (await idle.ask(frame(3, "ping"))).status == 404
            assert (await listens.ask(frame(3, "ping"))).status == 200
            done.set()
            assert (await wire.answer()).status == 200
        assert (await works.ask(frame(4, "ping"))).status == 200


async def test_a_session_whose_opening_took_long_has_not_been_idle_meanwhile() -> None:
    gateway = FakeGateway()
    answered_at: list[float] = []

    async def slow(request: Request, scope: Scope) -> Reply:
        await anyio.sleep(0.01)
        answered_at.append(anyio.current_time())
        return result(INITIALIZED)

    gateway.acts["initialize"] = slow
    limits = Limits(session_idle_s=1000)
    async with serving(gateway, limits=limits) as served:
        client = await served.open()
        served.edge.sweep(answered_at[0] + limits.session_idle_s)
        assert (await client.ask(frame(2, "ping"))).status == 200


async def test_a_message_that_is_still_coming_when_its_session_ends_is_not_handled() -> None:
    gateway = FakeGateway()
    body = frame(2, "ping")
    async with serving(gateway) as served, served.wire() as wire:
        client = await served.open()
        length = {"Content-Length": str(len(body))}
        await wire.send("POST", "/mcp", {**client.headers, **length, "Expect": "100-continue"}, b"")
        await wire.head()  # 100: the head has been taken, and the session found
        assert (await served.ask("DELETE", "/mcp", client.headers)).status == 200
        wire.write(body)
        assert (await wire.answer()).status == 404
    assert [request.method for request in gateway.requests] == ["initialize"]


async def test_notifications_reach_the_session_in_order_and_are_acknowledged() -> None:
    gateway = FakeGateway()
    async with serving(gateway) as served:
        client = await served.open()
        for number in range(5):
            answer = await client.ask(frame(None, f"notifications/{number}"))
            assert (answer.status, answer.body) == (202, b"")
    assert [method for method, _ in gateway.sessions[0].notified_of] == [f"notifications/{n}" for n in range(5)]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json, text/event-stream", 200),
        ("text/event-stream;q=0.9,application/json", 200),
        ("*/*", 200),
        ("application/*, text/*", 200),
        ("application/json", 406),
        ("text/event-stream", 406),
        ("text/html", 406),
        (None, 406),
    ],
)
async def test_a_post_must_accept_both_forms_of_answer(accept: str | None, status: int) -> None:
    async with serving(FakeGateway()) as served:
        answer = await served.ask("POST", "/mcp", {"Accept": accept}, frame(1, "initialize", HELLO))
    assert answer.status == status


async def test_a_get_must_accept_a_stream() -> None:
    async with serving(FakeGateway()) as served:
        client = await served.open()
        answer = await served.ask("GET", "/mcp", {**client.headers, "Accept": "application/json"})
    assert answer.status == 406


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"[]", -32600, id="empty batch"),
        pytest.param(b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, id="batch"),
        pytest.param(b"{", -32700, id="half"),
        pytest.param(b"", -32700, id="empty"),
        pytest.param(b"1", -32600, id="number"),
        pytest.param(b'{"id":1,"method":"ping"}', -32600, id="no jsonrpc"),
        pytest.param(b'{"jsonrpc":"2.0","id":1.0,"method":"ping"}', -32600, id="fractional id"),
        pytest.param(b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600, id="object id"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32602, id="array params"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":NaN}}', -32700, id="NaN"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call"}', -32600, id="key twice"),
        pytest.param(b"[" * 10_000, -32600, id="deep"),
        pytest.param(b"\xff\xfe", -32700, id="not UTF-8"),
    ],
)
async def test_a_body_that_is_no_single_message_is_refused(body: bytes, code: int) -> None:
    async with serving(FakeGateway()) as served:
        client = await served.open()
        answer = await client.ask(body)
        assert answer.status == 400
        assert answer.json["error"]["code"] in (code, -32700)
        assert (await client.ask(frame(9, "ping"))).status == 200


async def test_the_standing_stream_can_be_open_once_and_again_after_it_closed() -> None:
    async with serving(FakeGateway()) as served:
        client = await served.open()
        async with client.listening() as (first, wire):
            assert first.streams
            async with client.listening() as (second, _):
                assert second.status == 409
            wire.cut()
        status = 409
        while status == 409:  # until the server has seen the cut
            async with client.listening() as (again, _):
                status = again.status
        assert status == 200
