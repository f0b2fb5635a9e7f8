"""Evaders: whatever a client says of itself, its principal gets no more calls than it may make, and no fewer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from fuseboard.continuations import MAX_ROUNDS
from fuseboard.runs import LONGEST_CLAIM
from support.evaders import INFO, OF_A_PRINCIPAL, OF_A_RUN, TRIES, Field, another, call, field
from support.raw_client import HANDSHAKE, MODERN

LIMIT_S: Final = 60

Evader = Callable[[Field], Awaitable[None]]


def trace(n: int, *, span: int = 1) -> str:
    return f"00-{n + 1:032x}-{span:016x}-01"


async def _reconnects(ground: Field) -> None:
    for _ in range(TRIES):
        await ground.once()


async def _initialises_again(ground: Field) -> None:
    async with ground.client() as client:
        for n in range(TRIES):
            await client.ask("initialize", {**client.opening(), "clientInfo": {"name": f"other-{n}", "version": "1"}})
            await call(client)


async def _ends_its_session(ground: Field) -> None:
    for _ in range(TRIES):
        async with ground.client() as client:
            await call(client)
            await client.end_session()  # type: ignore[attr-defined]


async def _invents_sessions(ground: Field) -> None:
    for n in range(TRIES):
        await ground.once(headers={"mcp-session-id": f"{n:032x}"})
        await ground.once(era=MODERN, headers={"mcp-session-id": f"{n:032x}"})


async def _changes_its_name(ground: Field) -> None:
    for n in range(TRIES):
        await ground.once(name=f"client-{n}")
        await ground.once(era=MODERN, meta={INFO: {"name": f"client-{n}", "version": "1"}})


async def _changes_its_version(ground: Field) -> None:
    for n in range(TRIES):
        await ground.once(era=MODERN, meta={INFO: {"name": "client", "version": f"1.{n}"}})


async def _hides_its_name(ground: Field) -> None:
    odd: list[Any] = [None, {}, 7, "client", {"name": 7}, {"name": ""}, {"name": "x" * 10_000}, {"name": "a/b\u0000c"}]
    for info in (*odd, *odd):
        await ground.once(era=MODERN, meta={INFO: info})


async def _begins_traces(ground: Field) -> None:
    for n in range(TRIES):
        await ground.once(meta={"traceparent": trace(n)})
        await ground.once(era=MODERN, headers={"traceparent": trace(100 + n)})


async def _invents_baggage(ground: Field) -> None:
    for n in range(TRIES):
        await ground.once(meta={"baggage": f"run=another-{n}"})
        await ground.once(era=MODERN, headers={"baggage": f"run=yet-another-{n}"})


async def _invents_names_of_runs(ground: Field) -> None:
    for n in range(TRIES):
        await ground.once(meta={"fuseboard/run": f"r-{n}"})
        await ground.once(era=MODERN, meta={"fuseboard/run": f"{n}"})


async def _says_odd_things(ground: Field) -> None:
    odd: list[Any] = [
        "x" * LONGEST_CLAIM,
        "x" * (LONGEST_CLAIM + 1),
        "y" * 100_000,
        "",
        " ",
        "\u0000",
        "\u202etxt",
        "🚀" * 100,
        "run/../../principal/local",
        "fb1",
        7,
        None,
        {"run": "a"},
        ["a"],
        True,
    ]
    async with ground.client(era=MODERN) as client:
        for claim in odd:
            await call(client, {"fuseboard/run": claim})
            await call(client, {"baggage": f"run={claim}" if isinstance(claim, str) else claim})
            await call(client, {"traceparent": claim, "tracestate": claim})


async def _pretends_to_descend(ground: Field) -> None:
    for n in range(TRIES):
        invented = {"traceparent": trace(n, span=n + 7), "tracestate": f"fuseboard={n + 7:016x}"}
        await ground.once(meta=invented)
        await ground.once(era=MODERN, headers=invented)


async def _changes_era(ground: Field) -> None:
    for n in range(TRIES):
        await ground.once(era=(HANDSHAKE, MODERN)[n % 2])


async def _changes_transport(ground: Field) -> None:
    for n in range(TRIES):
        await ground.once(("http", "sse", "stdio")[n % 3])


async def _comes_all_ways_at_once(ground: Field) -> None:
    async def one(front: str, era: str) -> None:
        async with ground.client(front, era) as client:
            for n in range(TRIES):
                await call(client, {"fuseboard/run": f"{n % 3}"})

    async with anyio.create_task_group() as tasks:
        for front, era in (("http", HANDSHAKE), ("http", MODERN), ("sse", HANDSHAKE), ("stdio", MODERN)):
            tasks.start_soon(one, front, era)


async def _calls_all_at_once(ground: Field) -> None:
    async def one(n: int) -> None:
        await ground.once(era=MODERN, meta={"fuseboard/run": f"{n}"})

    async with anyio.create_task_group() as tasks:
        for n in range(4 * TRIES):
            tasks.start_soon(one, n)


async def _gives_up_on_its_calls(ground: Field) -> None:
    """A call whose answer nobody waits for reached the upstream all the same."""
    for era in (HANDSHAKE, MODERN):
        async with ground.client(era=era) as client:
            for _ in range(TRIES):
                before = ground.executed
                ask = await client.begin("tools/call", {"name": "slow", "arguments": another(seconds=60)})
                with anyio.move_on_after(0.5):
                    await ask.response()
                if ground.executed > before:
                    await client.cancel(ask)


async def _hangs_up(ground: Field) -> None:
    for _ in range(TRIES):
        async with ground.client(era=MODERN) as client:
            before = ground.executed
            await client.begin("tools/call", {"name": "slow", "arguments": another(seconds=60)})
            with anyio.move_on_after(0.5):
                await ground.reached(before + 1)


async def _repeats_an_id(ground: Field) -> None:
    async with ground.client() as client:
        for _ in range(TRIES):
            frame = client.frame("tools/call", {"name": "echo", "arguments": another()}, id="the-same")
            await (await client.begin_frame("the-same", frame)).response()


async def _sends_batches_and_notifications(ground: Field) -> None:
    async with ground.client("stdio") as client:
        one = client.frame("tools/call", {"name": "echo", "arguments": another()}, id="in-a-batch")
        for _ in range(TRIES):
            await client.send(b"[" + b",".join([one] * TRIES) + b"]")
            await client.notify("tools/call", {"name": "echo", "arguments": another()})
            await client.send(one.replace(b"tools/call", b"Tools/Call"))
            await call(client)


async def _starts_the_proxy_again(ground: Field) -> None:
    for n in range(TRIES):
        await ground.once(era=(HANDSHAKE, MODERN)[n % 2], meta={"fuseboard/run": f"{n}"})
        await ground.restart(kill=n % 2 == 0)


async def _starts_proxies_side_by_side(ground: Field) -> None:
    async def one(era: str) -> None:
        async with ground.client("stdio", era) as client:
            for _ in range(TRIES):
                await call(client)

    async with anyio.create_task_group() as tasks:
        for era in (HANDSHAKE, MODERN):
            tasks.start_soon(one, era)
    await ground.once()


EVADERS: Final[tuple[tuple[Evader, int], ...]] = (
    (_reconnects, OF_A_PRINCIPAL),
    (_initialises_again, OF_A_RUN),
    (_ends_its_session, OF_A_PRINCIPAL),
    (_invents_sessions, OF_A_RUN),  # a session that nobody opened is none; what is modern has none
    (_changes_its_name, OF_A_PRINCIPAL),
    (_changes_its_version, OF_A_PRINCIPAL),
    (_hides_its_name, OF_A_PRINCIPAL),
    (_begins_traces, OF_A_PRINCIPAL),
    (_invents_baggage, OF_A_PRINCIPAL),
    (_invents_names_of_runs, OF_A_PRINCIPAL),
    (_says_odd_things, OF_A_PRINCIPAL),
    (_pretends_to_descend, OF_A_PRINCIPAL),
    (_changes_era, OF_A_PRINCIPAL),
    (_changes_transport, OF_A_PRINCIPAL),
    (_comes_all_ways_at_once, OF_A_PRINCIPAL),
    (_calls_all_at_once, OF_A_PRINCIPAL),
    (_gives_up_on_its_calls, OF_A_PRINCIPAL),
    (_hangs_up, OF_A_RUN),
    (_repeats_an_id, OF_A_RUN),
    (_sends_batches_and_notifications, OF_A_RUN),
    (_starts_the_proxy_again, OF_A_PRINCIPAL),
    (_starts_proxies_side_by_side, OF_A_PRINCIPAL),
)


@pytest.mark.parametrize(
    ("evades", "gets"), EVADERS, ids=[evades.__name__.strip("_").replace("_", " ") for evades, _ in EVADERS]
)
async def test_who(tmp_path: Path, evades: Evader, gets: int) -> None:
    """Gets what it may, and no call more."""
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground:
            await evades(ground)
            assert ground.executed == gets
            records = await ground.proxy.trace()
    assert len([one for one in records if one["verdict"] == "allow"]) == gets
    assert {one["rule"] for one in records if one["verdict"] == "deny"} <= {"run.calls", "principal.calls"}


async def test_who_is_asked_for_ever_makes_calls_of_many_rounds_and_no_more_of_them(tmp_path: Path) -> None:
    """A question that nobody answers is asked again: each round is work, so a call has only so many of them."""
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path) as ground, ground.client(era=MODERN) as client:
            rounds = range(OF_A_RUN * MAX_ROUNDS + 9)
            said = [await call(client, tool="elicit", arguments={}, requestState="s-1.10") for _ in rounds]
            assert ground.executed == OF_A_RUN * MAX_ROUNDS
    assert set(said[OF_A_RUN * MAX_ROUNDS :]) == {"run.calls"}
