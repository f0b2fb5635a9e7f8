from __future__ import annotations

from typing import Any

import pytest
from mcp import Client
from mcp.client.sse import sse_client

from fuseboard.ports import Reply, Request, Scope
from support.edge import META, MODERN, frame, serving
from support.gateway import LISTED, FakeGateway, result, says

AUTH = {"a-token-of-ann": ("ann", ("dev",))}
ROUTES = [
    ("POST", "/mcp", True),
    ("GET", "/mcp", True),
    ("DELETE", "/mcp", True),
    ("GET", "/sse", True),
    ("POST", "/messages/", True),
    ("GET", "/healthz", False),
    ("GET", "/readyz", False),
]


async def test_every_route_is_known_and_says_whether_it_asks_who_you_are() -> None:
    async with serving(FakeGateway()) as served:
        routes = served.edge.routes.items()
    found = {(method, path, route.auth) for path, route in routes for method in route.methods}
    assert found == set(ROUTES)


@pytest.mark.parametrize(("method", "path", "auth"), ROUTES)
async def test_a_route_asks_for_a_token_or_does_not(method: str, path: str, auth: bool) -> None:
    async with serving(FakeGateway(), auth=AUTH) as served:
        for authorization in (None, "Bearer wrong", "Basic a-token-of-ann"):
            async with served.wire() as wire:
                answer = await wire.ask(method, path, {"Authorization": authorization}, frame(1, "ping"))
            assert (answer.status == 401) is auth
            if auth:
                assert answer.headers["www-authenticate"] == "Bearer"
        async with served.wire() as wire:
            answer = await wire.ask(method, path, {"Authorization": "Bearer a-token-of-ann"}, frame(1, "ping"))
            assert answer.status != 401


@pytest.mark.parametrize(("method", "path", "auth"), ROUTES)
async def test_no_route_answers_a_foreign_page(method: str, path: str, auth: bool) -> None:
    async with serving(FakeGateway()) as served:
        port = served.port
        foreign: list[tuple[dict[str, str | None], int]] = [
            ({"Host": "evil.example"}, 421),
            ({"Host": f"evil.example:{port}"}, 421),
            ({"Host": f"localhost:{port + 1}"}, 421),
            ({"Host": None}, 421),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Host": "evil.example", "Origin": f"http://localhost:{port}"}, 421),
        ]
        for headers, status in foreign:
            assert (await served.ask(method, path, headers, b"{}")).status == status
        for own in ({"Host": f"localhost:{port}"}, {"Origin": f"http://127.0.0.1:{port}"}):
            async with served.wire() as wire:
                assert (await wire.ask(method, path, own, b"{}")).status not in (421, 403)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/mcp/../mcp", 404),
        ("POST", "/mcp/", 404),
        ("GET", "/MCP", 404),
        ("GET", "/favicon.ico", 404),
        ("PUT", "/mcp", 405),
        ("OPTIONS", "/mcp", 405),
        ("HEAD", "/healthz", 405),
        ("POST", "/sse", 405),
        ("GET", "/messages/", 405),
        ("POST", "/readyz", 405),
    ],
)
async def test_what_is_not_served_is_said_so(method: str, path: str, status: int) -> None:
    async with serving(FakeGateway()) as served, served.wire() as wire:
        await wire.send(method, path, {}, b"{}" if method == "POST" else b"")
        head = await wire.head()
    assert head.status == status
    assert ("allow" in head.headers) is (status == 405)


async def test_only_json_is_read() -> None:
    async with serving(FakeGateway()) as served:
        for path in ("/mcp", "/messages/"):
            assert (await served.ask("POST", path, {"Content-Type": "text/plain"}, b"{}")).status == 415


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_is_what_the_status_says(ready: bool, status: int) -> None:
    known = {"ready": ready, "upstreams": {"files": {"state": "up", "error": None}}}
    told = {"ready": ready, "upstreams": {"files": {"state": "up"}}}
    async with serving(FakeGateway(), status=known) as served:
        answer = await served.ask("GET", "/readyz")
        alive = await served.ask("GET", "/healthz")
    assert (answer.status, answer.json) == (status, told)
    assert (alive.status, alive.body) == (200, b'{"status":"ok"}')


KNOWN = {"ready": False, "upstreams": {"files": {"state": "down", "error": "connecting to 10.1.2.3 failed"}}}


@pytest.mark.parametrize(
    ("auth", "authorization", "told"),
    [
        pytest.param(AUTH, None, {"ready": False}, id="no token"),
        pytest.param(AUTH, "Bearer wrong", {"ready": False}, id="a wrong token"),
        pytest.param(AUTH, "Bearer a-token-of-ann", KNOWN, id="a good token"),
        pytest.param(None, None, {"ready": False, "upstreams": {"files": {"state": "down"}}}, id="nobody is asked"),
    ],
)
async def test_readiness_tells_no_more_than_its_asker_may_know(auth: Any, authorization: str | None, told: Any) -> None:
    async with serving(FakeGateway(), auth=auth, status=KNOWN) as served:
        answer = await served.ask("GET", "/readyz", {"Authorization": authorization})
    assert (answer.status, answer.json) == (503, told)


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", None])
async def test_handshake_revisions_and_no_revision_open_sessions(version: str | None) -> None:
    async with serving(FakeGateway()) as served:
        answer = await served.ask("POST", "/mcp", {"MCP-Protocol-Version": version}, frame(1, "initialize", {}))
    assert answer.status == 200
    assert "mcp-session-id" in answer.headers


async def test_both_eras_share_the_path_and_the_connection() -> None:
    async with serving(FakeGateway()) as served:
        client = await served.open()
        async with served.wire() as wire:
            for _ in range(3):
                first = await wire.ask("POST", "/mcp", client.headers, frame(1, "ping"))
                headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
                second = await wire.ask("POST", "/mcp", headers, frame(1, "tools/list", {"_meta": META}))
                assert (first.status, second.status) == (200, 200)


def an_sdk_server(gateway: FakeGateway) -> None:
    async def call(request: Request, scope: Scope) -> Reply:
        scope.notify("notifications/message", b'{"level":"info","data":"working"}')
        return result({"content": [{"type": "text", "text": "done"}], "resultType": "complete"})

    gateway.acts["tools/call"] = call


@pytest.mark.parametrize("mode", ["legacy", MODERN, "auto"])
async def test_the_sdks_client_works_over_streamable_http(mode: Any) -> None:
    gateway = FakeGateway()
    an_sdk_server(gateway)
    if mode == "legacy":
        gateway.acts["tools/list"] = says(LISTED)
    async with serving(gateway) as served, Client(f"http://127.0.0.1:{served.port}/mcp", mode=mode) as client:
        tools = await client.list_tools()
        called = await client.call_tool("echo", {"text": "hello"})
    assert [tool.name for tool in tools.tools] == ["echo"]
    assert called.content[0].text == "done"  # type: ignore[union-attr]


async def test_the_sdks_client_works_over_http_sse() -> None:
    gateway = FakeGateway()
    an_sdk_server(gateway)
    gateway.acts["tools/list"] = says(LISTED)
    async with serving(gateway) as served:
        transport = sse_client(f"http://127.0.0.1:{served.port}/sse")
        async with Client(transport, mode="legacy") as client:
            tools = await client.list_tools()
            called = await client.call_tool("echo", {"text": "hello"})
    assert [tool.name for tool in tools.tools] == ["echo"]
    assert called.content[0].text == "done"  # type: ignore[union-attr]
