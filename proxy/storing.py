"""From a configuration to its store: opened, told of the limits for those who look on, and reaped while it is open."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio

from fuseboard.budgets import ceilings
from fuseboard.config import Config, digest
from fuseboard.errors import ConfigError, StoreUnavailable
from fuseboard.ports import Store
from fuseboard.spending import limits_key, told

_log = logging.getLogger("fuseboard.app")

_REAP_EVERY_S: Final = 60.0


def opened(config: Config, state: Path, clock: Callable[[], float]) -> Store:
    """The store that the configuration names. May wait for another proxy on it, so it runs in a thread.

    Raises:
        ConfigError: it cannot be used, or this version knows no such store.
    """
    match config.store.kind:
        case "memory":
            from fuseboard.adapters.stores.memory import MemoryStore

            return MemoryStore()
        case "sqlite":
            from fuseboard.adapters.stores.sqlite import SqliteStore

            store = SqliteStore.open(Path(config.store.location) if config.store.location else state / "ledger.db")
            store.retain(config.trace.keep_s, at=clock())
            return store
        case kind:
            raise ConfigError(f"store: {kind} is not supported by this version; use sqlite or memory")


async def tell_limits(config: Config, store: Store, *, at: float) -> None:
    """Leave word of the limits for those who look on. It is for their eyes alone, so that it may fail."""
    name = digest(config)
    with suppress(StoreUnavailable):
        read = await store.read((limits_key(name),), at=at)
        await store.commit(told(name, ceilings(config.run)), read, None, at=at)


async def reap(store: Store, clock: Callable[[], float]) -> None:
    """Close what calls left open that died with a proxy, now and every minute."""
    while True:
        try:
            if lapsed := await store.reap(at=clock()):
                calls = len({one.call for one in lapsed})
                _log.warning("%d calls have no end on record; what they had reserved was charged in full", calls)
        except StoreUnavailable as fault:
            _log.warning("calls without an end cannot be looked for: %s", fault)
        await anyio.sleep(_REAP_EVERY_S)
