"""Places at an upstream: who gets one, who waits, and who makes way."""

from __future__ import annotations

from types import SimpleNamespace

import anyio
import msgspec
import pytest

from fuseboard.bulkheads import Bulkhead, Bulkheads, Turned, refused
from fuseboard.events import Ancestor, CallProposed
from support.judging import READ, call
from support.virtual_time import anyio_backend  # noqa: F401


def asked(id: str, run: str = "r", *below: str) -> CallProposed:
    ancestors = tuple(Ancestor(one, "f", "bob", "bob__ask", run) for one in below)
    return msgspec.structs.replace(call(READ), id=id, run=run, ancestors=ancestors)


class Line:
    """Calls that wait for a place, and what each was told, in the order of the ends."""

    def __init__(self, bulkhead: Bulkhead, tasks: anyio.abc.TaskGroup) -> None:
        self.ends: list[tuple[str, str]] = []
        self._bulkhead = bulkhead
        self._tasks = tasks

    async def joins(self, event: CallProposed, most_s: float = 60.0) -> None:
        assert not self._bulkhead.enter(event)
        self._tasks.start_soon(self._waits, event, most_s)
        await anyio.wait_all_tasks_blocked()

    async def _waits(self, event: CallProposed, most_s: float) -> None:
        turned = await self._bulkhead.turn(event, most_s=most_s)
        word = "in" if turned is None else "shed" if turned.shed else f"late {turned.waited_s:g}"
        self.ends.append((event.id, word))


def test_there_are_so_many_places_and_who_has_one_keeps_it() -> None:
    places = Bulkhead(2, 9, 5.0)
    assert [places.enter(asked(id)) for id in ("a", "b", "c", "a")] == [True, True, False, True]
    assert places.under_way == 2
    places.leave("a")
    places.leave("a")
    places.leave("nobody")
    assert [places.enter(asked(id)) for id in ("c", "d")] == [True, False]


def test_who_comes_back_goes_at_once_and_its_place_is_counted() -> None:
    places = Bulkhead(1, 9, 5.0)
    places.enter(asked("a"))
    places.leave("a")
    places.enter(asked("b"))
    places.come_back(asked("a"))
    places.come_back(asked("a"))
    assert places.under_way == 2
    places.leave("a")
    assert not places.enter(asked("c"))
    places.leave("b")
    assert places.enter(asked("c"))


async def test_a_place_goes_to_who_waits_longest() -> None:
    places = Bulkhead(1, 9, 5.0)
    places.enter(asked("a"))
    async with anyio.create_task_group() as tasks:
        line = Line(places, tasks)
        for id in ("b", "c", "d"):
            await line.joins(asked(id))
        places.leave("a")
        assert not places.enter(asked("e")), "nobody slips in before those who wait"
        await anyio.wait_all_tasks_blocked()
        assert line.ends == [("b", "in")]
        places.leave("b")
        places.leave("c")
        await anyio.wait_all_tasks_blocked()
        assert line.ends == [("b", "in"), ("c", "in"), ("d", "in")]
    assert (places.under_way, places.waiting) == (1, 0)


async def test_who_is_waited_for_goes_first() -> None:
    places = Bulkhead(1, 9, 5.0)
    places.enter(asked("a"))
    async with anyio.create_task_group() as tasks:
        line = Line(places, tasks)
        await line.joins(asked("b"))
        await line.joins(asked("child", "r", "elsewhere"))
        places.leave("a")
        await anyio.wait_all_tasks_blocked()
        places.leave("child")
    assert line.ends == [("child", "in"), ("b", "in")]


def test_a_child_never_waits_for_the_place_of_its_own_caller() -> None:
    places = Bulkhead(1, 9, 5.0)
    assert places.enter(asked("parent"))
    assert places.enter(asked("child", "r", "parent"))
    assert places.enter(asked("grandchild", "r", "child", "parent"))
    assert not places.enter(asked("sibling", "r", "parent"))
    assert not places.enter(asked("other", "r", "elsewhere"))


