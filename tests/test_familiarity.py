"""What is remembered of calls that worked, and for how long."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from fuseboard.adapters.stores.table import Table
from fuseboard.events import Caller
from fuseboard.familiarity import KEPT, KEPT_S, NOTHING, Seen, keys, remembered
from fuseboard.readings import read
from fuseboard.state import EMPTY
from support.judging import DEPLOY, WRITE, call

DAY_S = 86400.0


class Memory:
    """A store's table, and calls that worked."""

    def __init__(self) -> None:
        self.table = Table()

    def seen(self, arguments: dict[str, Any], *, at: float = 0.0, tool: Any = DEPLOY) -> Seen:
        event = call(tool, arguments)
        return Seen.of(event, self.table.read(keys(event), at=at))

    def worked(self, arguments: dict[str, Any], *, at: float = 0.0, tool: Any = DEPLOY) -> int:
        """How many writes it took to remember it."""
        event = call(tool, arguments)
        writes = remembered(event, read(arguments), self.seen(arguments, at=at, tool=tool), at=at)
        assert self.table.apply(writes, EMPTY, at=at) is not None
        return len(writes)


def test_nothing_is_familiar_at_first() -> None:
    assert Memory().seen({"to": "ana"}) == NOTHING


def test_what_worked_is_familiar_afterwards() -> None:
    memory = Memory()
    memory.worked({"to": "ana"})
    reading, seen = read({"to": "ana"}), memory.seen({})
    assert reading.shape in seen.shapes
    assert reading.identities.keys() <= seen.values.keys()


def test_a_familiar_call_writes_nothing() -> None:
    memory = Memory()
    assert memory.worked({"to": "ana"}) == 2
    assert memory.worked({"to": "ana"}, at=DAY_S) == 0


def test_tools_and_principals_have_memories_of_their_own() -> None:
    memory = Memory()
    memory.worked({"to": "ana"})
    assert memory.seen({}, tool=WRITE) == NOTHING
    mine, theirs = call(DEPLOY), replace(call(DEPLOY), caller=Caller("ben"))
    assert not set(keys(mine)) & set(keys(theirs))


def test_what_is_used_now_and_then_stays_familiar() -> None:
    memory = Memory()
    memory.worked({"to": "ana"})
    for days in range(20, 400, 20):
        memory.worked({"to": "ana"}, at=days * DAY_S)
        assert memory.seen({}, at=days * DAY_S).values


def test_what_is_not_used_for_long_is_new_again() -> None:
    memory = Memory()
    memory.worked({"to": "ana"})
    assert memory.seen({}, at=KEPT_S + 1) == NOTHING


def test_the_memory_is_bounded_and_keeps_the_newest() -> None:
    memory = Memory()
    for number in range(2 * KEPT):
        memory.worked({"to": f"p{number}", f"k{number}": 1})
    seen = memory.seen({})
    assert len(seen.values) == len(seen.shapes) == KEPT
    assert read({"to": f"p{2 * KEPT - 1}"}).identities.keys() <= seen.values.keys()
    assert not read({"to": "p0"}).identities.keys() & seen.values.keys()


def test_one_call_with_ever_so_many_names_writes_no_more_than_is_kept() -> None:
    assert Memory().worked({"to": [f"p{number}" for number in range(10 * KEPT)]}) == KEPT + 1
