"""What arrives in pieces, too late, too large or not at all. Lateness is what is tested, so a few of these wait."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref

import anyio
import anyio.lowlevel
import pytest

from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.downstream.protocol import BoundedProtocol
from fuseboard.ports import Reply, Request, Scope
from support.edge import HELLO, Wire, frame, modern, serving
from support.gateway import FakeGateway, result

PATIENCE_S = 0.15
HASTY = Limits(read_s=PATIENCE_S, head_bytes=4000, body_bytes=10_000)


def head(port: int, *lines: str) -> bytes:
    first = ["POST /mcp HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json"]
    return "\r\n".join([*first, "Accept: application/json, text/event-stream", *lines, "", ""]).encode()


async def status_of(wire: Wire) -> int:
    """The status of the answer, after which the server must hang up."""
    status = (await wire.answer()).status
    await wire.hung_up()
    return status


@pytest.mark.parametrize(
    "half",
    [
        pytest.param(b"P", id="one byte"),
        pytest.param(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n", id="half a head"),
        pytest.param(b"POST /mcp HTTP/1.1\r\nHost: local", id="half a header"),
    ],
)
async def test_half_a_head_and_then_silence_is_a_timeout(half: bytes) -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        wire.write(half)
        assert await status_of(wire) == 408


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_half_a_body_and_then_silence_is_a_timeout(framing: str) -> None:
    gateway = FakeGateway()
    async with serving(gateway, limits=HASTY) as served, served.wire() as wire:
        body = b'a\r\n{"jsonrpc"' if "chunked" in framing else b'{"jsonrpc"'
        wire.write(head(served.port, framing) + body)
        assert await status_of(wire) == 408
    assert gateway.requests == []


async def test_a_connection_that_never_speaks_is_closed() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        assert await wire.hung_up()


async def test_dripping_bytes_win_no_time() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        wire.write(b"POST /mcp HTTP/1.1\r\nX: ")
        answered = anyio.Event()

        async def drip() -> None:
            while not answered.is_set():
                wire.write(b"x")
                await anyio.sleep(PATIENCE_S / 10)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drip)
            assert (await wire.answer()).status == 408
            answered.set()


async def test_a_kept_connection_is_not_held_to_the_time_of_one_request() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        for _ in range(3):
            answer = await wire.ask("POST", "/mcp", {}, frame(1, "initialize", HELLO))
            assert answer.status == 200
            await anyio.sleep(PATIENCE_S)


async def test_a_slow_handler_is_not_a_slow_request() -> None:
    gateway = FakeGateway()

    async def slow(request: Request, scope: Scope) -> Reply:
        await anyio.sleep(2 * PATIENCE_S)
        return result({})

    gateway.acts["slow"] = slow
    async with serving(gateway, limits=HASTY) as served:
        client = await served.open()
        assert (await client.ask(frame(1, "slow"))).status == 200


async def test_a_flood_of_headers_is_refused_before_it_ends() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        wire.write(b"GET /healthz HTTP/1.1\r\n")
        refused = anyio.Event()

        async def flood() -> None:
            while not refused.is_set():
                wire.write(b"X-Flood: " + b"y" * 500 + b"\r\n")
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flood)
            status = (await wire.answer()).status
            refused.set()
    assert status == 431


async def test_many_whole_headers_are_refused() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served:
        answer = await served.ask("GET", "/healthz", {f"X-{number}": "y" * 50 for number in range(100)})
    assert answer.status == 431


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([f"X-{number}: {'y' * 50}" for number in range(100)], id="too many bytes"),
        pytest.param(["a:"] * 300, id="too many headers"),
        pytest.param(["X: " + "y" * 5000], id="one too long"),
    ],
)
async def test_a_head_too_large_that_arrives_whole_never_becomes_a_request(lines: list[str]) -> None:
    gateway = FakeGateway()
    async with serving(gateway, limits=HASTY) as served, served.wire() as wire:
        call = frame(1, "initialize", HELLO)
        wire.write(head(served.port, *lines, f"Content-Length: {len(call)}") + call + head(served.port))
        assert await status_of(wire) == 431
    assert gateway.requests == []


async def test_a_trailer_is_no_header() -> None:
    async with serving(FakeGateway(), auth={"a-token": ("ann", ())}, limits=HASTY) as served, served.wire() as wire:
        wire.write(head(served.port, "Transfer-Encoding: chunked") + b"0\r\nAuthorization: Bearer a-token\r\n\r\n")
        assert (await wire.answer()).status == 401


@pytest.mark.parametrize("announced", [True, False])
async def test_50_megabytes_are_refused_before_they_are_read(announced: bool) -> None:
    gateway = FakeGateway()
    megabyte = b"x" * 1_000_000
    async with serving(gateway, limits=HASTY) as served, served.wire() as wire:
        wire.write(head(served.port, "Content-Length: 50000000" if announced else "Transfer-Encoding: chunked"))
        if not announced:
            megabyte = b"f4240\r\n" + megabyte + b"\r\n"
        wire.write(megabyte)
        answer = await wire.answer()
        assert answer.status == 413
        assert "10000 bytes" in answer.json["error"]["message"]
    assert gateway.requests == []


async def test_after_a_refused_body_the_connection_serves_on() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        refused = await wire.ask("POST", "/mcp", {}, b"x" * 500_000)
        assert refused.status == 413
        assert (await wire.ask("GET", "/healthz", {})).status == 200


async def test_a_refused_body_that_stops_arriving_holds_no_connection() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        wire.write(head(served.port, "Content-Length: 50000000") + b"x" * 100)
        assert (await wire.answer()).status == 413
        assert await wire.hung_up()


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /mcp HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /mcp HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /mcp HTTP/1.1\r\n folded: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # somebody speaks TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_and_hung_up_on(raw: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(FakeGateway(), limits=HASTY) as served:
        async with served.wire() as wire:
            wire.write(raw)
            try:
                assert 400 <= (await wire.answer()).status < 500
                await wire.hung_up()
            except (EOFError, ConnectionError):
                pass  # hung up without a word, which is an answer too
        assert (await served.ask("GET", "/healthz")).status == 200
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
async def test_an_upgrade_is_not_taken(upgrade: str) -> None:
    async with serving(FakeGateway(), limits=HASTY) as served:
        answer = await served.ask("GET", "/mcp", {"Connection": "Upgrade", "Upgrade": upgrade, "Accept": "*/*"})
        assert answer.status == 400  # no session


async def test_the_body_of_an_upgrade_never_becomes_a_request() -> None:
    gateway = FakeGateway()
    async with serving(gateway, limits=HASTY) as served, served.wire() as wire:
        headers, body = modern(1, "tools/list")
        lines = [f"{name}: {value}" for name, value in headers.items()]
        smuggled = head(served.port, *lines, f"Content-Length: {len(body)}") + body
        wire.write(head(served.port, "Connection: Upgrade", "Upgrade: h2c", f"Content-Length: {len(smuggled)}"))
        await anyio.sleep(PATIENCE_S / 3)
        wire.write(smuggled)
        assert (await wire.answer()).status == 400
        await wire.send("GET", "/healthz", {})
        assert (await wire.answer()).status == 200
    assert gateway.requests == []


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("pieces", ["at once", "head and body", "byte by byte"])
async def test_an_upgrade_that_is_not_made_costs_the_request_nothing(framing: str, pieces: str) -> None:
    """Java's own HTTP client asks for h2c with the first request of every connection."""
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        headers, body = modern(1, "tools/list")
        lines = [f"{name}: {value}" for name, value in headers.items()]
        lines += ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"]
        if framing == "length":
            lines.append(f"Content-Length: {len(body)}")
        else:
            lines.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        asked = head(served.port, *lines)
        whole = asked + body + asked + body
        cuts = {"at once": [], "head and body": [len(asked)], "byte by byte": range(1, len(whole))}[pieces]
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            wire.write(whole[start:end])
            await anyio.lowlevel.checkpoint()
        for _ in range(2):
            answer = await wire.answer()
            assert (answer.status, answer.json["id"]) == (200, 1)
        assert "upgrade" not in {name.lower() for name in answer.headers}


