"""``fuseboard inbox``, ``approve`` and ``reject``."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fuseboard import approvals
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.approvals import INDEX, PENDING, Approval, approval_key
from fuseboard.checkpoint import Note
from fuseboard.reviews import RunState
from fuseboard.state import EMPTY
from support.judging import DEPLOY, call
from support.proxy import fuseboard


async def ask(state: Path, *, expires_s: float = 600.0, **arguments: object) -> str:
    at = time.time()
    bound = approvals.of_call(call(DEPLOY, arguments), (("permissions", "r"),), "c")
    asked = Approval(
        bound.id, bound, PENDING, 1, "ci__\x1b[2Jdeploy", "destructive", "Deploying needs a yes.",
        json.dumps(arguments, indent=2), ("cli",), at, at + expires_s,
    )  # fmt: skip
    store = SqliteStore.open(state / "ledger.db")
    read = await store.read((approval_key(asked.id), INDEX), at=at)
    assert await store.commit(approvals.opened(asked, read, at=at), read, None, at=at, durable=True)
    await store.close()
    return asked.id


async def test_a_person_looks_and_answers(tmp_path: Path) -> None:
    first, second = await ask(tmp_path, to="prod"), await ask(tmp_path, to="staging")
    text = (await fuseboard("inbox", state=tmp_path)).stdout.decode()
    for part in (first, "ci__\\x1b[2Jdeploy (destructive)", "run r1 of ana", "Deploying needs a yes.", '"to": "prod"'):
        assert part in text
    listed = json.loads((await fuseboard("inbox", "--json", state=tmp_path)).stdout)
    assert [one["id"] for one in listed["pending"]] == [first, second]
    done = await fuseboard("approve", first, state=tmp_path, env={"LOGNAME": "ana"})
    assert done.stdout.decode().startswith(f"{first} approved")
    await fuseboard("reject", second, "--say", "not today", state=tmp_path)
    assert "Nothing waits" in (await fuseboard("inbox", state=tmp_path)).stdout.decode()
    again = await fuseboard("reject", first, state=tmp_path, ok=False)
    assert again.returncode == 4
    assert f"{first} was approved already by ana" in again.stderr.decode()


@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_what_cannot_be_answered(tmp_path: Path, verb: str) -> None:
    nowhere = await fuseboard(verb, "a-1", state=tmp_path, ok=False)
    assert nowhere.returncode == 2
    assert "no proxy has run with this state folder" in nowhere.stderr.decode()
    late = await ask(tmp_path, expires_s=0.0)
    for id, said in (("a-1", "not known here"), (late, "has expired")):
        done = await fuseboard(verb, id, state=tmp_path, ok=False)
        assert done.returncode == 4
        assert said in done.stderr.decode()


async def test_an_empty_inbox(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "ledger.db")
    await store.commit([], EMPTY, None, at=time.time())
    await store.close()
    assert json.loads((await fuseboard("inbox", "--json", state=tmp_path)).stdout) == {"pending": []}


async def test_a_run_that_waits_is_shown_with_what_its_agent_said(tmp_path: Path) -> None:
    at = time.time()
    bound = approvals.of_pause("r1", RunState(state="paused", at=at))
    asked = Approval(bound.id, bound, PENDING, 1, "t", "destructive", "half used", "{}", ("cli",), at, at + 600)
    store = SqliteStore.open(tmp_path / "ledger.db")
    note = Note(at, "half way", left=("test\x1b[2J",))
    writes = [*approvals.opened(asked, EMPTY, at=at), note.written("r1", ttl_s=600.0)]
    assert await store.commit(writes, EMPTY, None, at=at, durable=True)
    await store.close()
    text = (await fuseboard("inbox", state=tmp_path)).stdout.decode()
    assert [line.partition(": ")[2] for line in text.splitlines() if "the agent said at" in line] == [
        "half way",
        "left: test\\x1b[2J",
    ]
    listed = json.loads((await fuseboard("inbox", "--json", state=tmp_path)).stdout)
    assert listed["checkpoints"]["r1"] == note.to_json()
