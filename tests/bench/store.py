"""What the store takes of a governed call: one commit on the way up, one on the way down, on two accounts.

In process, without edges or policies. CPU counts both threads, the one that calls and the one that writes the file.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from bars import STORE

sys.path.append(str(Path(__file__).parents[1]))

from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.ids import Ids
from fuseboard.ports import Store
from fuseboard.state import Reserve, Settle
from support.ledger_entries import concluded, proposed

Row: TypeAlias = dict[str, Any]
KEYS: Final = ("run/bench", "principal/bench")
BURST: Final = 4_000
CALLERS: Final = (1, 16)
_UP: Final = {"calls": 1, "slots:0": 1, "output_bytes": 1000}
_TOOK: Final = {"calls": 1, "output_bytes": 120}
_CEILINGS: Final = dict.fromkeys(_UP, 1e12)
_WINDOW_S: Final = 900.0


async def commits(*, rounds: int, burst: int = BURST) -> AsyncIterator[Row]:
    """The two commits of a call: in memory, in a file, and in a file that each call waits for as one with effects."""
    with tempfile.TemporaryDirectory(prefix="fuseboard-bench-") as folder:
        file = SqliteStore.open(Path(folder) / "ledger.db")
        kinds: dict[str, tuple[Store, bool]] = {
            "memory": (MemoryStore(), False),
            "sqlite": (file, False),
            "sqlite, durable": (file, True),
        }
        try:
            for round_ in range(rounds):
                for callers in CALLERS:
                    for name in random.sample(list(kinds), len(kinds)):
                        store, durable = kinds[name]
                        count = burst // 10 if durable else burst
                        measured = await _measured(store, callers, count, durable=durable)
                        yield {"board": STORE, "target": name, "round": round_, "callers": callers, **measured}
        finally:
            await file.close()


async def _measured(store: Store, callers: int, count: int, *, durable: bool) -> Row:
    ids = Ids(random.getrandbits)
    await _calls(store, ids, 100, durable=durable)
    cpu_ns, began = time.process_time_ns(), time.perf_counter()
    await asyncio.gather(*(_calls(store, ids, count // callers, durable=durable) for _ in range(callers)))
    made = count // callers * callers
    wall_s, cpu_ns = time.perf_counter() - began, time.process_time_ns() - cpu_ns
    return {"calls": made, "calls_per_s": made / wall_s, "cpu_us": cpu_ns / 1e3 / made}


async def _calls(store: Store, ids: Ids, count: int, *, durable: bool) -> None:
    for _ in range(count):
        at = time.time()
        id = ids.decision(at)
        read = await store.read(KEYS, at=at)
        up = [
            Reserve(KEYS[0], id, _UP, _CEILINGS, 60.0, 3600.0, idle_s=60.0),
            Reserve(KEYS[1], id, _UP, _CEILINGS, 60.0, 3600.0, window_s=_WINDOW_S),
        ]
        if not await store.commit(up, read, proposed(id, at=at), at=at, durable=durable):
            raise AssertionError("a call within its limits was refused")
        await asyncio.sleep(0)  # the upstream: others come in between
        at = time.time()
        read = await store.read(KEYS, at=at)
        down = [
            Settle(KEYS[0], id, _TOOK, 3600.0, idle_s=60.0),
            Settle(KEYS[1], id, _TOOK, 3600.0, window_s=_WINDOW_S),
        ]
        await store.commit(down, read, concluded(id, at=at), at=at)
