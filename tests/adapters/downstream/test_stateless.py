from __future__ import annotations

import anyio
import pytest

from fuseboard.adapters.downstream.limits import Limits
from fuseboard.ports import Reply, Request, Scope
from support.edge import META, MODERN, frame, modern, serving
from support.gateway import FakeGateway, result

CALL = {"name": "echo", "arguments": {"text": "hello"}}


async def test_a_plain_call_is_answered_in_json() -> None:
    gateway = FakeGateway()
    headers, body = modern("a", "tools/call", CALL)
    async with serving(gateway, auth={"token-of-ann": ("ann", ("dev",))}) as served:
        answer = await served.ask("POST", "/mcp", {**headers, "Authorization": "bearer token-of-ann"}, body)
    assert answer.status == 200
    assert answer.json["id"] == "a"
    assert "mcp-session-id" not in answer.headers
    (origin,) = gateway.origins
    assert (origin.principal, origin.roles, origin.transport, origin.session) == ("ann", ("dev",), "http", None)


async def test_the_headers_of_parameters_come_with_the_request() -> None:
    gateway = FakeGateway()
    headers, body = modern(1, "tools/call", CALL)
    async with serving(gateway) as served:
        await served.ask("POST", "/mcp", {**headers, "Mcp-Param-Region": " eu \t", "Other": "x"}, body)
        await served.ask("POST", "/mcp", headers, body)
    assert [dict(request.headers) for request in gateway.requests] == [{"mcp-param-region": "eu"}, {}]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS"])
async def test_the_revision_has_post_only(method: str) -> None:
    async with serving(FakeGateway()) as served:
        answer = await served.ask(method, "/mcp", {"MCP-Protocol-Version": MODERN, "Accept": "*/*"})
    assert answer.status == 405
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_unknown_revision_is_refused_whatever_the_method(method: str) -> None:
    async with serving(FakeGateway()) as served:
        answer = await served.ask(method, "/mcp", {"MCP-Protocol-Version": "2031-01-01", "Accept": "*/*"})
    assert answer.status == 400


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        pytest.param({"MCP-Protocol-Version": "2031-01-01"}, -32020, id="version disagrees"),
        pytest.param({"Mcp-Method": None}, -32020, id="no method"),
        pytest.param({"Mcp-Method": "tools/list"}, -32020, id="other method"),
        pytest.param({"Mcp-Method": "TOOLS/CALL"}, -32020, id="method in other case"),
        pytest.param({"Mcp-Name": None}, -32020, id="no name"),
        pytest.param({"Mcp-Name": "other"}, -32020, id="other name"),
        pytest.param({"Mcp-Name": "=?base64?ZWNobw?="}, -32020, id="unpadded name"),
        pytest.param({"Mcp-Name": "=?base64?ZWNobw==?="}, None, id="encoded name"),
        pytest.param({"Mcp-Name": "  echo \t "}, None, id="white space around the name"),
        pytest.param({"Accept": "application/json"}, -32600, id="no streams accepted"),
    ],
)
async def test_headers_must_say_what_the_body_says(changed: dict[str, str | None], code: int | None) -> None:
    headers, body = modern(1, "tools/call", CALL)
    async with serving(FakeGateway()) as served:
        answer = await served.ask("POST", "/mcp", {**headers, **changed}, body)
    if code is None:
        assert answer.status == 200
    else:
        assert answer.status == (406 if code == -32600 else 400)
        assert answer.json["error"]["code"] == code


