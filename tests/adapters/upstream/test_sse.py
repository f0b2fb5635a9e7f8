import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from fuseboard.adapters.upstream.pool import HttpPool
from fuseboard.adapters.upstream.sse import SseLink
from fuseboard.errors import Undelivered, UpstreamFault, UpstreamLost, UpstreamUnreachable
from fuseboard.ports import Result
from support import sdk_upstream
from support.http_upstream import Call, http_upstream
from support.links import CallScope, Inbound, call_tool, handshake, value
from support.processes import child, free_port


class Server:
    """HTTP+SSE as a script: one stream, whose answers are made by ``answer``; ``None`` leaves a request open."""

    def __init__(self, answer: Callable[[Call], Any] | None = None, endpoint: str = "/messages?session_id=1") -> None:
        self._answer = answer or (lambda call: {"of": call.method})
        self._endpoint = endpoint
        self.stream: Call | None = None
        self.gone = anyio.Event()

    async def __call__(self, call: Call) -> None:
        if call.verb == "GET":
            self.stream = call
            await call.stream()
            await call.event(type="endpoint", data=self._endpoint)
            await call.gone()
            self.gone.set()
            return
        await call.reply(202, b"Accepted")
        if call.method and call.id is not None and (result := self._answer(call)) is not None:
            await self.push({"jsonrpc": "2.0", "id": call.id, "result": result})

    async def push(self, message: Any) -> None:
        assert self.stream is not None
        await self.stream.event(message, type="message")


async def connect(url: str, pool: HttpPool, tasks: anyio.abc.TaskGroup, **options: Any) -> SseLink:
    options = {"inbound": Inbound(), "headers": {"Authorization": "Bearer x"}, **options}
    return await SseLink.connect(name="files", url=url, pool=pool, tasks=tasks, **options)


async def test_a_session_from_its_endpoint_to_its_end(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    server = Server()
    async with http_upstream(server) as upstream:
        link = await connect(upstream.url, pool, tasks)
        assert link.open
        assert value(await link.request("tools/list", None, CallScope(), headers={"Mcp-Param-A": "b"})) == {
            "of": "tools/list"
        }
        await link.close()
        await link.close()
        assert not link.open
        with pytest.raises(UpstreamUnreachable):
            await link.request("tools/list", None, CallScope())
        await link.notify("notifications/x", None)
        await server.gone.wait()
    stream, post = upstream.calls
    assert (stream.path, stream.headers["accept"]) == ("/mcp", "text/event-stream")
    assert (post.path, post.headers["content-type"]) == ("/messages?session_id=1", "application/json")
    assert stream.headers["authorization"] == post.headers["authorization"] == "Bearer x"
    assert post.body == b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'


@pytest.mark.parametrize(
    "endpoint", ["/messages", "messages", "http://127.0.0.1:{port}/messages", "//127.0.0.1:{port}/m"]
)
async def test_any_endpoint_of_the_same_origin_will_do(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, endpoint: str
) -> None:
    server = Server()
    async with http_upstream(server) as upstream:
        server._endpoint = endpoint.format(port=upstream.port)
        link = await connect(upstream.url, pool, tasks)
        assert isinstance(await link.request("x", None, CallScope()), Result)
        await link.close()


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:1/m",
        "https://127.0.0.1:{port}/m",
        "//evil.invalid/m",
        "http://me:pw@127.0.0.1:{port}/m",
        "http://[",
    ],
)
async def test_an_endpoint_elsewhere_is_refused(pool: HttpPool, tasks: anyio.abc.TaskGroup, endpoint: str) -> None:
    server = Server()
    async with http_upstream(server) as upstream:
        server._endpoint = endpoint.format(port=upstream.port)
        with pytest.raises(UpstreamUnreachable, match="at another origin, which is refused"):
            await connect(upstream.url, pool, tasks)
        await server.gone.wait()
        assert len(upstream.calls) == 1


async def _silent(call: Call) -> None:
    await call.stream()
    await call.gone()


async def _ends(call: Call) -> None:
    await call.stream()


async def _no_stream(call: Call) -> None:
    await call.json({})


async def _absent(call: Call) -> None:
    await call.reply(404)


async def _huge(call: Call) -> None:
    await call.stream()
    await call.chunk(b"data: " + b"x" * 2000)
    await call.gone()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        pytest.param(_silent, "named no URL for messages within 0.05 s", id="silence"),
        pytest.param(_ends, "files ended its stream at once|connection to files was lost", id="an end"),
        pytest.param(_no_stream, "no event stream of HTTP.SSE", id="no stream"),
        pytest.param(_absent, "HTTP 404", id="nothing there"),
        pytest.param(_huge, "more than 1,000 bytes", id="a huge event"),
        pytest.param(Call.drop, "lost", id="a dropped connection"),
    ],
)
async def test_a_server_that_names_no_endpoint_is_unreachable(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, script: Any, says: str
) -> None:
    async with http_upstream(script) as upstream:
        with pytest.raises(UpstreamUnreachable, match=says):
            await connect(upstream.url, pool, tasks, timeout_s=0.05 if script is _silent else 5, limit_bytes=1000)


