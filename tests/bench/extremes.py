"""The far ends: many open sessions, long filtered lists, large results, long runs."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack

import processes
from scenarios import Ask, Effort, Lane, Row, burst, staged
from stage import Act
from wire import NUMBER, Connection, Http, WireError

SESSIONS = 1000
LIST_CALLS = 200
LARGE_BYTES = 5_000_000
LARGE_CALLS = 40
WARM_CALLS, ALL_CALLS = 5_000, 20_000
_AT_ONCE = 50


async def listings(board: str, lanes: Sequence[Lane], effort: Effort, cores: processes.Cores) -> AsyncIterator[Row]:
    """A whole ``tools/list``: CPU. A caller at a time, for nobody lists in a hurry."""
    ask = Ask("tools/list", {}, b'"echo"')
    short = Effort(effort.rounds, effort.seconds, LIST_CALLS, (1,))
    async for row in _in_turn(board, lanes, short, cores, ask):
        yield row


async def large_results(
    board: str, lanes: Sequence[Lane], effort: Effort, cores: processes.Cores
) -> AsyncIterator[Row]:
    """A result of 5 MB: CPU. No more answers are looked into than there must be."""
    title = f"copy {NUMBER}"
    ask = Ask("tools/call", {"name": "blob", "arguments": {"size": LARGE_BYTES, "title": title}}, title.encode())
    short = Effort(effort.rounds, effort.seconds, LARGE_CALLS, (1,))
    async for row in _in_turn(board, lanes, short, cores, ask):
        yield row


async def open_sessions(
    board: str, lanes: Sequence[Lane], effort: Effort, cores: processes.Cores
) -> AsyncIterator[Row]:
    """Calls beside a thousand sessions that rest, and beside none; and what each of those holds in memory."""
    with ExitStack() as stack:
        acts: list[tuple[str, Act]] = []
        async for lane, act in staged(board, lanes, cores, stack):
            acts.append((f"{lane.label} none", act))
        async for lane, act in staged(board, lanes, cores, stack):
            await burst(act, 1, Effort(1, 0.2, 200))
            before_mb = processes.rss_mb(act.pids)
            crowd = await _crowd(act)
            held_kb = (processes.rss_mb(act.pids) - before_mb) * 1024 / len(crowd)
            yield {"board": board, "target": f"{lane.label} {SESSIONS}", "round": 0, "kb_per_session": held_kb}
            acts.append((f"{lane.label} {SESSIONS}", act))
        for round_ in range(effort.rounds):
            for callers in effort.callers:
                for label, act in random.sample(acts, len(acts)):
                    measured = await burst(act, callers, effort)
                    yield {"board": board, "target": label, "round": round_, "callers": callers, **measured}


async def long_runs(board: str, lanes: Sequence[Lane], effort: Effort, cores: processes.Cores) -> AsyncIterator[Row]:
    """How much memory the calls from the 5,000th to the 20,000th leave behind."""
    del effort  # a leak shows after so many calls, however short the rest is
    with ExitStack() as stack:
        async for lane, act in staged(board, lanes, cores, stack):
            await burst(act, 8, Effort(1, 120, WARM_CALLS))
            warm_mb = processes.rss_mb(act.pids)
            await burst(act, 8, Effort(1, 120, ALL_CALLS - WARM_CALLS))
            grown_mb = processes.rss_mb(act.pids) - warm_mb
            yield {"board": board, "target": lane.label, "round": 0, "grown_mb": grown_mb}


async def _in_turn(
    board: str, lanes: Sequence[Lane], effort: Effort, cores: processes.Cores, ask: Ask
) -> AsyncIterator[Row]:
    with ExitStack() as stack:
        acts = [act async for act in staged(board, lanes, cores, stack)]
        for round_ in range(effort.rounds):
            for lane, act in random.sample(acts, len(acts)):
                measured = await burst(act, 1, effort, ask)
                yield {"board": board, "target": lane.label, "round": round_, "callers": 1, **measured}


async def _crowd(act: Act) -> list[Connection]:
    """Sessions that are opened and then left alone."""
    crowd: list[Connection] = []
    while len(crowd) < SESSIONS:
        count = min(_AT_ONCE, SESSIONS - len(crowd))
        try:
            crowd += await asyncio.gather(*(Http.open(act.site.port, act.shape.era) for _ in range(count)))
        except (OSError, WireError) as fault:
            print(f"!! only {len(crowd)} sessions could be opened: {fault}", file=sys.stderr)
            break
    return crowd
