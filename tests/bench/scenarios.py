"""What is done to the targets. Each scenario yields rows: plain dictionaries, one measurement each.

Everything that is to be compared stands on the stage at once and is measured in turn, in shuffled order, round after
round: ratios within a round survive a busy machine, microseconds do not.
"""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import processes
from drive import Burst, Loop
from stage import Act, Shape, running
from targets import Target
from wire import NUMBER, Question, WireError

Row: TypeAlias = dict[str, Any]
TEXT = f"hello world {NUMBER}"


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: rounds, and the seconds and the most calls of one burst."""

    rounds: int
    seconds: float
    calls: int
    callers: tuple[int, ...] = (1, 16)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked again and again, each time with another number, and what stands in every right answer."""

    method: str
    params: dict[str, Any]
    expected: bytes


ECHO = Ask("tools/call", {"name": "echo", "arguments": {"text": TEXT}}, TEXT.encode())


@dataclass(frozen=True, slots=True)
class Lane:
    """One line of a board: a target in a shape. ``label`` names it."""

    label: str
    target: Target
    shape: Shape


async def calls(board: str, lanes: Sequence[Lane], effort: Effort, cores: processes.Cores) -> AsyncIterator[Row]:
    """Calls of the echo tool: CPU, latency, throughput, upstream messages a call."""
    with ExitStack() as stack:
        acts = [act async for act in staged(board, lanes, cores, stack)]
        for round_ in range(effort.rounds):
            for callers in effort.callers:
                for lane, act in random.sample(acts, len(acts)):
                    measured = await burst(act, callers, effort)
                    yield {"board": board, "target": lane.label, "round": round_, "callers": callers, **measured}


async def staged(
    board: str, lanes: Sequence[Lane], cores: processes.Cores, stack: ExitStack
) -> AsyncIterator[tuple[Lane, Act]]:
    for lane in lanes:
        place = stack.enter_context(ExitStack())
        try:
            act, started = place.enter_context(running(lane.target, lane.shape, cores))
            await act.wait_until_ready(started)
        except (OSError, WireError) as fault:
            place.close()
            print(f"!! {board}: {lane.label} left out: {fault}", file=sys.stderr)
            continue
        yield lane, act


async def burst(act: Act, callers: int, effort: Effort, ask: Ask = ECHO) -> Row:
    connections = await act.connect(callers)
    params = ask.params if ask is not ECHO else {**ask.params, "name": act.tool}
    question = Question.of(act.shape.era, ask.method, params)
    most, expected = effort.calls, ask.expected
    warm = min(max(50, 4 * callers), most)
    await Loop(question, expected, warm, 2, act.take_ids(most)).run(connections)
    pids = act.pids
    received, cpu_ns = act.received(), processes.cpu_ns(pids)
    done = await Loop(question, expected, most, effort.seconds, act.take_ids(most)).run(connections)
    cpu_ns, received = processes.cpu_ns(pids) - cpu_ns, act.received() - received
    act.release(connections)
    return {**summary(done), "cpu_us": cpu_ns / 1e3 / max(1, len(done.latencies_s)), **messages(done, received)}


def summary(done: Burst) -> Row:
    count = len(done.latencies_s)
    row = {"calls": count, "calls_per_s": count / done.wall_s, "errors": done.errors, "first_error": done.first_error}
    return {**row, "p50_us": done.quantile_us(0.5), "p99_us": done.quantile_us(0.99)}


def messages(done: Burst, received: Any) -> Row:
    count = max(1, len(done.latencies_s))
    return {"messages_per_call": sum(received.values()) / count, "received": dict(received)}


async def cold_starts(lanes: Sequence[Lane], effort: Effort, cores: processes.Cores) -> AsyncIterator[Row]:
    """From the start of the process to its first answered ``tools/list``."""
    for round_ in range(effort.rounds):
        for lane in random.sample(list(lanes), len(lanes)):
            try:
                with running(lane.target, lane.shape, cores) as (act, started):
                    await act.wait_until_ready(started)
                    row = {"ready_ms": act.ready_s * 1e3, "cpu_ms": processes.cpu_ns(act.pids) / 1e6}
            except WireError as fault:
                print(f"!! cold start: {lane.label} left out: {fault}", file=sys.stderr)
                continue
            yield {"board": "cold start", "target": lane.label, "round": round_, **row}


async def idle_memory(lanes: Sequence[Lane], effort: Effort, cores: processes.Cores) -> AsyncIterator[Row]:
    """Resident memory of a target that has answered a listing and a few calls, and rests."""
    with ExitStack() as stack:
        async for lane, act in staged("idle memory", lanes, cores, stack):
            await burst(act, 1, Effort(1, 0.2, 50))
            yield {"board": "idle memory", "target": lane.label, "round": 0, "rss_mb": processes.rss_mb(act.pids)}
