"""Run as a process of its own: takes from one account until nothing is left, and says each call that it was granted.

``python budget_child.py LEDGER PREFIX CEILING``: says ``up``, and begins when it is given a line.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.errors import StoreUnavailable
from fuseboard.state import EMPTY, Reserve, Settle
from support.ledger_entries import BEGAN, concluded, proposed

CALLERS = 4


async def take(store: SqliteStore, ids: "itertools.count[int]", prefix: str, ceiling: float) -> None:
    for n in ids:
        id = f"{prefix}-{n}"
        reserve = Reserve("run", id, {"calls": 1}, {"calls": ceiling}, 60, 1e6)
        # Every third call has an effect, and is on the disk before it is sent.
        try:
            if not await store.commit([reserve], EMPTY, proposed(id, run=prefix, seq=n), at=BEGAN, durable=n % 3 == 0):
                return
        except StoreUnavailable:
            continue
        sys.stdout.write(f"{id}\n")
        sys.stdout.flush()
        took = {"calls": 0 if n % 5 == 0 else 1}
        await store.commit([Settle("run", id, took, 1e6)], EMPTY, concluded(id, truth="ok"), at=BEGAN)


async def main(path: Path, prefix: str, ceiling: float) -> None:
    store, ids = SqliteStore.open(path), itertools.count()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(take(store, ids, prefix, ceiling) for _ in range(CALLERS)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
