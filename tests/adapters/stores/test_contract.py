"""What every store promises. Each test runs against each of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from fuseboard.accounts import standing
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Concluded, Lapsed, Store
from fuseboard.state import EMPTY, Add, Push, Put, Reserve, Settle, Throttle, Write
from support.ledger_entries import RUN, concluded, denied, proposed

AT = 1000.0


@pytest.fixture(params=["memory", "sqlite", "sqlite, together with another"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield (memory := MemoryStore())
        await memory.close()
        return
    other = SqliteStore.open(tmp_path / "ledger.db") if "together" in request.param else None
    opened = SqliteStore.open(tmp_path / "ledger.db")
    assert opened.alone is (other is None)
    yield opened
    await opened.close()
    if other is not None:
        await other.close()


async def recorded(store: Store, path: Path) -> list[str]:
    """The ids of the calls on record; closes the store."""
    await store.close()
    if isinstance(store, MemoryStore):
        return [entry.id for entry in store.entries]
    with LedgerReader(path / "ledger.db") as ledger:
        return [call.id for call in ledger.calls()]


async def test_concurrent_adds_never_pass_the_ceiling(store: Store) -> None:
    answers: list[bool] = []

    async def take() -> None:
        answers.append(await store.commit([Add("k", 1, 7, 60)], EMPTY, None, at=AT, durable=len(answers) % 2 == 0))

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(take)
    assert sorted(answers) == [False] * 43 + [True] * 7
    assert (await store.read(["k"], at=AT)).get("k") == 7


async def test_of_two_puts_on_one_reading_the_second_is_refused(store: Store) -> None:
    seen = await store.read(["k"], at=AT)
    assert await store.commit([Put("k", {"state": "open"}, 60)], seen, None, at=AT)
    assert not await store.commit([Put("k", {"state": "closed"}, 60)], seen, None, at=AT)
    assert (await store.read(["k"], at=AT)).get("k") == {"state": "open"}


async def test_a_tail_keeps_its_newest(store: Store) -> None:
    for n in range(5):
        await store.commit([Push("k", {"n": n}, 2, 60)], EMPTY, None, at=AT)
    assert (await store.read(["k"], at=AT)).get("k") == [{"n": 3}, {"n": 4}]


async def test_what_is_past_its_time_is_absent(store: Store) -> None:
    await store.commit([Put("k", 1, 10)], EMPTY, None, at=AT)
    assert (await store.read(["k"], at=AT + 9)).get("k") == 1
    assert (await store.read(["k"], at=AT + 10)).get("k") is None


async def test_a_refused_commit_writes_neither_state_nor_entry(store: Store, tmp_path: Path) -> None:
    writes = [Add("a", 1, None, 60), Add("b", 2, 1, 60)]
    assert not await store.commit(writes, EMPTY, proposed("d-refused"), at=AT, durable=True)
    assert (await store.read(["a", "b"], at=AT)).values == {}
    await store.commit((), EMPTY, proposed("d-kept"), at=AT)
    assert await recorded(store, tmp_path) == ["d-kept"]


async def test_an_orderly_stop_loses_nothing(store: Store, tmp_path: Path) -> None:
    ids = [f"d-{n:03}" for n in range(300)]
    for id in ids:
        assert await store.commit((), EMPTY, proposed(id), at=AT)
    assert await recorded(store, tmp_path) == ids


async def test_a_snapshot_does_not_move(store: Store) -> None:
    await store.commit([Push("k", 1, 9, 60)], EMPTY, None, at=AT)
    seen = await store.read(["k"], at=AT)
    await store.commit([Push("k", 2, 9, 60)], EMPTY, None, at=AT)
    assert seen.get("k") == [1]


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.commit((), EMPTY, concluded(), at=AT)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.read(["k"], at=AT)


def reserve(
    call: str = "d-1", *, calls: float = 1, ceiling: float = 2, hold_s: float = 30, key: str = "run"
) -> Reserve:
    return Reserve(key, call, {"calls": 1}, {"calls": ceiling}, hold_s, 1000)


async def account(store: Store, key: str = "run", *, at: float = AT) -> tuple[float, float, float]:
    """Used, held and lapsed calls."""
    now = standing((await store.read([key], at=at)).get(key), at=at)
    return now.used.get("calls", 0), now.held.get("calls", 0), now.lapsed.get("calls", 0)


async def test_reservations_never_pass_the_ceiling_and_settling_gives_back(store: Store) -> None:
    answers: list[bool] = []

    async def admit(id: str) -> None:
        answers.append(await store.commit([reserve(id, ceiling=3)], EMPTY, proposed(id), at=AT))

    async with anyio.create_task_group() as tasks:
        for n in range(10):
            tasks.start_soon(admit, f"d-{n}")
    assert sorted(answers) == [False] * 7 + [True] * 3
    assert await account(store) == (0, 3, 0)
    held = (await store.read(["run"], at=AT)).get("run")["held"]
    for id in held:
        assert await store.commit([Settle("run", id, {"calls": 0}, 1000)], EMPTY, concluded(id), at=AT)
    assert await account(store) == (0, 0, 0)


async def test_over_several_budgets_it_is_all_or_nothing(store: Store) -> None:
    writes = [reserve(ceiling=5), Throttle("rate", 1.0, 1, 60), reserve(ceiling=0, key="principal")]
    assert not await store.commit(writes, EMPTY, proposed(), at=AT)
    assert (await store.read(["run", "rate", "principal"], at=AT)).values == {}


@pytest.mark.parametrize("durable", [True, False])
async def test_a_call_is_admitted_and_charged_once(store: Store, tmp_path: Path, durable: bool) -> None:
    writes: list[Write] = [reserve(ceiling=1), Add("count", 1, 1, 60), Throttle("rate", 100.0, 1, 600)]
    for _ in range(3):
        assert await store.commit(writes, EMPTY, proposed(), at=AT, durable=durable)
    await store.commit([Settle("run", "d-1", {"calls": 1}, 1000)], EMPTY, concluded(), at=AT)
    assert await store.commit(writes, EMPTY, proposed(), at=AT)
    assert (await store.read(["count"], at=AT)).get("count") == 1
    assert await account(store) == (1, 0, 0)


async def test_a_call_that_was_refused_may_still_be_admitted(store: Store) -> None:
    assert not await store.commit([reserve(ceiling=0)], EMPTY, proposed(), at=AT)
    assert await store.commit([Add("refusals", 1, None, 60)], EMPTY, denied(), at=AT)
    assert await store.commit([reserve(ceiling=1)], EMPTY, proposed(), at=AT)
    assert await account(store) == (0, 1, 0)


async def test_a_mistake_in_a_write_is_its_callers_alone(store: Store) -> None:
    await store.commit([Put("k", 1, 60)], EMPTY, None, at=AT)
    with pytest.raises(TypeError, match="no tail"):
        await store.commit([Push("k", 1, 2, 60)], EMPTY, None, at=AT)
    assert await store.commit([Add("k", 1, None, 60)], EMPTY, None, at=AT)


async def test_what_a_call_without_an_end_reserved_is_charged_in_full_and_its_record_closed_once(
    store: Store, tmp_path: Path
) -> None:
    await store.commit([reserve("d-lost", hold_s=30)], EMPTY, proposed("d-lost"), at=AT)
    await store.commit([reserve("d-later", hold_s=31)], EMPTY, proposed("d-later"), at=AT)
    assert await store.reap(at=AT + 29) == []
    assert await store.reap(at=AT + 30) == [Lapsed("d-lost", "run", {"calls": 1})]
    assert await store.reap(at=AT + 30) == []
    assert await account(store, at=AT + 30) == (1, 1, 1)
    await store.commit([Settle("run", "d-later", {"calls": 0}, 1000)], EMPTY, concluded("d-later"), at=AT + 30)
    assert await store.reap(at=AT + 60) == []
    assert await truths(store, tmp_path) == {"d-lost": "lost", "d-later": "ok"}


async def test_a_hold_that_lapsed_by_itself_is_found_all_the_same(store: Store) -> None:
    await store.commit([reserve("d-1")], EMPTY, proposed("d-1"), at=AT)
    await store.commit([reserve("d-2", hold_s=90)], EMPTY, proposed("d-2"), at=AT + 40)
    assert await account(store, at=AT + 40) == (1, 1, 1)
    assert await store.reap(at=AT + 40) == [Lapsed("d-1", "run", {"calls": 1})]
    assert await account(store, at=AT + 40) == (1, 1, 1)


async def test_several_that_reap_at_once_do_it_once(store: Store) -> None:
    for n in range(5):
        await store.commit([reserve(f"d-{n}", ceiling=9)], EMPTY, proposed(f"d-{n}"), at=AT)
    found: list[Lapsed] = []

    async def reap() -> None:
        found.extend(await store.reap(at=AT + 60))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(reap)
    assert sorted(one.call for one in found) == [f"d-{n}" for n in range(5)]
    assert await account(store, at=AT + 60) == (5, 0, 5)


async def test_a_call_that_comes_to_its_end_after_all_has_that_end(store: Store, tmp_path: Path) -> None:
    await store.commit([reserve()], EMPTY, proposed(), at=AT)
    await store.reap(at=AT + 60)
    await store.commit([Settle("run", "d-1", {"calls": 0}, 1000)], EMPTY, concluded(), at=AT + 61)
    assert await account(store, at=AT + 61) == (1, 0, 1)
    assert await truths(store, tmp_path) == {"d-1": "ok"}


async def truths(store: Store, path: Path) -> dict[str, str]:
    """How each call ended; closes the store."""
    await store.close()
    if isinstance(store, MemoryStore):
        return {entry.id: entry.truth for entry in store.entries if isinstance(entry, Concluded)}
    with LedgerReader(path / "ledger.db") as ledger:
        calls = [*ledger.calls()]
    assert all((call.error is None) == (call.truth == "ok") for call in calls)
    return {call.id: call.truth for call in calls}


async def test_the_last_number_of_a_run(store: Store) -> None:
    assert await store.last_seq(RUN) == 0
    for n in (1, 3, 2):
        await store.commit((), EMPTY, proposed(f"d-{n}", seq=n), at=AT)
    assert await store.last_seq(RUN) == 3
    assert await store.last_seq("r-other") == 0


async def test_whoever_watches_is_woken_by_a_commit(store: Store) -> None:
    await store.commit([Put("k", 1, 60)], EMPTY, None, at=AT)
    seen = await store.read(["k", "other"], at=AT)
    woken: list[bool] = []

    async def watch() -> None:
        woken.append(await store.changed(["k", "other"], seen, at=AT, timeout_s=60))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            await store.commit([Put("k", 2, 60)], seen, None, at=AT)
    assert woken == [True]


async def test_whoever_watches_what_nobody_writes_waits_its_time_out(store: Store) -> None:
    await store.commit([Put("k", 1, 60)], EMPTY, None, at=AT)
    seen = await store.read(["k", "absent"], at=AT)
    assert not await store.changed(["k", "absent"], seen, at=AT, timeout_s=0.02)
    assert await store.changed(["k"], EMPTY, at=AT, timeout_s=60)


@pytest.mark.parametrize("together", [True, False], ids=["at once", "one after the other"])
async def test_asked_again_a_call_holds_no_shorter_and_no_longer(store: Store, together: bool) -> None:
    async def admit(hold_s: float) -> None:
        assert await store.commit([reserve(hold_s=hold_s)], EMPTY, proposed(), at=AT)

    if together:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(admit, 30)
            tasks.start_soon(admit, 1)
    else:
        await admit(30)
        await admit(1)
    assert await store.reap(at=AT + 1) == []
    assert len(await store.reap(at=AT + 30)) == 1
