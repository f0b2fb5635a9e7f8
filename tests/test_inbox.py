"""The operator's hand on the store."""

from __future__ import annotations

import pytest

from fuseboard import approvals, locks
from fuseboard.accounts import TIME, standing
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.approvals import INDEX, PENDING, Approval, Binding, Unsettled, approval_key
from fuseboard.budgets import IDLE_S, run_key
from fuseboard.checkpoint import Note
from fuseboard.errors import StoreUnavailable
from fuseboard.inbox import Inbox
from fuseboard.reviews import RunState, state_key
from fuseboard.state import EMPTY, Lock, Push, Put, Reserve, Settle
from support.judging import DEPLOY, call

AT = 100.0


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def inbox(store: MemoryStore) -> Inbox:
    return Inbox(store, lambda: AT)


async def ask(store: MemoryStore, binding: Binding, *, at: float = AT) -> Approval:
    approval = Approval(
        binding.id, binding, PENDING, 1, "ci__deploy", "destructive", "why", "{}", ("cli",), at, at + 60
    )
    read = await store.read((approval_key(approval.id), INDEX), at=AT)
    assert await store.commit(approvals.opened(approval, read, at=AT), read, None, at=AT)
    return approval


async def state_of(store: MemoryStore, run: str = "r1") -> RunState:
    return RunState.of((await store.read((state_key(run),), at=AT)).get(state_key(run)))


async def known(store: MemoryStore, state: RunState) -> None:
    await store.commit(
        [Put(state_key("r1"), {"state": state.state, "at": state.at, "by": "x"}, 60)], EMPTY, None, at=AT
    )


async def test_what_waits_is_listed_until_it_is_answered(store: MemoryStore, inbox: Inbox) -> None:
    first = await ask(store, approvals.of_call(call(DEPLOY), (("p", "r"),), "c"))
    second = await ask(store, approvals.of_call(call(DEPLOY, {"n": 1}), (("p", "r"),), "c"))
    assert await inbox.pending() == (first, second)
    done = await inbox.decide(first.id, approve=False, by="ana", through="cli", say="no")
    assert (done.status, done.by, done.say, done.decided_at) == ("rejected", "ana", "no", AT)
    assert await inbox.pending() == (second,)
    assert await inbox.find(first.id) == done
    assert await inbox.find("a-nothing") is None
    with pytest.raises(Unsettled, match="rejected already by ana"):
        await inbox.decide(first.id, approve=True, by="bob", through="cli")


async def test_pause_resume_stop(store: MemoryStore, inbox: Inbox) -> None:
    await known(store, RunState())
    await inbox.pause("r1", by="ana", why="looks odd")
    assert await state_of(store) == RunState("paused", AT, "ana", "looks odd")
    with pytest.raises(Unsettled, match="paused already by ana"):
        await inbox.pause("r1", by="bob")
    await inbox.resume("r1", by="bob", more={"calls": 200.0})
    now = await state_of(store)
    assert (now.state, now.by, now.more, now.reviews) == ("running", "bob", {"calls": 200.0}, 1)
    with pytest.raises(Unsettled, match="not paused"):
        await inbox.resume("r1", by="bob")
    await inbox.resume("r1", by="bob", more={"calls": 1.0})
    assert (await state_of(store)).more == {"calls": 201.0}
    await inbox.stop("r1", by="ana", why="enough")
    with pytest.raises(Unsettled, match="for good"):
        await inbox.resume("r1", by="bob", more={"calls": 1.0})
    for again in (inbox.stop, inbox.pause):
        with pytest.raises(Unsettled, match="stopped already by ana"):
            await again("r1", by="bob")


async def test_a_run_that_nobody_knows(inbox: Inbox) -> None:
    for act in (inbox.pause, inbox.resume, inbox.stop):
        with pytest.raises(Unsettled, match="not known here"):
            await act("r1", by="ana")


async def test_to_resume_a_run_answers_what_was_asked_about_its_pause(store: MemoryStore, inbox: Inbox) -> None:
    pause = RunState("paused", 50.0, "x")
    await known(store, pause)
    asked = await ask(store, approvals.of_pause("r1", pause))
    await inbox.resume("r1", by="ana")
    assert await inbox.pending() == ()
    done = await inbox.find(asked.id)
    assert done is not None
    assert (done.status, done.through) == ("approved", "resume")


@pytest.mark.parametrize("channel", ["resume", "approve"])
async def test_the_clock_of_a_run_stands_while_it_waits_for_a_person(store: MemoryStore, channel: str) -> None:
    """Of the silence around a pause only what was before it counts: ten seconds of twenty minutes."""
    now = AT

    async def calls(id: str) -> None:
        reserve = Reserve(run_key("r1"), id, {"calls": 1}, {}, 60.0, 3600.0, idle_s=IDLE_S)
        settle = Settle(run_key("r1"), id, {"calls": 1}, 3600.0, idle_s=IDLE_S)
        for write in (reserve, settle):
            assert await store.commit([write], EMPTY, None, at=now)

    inbox = Inbox(store, lambda: now)
    await calls("d1")
    now += 10
    await inbox.pause("r1", by="ana")
    asked = await ask(store, approvals.of_pause("r1", await state_of(store)), at=now + 1170)
    now += 1200
    if channel == "resume":
        await inbox.resume("r1", by="ana")
    else:
        await inbox.decide(asked.id, approve=True, by="ana", through="cli")
    await calls("d2")
    account = (await store.read((run_key("r1"),), at=now)).get(run_key("r1"))
    assert standing(account, at=now).used == {"calls": 2, TIME: 10.0}


@pytest.mark.parametrize(("works", "free"), [(False, True), (True, False)], ids=["idle", "a call is under way"])
async def test_a_run_that_is_stopped_gives_back_what_it_keeps_locked(
    store: MemoryStore, inbox: Inbox, works: bool, free: bool
) -> None:
    key, mine, other = locks.lock_key("file:/a"), locks.run_owner("r1"), locks.run_owner("r2")
    shared = [Lock(key, owner, "d1", owner[4:], "t", False, 1, 60.0, 60.0) for owner in (mine, other)]
    kept = Push(locks.held_key("r1"), key, 64, 60.0)
    call_under_way = [Reserve(run_key("r1"), "d1", {"calls": 1}, {}, 60.0, 3600.0)] if works else []
    await known(store, RunState())
    assert await store.commit([*shared, kept, *call_under_way], EMPTY, None, at=AT)
    await inbox.stop("r1", by="ana")
    lock = (await store.read((key,), at=AT)).get(key)
    assert {one.owner for one in locks.holders(lock, at=AT)} == ({other} if free else {mine, other})


async def test_a_store_that_is_closed(store: MemoryStore, inbox: Inbox) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable):
        await inbox.pending()


async def test_the_last_checkpoint_of_a_run_is_there_for_whoever_reviews_it(store: MemoryStore, inbox: Inbox) -> None:
    assert await inbox.checkpoint("r1") is None
    for summary in ("first", "second"):
        note = Note(AT, summary)
        await store.commit([note.written("r1", ttl_s=60.0)], EMPTY, None, at=AT)
    assert await inbox.checkpoint("r1") == note
    assert await inbox.checkpoint("r2") is None
