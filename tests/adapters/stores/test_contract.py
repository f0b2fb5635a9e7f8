"""What every store promises. Each test runs against each of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Store
from fuseboard.state import EMPTY, Add, Push, Put
from support.ledger_entries import concluded, proposed

AT = 1000.0


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else SqliteStore.open(tmp_path / "ledger.db")
    yield opened
    await opened.close()


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
