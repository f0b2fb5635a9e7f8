import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from fuseboard import vaulting
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.vault_file import FileVault
from fuseboard.adapters.stores.vault_memory import MemoryVault
from fuseboard.config import Config
from fuseboard.errors import StoreUnavailable
from fuseboard.vault import QUARANTINE
from support.vaulting import AT, kept


def config(tools: Any = None, **sections: Any) -> Config:
    server = {"command": "x", "tools": tools or {}}
    return Config.model_validate({"servers": {"files": server}, **sections})


@pytest.mark.parametrize(("store", "kind"), [("memory", MemoryVault), ("sqlite", FileVault)])
def test_the_vault_lies_where_the_ledger_does(tmp_path: Path, store: str, kind: type[object]) -> None:
    assert isinstance(vaulting.opened(config(store=store), tmp_path), kind)


@pytest.mark.parametrize(("store", "file"), [("sqlite", "vault.db"), ("sqlite:{}/other.db", "other.db.vault")])
async def test_two_ledgers_in_one_folder_have_two_vaults(tmp_path: Path, store: str, file: str) -> None:
    vault = vaulting.opened(config(store=store.format(tmp_path)), tmp_path)
    await vault.put(kept(), b"x")
    await vault.close()
    assert [one.name for one in os.scandir(tmp_path)] == [file]


def test_to_observe_keeps_nothing_from_anybody(tmp_path: Path) -> None:
    assert vaulting.keeping(config(mode="observe"), tmp_path, MemoryStore(), lambda: AT) is None
    assert vaulting.vaulted(config(mode="observe"), None, lambda: AT) is None


@pytest.mark.parametrize(("opaque", "looks"), [(False, False), (True, True), ("principal", True)])
def test_handles_are_looked_for_only_where_a_tool_gives_any(tmp_path: Path, opaque: Any, looks: bool) -> None:
    one = config({"page": {"opaque": opaque}})
    keeping = vaulting.keeping(one, tmp_path, MemoryStore(), lambda: AT)
    assert keeping is not None
    assert (keeping.handles is not None) is looks
    read = vaulting.vaulted(one, keeping, lambda: AT)
    assert read is not None
    assert read.most_bytes == one.output.max_bytes


async def test_what_others_withheld_is_known_at_the_start_and_the_file_let_go_at_the_end(tmp_path: Path) -> None:
    other = vaulting.opened(config(), tmp_path)
    await other.put(kept(), b"x")
    keeping = vaulting.keeping(config(), tmp_path, MemoryStore(), lambda: AT)
    assert keeping is not None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(vaulting.kept_up, keeping)
        with anyio.fail_after(10):
            while not keeping.quarantine.waiting:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    with pytest.raises(StoreUnavailable, match="closed"):
        await keeping.quarantine.vault.listed(QUARANTINE, at=AT)
    await other.close()


async def test_where_nothing_is_kept_there_is_nothing_to_keep_up() -> None:
    await vaulting.kept_up(None)
