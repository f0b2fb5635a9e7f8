"""Evaders with run tokens: their own, in every place that has one for it, and those that do not hold."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from fuseboard.adapters.keys import run_key
from fuseboard.ports import SignedRun
from fuseboard.stated import Stated
from fuseboard.tokens import Tokens
from support.evaders import OF_A_PRINCIPAL, OF_A_RUN, TRIES, Field, another, call, field
from support.proxy import UNLIMITED
from support.raw_client import HANDSHAKE, MODERN

LIMIT_S: Final = 60
HOUR_S: Final = 3600.0
LIMIT: Final = 4
"""Calls that the token states: neither what a run may make otherwise, nor what a principal may."""

AUTH: Final = {
    "bearer": {name: {"token": f"{name}-{'x' * 20}"} for name in ("ana", "bob")},
}

Evader = Callable[[Field, str], Awaitable[None]]


def signed(ground: Field, run: str = "r-signed", *, until: float = 4e9, principal: str | None = None) -> str:
    return Tokens(run_key(ground.state)).make(SignedRun(run, 0.0, until, principal, Stated({"calls": LIMIT})))


def as_(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}-{'x' * 20}"}


async def _reconnects(ground: Field, token: str) -> None:
    for n in range(TRIES):
        await ground.once(era=(HANDSHAKE, MODERN)[n % 2], path=f"/run/{token}")


async def _puts_it_everywhere(ground: Field, token: str) -> None:
    for _ in range(2):
        await ground.once(path=f"/run/{token}")
        await ground.once("sse", path=f"/run/{token}")
        await ground.once(era=MODERN, headers={"fuseboard-run": token})
        await ground.once(meta={"fuseboard/run": token})
        await ground.once("stdio", env={"FUSEBOARD_RUN": token})
        await ground.once("stdio", MODERN, env={"FUSEBOARD_RUN": token})


async def _says_more_beside_it(ground: Field, token: str) -> None:
    for n in range(TRIES):
        claims = {"baggage": f"run={n}", "traceparent": f"00-{n + 1:032x}-{n + 1:016x}-01"}
        await ground.once(path=f"/run/{token}", meta={"fuseboard/run": f"{n}", **claims})
        await ground.once(era=MODERN, path=f"/run/{token}", headers=claims)


async def _starts_the_proxy_again(ground: Field, token: str) -> None:
    for n in range(TRIES):
        await ground.once(path=f"/run/{token}")
        await ground.restart(kill=n % 2 == 0)


async def _calls_all_at_once(ground: Field, token: str) -> None:
    async def through_a_pipe() -> None:
        async with ground.client("stdio", env={"FUSEBOARD_RUN": token}) as client:
            for _ in range(TRIES):
                await call(client)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(through_a_pipe)
        for _ in range(2 * TRIES):
            tasks.start_soon(lambda: ground.once(era=MODERN, path=f"/run/{token}"))


EVADERS: Final = (
    _reconnects,
    _puts_it_everywhere,
    _says_more_beside_it,
    _starts_the_proxy_again,
    _calls_all_at_once,
)


def _words(evader: Callable[..., Any]) -> str:
    return evader.__name__.strip("_").replace("_", " ")


@pytest.mark.parametrize("evades", EVADERS, ids=_words)
async def test_who_has_a_token(tmp_path: Path, evades: Evader) -> None:
    """Gets what it states, and no call more."""
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            await evades(ground, signed(ground))
            assert ground.executed == LIMIT
            records = await ground.proxy.trace()
    assert {(one["run"], one["confidence"]) for one in records} == {("r-signed", "signed")}


def _raised(token: str) -> str:
    """The same token, but for what it allows."""
    version, payload, mac = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    said["limits"] = {"calls": 1e9}
    return f"{version}.{base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b'=').decode()}.{mac}"


BAD: Final[tuple[Callable[[Field], str], ...]] = (
    lambda ground: "fb1.e30.AAAA",
    lambda ground: signed(ground)[:-1],
    lambda ground: signed(ground).rpartition(".")[0],
    lambda ground: signed(ground) + "A",
    lambda ground: _raised(signed(ground)),
    lambda ground: signed(ground, until=1e9),
    lambda ground: signed(ground, principal="bob"),
    lambda ground: Tokens(os.urandom(32)).make(SignedRun("r-foreign", 0.0, 4e9, None, Stated({"calls": 1e9}))),
    lambda ground: "fb1." + "A" * 5000 + ".AAAA",
)


async def test_who_has_a_token_that_does_not_hold(tmp_path: Path) -> None:
    """Calls nothing with it, wherever it puts it."""
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            for token in (make(ground) for make in BAD):
                for era in (HANDSHAKE, MODERN):
                    assert await ground.once(era=era, path=f"/run/{token}") == "refused"
                    assert await ground.once(era=era, headers={"fuseboard-run": token}) == "refused"
                    assert await ground.once(era=era, meta={"fuseboard/run": token}) == "refused"
            assert ground.executed == 0
            assert await ground.once() == "ok"


async def test_who_has_two_tokens_uses_one_at_a_time(tmp_path: Path) -> None:
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            one, two = signed(ground, "r-1"), signed(ground, "r-2")
            for era in (HANDSHAKE, MODERN):
                assert await ground.once(era=era, path=f"/run/{one}", headers={"fuseboard-run": two}) == "refused"
                assert await ground.once(era=era, path=f"/run/{one}", meta={"fuseboard/run": two}) == "refused"
            assert ground.executed == 0
            for n in range(2 * TRIES):
                await ground.once(path=f"/run/{(one, two)[n % 2]}")
            assert ground.executed == 2 * LIMIT


async def test_signed_runs_stand_alone_and_leave_the_unsigned_what_is_theirs(tmp_path: Path) -> None:
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            token = signed(ground)
            for n in range(TRIES):
                await ground.once(path=f"/run/{token}")
                await ground.once(meta={"fuseboard/run": f"{n}"})
            assert ground.executed == LIMIT + OF_A_PRINCIPAL


@pytest.mark.parametrize(
    ("budget", "rule"),
    [("rate=2/h", "run.rate"), ("parallel=2", "run.parallel"), ("money=0.5", "run.money"), ("calls=2", "run.calls")],
)
async def test_every_limit_that_a_token_states_holds(tmp_path: Path, budget: str, rule: str) -> None:
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path, run=UNLIMITED["run"]) as ground:
            ground.config["servers"]["raw"]["tools"] = {"slow": {"cost": 0.25}}
            await ground.restart()
            token = json.loads(await ground.proxy.cli("run", "new", "--budget", budget, "--json"))
            async with ground.client(path=token["path"].removesuffix("/mcp")) as client:
                for n in range(2):
                    await client.begin("tools/call", {"name": "slow", "arguments": another(seconds=60)})
                    await ground.reached(n + 1)
                assert await call(client, tool="slow") == rule
            assert ground.executed == 2


async def test_an_open_connection_is_no_way_around_the_end_of_a_token(tmp_path: Path) -> None:
    """Whoever connected in time calls in time: over HTTP+SSE and a pipe the token is said once."""
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            token = signed(ground, until=time.time() + HOUR_S)
            async with (
                ground.client("sse", path=f"/run/{token}") as old,
                ground.client("stdio", env={"FUSEBOARD_RUN": token}) as piped,
            ):
                assert [await call(one) for one in (old, piped)] == ["ok", "ok"]
                ground.shift(HOUR_S + 1)
                assert [await call(one) for one in (old, piped)] == ["refused", "refused"]
                answer = json.loads(await piped.ask("tools/call", {"name": "echo", "arguments": another()}))
    assert "has expired" in answer["error"]["message"]


async def test_the_same_claim_of_two_principals_is_two_runs(tmp_path: Path) -> None:
    """Whatever the one says, it neither joins the other's run nor uses up what is the other's."""
    same: tuple[dict[str, Any], ...] = (
        {"fuseboard/run": "shared"},
        {"baggage": "run=shared"},
        {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
        {},
    )
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path, auth=AUTH) as ground:
            for meta in same * 2:
                await ground.once(era=MODERN, headers=as_("ana"), meta=meta)
            assert ground.executed == OF_A_PRINCIPAL
            for meta in same * 2:
                await ground.once(era=MODERN, headers=as_("bob"), meta=meta)
            assert ground.executed == 2 * OF_A_PRINCIPAL
            records = await ground.proxy.trace()
    runs = {who: {one["run"] for one in records if one["principal"] == who} for who in ("ana", "bob")}
    assert len(runs["ana"]) == len(runs["bob"]) == 3
    assert runs["ana"].isdisjoint(runs["bob"])


async def test_another_principal_s_token_and_run_ids_are_of_no_use(tmp_path: Path) -> None:
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path, auth=AUTH) as ground:
            token = signed(ground, principal="ana")
            await ground.once(path=f"/run/{token}", headers=as_("ana"))
            for n in range(TRIES):
                await ground.once(path=f"/run/{token}", headers=as_("bob"))
                await ground.once(era=MODERN, headers=as_("bob"), meta={"fuseboard/run": "r-signed"})
                await ground.once(era=MODERN, headers={**as_("bob"), "fuseboard-run": token}, meta={"n": n})
            records = await ground.proxy.trace()
            assert ground.executed == 1 + OF_A_RUN
    assert [one["principal"] for one in records if one["run"] == "r-signed"] == ["ana"]
