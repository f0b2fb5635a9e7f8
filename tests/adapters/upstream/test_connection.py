"""What a server may do to a response: pieces, lies, breaks, compression, silence. Over real sockets, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import Awaitable, Callable

import anyio
import pytest
from yarl import URL

from fuseboard.adapters.upstream.connection import READ_AHEAD_BYTES, Dropped, Headers, Response
from fuseboard.adapters.upstream.pool import HttpPool, Target
from support.http_upstream import Call, HttpUpstream, http_upstream


async def ask(pool: HttpPool, upstream: HttpUpstream, body: bytes = b"{}") -> Response:
    return await pool.ask(Target(URL(upstream.url), {}), "POST", {}, body)


def sends(*pieces: bytes) -> Callable[[Call], Awaitable[None]]:
    """A script that sends these bytes, a turn of the loop between them, and hangs up."""

    async def script(call: Call) -> None:
        for piece in pieces:
            await call.raw(piece)
            await anyio.lowlevel.checkpoint()
        await call.drop()

    return script


async def everything(response: Response) -> bytes:
    body = b""
    while piece := await response.readany():
        body += piece
    return body


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
@pytest.mark.parametrize("way", ["read", "readany"])
async def test_a_body_arrives_whole(pool: HttpPool, size: int, way: str) -> None:
    async def script(call: Call) -> None:
        await call.reply(200, b"x" * size)

    async with http_upstream(script) as upstream:
        for _ in range(2):
            response = await ask(pool, upstream)
            body = await response.read() if way == "read" else await everything(response)
            assert len(body) == size
        assert upstream.connections == 1


async def test_a_head_in_many_pieces(pool: HttpPool) -> None:
    whole = OK + b"Content-Length: 2\r\nX-A:  b \r\nx-a: c\r\n\r\nok"
    async with http_upstream(sends(*(whole[i : i + 1] for i in range(len(whole))))) as upstream:
        response = await ask(pool, upstream)
        assert response.headers.get("X-A") == "b"
        assert await response.read() == b"ok"


async def test_an_interim_response_is_passed_over(pool: HttpPool) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nX: hint\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    async with http_upstream(sends(early + OK + b"Content-Length: 2\r\n\r\nok")) as upstream:
        response = await ask(pool, upstream)
        assert (response.status, response.headers.get("x")) == (200, None)
        assert await response.read() == b"ok"


@pytest.mark.parametrize("way", ["read", "readany"])
async def test_a_body_of_no_announced_length_ends_with_the_connection(pool: HttpPool, way: str) -> None:
    async with http_upstream(sends(OK + b"\r\n", b"so ", b"long")) as upstream:
        response = await ask(pool, upstream)
        assert response.content_length is None
        assert (await response.read() if way == "read" else await everything(response)) == b"so long"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b""], id="nothing at all"),
        pytest.param([OK + b"Content-"], id="half a head"),
        pytest.param([b"HTTP/1.1 banana\r\n\r\n"], id="no status"),
        pytest.param([b"SSH-2.0-OpenSSH\r\n"], id="another protocol"),
        pytest.param([OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"], id="two lengths"),
        pytest.param([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], id="upgrade"),
        pytest.param([OK, b"X: " + b"y" * 100_000], id="a header without end"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n" * 5000], id="interim responses without end"),
    ],
)
async def test_what_never_becomes_a_response_is_dropped(pool: HttpPool, pieces: list[bytes]) -> None:
    async with http_upstream(sends(*pieces)) as upstream:
        with pytest.raises(Dropped):
            await ask(pool, upstream)


@pytest.mark.parametrize("way", ["read", "readany"])
@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"Content-Length: 9\r\n\r\nhalf", id="shorter than announced"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", id="no last chunk"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", id="no chunk"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX: " + b"y" * 100_000, id="endless trailer"),
    ],
)
async def test_a_body_that_breaks_off_is_told_from_one_that_ends(pool: HttpPool, rest: bytes, way: str) -> None:
    async with http_upstream(sends(OK + rest)) as upstream:
        response = await ask(pool, upstream)
        with pytest.raises(Dropped):
            await (response.read() if way == "read" else everything(response))


async def test_trailers_are_no_headers(pool: HttpPool) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nMcp-Session-Id: evil\r\n\r\n"
    async with http_upstream(sends(OK + chunked)) as upstream:
        response = await ask(pool, upstream)
        assert await response.read() == b"ok"
        assert "mcp-session-id" not in response.headers


async def test_an_answer_that_nobody_asked_for_is_nobodys(pool: HttpPool) -> None:
    """Else the next caller on the connection, another client's perhaps, would take it for his."""
    answer = OK + b"Content-Length: 2\r\n\r\n"

    async def script(call: Call) -> None:
        await call.raw(answer + (b"A1" if len(upstream.calls) == 1 else b"B1") + answer + b"A2")

    async with http_upstream(script) as upstream:
        assert await (await ask(pool, upstream)).read() == b"A1"
        assert await (await ask(pool, upstream)).read() == b"B1"
        assert upstream.connections == 2


