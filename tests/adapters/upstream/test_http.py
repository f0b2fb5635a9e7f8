import json
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from fuseboard.adapters.upstream.http import HttpLink
from fuseboard.adapters.upstream.pool import HttpPool
from fuseboard.errors import UpstreamFault, UpstreamGarbled, UpstreamLost, UpstreamUnreachable
from fuseboard.ports import Failure, Result
from support import sdk_upstream
from support.http_upstream import Call, http_upstream
from support.links import CallScope, params, value
from support.processes import child, free_port

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
}


def link_to(url: str, pool: HttpPool, **options: Any) -> HttpLink:
    return HttpLink(name="files", url=url, headers={"Authorization": "Bearer x"}, pool=pool, **options)


async def test_a_request_carries_the_headers_of_its_era(pool: HttpPool) -> None:
    async def script(call: Call) -> None:
        await call.result({})

    async with http_upstream(script) as upstream:
        link = link_to(upstream.url, pool)
        wanted = b'{"name":"caf\xc3\xa9","arguments":{}}'
        await link.request("tools/call", wanted, CallScope(), headers={"Mcp-Param-Region": "eu"})
        await link.request("tools/list", None, CallScope())
    first, second = upstream.calls
    assert first.body == b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + wanted + b"}"
    assert second.id == 2
    shown = {
        "authorization": "Bearer x",
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "=?base64?Y2Fmw6k=?=",
        "mcp-param-region": "eu",
    }
    assert {name: first.headers.get(name) for name in shown} == shown
    assert second.headers["mcp-method"] == "tools/list"
    assert "mcp-name" not in second.headers
    assert "mcp-param-region" not in second.headers
    assert "mcp-session-id" not in second.headers


@pytest.mark.parametrize("answer", ["json", "stream", "stream in pieces", "stream in a batch"])
async def test_a_result_comes_through_byte_for_byte(pool: HttpPool, answer: str) -> None:
    result = '{ "price":1.10,\t"big":1180591620717411303424, "é":"\\u00e9", "x":{"y":[ 1E2 ]} }'.encode()

    async def script(call: Call) -> None:
        frame = b'{"result":%b,"id":1,"jsonrpc":"2.0","vendor":1}' % result
        if answer == "json":
            await call.json(frame)
            return
        await call.stream()
        if answer == "stream in a batch":
            frame = b"[" + frame + b"]"
        event = b"data: " + frame + b"\r\n\r\n"
        for piece in [event] if answer != "stream in pieces" else [event[i : i + 1] for i in range(len(event))]:
            await call.chunk(piece)

    async with http_upstream(script) as upstream:
        assert await link_to(upstream.url, pool).request("x/y", None, CallScope()) == Result(result)


@pytest.mark.parametrize(
    ("status", "id"),
    [(200, 1), (404, 1), (400, None), (400, "server-error"), (500, 1)],
)
async def test_an_error_comes_through_byte_for_byte_whatever_the_status(pool: HttpPool, status: int, id: Any) -> None:
    error = b'{"code": -32020, "message":"no",  "data":{"n":1.0}}'

    async def script(call: Call) -> None:
        await call.json(b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (json.dumps(id).encode(), error), status)

    async with http_upstream(script) as upstream:
        reply = await link_to(upstream.url, pool).request("x/y", None, CallScope())
    assert reply == Failure(error, status if status >= 500 else None)


async def test_a_limit_of_calls_says_how_long_it_lasts(pool: HttpPool) -> None:
    error = b'{"code":-32000,"message":"later"}'

    async def script(call: Call) -> None:
        await call.json(b'{"jsonrpc":"2.0","id":1,"error":%b}' % error, 429, retry_after="7")

    async with http_upstream(script) as upstream:
        assert await link_to(upstream.url, pool).request("x/y", None, CallScope()) == Failure(error, 429, 7.0)


