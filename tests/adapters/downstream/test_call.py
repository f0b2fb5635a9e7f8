from __future__ import annotations

import anyio
import pytest

from fuseboard.adapters.downstream.limits import Limits
from fuseboard.ports import Failure, Reply, Request, Result, Scope
from support.edge import frame, modern, serving
from support.gateway import FakeGateway, result

CALL = {"name": "echo", "arguments": {"text": "hello"}}
QUICK = Limits(linger_s=0.01, ping_s=0.05)


async def test_a_silent_call_becomes_a_stream_and_is_kept_alive() -> None:
    gateway = FakeGateway()
    go_on = anyio.Event()

    async def slow(request: Request, scope: Scope) -> Reply:
        await go_on.wait()
        return result({})

    gateway.acts["tools/call"] = slow
    async with serving(gateway, limits=QUICK) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            assert (await wire.answer()).streams
            assert b"retry:" in await wire.chunk()
            assert await wire.chunk() == b": ping\n\n"
            go_on.set()
            (final,) = await wire.events()
    assert final.json["id"] == 7


async def test_a_handler_that_fails_is_an_internal_error_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    gateway = FakeGateway()

    async def fail(request: Request, scope: Scope) -> Reply:
        raise RuntimeError("the secret")

    gateway.acts["tools/call"] = fail
    async with serving(gateway) as served:
        client = await served.open()
        answer = await client.ask(frame(7, "tools/call", CALL))
    assert answer.json["error"]["code"] == -32603
    assert b"secret" not in (answer.body or b"")
    assert "the secret" in caplog.text


async def test_what_a_call_says_after_its_answer_is_dropped() -> None:
    gateway = FakeGateway()
    scopes: list[Scope] = []

    async def keep(request: Request, scope: Scope) -> Reply:
        scopes.append(scope)
        return result({})

    gateway.acts["tools/call"] = keep
    async with serving(gateway) as served:
        client = await served.open()
        assert (await client.ask(frame(7, "tools/call", CALL))).headers["content-type"] == "application/json"
        scopes[0].notify("too/late", None)
        assert b"has been answered" in (await scopes[0].request("too/late", None)).raw


async def test_the_order_of_notifications_is_kept() -> None:
    gateway = FakeGateway()

    async def count(request: Request, scope: Scope) -> Reply:
        for number in range(300):
            scope.notify("n", b'{"n":%d}' % number)
            if number % 50 == 0:
                await anyio.lowlevel.checkpoint()
        return result({})

    gateway.acts["tools/call"] = count
    headers, body = modern(7, "tools/call", CALL)
    async with serving(gateway) as served, served.wire() as wire:
        assert (await wire.ask("POST", "/mcp", headers, body)).streams
        events = await wire.events()
    assert [event.json["params"]["n"] for event in events[:-1]] == list(range(300))
    assert events[-1].json["id"] == 7


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b'{"code":-32601,"message":"m"}', 404),
        (b'{"code":-32602,"message":"m"}', 400),
        (b'{"code":-32600,"message":"m"}', 400),
        (b'{"code":-32700,"message":"m"}', 400),
        (b'{"code":-32020,"message":"m"}', 400),
        (b'{"code":-32021,"message":"m","data":{"requiredCapabilities":{}}}', 400),
        (b'{"code":-32022,"message":"m"}', 400),
        (b'{"code":-32603,"message":"m"}', 200),
        (b'{"code":4711,"message":"m"}', 200),
        (b'{"message":"no code at all"}', 200),
        (b'{"code":"text"}', 200),
    ],
)
async def test_an_upstreams_error_keeps_its_bytes_and_gets_the_status_of_its_revision(raw: bytes, status: int) -> None:
    gateway = FakeGateway()

    async def fail(request: Request, scope: Scope) -> Reply:
        return Failure(raw)

    gateway.acts["tools/call"] = fail
    headers, body = modern(7, "tools/call", CALL)
    async with serving(gateway) as served:
        stateless = await served.ask("POST", "/mcp", headers, body)
        in_session = await (await served.open()).ask(frame(7, "tools/call", CALL))
    assert (stateless.status, in_session.status) == (status, 200)
    assert stateless.body == in_session.body == b'{"jsonrpc":"2.0","id":7,"error":%b}' % raw


async def test_a_result_keeps_its_bytes() -> None:
    gateway = FakeGateway()
    raw = '{"n":1.10,"big":123456789012345678901234567890,"e":1E2,"t":"\\u00e4é\u2028"}'.encode()

    async def act(request: Request, scope: Scope) -> Reply:
        return Result(raw)

    gateway.acts["tools/call"] = act
    async with serving(gateway) as served:
        answer = await (await served.open()).ask(frame(7, "tools/call", CALL))
    assert answer.body == b'{"jsonrpc":"2.0","id":7,"result":%b}' % raw


@pytest.mark.parametrize("lasting", [False, True])
async def test_an_answer_is_a_stream_where_the_upstreams_was(lasting: bool) -> None:
    gateway = FakeGateway()
    go_on = anyio.Event()

    async def act(request: Request, scope: Scope) -> Reply:
        scope.stream()  # type: ignore[attr-defined]
        if lasting:
            await go_on.wait()
        return result({})

    gateway.acts["tools/call"] = act
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            if not lasting:
                go_on.set()
            assert (await wire.answer()).streams
            go_on.set()
            priming, final = await wire.events()
    assert priming.data == ""
    assert final.json["id"] == 7


async def test_an_error_keeps_its_status_even_where_the_upstreams_answer_was_a_stream() -> None:
    gateway = FakeGateway()

    async def act(request: Request, scope: Scope) -> Reply:
        scope.stream()  # type: ignore[attr-defined]
        return Failure(b'{"code":-32601,"message":"m"}')

    gateway.acts["tools/call"] = act
    headers, body = modern(7, "tools/call", CALL)
    async with serving(gateway) as served:
        answer = await served.ask("POST", "/mcp", headers, body)
    assert answer.status == 404


async def test_a_handler_with_scopes_of_its_own_is_cancelled_like_any_other() -> None:
    gateway = FakeGateway()
    started, stopped = anyio.Event(), anyio.Event()

    async def nested(request: Request, scope: Scope) -> Reply:
        with anyio.move_on_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                started.set()
                try:
                    await anyio.sleep_forever()
                finally:
                    stopped.set()
        return result({})

    gateway.acts["tools/call"] = nested
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(7, "tools/call", CALL)) as wire:
            await started.wait()
            await client.ask(frame(None, "notifications/cancelled", {"requestId": 7}))
            await stopped.wait()
            await wire.answer()
            assert await wire.events() == []
