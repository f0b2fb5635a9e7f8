"""What a person sees of locks and waits."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from fuseboard import locks, waits
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.cli.status import lines, look
from fuseboard.state import EMPTY, Lock, Put


async def test_leases_and_those_who_wait_for_them_are_shown(tmp_path: Path) -> None:
    at = time.time()
    key, other = locks.lock_key("file:/a"), locks.lock_key("file:/b")
    waiter = waits.Waiting("d-2", "r-2", "files__edit", at, at + 30, {key: True})
    store = SqliteStore.open(tmp_path / "ledger.db")
    writes = [
        Lock(key, "run:r-1", "d-1", "r-1", "files__write", exclusive=True, fence=5, hold_s=60.0, ttl_s=600.0),
        Lock(other, "d-3", "d-3", "r-3", "files__read", exclusive=False, fence=6, hold_s=0.001, ttl_s=600.0),
        Put(locks.WAITS, [msgspec.to_builtins(waiter)], 600.0),
    ]
    await store.commit(writes, EMPTY, None, at=at - 1.0)
    await store.close()
    found = look(tmp_path, 10)
    (lease,) = found["locks"]
    assert (lease["lock"], lease["mode"], lease["hold"]) == ("file:/a", "exclusive", "run")
    assert (lease["run"], lease["call"], lease["tool"], lease["fence"]) == ("r-1", "d-1", "files__write", 5)
    assert [(one["call"], one["locks"]) for one in found["waits"]] == [("d-2", ["file:/a"])]
    shown = [str(line) for line in lines(found)]
    assert any("exclusive file:/a  by files__write of run r-1" in line and "kept by the run" in line for line in shown)
    assert any("files__edit  of run r-2  for file:/a" in line for line in shown)


def test_where_nothing_is_locked_nothing_is_shown(tmp_path: Path) -> None:
    found = look(tmp_path, 10)
    assert (found["locks"], found["waits"]) == ([], [])
    assert not any("lock" in str(line) for line in lines(found))