@pytest.mark.parametrize("name", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Param-Region"])
async def test_a_routing_header_that_stands_twice_is_refused(name: str) -> None:
    headers, body = modern(1, "tools/call", CALL)
    headers["Mcp-Param-Region"] = "eu"
    async with serving(FakeGateway()) as served:
        again = {**headers, "Mcp-Param-Region": f"eu\r\n{name}: {headers[name]}"}
        answer = await served.ask("POST", "/mcp", again, body)
    assert answer.status == 400
    assert answer.json["error"]["code"] == -32020


async def test_an_unsupported_version_is_told_what_is_supported() -> None:
    meta = {**META, "io.modelcontextprotocol/protocolVersion": "2031-01-01"}
    headers = {"MCP-Protocol-Version": "2031-01-01", "Mcp-Method": "tools/list"}
    async with serving(FakeGateway()) as served:
        answer = await served.ask("POST", "/mcp", headers, frame(1, "tools/list", {"_meta": meta}))
    assert answer.status == 400
    assert answer.json["error"]["code"] == -32022
    assert answer.json["error"]["data"] == {"supported": [MODERN], "requested": "2031-01-01"}


async def test_an_unknown_version_without_the_envelope_is_refused() -> None:
    async with serving(FakeGateway()) as served:
        answer = await served.ask("POST", "/mcp", {"MCP-Protocol-Version": "1999-01-01"}, frame(1, "tools/list"))
    assert answer.status == 400
    assert answer.json["error"]["code"] == -32602


@pytest.mark.parametrize(("version", "status"), [(MODERN, 202), ("2031-01-01", 400)])
async def test_notifications_are_taken_and_mean_nothing(version: str, status: int) -> None:
    gateway = FakeGateway()
    async with serving(gateway) as served:
        answer = await served.ask("POST", "/mcp", {"MCP-Protocol-Version": version}, frame(None, "notifications/x"))
    assert answer.status == status
    assert gateway.requests == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', -32600),
        (b"[]", -32600),
        (b'{"jsonrpc":"2.0"}', -32600),
        (b"nonsense", -32700),
    ],
)
async def test_a_body_that_is_no_request_is_refused(body: bytes, code: int) -> None:
    async with serving(FakeGateway()) as served:
        answer = await served.ask("POST", "/mcp", {"MCP-Protocol-Version": MODERN}, body)
    assert (answer.status, answer.json["error"]["code"]) == (400, code)


async def test_a_call_that_notifies_becomes_a_stream_without_ids() -> None:
    gateway = FakeGateway()

    async def tell(request: Request, scope: Scope) -> Reply:
        scope.notify("notifications/progress", b'{"progress":1}')
        assert b"asks by its result" in (await scope.request("elicitation/create", None)).raw
        return result({"resultType": "complete"})

    gateway.acts["tools/call"] = tell
    headers, body = modern(7, "tools/call", CALL)
    async with serving(gateway) as served, served.wire() as wire:
        answer = await wire.ask("POST", "/mcp", headers, body)
        assert answer.streams
        events = await wire.events()
    assert [event.id for event in events] == [None, None]
    assert [event.json.get("id") for event in events] == [None, 7]


@pytest.mark.parametrize("streaming", [False, True])
async def test_leaving_cancels_the_call_at_once(streaming: bool) -> None:
    gateway = FakeGateway()
    started, stopped = anyio.Event(), anyio.Event()

    async def slow(request: Request, scope: Scope) -> Reply:
        if streaming:
            scope.notify("n", None)
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return result({})

    gateway.acts["tools/call"] = slow
    headers, body = modern(7, "tools/call", CALL)
    async with serving(gateway) as served, served.wire() as wire:
        await wire.send("POST", "/mcp", headers, body)
        await started.wait()
        if streaming:
            assert (await wire.answer()).streams
        wire.writer.close()
        with anyio.fail_after(2):
            await stopped.wait()


async def test_leaving_after_the_answer_cancels_nothing() -> None:
    gateway = FakeGateway()
    cancelled: list[str] = []

    async def act(request: Request, scope: Scope) -> Reply:
        try:
            for _ in range(5):  # long enough for the call to be watched
                await anyio.lowlevel.checkpoint()
        except BaseException as fault:
            cancelled.append(type(fault).__name__)
            raise
        return result({})

    gateway.acts["tools/call"] = act
    headers, body = modern(7, "tools/call", CALL)
    async with serving(gateway, limits=Limits(linger_s=0)) as served:
        for _ in range(5):
            assert (await served.ask("POST", "/mcp", headers, body)).status == 200
        async with served.wire() as wire:  # and a kept connection serves on
            for _ in range(5):
                assert (await wire.ask("POST", "/mcp", headers, body)).status == 200
    assert cancelled == []


async def test_a_subscription_is_a_stream_even_if_it_ends_at_once() -> None:
    gateway = FakeGateway()

    async def listen(request: Request, scope: Scope) -> Reply:
        return result({"resultType": "complete"})

    gateway.acts["subscriptions/listen"] = listen
    headers, body = modern(7, "subscriptions/listen", {"notifications": {}})
    async with serving(gateway) as served, served.wire() as wire:
        assert (await wire.ask("POST", "/mcp", headers, body)).streams
        (final,) = await wire.events()
    assert final.json["id"] == 7
