"""How breakers stand, for whoever looks on or puts a hand on them: read from the state, beside the proxies. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from fuseboard.breakers import machine
from fuseboard.breakers.machine import CLOSED, OPEN, Breaker
from fuseboard.breakers.tails import KEPT_S
from fuseboard.breakers.words import RUN, TOOL, UPSTREAM
from fuseboard.state import Push

CELLS: Final = ("breakers/run/", "breakers/upstream/")
"""How the keys of the cells begin."""

ACTS: Final = "breakers/acts"
"""The tail of what operators did."""

_ACTS_KEPT: Final = 100


class Target(NamedTuple):
    """One breaker, by the cell that it stands in and its name there."""

    key: str
    name: str


def acted(which: Target, after: Breaker) -> Push:
    """The write that keeps an operator's word on record, whatever becomes of the breaker later."""
    word = "open" if after.state == OPEN else "reset"
    act = {"at": after.since, "by": after.by, "why": after.why, "do": word, "until": after.until, **which._asdict()}
    return Push(ACTS, act, _ACTS_KEPT, KEPT_S)


class Shown(NamedTuple):
    """One breaker that is not simply closed. ``name``: ``<server>__<tool>`` or a server; ``run`` where it is of one."""

    scope: str
    name: str
    run: str | None
    breaker: Breaker

    def to_json(self, at: float) -> dict[str, Any]:
        one = self.breaker
        said: dict[str, Any] = {"scope": self.scope, "name": self.name, "run": self.run, "state": one.phase(at)}
        said |= {"generation": one.generation, "since": one.since, "rule": one.rule or None}
        said["until"] = one.until if at < one.until else None
        said["probe"] = one.lease[0] if one.lease is not None and one.taken(at) else None
        said |= {"by": one.by or None, "why": one.why or None}
        return said | {"strikes": [strike._asdict() for strike in one.strikes]}


def target(name: str, run: str | None = None) -> Target:
    """The breaker of a tool (``<server>__<tool>``) or of a server, for all runs or for one.

    Raises:
        ValueError: there is none for a server in one run.
    """
    upstream, of_tool, _ = name.partition("__")
    if run is not None:
        if not of_tool:
            raise ValueError(f"{name} is a server; a run has breakers for tools alone, named <server>__<tool>")
        return Target(machine.run_key(run), name)
    return Target(machine.shared_key(upstream), name if of_tool else machine.UPSTREAM)


def shown(cells: Mapping[str, Any], *, at: float) -> Iterator[Shown]:
    """All breakers out of these cells (by key) that are not simply closed, the shared ones first."""
    for key in sorted(cells, key=lambda key: (not key.startswith(CELLS[1]), key)):
        whose = key.split("/", 2)[2]
        run = whose if key.startswith(CELLS[0]) else None
        for name in sorted(cells[key]):
            one = machine.read(cells[key], name)
            if one.phase(at) == CLOSED and not one.held_closed(at) and not one.taken(at):
                continue
            scope = RUN if run is not None else TOOL if name else UPSTREAM
            yield Shown(scope, name or whose, run, one)
