"""Who waits for whom: the calls that wait for a lock, and whether one more of them would close a circle. Pure.

All waits of all processes on one state folder stand in one short list (:data:`fuseboard.locks.WAITS`), so that a circle
is found by looking at it, when it would be closed (facts, mechanisms 1.7; Chandy-Misra-Haas probes are for systems that
share no view). Each entry has its end, so whoever dies waiting is soon gone from it.

The graph has calls, runs and people for nodes. A call that waits goes on when those let go who hold what it wants. What
a call holds ends with the call, which ends when all that stand on it have ended (an agent that was called calls on).
What a run holds ends with the run, which goes on when its calls are answered. A run that waits for a person
ends a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from fuseboard.locks import Holder, in_the_way, name_of, run_owner

MOST: Final = 256
"""Calls that may wait for locks at once. Past that one more is told to come back instead."""

OF_ONE_RUN: Final = MOST // 4
"""So many of them may be of one run, lest one that calls side by side keeps all others from waiting."""

PERSON: Final = "a person"

Graph = Mapping[str, Sequence[tuple[str, str]]]
"""The nodes on which each depends, with the words for why."""


class Waiting(msgspec.Struct, frozen=True):
    """A call that waits. ``on`` are the locks, each with whether it is wanted alone; ``owner`` who is to hold it is
    told by the locks themselves. ``stands_on`` are the calls below it (call, run, tool), the nearest first.
    """

    call: str
    run: str
    tool: str
    since: float
    until: float
    on: Mapping[str, bool]
    stands_on: tuple[tuple[str, str, str], ...] = ()


class Edge(NamedTuple):
    """``waiter`` goes on when ``needed`` does. ``why`` is for a reader."""

    waiter: str
    why: str
    needed: str


def waiting(value: Any, *, at: float) -> tuple[Waiting, ...]:
    """Who waits at ``at``, the longest first."""
    return tuple(one for one in msgspec.convert(value or (), tuple[Waiting, ...]) if at < one.until)


def joined(queue: Sequence[Waiting], one: Waiting) -> list[Any]:
    """The list as the store keeps it, with one more at its end or, where the call waits already, in its place."""
    if any(each.call == one.call for each in queue):
        return [msgspec.to_builtins(one if each.call == one.call else each) for each in queue]
    return [msgspec.to_builtins(each) for each in (*queue, one)]


def left(queue: Sequence[Waiting], call: str) -> list[Any]:
    return [msgspec.to_builtins(each) for each in queue if each.call != call]


def ahead_of(call: str, key: str, queue: Sequence[Waiting], *, exclusive: bool) -> Waiting | None:
    """Who has waited longer for this lock and cannot share it with the call."""
    for one in queue:
        if one.call == call:
            return None
        if key in one.on and (exclusive or one.on[key]):
            return one
    return None


def graph(
    queue: Iterable[Waiting], locks: Mapping[str, Any], *, at: float, asked: Iterable[str] = ()
) -> dict[str, list[tuple[str, str]]]:
    """Who depends on whom. ``asked`` are the runs that wait for a person."""
    found: dict[str, list[tuple[str, str]]] = {}
    for edge in _edges(queue, locks, at, asked):
        found.setdefault(edge.waiter, []).append((edge.needed, edge.why))
    return found


def cycle(graph: Graph, start: str) -> list[tuple[str, str]] | None:
    """The way from ``start`` back to itself, each step with why it is taken; ``None`` where there is none."""
    return path(graph, start, start)


def path(graph: Graph, start: str, end: str) -> list[tuple[str, str]] | None:
    """Depth first, each node once: (node, why it waits for the next), up to the one before ``end``."""
    seen: set[str] = set()
    steps: list[tuple[str, str]] = []
    branches = [iter(graph.get(start, ()))]
    nodes = [start]
    while branches:
        for needed, why in branches[-1]:
            if needed == end:
                return [*steps, (nodes[-1], why)]
            if needed not in seen:
                seen.add(needed)
                steps.append((nodes[-1], why))
                nodes.append(needed)
                branches.append(iter(graph.get(needed, ())))
                break
        else:
            branches.pop()
            nodes.pop()
            if steps:
                steps.pop()
    return None


def call_node(call: str) -> str:
    return f"call:{call}"


def told(ring: Sequence[tuple[str, str]], queue: Iterable[Waiting]) -> str:
    """A circle in words: run -> thing -> run -> thing -> the first run again."""
    calls: dict[str, str] = {}
    for one in queue:
        calls[call_node(one.call)] = f"run {one.run} ({one.tool})"
        calls |= {call_node(call): f"run {run} ({tool})" for call, run, tool in one.stands_on}
    # A run goes on with its call, which is the next step.
    steps = [f"{calls.get(node, node)} -> {why}" for node, why in ring if not node.startswith(run_owner(""))]
    return " -> ".join([*steps, calls.get(ring[0][0], ring[0][0])])


def _edges(queue: Iterable[Waiting], locks: Mapping[str, Any], at: float, asked: Iterable[str]) -> Iterator[Edge]:
    for one in queue:
        node = call_node(one.call)
        for key, exclusive in one.on.items():
            for holder in blocking(one, locks.get(key), exclusive=exclusive, at=at):
                yield Edge(node, name_of(key), _holding(holder))
        yield Edge(run_owner(one.run), one.tool, node)
        above = node
        for call, run, _ in one.stands_on:
            yield Edge(call_node(call), "its answer", above)
            if run != one.run:
                yield Edge(run_owner(run), "its answer", call_node(call))
            above = call_node(call)
    for run in asked:
        yield Edge(run_owner(run), "an answer", PERSON)


def blocking(one: Waiting, lock: Any, *, exclusive: bool, at: float) -> Iterator[Holder]:
    """Whose leases the call waits for. What its own run holds is not in its way."""
    for holder in in_the_way(lock, one.call, exclusive=exclusive, at=at):
        if holder.owner != run_owner(one.run):
            yield holder


def _holding(holder: Holder) -> str:
    return holder.owner if holder.by_run else call_node(holder.call)