@pytest.mark.parametrize(("wait_s", "most_s", "late_s"), [(5.0, 60.0, 5.0), (5.0, 2.0, 2.0)])
async def test_nobody_waits_longer_than_the_line_or_the_call_allows(
    wait_s: float, most_s: float, late_s: float
) -> None:
    places = Bulkhead(1, 9, wait_s)
    places.enter(asked("a"))
    async with anyio.create_task_group() as tasks:
        line = Line(places, tasks)
        await line.joins(asked("b"), most_s)
    assert line.ends == [("b", f"late {late_s:g}")]
    assert places.waiting == 0


@pytest.mark.parametrize(("spent_s", "more_s"), [(0.0, 5.0), (3.0, 2.0), (6.0, 0.0)])
async def test_what_was_waited_before_counts(spent_s: float, more_s: float) -> None:
    places = Bulkhead(1, 9, 5.0)
    places.enter(asked("a"))
    began_s = anyio.current_time()
    turned = await places.turn(asked("b"), most_s=60.0, spent_s=spent_s)
    assert round(anyio.current_time() - began_s, 3) == more_s
    assert turned is not None
    assert round(turned.waited_s, 3) == spent_s + more_s


async def test_the_newest_of_the_run_with_the_most_makes_way() -> None:
    places = Bulkhead(1, 4, 5.0)
    places.enter(asked("a"))
    async with anyio.create_task_group() as tasks:
        line = Line(places, tasks)
        for id, run in (("g1", "greedy"), ("m1", "modest"), ("g2", "greedy"), ("g3", "greedy")):
            await line.joins(asked(id, run))
        await line.joins(asked("m2", "modest"))
        assert line.ends == [("g3", "shed")]
        await line.joins(asked("g4", "greedy"))
        assert line.ends[1:] == [("g4", "shed")]
        tasks.cancel_scope.cancel()


async def test_who_is_waited_for_makes_way_last() -> None:
    places = Bulkhead(1, 2, 5.0)
    places.enter(asked("a"))
    async with anyio.create_task_group() as tasks:
        line = Line(places, tasks)
        for event in (asked("c1", "r", "x"), asked("b", "s"), asked("c2", "r", "x"), asked("c3", "r", "x")):
            await line.joins(event)
        assert line.ends == [("b", "shed"), ("c3", "shed")]
        tasks.cancel_scope.cancel()


async def test_who_goes_away_is_gone_from_the_line() -> None:
    places = Bulkhead(1, 9, 5.0)
    places.enter(asked("a"))
    async with anyio.create_task_group() as tasks:
        await Line(places, tasks).joins(asked("b"))
        tasks.cancel_scope.cancel()
    assert places.waiting == 0
    places.leave("a")
    assert places.under_way == 0


async def test_without_a_line_nobody_waits() -> None:
    places = Bulkhead(1, 0, 5.0)
    places.enter(asked("a"))
    turned = await places.turn(asked("b"), most_s=60.0)
    assert turned is not None
    assert (turned.shed, turned.waited_s) == (True, 0.0)


def test_a_server_without_a_limit_has_no_places() -> None:
    free = SimpleNamespace(parallel=None, queue=1, queue_wait_s=1.0)
    one = SimpleNamespace(parallel=1, queue=1, queue_wait_s=1.0)
    heads = Bulkheads({"free": free, "one": one})
    assert heads.at("free") is None
    assert heads.at("unknown") is None
    found = heads.at("one")
    assert found is not None
    assert heads.busy() == {}
    found.enter(asked("a"))
    assert heads.busy() == {}, "only where somebody waits"


@pytest.mark.parametrize(
    ("turned", "says"),
    [
        (Turned(16, 64, 0.0, shed=True), "busy with 16 calls, and more calls wait for it than fit"),
        (Turned(16, 3, 5.0, shed=False), "busy with 16 calls, and none of them ended within 5.0 s"),
    ],
)
def test_the_refusal_says_why_and_when_to_come_back(turned: Turned, says: str) -> None:
    no = refused(asked("a"), turned)
    assert says in no.reason
    assert no.rule == "upstream.busy"
    assert no.retry_after_s == max(1.0, turned.waited_s)
