from __future__ import annotations

import asyncio

import anyio
import pytest

from fuseboard.deadline import Deadline


async def within(timeout_s: float, seconds: float) -> str:
    deadline = Deadline(timeout_s)
    try:
        await asyncio.sleep(seconds)
        return "done"
    except asyncio.CancelledError:
        if not deadline.was_it():
            raise
        return "late"
    finally:
        deadline.over()


async def test_what_is_done_in_time_is_left_alone() -> None:
    assert await within(0.02, 0) == "done"
    await asyncio.sleep(0.04)


async def test_what_takes_too_long_is_cancelled_and_the_task_goes_on() -> None:
    assert await within(0.001, 60) == "late"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await within(0.001, 60) == "late"


async def test_somebody_elses_cancellation_is_none_of_it() -> None:
    task = asyncio.create_task(within(60, 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_of_two_cancellations_at_once_the_others_counts() -> None:
    deadline: list[Deadline] = []

    async def wait() -> None:
        deadline.append(Deadline(60))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not deadline[0].was_it():
                raise

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    deadline[0]._expire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_outer_scope_that_ends_first_is_not_taken_for_it() -> None:
    with anyio.move_on_after(0.001) as scope:
        await within(60, 60)
    assert scope.cancelled_caught
