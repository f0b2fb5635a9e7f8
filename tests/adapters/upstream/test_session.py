import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from fuseboard.adapters.upstream.pool import HttpPool
from fuseboard.adapters.upstream.session import SessionLink
from fuseboard.errors import Undelivered, UpstreamLost, UpstreamUnreachable
from fuseboard.late import Listener, listen
from fuseboard.ports import Failure, Reply, Result
from support import sdk_upstream
from support.http_upstream import Call, http_upstream, in_session
from support.links import CallScope, Inbound, call_tool, handshake, value
from support.processes import child, free_port


def link_to(url: str, pool: HttpPool, tasks: anyio.abc.TaskGroup, **options: Any) -> SessionLink:
    options = {"inbound": Inbound(), "headers": {"Authorization": "Bearer x"}, **options}
    return SessionLink(name="files", url=url, pool=pool, tasks=tasks, **options)


async def _echo(call: Call) -> None:
    await call.result({"of": call.method})


async def test_a_session_from_its_handshake_to_its_goodbye(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    async with http_upstream(in_session(_echo, version="2025-06-18")) as upstream:
        link = link_to(upstream.url, pool, tasks)
        assert (await handshake(link))["protocolVersion"] == "2025-06-18"
        assert value(await link.request("tools/list", None, CallScope())) == {"of": "tools/list"}
        await link.close()
        await link.close()
    hello, initialized, *_ = upstream.calls
    assert hello.headers.keys().isdisjoint({"mcp-session-id", "mcp-protocol-version", "mcp-method"})
    assert hello.headers["accept"] == "application/json, text/event-stream"
    assert initialized.body == b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
    for call in upstream.calls[1:]:
        assert call.headers["mcp-session-id"] == "session-1"
        assert call.headers["mcp-protocol-version"] == "2025-06-18"
        assert call.headers["authorization"] == "Bearer x"
    assert sorted(call.verb for call in upstream.calls) == ["DELETE", "GET", "POST", "POST", "POST"]
    # The GET has a connection of its own, and arrives when it likes.
    assert [call.verb for call in upstream.calls if call.verb != "GET"][-1] == "DELETE"


async def test_a_server_without_sessions_gets_no_goodbye(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    async def script(call: Call) -> None:
        if call.verb != "POST":
            await call.reply(405)
        else:
            await (call.result({"protocolVersion": "2025-03-26"}) if "id" in call.message else call.reply(202))

    async with http_upstream(script) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        await link.close()
        assert "DELETE" not in {call.verb for call in upstream.calls}


@pytest.mark.parametrize("status", [404, 405])
async def test_a_server_of_the_older_transport_is_said_to_be_one(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, status: int
) -> None:
    async def script(call: Call) -> None:
        await call.reply(status, b"Method Not Allowed")

    async with http_upstream(script) as upstream:
        with pytest.raises(UpstreamUnreachable, match=f"HTTP {status} to the first message.*type: sse"):
            await handshake(link_to(upstream.url, pool, tasks))


async def test_an_initialize_that_is_refused_starts_no_session(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    async def script(call: Call) -> None:
        await call.error(-32602, "no such version", status=400)

    async with http_upstream(script) as upstream:
        link = link_to(upstream.url, pool, tasks)
        assert isinstance(await link.request("initialize", b"{}", CallScope()), Failure)
        await link.close()
        assert len(upstream.calls) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(404, b"", id="as the revision says"),
        pytest.param(
            404, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"Session not found"}}', id="in JSON"
        ),
        pytest.param(400, b"Bad Request: No valid session ID provided", id="as older SDKs say"),
        pytest.param(
            400,
            b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}',
            id="as a restarted server says",
        ),
    ],
)
async def test_a_session_that_the_upstream_ended_is_dead_for_ever(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, status: int, body: bytes
) -> None:
    async def stale(call: Call) -> None:
        await call.reply(status, body, content_type="application/json")

    inbound = Inbound()
    async with http_upstream(in_session(stale)) as upstream:
        link = link_to(upstream.url, pool, tasks, inbound=inbound)
        await handshake(link)
        with pytest.raises(Undelivered, match="files ended the session"):
            await link.request("tools/list", None, CallScope())
        assert not link.open
        assert inbound.losses == ["files ended the session"]
        with pytest.raises(UpstreamUnreachable):
            await link.request("tools/list", None, CallScope())
        await link.notify("notifications/x", None)
        await link.close()
        assert [call.method for call in upstream.calls if call.verb == "POST"][2:] == ["tools/list"]
        assert "DELETE" not in {call.verb for call in upstream.calls}, "the session is not ours to end any more"


