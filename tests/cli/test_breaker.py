"""``fuseboard breaker``: what it refuses, and what it shows. What it does to a proxy is in ``wire/test_breaker.py``."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from fuseboard.adapters.presence import FOLDER
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.breakers.machine import OPEN, Breaker, shared_key, written
from fuseboard.breakers.strikes import Strike
from fuseboard.cli.breaker import lines
from fuseboard.state import EMPTY
from support.proxy import fuseboard


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    """A state folder in which one tool is cut off."""
    at = time.time()
    one = Breaker(OPEN, 3, 1, at, at + 300, rule="row", strikes=(Strike("d-1", at - 5, "timeout", 1.0),))
    store = SqliteStore.open(tmp_path / "ledger.db")
    assert await store.commit([written(shared_key("up"), None, {"up__get": one})], EMPTY, None, at=at, durable=True)
    await store.close()
    return tmp_path


async def test_it_shows_what_is_cut_off_and_why(state: Path) -> None:
    text = (await fuseboard("breaker", "ls", state=state)).stdout.decode()
    assert "open      up__get  for all runs  " in text
    assert "timeout, " in text
    document = json.loads((await fuseboard("breaker", "ls", "--json", state=state)).stdout)
    assert document["breakers"][0]["strikes"][0]["decision"] == "d-1"
    await fuseboard("breaker", "reset", "up__get", "--for", "1h", state=state, env={"LOGNAME": "ida"})
    (held,) = json.loads((await fuseboard("breaker", "ls", "--json", state=state)).stdout)["breakers"]
    assert (held["state"], held["by"]) == ("closed", "ida")
    await fuseboard("breaker", "reset", "up__get", state=state)
    assert (await fuseboard("breaker", "ls", state=state)).stdout.decode() == "All breakers are closed.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("open", "up", "--run", "r-1"), "up is a server"),
        (("open", "up__get", "--for", "0s"), "--for: more than nothing"),
        (("open", "up__get", "--for", "soon"), "'soon'"),
        (("reset", "up__get", "--for", "10"), "'10'"),
    ],
)
async def test_what_cannot_be_meant_is_said(words: tuple[str, ...], said: str, state: Path) -> None:
    done = await fuseboard("breaker", *words, state=state, ok=False)
    assert done.returncode == 2
    assert said in done.stderr.decode()


async def test_a_server_that_no_proxy_has_is_doubted(state: Path) -> None:
    folder = state / FOLDER
    folder.mkdir()
    (folder / f"{os.getpid()}.json").write_text(json.dumps({"upstreams": {"up": {}}}))
    done = await fuseboard("breaker", "open", "pu__get", state=state)
    assert "has a server 'pu'; there are up" in done.stderr.decode()
    done = await fuseboard("breaker", "open", "up__get", state=state)
    assert "note:" not in done.stderr.decode()


def test_names_and_reasons_do_nothing_to_a_terminal() -> None:
    one: dict[str, Any] = {"state": "open", "name": "up\x1b[2J", "run": "r\x07", "until": None, "probe": "d-1"}
    one |= {"by": "\x1b", "why": "[red]oops[/red]", "strikes": []}
    shown = "\n".join(line.plain for line in lines(one, 0.0))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[red]oops[/red]" in shown