async def test_nobody_listening_is_unreachable(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    with pytest.raises(UpstreamUnreachable, match="refused"):
        await connect(f"http://127.0.0.1:{free_port()}/sse", pool, tasks)


async def test_messages_arrive_in_the_order_in_which_they_were_sent(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    async with http_upstream(Server()) as upstream:
        link = await connect(upstream.url, pool, tasks)
        for n in range(20):
            await link.notify(f"n/{n}", None)
        await link.request("last", None, CallScope())
        await link.close()
    assert [call.method for call in upstream.calls[1:]] == [*(f"n/{n}" for n in range(20)), "last"]


async def test_what_the_upstream_says_and_asks_goes_to_the_handler(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    server, inbound = Server(), Inbound(Result(b'{"roots":[]}'))
    async with http_upstream(server) as upstream:
        link = await connect(upstream.url, pool, tasks, inbound=inbound)
        await server.push({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        await server.push({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        await inbound.until("notifications/tools/list_changed")
        while len(upstream.calls) < 2:
            await anyio.lowlevel.checkpoint()
        await link.close()
    assert upstream.calls[1].message == {"jsonrpc": "2.0", "id": "q", "result": {"roots": []}}


async def test_cancelling_is_said_to_the_upstream(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    async with http_upstream(Server(lambda call: None)) as upstream:
        link = await connect(upstream.url, pool, tasks)
        async with anyio.create_task_group() as calling:
            calling.start_soon(link.request, "tools/call", None, CallScope())
            await _until(lambda: bool(upstream.seen("tools/call")))
            calling.cancel_scope.cancel()
        await _until(lambda: bool(upstream.seen("notifications/cancelled")))
        await link.close()
    assert upstream.seen("notifications/cancelled")[0].message["params"] == {"requestId": 1}


async def test_the_end_of_the_stream_is_the_end_of_the_link(pool: HttpPool, tasks: anyio.abc.TaskGroup) -> None:
    def end(call: Call) -> None:
        assert server.stream is not None
        tasks.start_soon(server.stream.drop)

    server = Server(end)
    async with http_upstream(server) as upstream:
        link = await connect(upstream.url, pool, tasks)
        with pytest.raises(UpstreamLost, match="the connection to files was lost"):
            await link.request("tools/call", None, CallScope())
        assert not link.open


async def test_a_server_that_takes_no_messages_is_given_up(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuseboard.adapters.upstream.sse.UNSENT_LIMIT_BYTES", 1000)
    server = Server()

    async def script(call: Call) -> None:
        await (server(call) if call.verb == "GET" else call.gone())

    async with http_upstream(script) as upstream:
        link = await connect(upstream.url, pool, tasks)
        for _ in range(100):
            await link.notify("n", b'{"x":"0123456789"}')
        assert not link.open
        await server.gone.wait()


async def test_one_message_that_is_too_large_by_itself_is_let_through(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuseboard.adapters.upstream.sse.UNSENT_LIMIT_BYTES", 1000)
    server = Server()

    async def script(call: Call) -> None:
        await (server(call) if call.verb == "GET" else call.gone())

    async with http_upstream(script) as upstream:
        link = await connect(upstream.url, pool, tasks)
        await link.notify("first", None)  # on its way, and never taken
        large = b'"%b"' % (b"x" * 5000)
        await link.notify("n", large)
        await link.notify("n", b'"%b"' % (b"x" * 800))
        assert link.open
        await link.notify("n", large)
        assert not link.open


async def test_a_server_that_is_slow_to_accept_is_given_up(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuseboard.adapters.upstream.sse.POST_TIMEOUT_S", 0.05)
    server = Server()

    async def script(call: Call) -> None:
        await (server(call) if call.verb == "GET" else call.gone())

    async with http_upstream(script) as upstream:
        link = await connect(upstream.url, pool, tasks)
        with pytest.raises(UpstreamLost, match="did not accept a message within"):
            await link.request("x", None, CallScope())


async def _until(true: Callable[[], bool]) -> None:
    while not true():
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("status", "dead"), [(400, False), (413, False), (500, False), (404, True), (410, True), (None, True)]
)
async def test_a_message_that_is_refused(
    pool: HttpPool, tasks: anyio.abc.TaskGroup, status: int | None, dead: bool
) -> None:
    server = Server()

    async def script(call: Call) -> None:
        if call.method != "tools/call":
            await server(call)
        elif status is None:
            await call.drop()
        else:
            await call.reply(status)

    async with http_upstream(script) as upstream:
        link = await connect(upstream.url, pool, tasks)
        if dead:
            with pytest.raises(UpstreamFault) as raised:
                await link.request("tools/call", None, CallScope())
            # A session that is not known any more took nothing; what a connection took before it went, nobody knows.
            assert isinstance(raised.value, UpstreamLost if status is None else Undelivered)
        else:
            # As over Streamable HTTP: what is refused took no effect, and of what fails at the server nobody knows.
            kind = UpstreamLost if status == 500 else UpstreamUnreachable
            with pytest.raises(kind, match=f"HTTP {status}"):
                await link.request("tools/call", None, CallScope())
            assert isinstance(await link.request("x", None, CallScope()), Result)
        assert link.open is not dead
        await link.close()


async def test_with_a_server_of_the_sdk(pool: HttpPool, tasks: anyio.abc.TaskGroup, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, sdk_upstream.__file__, "sse", str(port)]
    async with child(command, tmp_path / "log", port=port):
        inbound = Inbound()
        link = await connect(f"http://127.0.0.1:{port}/sse", pool, tasks, inbound=inbound)
        assert (await handshake(link, "2024-11-05", {"elicitation": {}}))["protocolVersion"] == "2024-11-05"
        assert await call_tool(link, "echo", text="é" * 100_000) == "é" * 100_000
        assert await call_tool(link, "count") == "counted"
        assert [body["progress"] for _, body in inbound.noticed] == [0, 1, 2]
        assert await call_tool(link, "greet") == "Hello Ada"
        inbound.noticed.clear()
        async with anyio.create_task_group() as calling:
            calling.start_soon(lambda: call_tool(link, "hang", label="sse"))
            await inbound.until("notifications/progress")
            calling.cancel_scope.cancel()
        assert await call_tool(link, "cancelled", label="sse") == "it was"
        await link.close()
