import signal
import sqlite3
import sys
from pathlib import Path

import anyio
import pytest

from fuseboard.adapters.stores.vault_file import FileVault
from fuseboard.errors import StoreUnavailable
from fuseboard.vault import QUARANTINE, RELEASED, WITHHELD
from support.vaulting import AT, Opened, VaultContract, kept


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return lambda **bounds: FileVault(tmp_path / "vault.db", **bounds)


class TestFileVault(VaultContract):
    pass


async def test_nothing_is_made_before_there_is_anything_to_keep(tmp_path: Path) -> None:
    path = tmp_path / "state" / "vault.db"
    vault = FileVault(path, most_bytes=10)
    await vault.get("q-1", at=AT)
    await vault.listed(QUARANTINE, at=AT)
    assert not path.parent.exists()
    await vault.put(kept(), b"x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_two_processes_see_the_same(tmp_path: Path) -> None:
    one, other = (FileVault(tmp_path / "vault.db", most_bytes=100) for _ in range(2))
    await one.put(kept(), b"x")
    assert await other.turn("q-1", [WITHHELD], RELEASED, by="ana", at=AT) is not None
    held = await one.get("q-1", at=AT)
    assert held is not None
    assert held.kept.by == "ana"
    for vault in (one, other):
        await vault.close()


_CHILD = """
import os, signal, sys
sys.path[:0] = sys.argv[2:]
import anyio
from pathlib import Path
from fuseboard.adapters.stores.vault_file import FileVault
from support.vaulting import kept

async def main():
    vault = FileVault(Path(sys.argv[1]), most_bytes=1_000_000)
    assert await vault.put(kept(), b"x" * 100_000)
    os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""


async def test_a_kill_after_the_put_takes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vault.db"
    async with await anyio.open_process([sys.executable, "-c", _CHILD, str(path), *sys.path]) as child:
        assert await child.wait() == -signal.SIGKILL
    held = await FileVault(path, most_bytes=10).get("q-1", at=AT)
    assert held is not None
    assert len(held.raw) == 100_000


async def test_what_was_dropped_is_not_on_the_disk_either(tmp_path: Path) -> None:
    path = tmp_path / "vault.db"
    vault = FileVault(path, most_bytes=1000)
    await vault.put(kept(), b"a poisoned page")
    assert b"a poisoned page" in path.read_bytes()
    await vault.turn("q-1", [WITHHELD], "dropped", by="ana", at=AT)
    await vault.close()
    assert b"a poisoned page" not in path.read_bytes()


@pytest.mark.parametrize("version", [2, 99])
async def test_a_newer_file_is_not_touched(tmp_path: Path, version: int) -> None:
    path = tmp_path / "vault.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(StoreUnavailable, match=f"version {version}"):
        await FileVault(path, most_bytes=10).put(kept(), b"x")


async def test_what_is_no_vault_is_said(tmp_path: Path) -> None:
    path = tmp_path / "vault.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreUnavailable, match=r"vault\.db"):
        await FileVault(path, most_bytes=10).get("q-1", at=AT)


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreUnavailable):
        await FileVault(tmp_path / "file" / "vault.db", most_bytes=10).put(kept(), b"x")


async def test_after_its_end_nothing_is_kept(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / "vault.db", most_bytes=10)
    await vault.close()
    await vault.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await vault.put(kept(), b"x")


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_kept_in_a_file_that_was_removed_meanwhile(
    tmp_path: Path, replaced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "vault.db"
    vault = FileVault(path, most_bytes=1000)
    await vault.put(kept("q-1"), b"first")
    path.unlink()
    if replaced:
        await FileVault(path, most_bytes=1000).put(kept("q-2"), b"second")
    assert await vault.get("q-1", at=AT) is None
    assert await vault.put(kept("q-3"), b"third")
    assert "removed or replaced" in caplog.text
    held = await FileVault(path, most_bytes=1000).get("q-3", at=AT)
    assert held is not None
    assert held.raw == b"third"


async def test_where_nobody_can_say_whether_it_is_there_that_is_said(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / ("x" * 300), most_bytes=10)
    for use in (
        vault.get("q-1", at=AT),
        vault.listed(QUARANTINE, at=AT),
        vault.turn("q-1", [WITHHELD], RELEASED, by="ana", at=AT),
        vault.put(kept(), b"x"),
    ):
        with pytest.raises(StoreUnavailable, match="cannot be used"):
            await use
