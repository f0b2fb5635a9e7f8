"""Run as a process of its own: commits to a ledger, durably, and says each time that it was told so.

``python ledger_child.py LEDGER PREFIX COUNT``: COUNT 0 goes on until killed.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.state import EMPTY, Add
from support.ledger_entries import BEGAN, concluded, proposed


async def main(path: Path, prefix: str, count: int) -> None:
    store = SqliteStore.open(path)
    for n in range(count) if count else itertools.count():
        id = f"{prefix}-{n}"
        await store.commit([Add("count", 1, None, 60)], EMPTY, proposed(id, run=prefix, seq=n), at=BEGAN, durable=True)
        sys.stdout.write(f"{id}\n")
        sys.stdout.flush()
        await store.commit((), EMPTY, concluded(id), at=BEGAN)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
