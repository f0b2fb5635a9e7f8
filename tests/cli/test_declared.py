"""The task of a run is kept with the state, not in the token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.places import ledger_path
from fuseboard.provenance import task_key
from support.proxy import fuseboard


async def _new(folder: Path, task: str) -> dict[str, str]:
    said: dict[str, str] = json.loads((await fuseboard("run", "new", "--json", "--task", task, state=folder)).stdout)
    return said


def _kept(folder: Path, run: str) -> object:
    with LedgerReader(ledger_path(folder)) as ledger:
        return ledger.state((task_key(run),), at=0.0).get(task_key(run))


async def test_the_text_is_kept_and_the_token_stays_short(tmp_path: Path) -> None:
    said = await _new(tmp_path, "Pay the bill of Acme. " * 200)
    assert _kept(tmp_path, said["run"]) == "Pay the bill of Acme. " * 200
    assert len(said["token"]) < 400


async def test_a_file_may_hold_it(tmp_path: Path) -> None:
    (tmp_path / "task.txt").write_text("Write to Zoë.")
    said = await _new(tmp_path, f"@{tmp_path / 'task.txt'}")
    assert _kept(tmp_path, said["run"]) == "Write to Zoë."


@pytest.mark.parametrize("task", ["@nowhere/to/be/found", "x" * 20_001])
async def test_what_cannot_be_a_task_is_a_mistake_in_the_call(tmp_path: Path, task: str) -> None:
    done = await fuseboard("run", "new", "--task", task, state=tmp_path, ok=False)
    assert done.returncode == 2
    assert b"--task" in done.stderr
    assert not ledger_path(tmp_path).exists()
