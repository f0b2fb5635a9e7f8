"""The operator's hand on what was delivered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.approvals import Unsettled
from fuseboard.errors import StoreUnavailable
from fuseboard.influence import Passed, Reached
from fuseboard.revocation import GATE, MARKS, RECORDS, Marks, Revocation, mark_key, marks
from fuseboard.revoking import Revoker, mark_of
from support.passing import passed, wrote

AT = 100.0


class Ledger:
    """A ledger whose writers are behind: at each look it holds ``more`` one call further."""

    def __init__(self, *calls: Passed, more: Iterable[Passed] = ()) -> None:
        self.calls = list(calls)
        self.more = list(more)
        self.asked: list[float] = []

    def since(self, at: float) -> Iterable[Passed]:
        self.asked.append(at)
        found = sorted(self.calls, key=lambda call: call.at)
        if self.more:
            self.calls.append(self.more.pop(0))
        return found

    def call(self, id: str) -> Passed | None:
        return next((call for call in self.calls if call.id == id), None)

    def first(self, like: Passed) -> float | None:
        same = [call.ended_at for call in self.calls if call.result_sha256 == like.result_sha256]
        return min((at for at in same if at is not None), default=None)

    def knows(self, upstream: str, tool: str | None) -> bool:
        return any(call.upstream == upstream and tool in (None, call.tool) for call in self.calls)


PAGE = passed("d-1", "a", 1.0, 2.0)
ACT = wrote("d-2", "a", 3.0, 4.0)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


KNOWN = (GATE, *(RECORDS + id for id in ("v-1", "v-2")), *(mark_key(run) for run in "abcd"))


def revoker(store: MemoryStore, ledger: Ledger) -> Revoker:
    """What stands in the store is looked up among the keys that these tests use."""

    def under(beginning: str) -> Mapping[str, object]:
        table: Any = store
        now = table._table.read(KNOWN, at=AT)
        return {key: value for key, value in now.values.items() if key.startswith(beginning)}

    return Revoker(store, ledger, lambda: AT, under)


async def marked_runs(store: MemoryStore) -> dict[str, Marks]:
    read = await store.read([mark_key(run) for run in "abcd"], at=AT)
    return {key.removeprefix(MARKS): marks(value) for key, value in read.values.items()}


async def revoke(hand: Revoker, what: str, id: str = "v-1", **window: float) -> Any:
    return await hand.revoke(id, what, by="ida", why="why", since=window.get("since", 0.0), until=window.get("until"))


async def test_a_result_is_taken_back_and_the_run_that_saw_it_is_marked(store: MemoryStore) -> None:
    ledger = Ledger(PAGE, ACT, wrote("d-3", "b", 5.0, 6.0))
    found = await revoke(revoker(store, ledger), "d-1")
    assert ([act.id for act in found.influence.acts], found.again) == (["d-2"], False)
    assert ledger.asked == [2.0, 2.0]
    (run,) = (await marked_runs(store)).items()
    assert run[0] == "a"
    mark = run[1]["v-1"]
    assert (mark.seen, mark.since, mark.by, mark.asked_at) == ("d-1", 2.0, "ida", None)
    assert mark.said == "what web__fetch returned, revoked at 1970-01-01 00:01:40 UTC by ida (why)"
    assert (await store.read((GATE,), at=AT)).get(GATE) == {}


async def test_of_a_server_what_is_still_to_come_is_withheld_before_anybody_is_looked_for(store: MemoryStore) -> None:
    seen: list[Any] = []

    class Watched(Ledger):
        def since(self, at: float) -> Iterable[Passed]:
            table: Any = store
            seen.append(table._table.read((GATE,), at=AT).get(GATE))
            return super().since(at)

    await revoke(revoker(store, Watched(PAGE)), "web", since=1.0)
    assert [list(gate) for gate in seen] == [["web"], ["web"]]


async def test_who_took_it_in_while_it_was_looked_for_is_marked_too(store: MemoryStore) -> None:
    late = [
        replace(PAGE, id="d-8", run="b", at=7.0, ended_at=8.0),
        replace(PAGE, id="d-9", run="c", at=8.0, ended_at=9.0),
    ]
    found = await revoke(revoker(store, Ledger(PAGE, more=late)), "web")
    assert sorted(await marked_runs(store)) == sorted(found.influence.runs) == ["a", "b", "c"]


async def test_where_that_does_not_end_it_is_said(store: MemoryStore) -> None:
    endless = [passed(f"d-{n}", f"run{n}", float(n), n + 0.5) for n in range(2, 20)]
    with pytest.raises(StoreUnavailable, match="ask again"):
        await revoke(revoker(store, Ledger(PAGE, more=endless)), "web")


async def test_the_same_again_is_the_same_act_looked_through_anew(store: MemoryStore) -> None:
    ledger = Ledger(PAGE)
    hand = revoker(store, ledger)
    await revoke(hand, "web")
    ledger.calls.append(replace(PAGE, id="d-5", run="d", at=5.0, ended_at=6.0))
    found = await revoke(hand, "web", "v-2", since=5.0)
    assert (found.revocation.id, found.again) == ("v-1", True)
    assert sorted(await marked_runs(store)) == ["a", "d"]
    assert [one.id for one in hand.acts()] == ["v-1"]


async def test_what_is_lifted_stands_no_longer_and_stays_on_record(store: MemoryStore) -> None:
    hand = revoker(store, Ledger(PAGE, ACT))
    await revoke(hand, "web")
    await revoke(hand, "d-1", "v-2")
    lifted = await hand.lift("v-1", by="eve", why="false alarm")
    assert (lifted.lifted_by, lifted.lifted_at, lifted.lifted_why) == ("eve", AT, "false alarm")
    assert (await store.read((GATE,), at=AT)).get(GATE) == {}
    assert {run: list(there) for run, there in (await marked_runs(store)).items()} == {"a": ["v-2"]}
    assert [one.stands for one in sorted(hand.acts(), key=lambda one: one.id)] == [False, True]
    with pytest.raises(Unsettled, match="lifted already by eve"):
        await hand.lift("v-1", by="bob", why="")
    found = await revoke(hand, "web", "v-1")  # and may be revoked anew
    assert not found.again


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("d-9", "no call d-9 on record"),
        ("d-4", "d-4 returned nothing that anybody saw"),
        ("files", "nothing on record was ever called at files"),
        ("web__none", "nothing on record was ever called at web__none"),
    ],
)
async def test_what_cannot_be_taken_back_is_said(store: MemoryStore, what: str, said: str) -> None:
    with pytest.raises(Unsettled, match=said):
        await revoke(revoker(store, Ledger(PAGE, passed("d-4", at=5.0))), what)
    with pytest.raises(Unsettled, match="v-9 is not known here"):
        await revoker(store, Ledger()).lift("v-9", by="eve", why="")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("saw", "what web__fetch returned, revoked"),
        ("called", "the words of a run that called it, which had taken in what was revoked"),
        ("returned", "what the agent web__fetch gave back, which had taken in what was revoked"),
        ("read", "what it read from memory by web__fetch, written by a run that had taken in what was revoked"),
    ],
)
def test_a_mark_tells_how_it_came_in(how: str, said: str) -> None:
    by = "" if how == "called" else "web__fetch"
    mark = mark_of(Revocation("v-1", "web", AT, "ida"), Reached("a", "ana", 2.0, how, "d-1", by))
    assert mark.said.startswith(said)
