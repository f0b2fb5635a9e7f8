from __future__ import annotations

import asyncio

import anyio
import pytest

from fuseboard.deadline import Deadline, Listening, Watched, told
from fuseboard.errors import UpstreamCutShort, UpstreamTimeout
from fuseboard.ports import Reply, Result
from fuseboard.scopes import Silent
from support.virtual_time import anyio_backend  # noqa: F401


@pytest.mark.parametrize(
    ("had_s", "own_s", "cut_short"),
    [(60.0, 60.0, False), (54.0, 60.0, False), (30.0, 60.0, False), (29.9, 60.0, True), (0.001, 60.0, True)],
)
def test_a_time_that_ran_out_early_is_no_word_on_the_upstream(had_s: float, own_s: float, cut_short: bool) -> None:
    fault = told(UpstreamTimeout("up", "up did not answer"), had_s=had_s, own_s=own_s)
    assert isinstance(fault, UpstreamCutShort) is cut_short
    assert ("its caller had no more time" in fault.message) is cut_short
    assert fault.upstream == "up"


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


class Said:
    """A call whose upstream speaks at these times, on a way back that is listened to."""

    def __init__(self, *at_s: float) -> None:
        self._at_s = at_s
        self.elapsed_s = 0.0

    async def ends(self, timeout_s: float, idle_s: float, *, asks_s: float = 0.0) -> str:
        began_s = anyio.current_time()
        watched = Watched(timeout_s, idle_s)
        scope = Listening(_Slow(asks_s), watched, watched.heard)
        try:
            if asks_s:
                await scope.request("elicitation/create", None)
            for at_s in self._at_s:
                await anyio.sleep(at_s - (anyio.current_time() - began_s))
                scope.notify("notifications/progress", None)
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            if not watched.was_it():
                raise
        finally:
            watched.over()
        self.elapsed_s = round(anyio.current_time() - began_s, 3)
        return "idle" if watched.was_idle else "late"


class _Slow(Silent):
    """A client that thinks for a while about what it is asked."""

    def __init__(self, think_s: float) -> None:
        super().__init__()
        self._think_s = think_s

    async def request(self, method: str, params: bytes | None) -> Reply:
        await anyio.sleep(self._think_s)
        return Result(b"{}")


@pytest.mark.parametrize(
    ("spoke_at_s", "asks_s", "end", "elapsed_s"),
    [
        pytest.param((), 0.0, "idle", 2.0, id="silent from the start"),
        pytest.param((1.5, 3.0), 0.0, "idle", 5.0, id="silent after a while"),
        pytest.param((1.5, 3.0, 4.5, 6.0, 7.5, 9.0), 0.0, "late", 10.0, id="progress never moves the cap"),
        pytest.param((), 7.0, "idle", 9.0, id="while the client's user thinks the upstream is not silent"),
        pytest.param((), 60.0, "late", 10.0, id="but the cap holds then, too"),
    ],
)
async def test_silence_is_counted_from_the_last_word(
    spoke_at_s: tuple[float, ...], asks_s: float, end: str, elapsed_s: float
) -> None:
    said = Said(*spoke_at_s)
    assert await said.ends(10.0, 2.0, asks_s=asks_s) == end
    assert said.elapsed_s == elapsed_s
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_call_that_ends_in_time_leaves_no_timer() -> None:
    watched = Watched(60.0, 1.0)
    watched.over()
    await anyio.sleep(100.0)
    assert not watched.was_idle


def test_a_way_back_that_is_listened_to_is_the_same_way() -> None:
    async def tried() -> None:
        watched = Watched(60.0, 1.0)
        inner = _Slow(0.0)
        scope = Listening(inner, watched, watched.heard)
        scope.stream()
        scope.release()
        assert (scope.request_id, scope.connection) == (None, inner)
        watched.over()

    asyncio.run(tried())
