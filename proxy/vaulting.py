"""From a configuration to what keeps that which the model did not get: the vault, and what stands around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio

from fuseboard.config import Config
from fuseboard.keeping import Keeping
from fuseboard.opaque import Handles
from fuseboard.places import LEDGER, vault_path
from fuseboard.ports import Store
from fuseboard.quarantine import Quarantine
from fuseboard.upstreams.vaulted import Vaulted
from fuseboard.vault import Vault

REFRESH_EVERY_S: Final = 60.0


def keeping(config: Config, state: Path, store: Store, clock: Callable[[], float]) -> Keeping | None:
    """``None`` where nothing is enforced: then nothing is kept from anybody."""
    if config.mode != "enforce":
        return None
    settings, vault = config.quarantine, opened(config, state)
    opaque = any(facts.opaque for server in config.servers.values() for facts in server.tools.values())
    handles = Handles(vault, clock, settings) if opaque else None
    return Keeping(vault, Quarantine(vault, store, clock, settings), handles, settings, rests=config.output.rest)


def vaulted(config: Config, kept: Keeping | None, clock: Callable[[], float]) -> Vaulted | None:
    """Where it can be read."""
    return Vaulted(kept.quarantine, clock, most_bytes=config.output.max_bytes) if kept is not None else None


def opened(config: Config, state: Path) -> Vault:
    """The vault beside the ledger, which is made when there is something to keep; in memory beside one in memory."""
    if config.store.kind == "memory":
        from fuseboard.adapters.stores.vault_memory import MemoryVault

        return MemoryVault(most_bytes=config.quarantine.max_bytes)
    from fuseboard.adapters.stores.vault_file import FileVault

    ledger = Path(config.store.location) if config.store.location else state / LEDGER
    return FileVault(vault_path(ledger), most_bytes=config.quarantine.max_bytes)


async def kept_up(kept: Keeping | None) -> None:
    """Learn now and every minute what other proxies with this state withheld, and what ran out, until we end."""
    if kept is None:
        return
    try:
        while True:
            await kept.quarantine.refresh()
            await anyio.sleep(REFRESH_EVERY_S)
    finally:
        with anyio.CancelScope(shield=True):
            await kept.quarantine.vault.close()
