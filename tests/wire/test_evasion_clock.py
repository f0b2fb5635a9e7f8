"""Evaders for whom the clock of the machine jumps, there and back: what was used stays used."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import anyio

from fuseboard.adapters.keys import run_key
from fuseboard.ports import SignedRun
from fuseboard.stated import Stated
from fuseboard.tokens import Tokens
from support.evaders import OF_A_PRINCIPAL, TRIES, Field, another, call, field
from support.raw_client import MODERN

LIMIT_S: Final = 90
HOUR_S: Final = 3600.0
DAY_S: Final = 86400.0
LIMIT: Final = 4


async def tries(ground: Field, *, path: str = "") -> None:
    for n in range(TRIES):
        await ground.once(era=MODERN, path=path, meta={"fuseboard/run": f"{n}"})


async def test_a_clock_that_goes_back_gives_nothing(tmp_path: Path) -> None:
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            for shift in (0.0, -60.0, -HOUR_S, -400 * DAY_S):
                ground.shift(shift)
                await tries(ground)
            assert ground.executed == OF_A_PRINCIPAL


async def test_a_clock_that_goes_to_and_fro_gives_one_allowance_for_each_window_and_not_one_for_each_jump(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            for n in range(4):
                ground.shift(0.0)
                await tries(ground)
                ground.shift(HOUR_S)
                await tries(ground)
                assert ground.executed == 2 * OF_A_PRINCIPAL, n


async def test_of_a_signed_run_no_time_gives_anything_back(tmp_path: Path) -> None:
    """It has no window: there are so many calls in it, whenever they are made."""
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            now, key = time.time(), run_key(ground.state)
            token = Tokens(key).make(SignedRun("r-long", now, now + 60 * DAY_S, None, Stated({"calls": LIMIT})))
            await ground.once(path=f"/run/{token}")
            for days in (-1, 0, 1, 13, 30, 59, 3, 61, 0):
                ground.shift(days * DAY_S)
                await tries(ground, path=f"/run/{token}")
                if days in (30, 59):
                    await ground.restart()
            assert ground.executed == LIMIT


async def test_a_jump_while_calls_are_under_way_charges_them(tmp_path: Path) -> None:
    """Past its time a hold counts as used, and the call that comes back after all gives nothing back."""
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            now, key = time.time(), run_key(ground.state)
            token = Tokens(key).make(SignedRun("r-slow", now, now + 60 * DAY_S, None, Stated({"calls": LIMIT})))
            async with ground.client(path=f"/run/{token}") as client:
                slow = [
                    await client.begin("tools/call", {"name": "slow", "arguments": another(seconds=2)}) for _ in "12"
                ]
                await ground.reached(2)
                ground.shift(HOUR_S)
                await tries(ground, path=f"/run/{token}")
                for ask in slow:
                    await ask.response()
                ground.shift(0.0)
                assert await call(client) == "run.calls"
            await tries(ground, path=f"/run/{token}")
            assert ground.executed == LIMIT