async def test_notifications_on_the_stream_reach_the_scope_of_the_call_in_order(pool: HttpPool) -> None:
    async def script(call: Call) -> None:
        await call.stream()
        await call.chunk(b": alive\n\n")
        for n in range(3):
            await call.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": n}})
        await call.event({"jsonrpc": "2.0", "id": 999, "result": {"of": "another"}})
        await call.event({"not": "for us"}, type="ping")
        await call.event({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        await call.event({"jsonrpc": "2.0", "id": 5, "method": "ping"})
        await call.answer({"ok": True})

    async with http_upstream(script) as upstream:
        scope = CallScope()
        reply = await link_to(upstream.url, pool).request("tools/call", None, scope)
    assert value(reply) == {"ok": True}
    assert scope.noticed == [("notifications/progress", {"progress": n}) for n in range(3)]


async def test_a_stream_that_ends_with_its_answer_leaves_the_connection_for_the_next_call(pool: HttpPool) -> None:
    ended = anyio.Event()

    async def script(call: Call) -> None:
        await call.stream()
        await call.answer({})
        await call.end()
        ended.set()

    async with http_upstream(script) as upstream:
        link = link_to(upstream.url, pool)
        for _ in range(3):
            ended = anyio.Event()
            await link.request("x/y", None, CallScope())
            await ended.wait()
            for _ in range(5):  # The end is in our socket now: let the loop read it.
                await anyio.lowlevel.checkpoint()
        assert upstream.connections == 1


async def test_a_stream_that_stays_open_after_its_answer_is_closed(
    pool: HttpPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuseboard.adapters.upstream.wire._LINGER_S", 0.01)
    gone = anyio.Event()

    async def script(call: Call) -> None:
        await call.stream()
        await call.answer({})
        await call.gone()
        gone.set()

    async with http_upstream(script) as upstream:
        await link_to(upstream.url, pool).request("x/y", None, CallScope())
        await gone.wait()


@pytest.mark.parametrize("phase", ["before the head", "in the body", "in the stream"])
async def test_cancelling_closes_the_response_at_once_and_sends_nothing_more(pool: HttpPool, phase: str) -> None:
    waiting, gone = anyio.Event(), anyio.Event()

    async def script(call: Call) -> None:
        if phase == "in the body":
            await call.reply(200, b"{", content_length="99", content_type="application/json")
        elif phase == "in the stream":
            await call.stream()
            await call.event({"jsonrpc": "2.0", "method": "notifications/progress"})
        waiting.set()
        await call.gone()
        gone.set()

    async with http_upstream(script) as upstream, anyio.create_task_group() as tasks:
        link = link_to(upstream.url, pool)
        tasks.start_soon(link.request, "tools/call", None, CallScope())
        await waiting.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await gone.wait()
    assert len(upstream.calls) == 1


async def _html(call: Call) -> None:
    await call.reply(200, b"<html>", content_type="text/html")


async def _accepted(call: Call) -> None:
    await call.reply(202)


async def _half_a_frame(call: Call) -> None:
    await call.json(b'{"jsonrpc":"2.0","id":1,"res')


async def _other_id(call: Call) -> None:
    await call.json({"jsonrpc": "2.0", "id": 77, "result": {}})


async def _other_id_on_a_stream(call: Call) -> None:
    await call.stream()
    await call.event({"jsonrpc": "2.0", "id": 77, "result": {}})


async def _ends_early(call: Call) -> None:
    await call.stream()
    await call.event({"jsonrpc": "2.0", "method": "notifications/progress"}, id="1")


async def _breaks_off(call: Call) -> None:
    await call.stream()
    await call.chunk(b"data: {")
    await call.drop()


async def _junk_event(call: Call) -> None:
    await call.stream()
    await call.event(data="hello")
    await call.gone()


async def _huge_event(call: Call) -> None:
    await call.stream()
    await call.chunk(b"data: " + b"x" * 2000)
    await call.gone()


async def _huge_body(call: Call) -> None:
    await call.json(b'"' + b"x" * 2000 + b'"')


async def _refuses(call: Call) -> None:
    await call.error(-32001, "who are you", status=401)


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        pytest.param(_html, UpstreamLost, "with text/html where a JSON-RPC response was due", id="wrong content type"),
        pytest.param(_accepted, UpstreamLost, "202 .Accepted. with nothing", id="accepted but not answered"),
        pytest.param(_half_a_frame, UpstreamLost, "sent a broken message: not JSON", id="half a frame"),
        pytest.param(_other_id, UpstreamLost, "a message that is not the response", id="somebody else's answer"),
        pytest.param(_other_id_on_a_stream, UpstreamGarbled, "that is not the response", id="the same on a stream"),
        pytest.param(_ends_early, UpstreamLost, "ended its stream before it answered", id="the stream ends early"),
        pytest.param(_breaks_off, UpstreamLost, "ended its stream before it answered", id="the stream breaks off"),
        pytest.param(_junk_event, UpstreamLost, "sent a broken message", id="an event that is not JSON-RPC"),
        pytest.param(_huge_event, UpstreamLost, "more than 1,000 bytes", id="a huge event"),
        pytest.param(_huge_body, UpstreamLost, "more than 1,000 bytes", id="a huge body"),
        pytest.param(_refuses, UpstreamUnreachable, "refuses the credentials", id="credentials refused"),
        pytest.param(Call.drop, UpstreamLost, "lost before it answered", id="the connection drops"),
    ],
)
async def test_a_failure_fails_its_call_and_not_the_link(
    pool: HttpPool, script: Any, kind: type[UpstreamFault], says: str
) -> None:
    async def first_only(call: Call) -> None:
        await (script(call) if call.id == 1 else call.result({}))

    async with http_upstream(first_only) as upstream:
        link = link_to(upstream.url, pool, limit_bytes=1000)
        with pytest.raises(kind, match=says) as fault:
            await link.request("tools/call", None, CallScope())
        assert fault.value.upstream == "files"
        assert link.open
        assert await link.request("tools/call", None, CallScope()) == Result(b"{}")
        assert not link._astray, "nothing is kept of a call that is over"


async def test_a_closed_link_sends_nothing(pool: HttpPool) -> None:
    async with http_upstream(Call.reply) as upstream:
        link = link_to(upstream.url, pool)
        await link.close()
        await link.close()
        assert not link.open
        with pytest.raises(UpstreamUnreachable):
            await link.request("tools/list", None, CallScope())
        assert upstream.calls == []


async def test_the_era_has_no_notification_to_the_server(pool: HttpPool) -> None:
    async with http_upstream(Call.reply) as upstream:
        await link_to(upstream.url, pool).notify("notifications/roots/list_changed", None)
        assert upstream.calls == []


async def test_with_a_server_of_the_sdk(pool: HttpPool, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, sdk_upstream.__file__, "http", str(port)]
    async with child(command, tmp_path / "log", port=port):
        link = link_to(f"http://127.0.0.1:{port}/mcp", pool)

        async def call(name: str, scope: CallScope, **arguments: Any) -> Any:
            wanted = {"name": name, "arguments": arguments, "_meta": {**META, "progressToken": 1}}
            return value(await link.request("tools/call", params(wanted), scope))

        listed = value(await link.request("tools/list", params({"_meta": META}), CallScope()))
        assert "echo" in {tool["name"] for tool in listed["tools"]}
        assert (await call("echo", CallScope(), text="é"))["content"][0]["text"] == "é"
        counting = CallScope()
        await call("count", counting)
        assert [body["progress"] for _, body in counting.noticed] == [0, 1, 2]
        missing = await link.request("no/such", params({"_meta": META}), CallScope())
        assert isinstance(missing, Failure)
        assert value(missing)["code"] == -32601
        hanging = CallScope()
        async with anyio.create_task_group() as tasks:
            wanted = {"name": "hang", "arguments": {"label": "modern"}, "_meta": {**META, "progressToken": 1}}
            tasks.start_soon(link.request, "tools/call", params(wanted), hanging)
            await hanging.until("notifications/progress")
            tasks.cancel_scope.cancel()
        assert (await call("cancelled", CallScope(), label="modern"))["content"][0]["text"] == "it was"
