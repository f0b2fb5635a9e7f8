"""Locks as the stores keep them: alone or together, for a while, and by rising tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuseboard import locks
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.ports import Store
from fuseboard.state import EMPTY, Lock, Unlock

AT = 1_790_000_000.0
KEY = locks.lock_key("file:/a")


def lock(owner: str, fence: int, *, exclusive: bool = True, hold_s: float = 60.0, renews: bool = False) -> Lock:
    return Lock(KEY, owner, owner, f"r-{owner}", "files__write", exclusive, fence, hold_s, locks.KEPT_S, renews)


def after(*writes: tuple[float, Lock | Unlock]) -> Any:
    """The lock after writes that all have to be granted, each at its second."""
    value: Any = None
    for at, write in writes:
        value = locks.released(value, write) if isinstance(write, Unlock) else locks.taken(value, write, at=AT + at)
        assert value is not None, write
    return value


def owners(value: Any, at: float) -> set[str]:
    return {one.owner for one in locks.holders(value, at=AT + at)}


def test_whoever_is_alone_keeps_all_others_out() -> None:
    held = after((0, lock("a", 1)))
    assert locks.taken(held, lock("b", 2), at=AT) is None
    assert locks.taken(held, lock("b", 2, exclusive=False), at=AT) is None
    assert [one.owner for one in locks.in_the_way(held, "b", exclusive=False, at=AT)] == ["a"]


def test_those_who_share_keep_out_who_wants_it_alone() -> None:
    held = after((0, lock("a", 1, exclusive=False)), (0, lock("b", 2, exclusive=False)))
    assert owners(held, 1) == {"a", "b"}
    assert locks.taken(held, lock("c", 3), at=AT) is None
    assert locks.in_the_way(held, "c", exclusive=False, at=AT) == ()


def test_a_lease_that_is_over_is_in_nobody_s_way() -> None:
    held = after((0, lock("a", 1, hold_s=10)))
    assert owners(held, 9.9) == {"a"}
    assert owners(held, 10) == set()
    assert owners(after((0, lock("a", 1, hold_s=10)), (10, lock("b", 2))), 10) == {"b"}


def test_who_holds_it_goes_on_holding_it_by_the_same_token() -> None:
    held = after((0, lock("a", 5, hold_s=10)), (8, lock("a", 9, hold_s=10)))
    (one,) = locks.holders(held, at=AT + 17)
    assert (one.fence, one.since, one.until) == (5, AT, AT + 18)
    assert locks.next_fence(held, "a", exclusive=True, at=AT + 9) == 5


def test_who_shares_and_wants_it_alone_gets_a_new_token_once_nobody_else_shares() -> None:
    held = after((0, lock("a", 5, exclusive=False)))
    assert locks.next_fence(held, "a", exclusive=True, at=0.0) == 6
    (one,) = locks.holders(after((0, lock("a", 5, exclusive=False)), (1, lock("a", 6))), at=AT + 1)
    assert (one.alone, one.fence) == (True, 6)


def test_a_renewal_takes_nothing_that_was_lost() -> None:
    held = after((0, lock("a", 1, hold_s=10)))
    assert owners(after((0, lock("a", 1, hold_s=10)), (5, lock("a", 1, hold_s=10, renews=True))), 14) == {"a"}
    assert locks.taken(held, lock("a", 1, renews=True), at=AT + 11) is None
    assert locks.taken(None, lock("a", 1, renews=True), at=AT) is None


def test_a_token_that_is_not_higher_is_refused() -> None:
    free = after((0, lock("a", 7)), (1, Unlock(KEY, "a", 60.0)))
    assert locks.taken(free, lock("b", 7), at=AT + 2) is None
    assert locks.taken(free, lock("b", 7, exclusive=False), at=AT + 2) is None
    assert locks.taken(free, lock("b", 8, exclusive=False), at=AT + 2) is not None


def test_tokens_rise_though_the_lock_was_forgotten() -> None:
    assert locks.next_fence(None, "b", exclusive=True, at=AT) == int(AT * 1000)
    assert locks.next_fence({"fence": 2 * int(AT * 1000)}, "b", exclusive=True, at=AT) == 2 * int(AT * 1000) + 1


def test_giving_back_what_one_does_not_hold_changes_nothing() -> None:
    held = after((0, lock("a", 1)))
    assert locks.released(held, Unlock(KEY, "b", 60.0)) == held
    assert locks.released(None, Unlock(KEY, "b", 60.0)) == {"held": {}}


def test_a_name_comes_back_out_of_its_key() -> None:
    assert locks.name_of(locks.lock_key("file:/a")) == "file:/a"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "share", "renew", "release", "wait"]),
        st.sampled_from("abc"),
        st.floats(0.0, 8.0, allow_nan=False),
    ),
    max_size=30,
)


class History:
    """What each step was answered, and the invariants that hold whatever the answers are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._at = AT
        self._alone = 0
        self.answers: list[Any] = []

    async def step(self, act: str, owner: str, seconds: float) -> None:
        store, at = self._store, self._at
        if act == "wait":
            self._at += seconds
            return
        read = await store.read([KEY], at=at)
        if act == "release":
            write: Lock | Unlock = Unlock(KEY, owner, locks.KEPT_S)
        else:
            alone = act == "take"
            fence = locks.next_fence(read.get(KEY), owner, exclusive=alone, at=at)
            write = lock(owner, fence, exclusive=alone, hold_s=5.0, renews=act == "renew")
        before = owners(read.get(KEY), at - AT)
        granted = await store.commit([write], EMPTY, None, at=at)
        value = (await store.read([KEY], at=at)).get(KEY)
        self.answers.append((granted, value))
        self._holds(act, owner, before, value, granted)

    def _holds(self, act: str, owner: str, before: set[str], value: Mapping[str, Any], granted: bool) -> None:
        now = list(locks.holders(value, at=self._at))
        assert len(now) <= 1 or not any(one.alone for one in now)
        if act in ("take", "share") and granted:
            (mine,) = [one for one in now if one.owner == owner]
            assert mine.until > self._at
            if act == "take" and owner not in before:
                assert mine.fence > self._alone
            if mine.alone:
                self._alone = max(self._alone, mine.fence)
        if act == "renew":
            assert granted == (owner in before)
        if act == "take" and before - {owner}:
            assert not granted


@contextmanager
def both() -> Iterator[tuple[Store, Store]]:
    with TemporaryDirectory() as folder:
        yield MemoryStore(), SqliteStore.open(Path(folder) / "ledger.db")


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_all_histories_are_sound_and_both_stores_tell_the_same(steps: list[tuple[str, str, float]]) -> None:
    async def played() -> None:
        with both() as stores:
            histories = [History(store) for store in stores]
            for history in histories:
                for step in steps:
                    await history.step(*step)
            for store in stores:
                await store.close()
            assert histories[0].answers == histories[1].answers

    asyncio.run(played())


@pytest.mark.parametrize("count", [2, 3])
def test_a_commit_of_several_locks_takes_all_or_none(count: int) -> None:
    async def tried() -> None:
        store = MemoryStore()
        await store.commit([lock("other", 1)], EMPTY, None, at=AT)
        free = [
            Lock(f"lock/{n}", "a", "a", "r", "t", exclusive=True, fence=1, hold_s=9.0, ttl_s=60.0) for n in range(count)
        ]
        assert not await store.commit([*free, lock("a", 2)], EMPTY, None, at=AT)
        assert (await store.read([one.key for one in free], at=AT)).values == {}

    asyncio.run(tried())
