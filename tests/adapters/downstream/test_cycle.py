"""One request and its response on a transport that only remembers what was written."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from fuseboard.adapters.downstream.cycle import Cycle


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False
        self.reading = True

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class FakeServer:
    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.flow = FlowControl(self.transport)
        self.done: list[Cycle] = []
        self.default_headers = [(b"date", b"now")]

    @property
    def written(self) -> bytes:
        return b"".join(self.transport.writes)

    def answered(self, cycle: Cycle) -> None:
        self.done.append(cycle)


def cycle_on(server: FakeServer, method: str = "POST", *, keep_alive: bool = True, waits: bool = False) -> Cycle:
    return Cycle(server, {"method": method}, keep_alive=keep_alive, waits=waits)


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


LENGTH_2 = (b"content-length", b"2")


async def test_a_small_answer_is_one_write() -> None:
    server = FakeServer()
    cycle = cycle_on(server)
    await cycle.send(start(200, (b"x", b"y"), LENGTH_2))
    assert server.transport.writes == []
    await cycle.send(body(b"ok"))
    assert server.transport.writes == [b"HTTP/1.1 200 OK\r\ndate: now\r\nx: y\r\ncontent-length: 2\r\n\r\nok"]
    assert server.done == [cycle]
    assert not server.transport.closed


async def test_a_large_answer_is_not_copied_behind_its_head() -> None:
    server = FakeServer()
    cycle = cycle_on(server)
    await cycle.send(start(200, (b"content-length", b"1000000")))
    await cycle.send(body(b"x" * 1_000_000))
    assert [len(data) < 100 for data in server.transport.writes] == [True, False]
    assert cycle.complete


async def test_the_head_of_a_stream_does_not_wait_for_its_first_chunk() -> None:
    server = FakeServer()
    cycle = cycle_on(server)
    await cycle.send(start())
    assert server.written.endswith(b"transfer-encoding: chunked\r\n\r\n")
    for message in (body(b"abc", more=True), body(b"", more=True), body(b"d")):
        await cycle.send(message)
    assert server.transport.writes[1:] == [b"3\r\nabc\r\n", b"1\r\nd\r\n0\r\n\r\n"]


@pytest.mark.parametrize("says", ["the server", "the answer"])
async def test_the_end_of_the_connection_is_announced_once(says: str) -> None:
    server = FakeServer()
    cycle = cycle_on(server, keep_alive=says != "the server")
    own = [(b"connection", b"close")] if says == "the answer" else []
    await cycle.send(start(200, LENGTH_2, *own))
    await cycle.send(body(b"ok"))
    assert server.written.count(b"connection: close") == 1
    assert server.transport.closed


@pytest.mark.parametrize(("status", "method"), [(204, "GET"), (304, "GET"), (200, "HEAD")])
async def test_what_has_no_body_has_no_chunks(status: int, method: str) -> None:
    server = FakeServer()
    cycle = cycle_on(server, method)
    await cycle.send(start(status))
    await cycle.send(body(b"unseen" if method == "HEAD" else b""))
    assert server.written.endswith(b"\r\n\r\n")
    assert b"chunked" not in server.written
    assert cycle.complete


@pytest.mark.parametrize("length", [b"1", b"3"])
async def test_a_body_of_another_length_than_it_says_is_a_fault_of_ours(length: bytes) -> None:
    cycle = cycle_on(FakeServer())
    await cycle.send(start(200, (b"content-length", length)))
    with pytest.raises(RuntimeError, match="not as long"):
        await cycle.send(body(b"ok"))


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb"])
async def test_a_header_cannot_start_another(value: bytes) -> None:
    server = FakeServer()
    with pytest.raises(ValueError, match="end its line"):
        await cycle_on(server).send(start(200, (b"x", value)))
    assert server.written == b""


async def test_nothing_follows_the_end() -> None:
    cycle = cycle_on(FakeServer())
    await cycle.send(start(204))
    await cycle.send(body())
    with pytest.raises(RuntimeError, match="after the end"):
        await cycle.send(body())


async def test_a_body_is_received_in_the_pieces_in_which_it_came() -> None:
    cycle = cycle_on(FakeServer())
    cycle.feed(b"a")
    cycle.feed(b"b")
    assert await cycle.receive() == {"type": "http.request", "body": b"ab", "more_body": True}
    waiting = asyncio.create_task(cycle.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    cycle.feed(b"c")
    cycle.fed()
    assert await waiting == {"type": "http.request", "body": b"c", "more_body": False}


async def test_a_client_that_waits_is_told_to_go_on_once() -> None:
    server = FakeServer()
    cycle = cycle_on(server, waits=True)
    cycle.fed()
    await cycle.receive()
    cycle.wake()
    await cycle.receive()
    assert server.transport.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]


async def test_a_client_that_is_refused_is_not_told_to_go_on() -> None:
    server = FakeServer()
    cycle = cycle_on(server, waits=True)
    await cycle.send(start(413, LENGTH_2))
    await cycle.send(body(b"no"))
    assert (await cycle.receive())["type"] == "http.disconnect"
    assert b"100 Continue" not in server.written


async def test_a_body_that_nobody_receives_is_not_read_on() -> None:
    server = FakeServer()
    cycle = cycle_on(server)
    cycle.feed(b"x" * 100_000)
    assert not server.transport.reading
    await cycle.receive()
    reading = asyncio.create_task(cycle.receive())
    await asyncio.sleep(0)
    assert server.transport.reading
    cycle.lost()
    assert (await reading)["type"] == "http.disconnect"


@pytest.mark.parametrize("how", ["lost", "answered"])
async def test_the_end_wakes_whoever_watches_for_it(how: str) -> None:
    cycle = cycle_on(FakeServer())
    cycle.fed()
    await cycle.receive()
    watching = asyncio.create_task(cycle.receive())
    await asyncio.sleep(0)
    if how == "lost":
        cycle.lost()
    else:
        await cycle.send(start(204))
        await cycle.send(body())
    assert (await watching)["type"] == "http.disconnect"


async def test_to_a_client_that_left_nothing_is_written() -> None:
    server = FakeServer()
    cycle = cycle_on(server)
    cycle.lost()
    await cycle.send(start())
    await cycle.send(body(b"x"))
    assert server.written == b""


async def test_a_client_that_does_not_read_is_waited_for() -> None:
    server = FakeServer()
    server.flow.pause_writing()
    sending = asyncio.create_task(cycle_on(server).send(start()))
    await asyncio.sleep(0)
    assert server.written == b""
    server.flow.resume_writing()
    await sending
    assert server.written


async def no_answer(scope: Any, receive: Any, send: Any) -> None:
    return None


async def half_an_answer(scope: Any, receive: Any, send: Any) -> None:
    await send(start())


async def trouble(scope: Any, receive: Any, send: Any) -> None:
    raise KeyError("ours")


@pytest.mark.parametrize("app", [no_answer, trouble])
async def test_a_request_left_without_an_answer_gets_a_500(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = FakeServer()
    with caplog.at_level(logging.ERROR):
        await cycle_on(server).run(app)
    assert server.written.startswith(b"HTTP/1.1 500 ")
    assert server.transport.closed
    assert caplog.records


async def test_half_an_answer_is_cut_off() -> None:
    server = FakeServer()
    await cycle_on(server).run(half_an_answer)
    assert server.transport.closed
    assert b"500" not in server.written


async def test_the_application_gets_the_scope_and_both_ways() -> None:
    server = FakeServer()
    cycle = cycle_on(server)
    cycle.feed(b"ok")
    cycle.fed()

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        assert scope is cycle.scope
        message = await receive()
        await send(start(200, LENGTH_2))
        await send(body(cast(bytes, message["body"])))

    await cycle.run(echo)
    assert server.written.endswith(b"\r\n\r\nok")