async def test_other_refusals_leave_the_session_alive(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    async def refuse(call: Call) -> None:
        if call.method == "a":
            await call.error(-32602, "Validation error: session_name is missing", status=400)
        elif call.method == "b":
            await call.reply(500)
        else:
            await call.result({})

    async with http_upstream(in_session(refuse)) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        assert isinstance(await link.request("a", None, CallScope()), Failure)
        with pytest.raises(UpstreamLost):
            await link.request("b", None, CallScope())
        assert await link.request("c", None, CallScope()) == Result(b"{}")


async def test_a_question_inside_a_call_is_answered_by_the_scope_of_that_call(
    pool: HttpPool, tasks: anyio.abc.TaskGroup
) -> None:
    answered = anyio.Event()
    answers: list[dict[str, Any]] = []

    async def ask(call: Call) -> None:
        await call.stream()
        await call.event({"jsonrpc": "2.0", "id": "q-1", "method": "elicitation/create", "params": {"n": call.id}})
        await answered.wait()
        await call.answer({"done": True})

    async def script(call: Call) -> None:
        if call.verb == "POST" and not call.method:
            answers.append(call.message)
            await call.reply(202)
            answered.set()
        else:
            await in_session(ask)(call)

    inbound = Inbound()
    async with http_upstream(script) as upstream:
        link = link_to(upstream.url, pool, tasks, inbound=inbound)
        await handshake(link)
        scope = CallScope(Result(b'{"action":"accept", "n":1.0}'))
        assert value(await link.request("tools/call", None, scope)) == {"done": True}
        asked = upstream.calls[-1] if upstream.calls[-1].method == "" else None
    assert scope.asked == [("elicitation/create", {"n": 2})]
    assert answers == [{"jsonrpc": "2.0", "id": "q-1", "result": {"action": "accept", "n": 1.0}}]
    assert asked is None or b'{"action":"accept", "n":1.0}' in asked.body
    assert inbound.asked == []


@pytest.mark.parametrize("ending", ["the call is answered", "the call is cancelled", "the upstream takes it back"])
async def test_a_question_that_nobody_waits_for_is_dropped(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, ending: str
) -> None:
    scope = CallScope(answer=None)

    async def ask(call: Call) -> None:
        await call.stream()
        await call.event({"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage"})
        await scope.asks_begun.wait()
        if ending == "the upstream takes it back":
            await call.event({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}})
        if ending == "the call is cancelled":
            await call.gone()
        else:
            await call.answer({})

    async with http_upstream(in_session(ask)) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        async with anyio.create_task_group() as calling:
            calling.start_soon(link.request, "tools/call", None, scope)
            await scope.asks_begun.wait()
            if ending == "the call is cancelled":
                calling.cancel_scope.cancel()
        while not scope.asks_cancelled:
            await anyio.lowlevel.checkpoint()
        assert all(call.method or call.verb != "POST" for call in upstream.calls), "no answer was sent"
        assert scope.noticed == [], "cancelling is a matter of the upstream's own ids"


@pytest.mark.parametrize("phase", ["before the head", "in the stream"])
async def test_cancelling_is_said_and_the_stream_is_dropped(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, phase: str
) -> None:
    waiting, gone, said = anyio.Event(), anyio.Event(), anyio.Event()
    notice: dict[str, Any] = {}

    async def hang(call: Call) -> None:
        if phase == "in the stream":
            await call.stream()
        waiting.set()
        await call.gone()
        gone.set()

    async def script(call: Call) -> None:
        await in_session(hang)(call)
        if call.method == "notifications/cancelled":
            notice.update(call.message)
            said.set()

    async with http_upstream(script) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        async with anyio.create_task_group() as calling:
            calling.start_soon(link.request, "tools/call", None, CallScope())
            await waiting.wait()
            calling.cancel_scope.cancel()
        await said.wait()
        await gone.wait()
        assert notice["params"] == {"requestId": upstream.seen("tools/call")[0].id}