async def test_what_a_connect_is_followed_by_is_nothing() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        wire.write(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\nGET / HTTP/1.1\r\n\r\n" % served.port)
        assert await status_of(wire) in (400, 404, 405)


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        for path in ("/healthz", "/readyz", "/nowhere"):
            await wire.send("GET", path, {})
        assert [(await wire.answer()).status for _ in range(3)] == [200, 200, 404]


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[BoundedProtocol]:
    """The server's ends of all connections."""
    made: list[BoundedProtocol] = []
    connect = BoundedProtocol.connection_made

    def connection_made(self: BoundedProtocol, transport: asyncio.Transport) -> None:
        made.append(self)
        connect(self, transport)

    monkeypatch.setattr(BoundedProtocol, "connection_made", connection_made)
    return made


async def test_pipelining_without_reading_fills_no_memory(connections: list[BoundedProtocol]) -> None:
    limits = Limits()
    async with serving(FakeGateway(), limits=limits) as served, served.wire() as wire:
        transport = wire.writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]
        request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode()
        waiting = unsent = 0
        for _ in range(3000):
            wire.write(request * 10)
            await anyio.lowlevel.checkpoint()
            for server in connections:
                waiting = max(waiting, len(server.pipeline))
                unsent = max(unsent, server.transport.get_write_buffer_size())
        assert 0 < waiting <= limits.pipelined
        assert unsent < 200_000
        transport.abort()


