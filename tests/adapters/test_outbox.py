from __future__ import annotations

import asyncio
from typing import Any

from fuseboard.adapters.outbox import Outbox


class FakePipe(asyncio.WriteTransport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closing = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.writes))


class Crowd:
    def __init__(self, alone: bool, limit_bytes: int = 1000) -> None:
        self.alone = alone
        self.full = 0
        self.pipe = FakePipe()
        self.outbox = Outbox(self.pipe, alone=lambda: self.alone, limit_bytes=limit_bytes, on_full=self.fill)

    def fill(self) -> None:
        self.full += 1


async def test_whoever_is_alone_writes_at_once() -> None:
    crowd = Crowd(alone=True)
    crowd.outbox.put(b"a")
    crowd.outbox.put(b"b")
    assert crowd.pipe.writes == [b"a\n", b"b\n"]


async def test_the_frames_of_one_turn_leave_in_one_write_in_their_order() -> None:
    crowd = Crowd(alone=False)
    crowd.outbox.put(b"a")
    crowd.outbox.put(b"b")
    crowd.alone = True
    crowd.outbox.put(b"c")
    assert crowd.pipe.writes == []
    await asyncio.sleep(0)
    assert crowd.pipe.writes == [b"a\nb\nc\n"]
    crowd.outbox.put(b"d")
    assert crowd.pipe.writes[1:] == [b"d\n"]


async def test_what_waits_can_be_written_before_the_pipe_is_closed() -> None:
    crowd = Crowd(alone=False)
    crowd.outbox.put(b"a")
    crowd.outbox.flush()
    await asyncio.sleep(0)
    assert crowd.pipe.writes == [b"a\n"]


async def test_into_a_closed_pipe_nothing_is_written() -> None:
    crowd = Crowd(alone=False)
    crowd.outbox.put(b"a")
    crowd.pipe.closing = True
    crowd.outbox.put(b"b")
    await asyncio.sleep(0)
    assert crowd.pipe.writes == []


async def test_a_reader_that_does_not_read_is_told_of() -> None:
    crowd = Crowd(alone=False, limit_bytes=10)
    for _ in range(3):
        crowd.outbox.put(b"12345")
    assert crowd.full == 0
    await asyncio.sleep(0)
    assert crowd.full == 1
