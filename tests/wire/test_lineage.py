"""Who descends from whom over real connections, and what pretending it brings."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from support.evaders import OF_A_PRINCIPAL, OF_A_RUN, TRIES, Field, call, field
from support.raw_client import HANDSHAKE, MODERN, RawClient

LIMIT_S: Final = 60
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
AUTH: Final = {"bearer": {name: {"token": f"{name}-{'x' * 20}"} for name in ("ana", "bob")}}

ERAS = pytest.mark.parametrize("era", [HANDSHAKE, MODERN])


def as_(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}-{'x' * 20}"}


async def under_way(ground: Field, client: RawClient) -> dict[str, Any]:
    """Begin a call that does not end, within a trace: what the upstream was told of its place in it."""
    mine = {"traceparent": f"00-{TRACE}-{'b' * 16}-01"}
    before = ground.executed
    await client.begin("tools/call", {"name": "slow", "arguments": {"seconds": 60}, "_meta": mine})
    await ground.reached(before + 1)
    meta: dict[str, Any] = json.loads(ground.log.frames("tools/call")[-1])["params"]["_meta"]
    assert meta["traceparent"].startswith(f"00-{TRACE}-")
    assert meta["traceparent"] != mine["traceparent"]
    return {key: meta[key] for key in ("traceparent", "tracestate")}


def ways(place: dict[str, Any]) -> list[dict[str, Any]]:
    """As one who was told the span says it, and as one with spans of its own between."""
    own = f"00-{TRACE}-{'c' * 16}-01"
    return [place, {"traceparent": place["traceparent"]}, {**place, "traceparent": own}]


@asynccontextmanager
async def with_ana(ground: Field, era: str) -> AsyncIterator[dict[str, Any]]:
    async with ground.client(era=era, headers=as_("ana")) as client:
        yield await under_way(ground, client)


@ERAS
async def test_who_names_another_s_call_in_flight_stays_in_a_run_of_its_own(tmp_path: Path, era: str) -> None:
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path, auth=AUTH) as ground, with_ana(ground, era) as place:
            for n in range(TRIES):
                for says in ways(place):
                    await ground.once(era=era, headers=as_("bob"), meta={**says, "fuseboard/run": f"{n}"})
                    await ground.once(era=MODERN, headers={**as_("bob"), **says})
            records = await ground.proxy.trace()
            assert ground.executed == 1 + OF_A_PRINCIPAL
    (anas,) = {one["run"] for one in records if one["principal"] == "ana"}
    assert anas not in {one["run"] for one in records if one["principal"] == "bob"}


@ERAS
async def test_who_names_its_own_call_in_flight_draws_on_that_call_s_run(tmp_path: Path, era: str) -> None:
    """Whatever else it names: the descent is known, all else is a claim."""
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path, auth=AUTH) as ground, with_ana(ground, era) as place:
            for n in range(TRIES):
                for says in ways(place):
                    await ground.once(era=era, headers=as_("ana"), meta={**says, "fuseboard/run": f"{n}"})
            records = await ground.proxy.trace()
            assert ground.executed == OF_A_RUN
    assert len({one["run"] for one in records}) == 1
    first, *rest = records
    assert {(one["parent"], one["depth"]) for one in rest} == {(first["id"], 1)}


async def test_a_call_that_has_ended_is_no_new_budget_either(tmp_path: Path) -> None:
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path, auth=AUTH) as ground:
            async with with_ana(ground, MODERN) as place:
                pass
            for says in ways(place) * TRIES:
                await ground.once(era=MODERN, headers=as_("ana"), meta=says)
            assert ground.executed == OF_A_RUN


async def test_descendants_of_a_signed_run_draw_on_it_and_leave_nothing_else(tmp_path: Path) -> None:
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            token = json.loads(await ground.proxy.cli("run", "new", "--budget", f"calls={OF_A_RUN}", "--json"))
            async with ground.client(path=token["path"].removesuffix("/mcp")) as client:
                place = await under_way(ground, client)
                for says in ways(place) * TRIES:
                    await ground.once(era=MODERN, meta=says)
                assert ground.executed == OF_A_RUN
                assert await call(client) == "run.calls"
            for n in range(TRIES):
                await ground.once(era=MODERN, meta={"fuseboard/run": f"{n}"})
            assert ground.executed == OF_A_RUN + OF_A_PRINCIPAL