async def test_too_many_requests_in_one_piece_are_answered_up_to_the_limit(connections: list[BoundedProtocol]) -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        wire.write(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode() * 3000)
        answers = [await wire.answer() for _ in range(1 + HASTY.pipelined)]
        assert {answer.status for answer in answers} == {200}
        assert answers[-1].headers["connection"] == "close"
        await wire.hung_up()
    assert not connections[0].pipeline


async def test_a_request_that_waits_for_another_does_not_hide_that_the_client_left() -> None:
    """Nothing is read then, so it is the next ping that finds out."""
    async with serving(FakeGateway(), limits=Limits(ping_s=0.05)) as served:
        async with served.wire() as wire:
            await wire.send("GET", "/sse", {"Accept": "text/event-stream"})
            await wire.head()
            await wire.send("GET", "/healthz", {})
            await wire.chunk()
            assert len(served.edge._sse) == 1
            wire.cut()
        while len(served.edge._sse):
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("era", ["session", "stateless"])
async def test_a_reader_that_never_reads_is_cut_off(era: str) -> None:
    gateway = FakeGateway()
    blob = b'{"blob":"%b"}' % (b"x" * 100_000)
    ended = anyio.Event()

    async def flood(request: Request, scope: Scope) -> Reply:
        try:
            for _ in range(2000):
                scope.notify("n", blob)
                await anyio.lowlevel.checkpoint()
        finally:
            ended.set()
        return result({})

    gateway.acts["tools/call"] = flood
    limits = Limits(linger_s=0.01, queue_bytes=1_000_000, replay_bytes=300_000)
    async with serving(gateway, limits=limits) as served, served.wire() as wire:
        client = await served.open()
        headers, body = modern(1, "tools/call", {"name": "echo"})
        if era == "session":
            headers, body = client.headers, frame(1, "tools/call", {"name": "echo"})
        await wire.send("POST", "/mcp", headers, body)
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await ended.wait()
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await wire.answer()
        with pytest.raises((EOFError, ConnectionError)):
            await wire.events()
        assert (await client.ask(frame(2, "ping"))).status == 200


async def test_trailers_do_not_fill_the_memory() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        wire.write(head(served.port, "Transfer-Encoding: chunked") + b"1\r\n{\r\n0\r\n")
        hung_up = anyio.Event()

        async def flood() -> None:
            while not hung_up.is_set():
                wire.write(b"X-Trailer: " + b"y" * 10_000 + b"\r\n")
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flood)
            assert (await wire.answer()).status in (408, 413)
            hung_up.set()


async def test_connections_that_are_gone_leave_nothing_behind() -> None:
    gateway = FakeGateway()
    seen: list[weakref.ref[Scope]] = []

    async def note(request: Request, scope: Scope) -> Reply:
        seen.append(weakref.ref(scope))
        scope.notify("n", None)
        return result({})

    gateway.acts["note"] = note
    async with serving(gateway) as served:
        client = await served.open()
        for number in range(20):
            async with client.asking(frame(number, "note")) as wire:
                await wire.answer()
                if number % 2:
                    await wire.events()
        while any(reference() is not None for reference in seen):
            await anyio.lowlevel.checkpoint()
            gc.collect()


async def test_a_head_too_large_is_found_behind_a_whole_request_as_well() -> None:
    gateway = FakeGateway()
    async with serving(gateway, limits=HASTY) as served, served.wire() as wire:
        first = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode()
        wire.write(first + head(served.port, "X: " + "y" * 5000, "Content-Length: 2") + b"{}")
        with contextlib.suppress(EOFError):
            assert (await wire.answer()).status == 200
        await wire.hung_up()
    assert gateway.requests == []


async def test_large_bodies_in_a_row_do_not_count_as_one_head() -> None:
    async with serving(FakeGateway(), limits=HASTY) as served, served.wire() as wire:
        request = head(served.port, "Content-Length: 9000") + b" " * 9000
        wire.write(request * 3 + request[:30])
        await anyio.lowlevel.checkpoint()
        wire.write(request[30:])
        assert [(await wire.answer()).status for _ in range(4)] == [400] * 4


async def test_a_connection_that_rests_for_too_long_is_hung_up_on(
    connections: list[BoundedProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuseboard.adapters.downstream.http.KEEP_ALIVE_S", PATIENCE_S)
    gateway = FakeGateway()

    async def slow(request: Request, scope: Scope) -> Reply:
        await anyio.sleep(3 * PATIENCE_S)
        return result({})

    gateway.acts["slow"] = slow
    async with serving(gateway) as served:
        client = await served.open()
        async with client.asking(frame(1, "slow")) as wire:
            assert (await wire.answer()).status == 200, "what is being answered is no rest"
            await wire.hung_up()