async def test_bytes_on_an_idle_connection_end_it(pool: HttpPool) -> None:
    late = anyio.Event()

    async def script(call: Call) -> None:
        await call.reply(200, b"1")
        if len(upstream.calls) == 1:
            await late.wait()
            await call.raw(OK + b"Content-Length: 2\r\n\r\nno")

    async with http_upstream(script) as upstream:
        assert await (await ask(pool, upstream)).read() == b"1"
        late.set()
        while pool._open:
            await anyio.lowlevel.checkpoint()
        assert await (await ask(pool, upstream)).read() == b"1"


@pytest.mark.parametrize("answer", [b"Connection: close\r\nContent-Length: 2\r\n\r\nok", b"\r\nok"])
async def test_a_connection_that_ends_is_not_kept(pool: HttpPool, answer: bytes) -> None:
    async with http_upstream(sends(OK + answer)) as upstream:
        for _ in range(2):
            assert await (await ask(pool, upstream)).read() == b"ok"
        assert upstream.connections == 2


async def test_an_answer_before_the_question_has_ended_ends_the_connection(pool: HttpPool) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 20):
                pass
        writer.close()
        ended.set()

    ended = anyio.Event()
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        response = await pool.ask(Target(URL(f"http://127.0.0.1:{port}/"), {}), "POST", {}, b"x" * 20_000_000)
        assert response.status == 413
        assert await response.read() == b"no"
        await ended.wait()
        assert not pool._open


async def test_a_reader_that_is_slow_makes_the_upstream_wait(pool: HttpPool) -> None:
    sent = 0

    async def script(call: Call) -> None:
        nonlocal sent
        await call.stream()
        for _ in range(400):
            await call.chunk(b"x" * 100_000)
            sent += 100_000

    async with http_upstream(script) as upstream:
        response = await ask(pool, upstream)
        before = -1
        while before != sent or not sent:
            before = sent
            await anyio.sleep(0.02)
        assert sent < 30_000_000
        assert response._size <= READ_AHEAD_BYTES + 512 * 1024
        assert len(await everything(response)) == 40_000_000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "x-gzip"])
async def test_a_body_compressed_unasked_is_understood(pool: HttpPool, coding: str) -> None:
    plain = b"tell me more " * 300_000
    packed = gzip.compress(plain) if "gzip" in coding else zlib.compress(plain)

    async def script(call: Call) -> None:
        await call.reply(200, packed, content_encoding=coding)

    async with http_upstream(script) as upstream:
        response = await ask(pool, upstream)
        assert response.encoded
        pieces = []
        while piece := await response.readany():
            pieces.append(len(piece))
        assert sum(pieces) == len(plain)
        assert max(pieces) <= 1024 * 1024


async def test_what_is_not_compressed_as_it_says_is_dropped(pool: HttpPool) -> None:
    async def script(call: Call) -> None:
        await call.reply(200, b"plain", content_encoding="gzip")

    async with http_upstream(script) as upstream:
        with pytest.raises(Dropped, match="not encoded"):
            await (await ask(pool, upstream)).readany()


@pytest.mark.parametrize("apart", [False, True])
async def test_what_goes_on_after_its_compressed_end_is_dropped(pool: HttpPool, apart: bool) -> None:
    packed, more = gzip.compress(b"{}"), b"x" * 100_000
    chunks = [packed, more] if apart else [packed + more]
    pieces = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    head = OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with http_upstream(sends(head, *pieces, b"0\r\n\r\n")) as upstream:
        with pytest.raises(Dropped, match="goes on after the end"):
            await everything(await ask(pool, upstream))


@pytest.mark.parametrize("when", ["before the head", "in the body"])
async def test_giving_up_closes_the_stream_at_once(pool: HttpPool, when: str) -> None:
    gone = anyio.Event()

    async def script(call: Call) -> None:
        if when == "in the body":
            await call.stream()
        asked.set()
        await call.gone()
        gone.set()

    asked = anyio.Event()
    async with http_upstream(script) as upstream:
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                response = await ask(pool, upstream)
                try:
                    await response.readany()
                finally:
                    response.close()

            tasks.start_soon(wait)
            await asked.wait()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await gone.wait()
        assert not pool._open


async def test_a_response_that_is_let_go_of_frees_its_connection_when_it_ends(pool: HttpPool) -> None:
    end = anyio.Event()

    async def script(call: Call) -> None:
        await call.stream()
        await call.chunk(b"x" * 1000)
        await end.wait()

    async with http_upstream(script) as upstream:
        response = await ask(pool, upstream)
        response.let_go(60)
        end.set()
        while not response.complete:
            await anyio.lowlevel.checkpoint()
        assert response._chunks == []
        (await ask(pool, upstream)).let_go(60)
        assert upstream.connections == 1


async def test_a_response_that_is_let_go_of_and_does_not_end_is_closed(pool: HttpPool) -> None:
    async def script(call: Call) -> None:
        await call.stream()
        await call.gone()

    async with http_upstream(script) as upstream:
        (await ask(pool, upstream)).let_go(0.01)
        while pool._open:
            await anyio.lowlevel.checkpoint()


def test_header_names_have_no_letter_case() -> None:
    headers = Headers({"content-type": "a/b"})
    assert headers.get("Content-Type") == "a/b"
    assert "CONTENT-TYPE" in headers
    assert headers.get("X") is None
