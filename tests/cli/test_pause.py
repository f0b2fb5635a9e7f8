"""``fuseboard pause``, ``resume`` and ``stop``."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.reviews import RunState, state_key
from fuseboard.state import EMPTY
from support.proxy import fuseboard


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    """A state folder that knows one run."""
    store = SqliteStore.open(tmp_path / "ledger.db")
    assert await store.commit([RunState().written("r-1")], EMPTY, None, at=time.time(), durable=True)
    await store.close()
    return tmp_path


async def now(state: Path) -> RunState:
    store = SqliteStore.open(state / "ledger.db")
    try:
        return RunState.of((await store.read((state_key("r-1"),), at=time.time())).get(state_key("r-1")))
    finally:
        await store.close()


async def test_a_run_is_paused_goes_on_with_more_and_is_stopped(state: Path) -> None:
    user = {"LOGNAME": "ana"}
    done = await fuseboard("pause", "r-1", "--why", "looks odd", state=state, env=user)
    assert done.stdout.decode() == "r-1 is paused\n"
    paused = await now(state)
    assert (paused.state, paused.by, paused.why) == ("paused", "ana", "looks odd")
    more = ("--calls", "+200", "--money", "+1.5", "--time", "30m", "--output", "1MB", "--tokens", "+10k")
    await fuseboard("resume", "r-1", *more, state=state, env=user)
    running = await now(state)
    assert running.state == "running"
    assert running.more == {
        "calls": 200,
        "money": 1.5,
        "time_s": 1800,
        "output_bytes": 1_000_000,
        "tokens": 10_000,
    }
    await fuseboard("stop", "r-1", state=state, env=user)
    assert (await now(state)).state == "stopped"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("pause", "r-2"), 4, "run r-2 is not known here"),
        (("resume", "r-1"), 4, "run r-1 is not paused"),
        (("stop", "r-\x1b[2J"), 4, "run r-\\x1b[2J is not known here"),
        (("resume", "r-1", "--calls", "many"), 2, "--calls many: found 'many'"),
        (("resume", "r-1", "--money", "-1"), 2, "--money -1: more than nothing"),
        (("resume", "r-1", "--money", "nan"), 2, "--money nan: more than nothing"),
    ],
)
async def test_what_cannot_be_done_is_said(state: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = await fuseboard(*words, state=state, ok=False)
    assert done.returncode == code
    assert done.stderr.decode().startswith(f"fuseboard: {said}")
