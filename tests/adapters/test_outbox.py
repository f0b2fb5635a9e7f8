from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fuseboard.adapters.outbox import Outbox
from fuseboard.adapters.pipes import UNSENT_LIMIT_BYTES


class FakePipe(asyncio.WriteTransport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closing = False
        self.read_bytes = 0

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.writes)) - self.read_bytes


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


FRAME_BYTES = 64_000_000
"""The default of ``limits.frame``."""


@pytest.mark.parametrize("alone", [True, False])
async def test_one_frame_of_the_largest_size_waits_beside_all_that_may_wait(alone: bool) -> None:
    crowd = Crowd(alone, UNSENT_LIMIT_BYTES)
    small = b"x" * (1024 * 1024 - 1)
    for _ in range(16):
        crowd.outbox.put(small)
    crowd.outbox.put(b"y" * FRAME_BYTES)
    for _ in range(16):
        crowd.outbox.put(small)
    await asyncio.sleep(0)
    assert (crowd.full, crowd.pipe.get_write_buffer_size()) == (0, UNSENT_LIMIT_BYTES + FRAME_BYTES + 1)
    crowd.outbox.put(b"")
    await asyncio.sleep(0)
    assert crowd.full == 1


async def test_a_large_frame_that_has_been_read_in_part_or_whole_counts_for_nothing_any_more() -> None:
    crowd = Crowd(alone=True, limit_bytes=10)
    crowd.outbox.put(b"y" * 100)
    crowd.pipe.read_bytes = 60
    crowd.outbox.put(b"x" * 9)
    assert crowd.full == 0
    crowd.pipe.read_bytes = 101
    crowd.outbox.put(b"")
    assert crowd.full == 1


async def test_a_second_large_frame_waits_for_the_first_to_be_read() -> None:
    crowd = Crowd(alone=True, limit_bytes=10)
    crowd.outbox.put(b"y" * 100)
    crowd.pipe.read_bytes = 101
    crowd.outbox.put(b"y" * 200)
    assert crowd.full == 0
    crowd.outbox.put(b"y" * 50)
    assert crowd.full == 1