@pytest.mark.parametrize("for_s", [60.0, 0.01], ids=["in time", "too late"])
async def test_an_answer_to_what_was_given_up_is_heard_for_a_while(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, for_s: float
) -> None:
    waiting, said, gone, heard = anyio.Event(), anyio.Event(), anyio.Event(), list[Reply]()

    async def pay(call: Call) -> None:
        waiting.set()
        await said.wait()
        if for_s < 1:
            await call.gone()
        else:
            await call.result({"paid": True})
        gone.set()

    async def script(call: Call) -> None:
        await in_session(pay)(call)
        if call.method == "notifications/cancelled":
            said.set()

    async def ask() -> None:
        listener = Listener(for_s, heard.append)
        listen(listener)
        await link.request("tools/call", None, CallScope())

    async with http_upstream(script) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        async with anyio.create_task_group() as calling:
            calling.start_soon(ask)
            await waiting.wait()
            calling.cancel_scope.cancel()
        await gone.wait()
        with anyio.move_on_after(2):
            while not heard and for_s > 1:
                await anyio.lowlevel.checkpoint()
        assert [value(reply) for reply in heard] == ([{"paid": True}] if for_s > 1 else [])


async def test_initialize_is_never_cancelled_by_name(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    waiting, gone = anyio.Event(), anyio.Event()

    async def hang(call: Call) -> None:
        waiting.set()
        await call.gone()
        gone.set()

    async with http_upstream(hang) as upstream:
        link = link_to(upstream.url, pool, tasks)
        async with anyio.create_task_group() as calling:
            calling.start_soon(handshake, link)
            await waiting.wait()
            calling.cancel_scope.cancel()
        await gone.wait()
        assert len(upstream.calls) == 1


async def test_a_goodbye_that_nobody_answers_takes_no_longer_than_it_may(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuseboard.adapters.upstream.session.GOODBYE_TIMEOUT_S", 0.05)

    async def script(call: Call) -> None:
        await (call.gone() if call.verb == "DELETE" else in_session(_echo)(call))

    async with http_upstream(script) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        await link.close()


async def test_calls_at_once_get_each_its_own_answer(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    async def answer(call: Call) -> None:
        if call.id % 2:
            await call.stream()
            await call.answer({"id": call.id, "n": call.message["params"]["n"]})
        else:
            await call.result({"id": call.id, "n": call.message["params"]["n"]})

    async with http_upstream(in_session(answer)) as upstream:
        link = link_to(upstream.url, pool, tasks)
        await handshake(link)
        got: dict[int, Any] = {}

        async def one(n: int) -> None:
            got[n] = value(await link.request("x", b'{"n":%d}' % n, CallScope()))["n"]

        async with anyio.create_task_group() as calling:
            for n in range(40):
                calling.start_soon(one, n)
        assert got == {n: n for n in range(40)}


async def test_with_a_server_of_the_sdk(pool: HttpPool, tasks: anyio.abc.TaskGroup, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, sdk_upstream.__file__, "http", str(port)]
    async with child(command, tmp_path / "log", port=port):
        link = link_to(f"http://127.0.0.1:{port}/mcp", pool, tasks)
        await handshake(link, capabilities={"elicitation": {}})
        assert await call_tool(link, "echo", text="é") == "é"
        counting = CallScope()
        assert await call_tool(link, "count", counting) == "counted"
        assert [body["progress"] for _, body in counting.noticed] == [0, 1, 2]
        assert await call_tool(link, "greet") == "Hello Ada"
        assert await call_tool(link, "break_off") == "answered after the break"
        hanging = CallScope()
        async with anyio.create_task_group() as calling:
            calling.start_soon(lambda: call_tool(link, "hang", hanging, label="session"))
            await hanging.until("notifications/progress")
            calling.cancel_scope.cancel()
        assert await call_tool(link, "cancelled", label="session") == "it was"
        await link.close()
        stale = link_to(f"http://127.0.0.1:{port}/mcp", pool, tasks)
        await handshake(stale)
        stale._stamps["Mcp-Session-Id"] = "not-this-one"
        with pytest.raises(Undelivered, match="ended the session"):
            await stale.request("tools/list", None, CallScope())
