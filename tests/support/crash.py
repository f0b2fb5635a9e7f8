"""A store that dies as by kill -9: what it has not written yet is gone, and so are its locks."""

from __future__ import annotations

from fuseboard.adapters.stores.jobs import Job
from fuseboard.adapters.stores.sqlite import SqliteStore


def give_back(store: SqliteStore) -> None:
    """Hand over what makes the file hold what was used and nothing in advance, as after a second without a commit."""
    sole = store._sole
    with sole.lock:
        assert sole.table is not None
        store._writer.put(Job(None, sole.leases.all(sole.table)))


def kill(store: SqliteStore) -> None:
    """End the store's thread between two transactions, and let go of its files without writing anything."""
    writer = store._writer

    def write_nothing() -> None:
        writer._jobs.clear()
        writer._kept.clear()

    writer._cycle = write_nothing  # type: ignore[method-assign]
    writer.closed = True
    writer._urgent = True
    writer._bell.put(None)
    writer._thread.join()
    thread = store._lookup._thread
    if thread is not None:
        store._sole.on_file.set()
        thread.submit(store._lookup._shut).result()
        thread.shutdown()
