from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.downstream.streams import EventStream, Journal, Outlet, event


class Connection:
    """The sending end of an ASGI connection. It blocks while ``stuck``."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ended = False
        self.aborted = False
        self._writable = anyio.Event()
        self._writable.set()

    def block(self) -> None:
        self._writable = anyio.Event()

    def abort(self) -> None:
        self.aborted = True
        self._writable.set()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self._writable.wait()
        if body := message.get("body"):
            self.sent.append(body)
        self.ended = message["type"] == "http.response.body" and not message["more_body"]

    def outlet(self, **limits: float) -> Outlet:
        return Outlet(self.send, Limits(**limits), abort=self.abort)  # type: ignore[arg-type]


def test_an_event_is_one_line_of_data() -> None:
    assert event(b'{"a":1}') == b'event: message\ndata: {"a":1}\n\n'
    assert event(b"{}", b"1-2") == b"id: 1-2\nevent: message\ndata: {}\n\n"


async def test_everything_queued_is_sent_before_the_end_and_nothing_after() -> None:
    connection = Connection()
    outlet = connection.outlet()
    outlet.put(b"one")
    outlet.put(b"two")
    outlet.close()
    outlet.put(b"three")
    await outlet.run()
    assert b"".join(connection.sent) == b"onetwo"
    assert connection.ended


async def test_a_reader_that_is_too_slow_loses_its_connection_and_no_memory() -> None:
    connection = Connection()
    outlet = connection.outlet(queue_bytes=1000)
    async with anyio.create_task_group() as tasks:
        connection.block()
        tasks.start_soon(outlet.run)
        await anyio.lowlevel.checkpoint()
        for _ in range(10_000):
            outlet.put(b"x" * 100)
        assert connection.aborted
        assert not outlet.open
    assert connection.sent == []


async def test_one_event_larger_than_the_bound_gets_through() -> None:
    connection = Connection()
    outlet = connection.outlet(queue_bytes=10)
    outlet.put(b"x" * 1000)
    outlet.close()
    await outlet.run()
    assert not connection.aborted
    assert connection.sent == [b"x" * 1000]


async def test_silence_is_broken_by_comments() -> None:
    connection = Connection()
    outlet = connection.outlet(ping_s=0.01)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outlet.run)
            while len(connection.sent) < 3:
                await anyio.lowlevel.checkpoint()
            outlet.close()
    assert set(connection.sent) == {b": ping\n\n"}


async def test_a_stream_without_a_connection_keeps_its_events_for_the_first_one() -> None:
    stream = EventStream(1, Journal(1000), retry_ms=None)
    stream.push(b"a")
    stream.end(b"b")
    connection = Connection()
    outlet = connection.outlet()
    stream.attach(outlet)
    await outlet.run()
    assert b"".join(connection.sent) == event(b"a", b"1-1") + event(b"b", b"1-2")


async def test_a_new_connection_takes_over_from_the_old_one() -> None:
    stream = EventStream(1, Journal(1000), retry_ms=None)
    old, new = Connection(), Connection()
    first, second = old.outlet(), new.outlet()
    stream.attach(first)
    stream.push(b"a")
    stream.attach(second)
    stream.push(b"b")
    stream.end()
    await first.run()
    await second.run()
    assert old.sent == [event(b"a", b"1-1")]
    assert new.sent == [event(b"b", b"1-2")]


async def test_a_detached_stream_goes_on_where_it_was() -> None:
    stream = EventStream(1, Journal(1000), retry_ms=500)
    old, new = Connection(), Connection()
    outlet = old.outlet()
    stream.attach(outlet)
    stream.detach()
    await outlet.run()
    assert old.sent == [b"id: 1-1\nretry: 500\ndata: \n\n"]
    assert not stream.attached
    stream.push(b"a")
    outlet = new.outlet()
    stream.attach(outlet, after=1)
    stream.end()
    await outlet.run()
    assert new.sent == [event(b"a", b"1-2")]


@given(
    st.integers(1, 400),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 200)), max_size=60),
)
def test_the_journal_is_bounded_and_keeps_the_latest_in_order(limit: int, events: list[tuple[int, int]]) -> None:
    journal = Journal(limit)
    written: list[tuple[int, int, bytes]] = []
    for stream, size in events:
        number = journal.number()
        written.append((stream, number, b"x" * size))
        journal.keep(*written[-1])
    kept = [chunk for stream in range(4) for chunk in journal.after(stream, 0)]
    assert sum(map(len, kept)) <= limit or len(kept) == 1
    for stream in range(4):
        own = [chunk for kept_for, _, chunk in written if kept_for == stream]
        found = list(journal.after(stream, 0))
        assert found == own[len(own) - len(found) :]
        assert journal.knows(stream) == bool(found)
    if written:
        stream, number, chunk = written[-1]
        assert list(journal.after(stream, number - 1)) == [chunk]
        assert list(journal.after(stream, number)) == []


@pytest.mark.parametrize("cut_after", range(5))
async def test_wherever_a_connection_breaks_the_next_one_brings_the_rest(cut_after: int) -> None:
    stream = EventStream(3, Journal(10_000), retry_ms=100)
    connection = Connection()
    stream.attach(connection.outlet())
    for number in range(4):
        stream.push(b"%d" % number)
    stream.end(b"end")
    later = connection.outlet()
    stream.attach(later, after=1 + cut_after)  # 1 is the priming event
    await later.run()
    expected = [b"0", b"1", b"2", b"3", b"end"][cut_after:]
    assert b"".join(connection.sent) == b"".join(
        event(data, b"3-%d" % (cut_after + 2 + index)) for index, data in enumerate(expected)
    )
