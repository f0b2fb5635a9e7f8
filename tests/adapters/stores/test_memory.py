from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.state import EMPTY, Add
from support.ledger_entries import concluded, proposed


async def test_entries_stand_in_the_order_of_their_commits() -> None:
    store = MemoryStore()
    await store.commit((), EMPTY, proposed("d-1"), at=0)
    await store.commit((), EMPTY, concluded("d-1"), at=0, durable=True)
    assert list(store.entries) == [proposed("d-1"), concluded("d-1")]


async def test_a_refused_commit_leaves_no_entry() -> None:
    store = MemoryStore()
    assert not await store.commit([Add("k", 2, 1, 60)], EMPTY, proposed(), at=0)
    assert not store.entries


async def test_only_the_newest_entries_are_kept() -> None:
    store = MemoryStore(keep=2)
    for n in range(5):
        await store.commit((), EMPTY, proposed(f"d-{n}"), at=0)
    assert [entry.id for entry in store.entries] == ["d-3", "d-4"]
