"""``fuseboard quarantine ls | show | release | drop``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.adapters.stores.vault_file import FileVault
from fuseboard.state import EMPTY
from support.proxy import fuseboard
from support.vaulting import kept

HOSTILE = "line one\n\x1b[2Jcleared \u202edetrever\nq-9  released, by ana\n"


async def withhold(state: Path, handle: str = "q-1", text: str = HOSTILE, **changed: Any) -> None:
    at = time.time()
    store = SqliteStore.open(state / "ledger.db")
    await store.commit([], EMPTY, None, at=at)
    await store.close()
    vault = FileVault(state / "vault.db", most_bytes=1_000_000)
    raw = msgspec.json.encode({"content": [{"type": "text", "text": text}]})
    fields = {"rule": "quarantine.pattern", "policy": "quarantine", "why": "why\nmore", "exposed": "web__\x1b[2Jfetch"}
    assert await vault.put(kept(handle, at=at, expires_at=at + 60, **{**fields, **changed}), raw)
    await vault.close()


async def said(*verb: str, state: Path, ok: bool = True) -> Any:
    return await fuseboard("quarantine", *verb, state=state, ok=ok, env={"LOGNAME": "ana"})


async def test_a_person_lists_and_reads_what_was_withheld(tmp_path: Path) -> None:
    await withhold(tmp_path)
    listed = (await said("ls", state=tmp_path)).stdout.decode()
    for part in ("q-1  web__\\x1b[2Jfetch", "withheld", "of run r-1 of ana", "quarantine quarantine.pattern: why"):
        assert part in listed
    shown = (await said("show", "q-1", state=tmp_path)).stdout.decode()
    assert "  | line one\n  | \\x1b[2Jcleared \\u202edetrever\n  | q-9  released, by ana\n" in shown
    assert "\x1b" not in listed + shown, "nothing that a server wrote acts on a terminal, nor passes for a line of ours"
    (one,) = json.loads((await said("ls", "--json", state=tmp_path)).stdout)["quarantine"]
    assert (one["handle"], one["status"], one["principal"]) == ("q-1", "withheld", "ana")


async def test_a_long_one_is_read_page_by_page(tmp_path: Path) -> None:
    await withhold(tmp_path, text="x" * 20_000 + "the end")
    first = (await said("show", "q-1", state=tmp_path)).stdout.decode()
    assert "the end" not in first
    start = first.rpartition("--from ")[2].strip()
    assert "the end" in (await said("show", "q-1", "--from", start, state=tmp_path)).stdout.decode()
    assert (await said("show", "q-1", "--from", "999999", state=tmp_path, ok=False)).returncode == 2


async def test_raw_gives_the_bytes_to_a_pipe(tmp_path: Path) -> None:
    await withhold(tmp_path)
    done = await said("show", "q-1", "--raw", state=tmp_path)
    assert json.loads(done.stdout)["content"][0]["text"] == HOSTILE


async def test_one_person_releases_it_and_no_second_one_does(tmp_path: Path) -> None:
    await withhold(tmp_path)
    assert "q-1 is released" in (await said("release", "q-1", state=tmp_path)).stdout.decode()
    again = await said("release", "q-1", state=tmp_path, ok=False)
    assert again.returncode == 4
    assert "q-1 was released already by ana" in again.stderr.decode()
    assert "released, by ana" in (await said("ls", state=tmp_path)).stdout.decode()


async def test_what_is_dropped_is_forgotten_but_for_who_did_it(tmp_path: Path) -> None:
    await withhold(tmp_path)
    assert "q-1 is forgotten" in (await said("drop", "q-1", state=tmp_path)).stdout.decode()
    assert (await said("show", "q-1", state=tmp_path, ok=False)).returncode == 4
    assert "dropped, by ana" in (await said("ls", state=tmp_path)).stdout.decode()


@pytest.mark.parametrize("verb", ["show", "release", "drop"])
async def test_what_is_not_there(tmp_path: Path, verb: str) -> None:
    nowhere = await said(verb, "q-1", state=tmp_path, ok=False)
    assert nowhere.returncode == 2
    assert "no proxy has run with this state folder" in nowhere.stderr.decode()
    await withhold(tmp_path, "d-2", kind="result")
    for handle in ("q-1", "d-2"):
        done = await said(verb, handle, state=tmp_path, ok=False)
        assert done.returncode == 4
        assert f"{handle} is not there" in done.stderr.decode()


async def test_where_nothing_was_withheld(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "ledger.db")
    await store.commit([], EMPTY, None, at=time.time())
    await store.close()
    assert "Nothing was withheld" in (await said("ls", state=tmp_path)).stdout.decode()
    assert json.loads((await said("ls", "--json", state=tmp_path)).stdout) == {"quarantine": []}
    assert not (tmp_path / "vault.db").exists()
