"""Which run a request belongs to, and how surely that is known.

Modern MCP has no session, so a run is found by a chain, the first hit wins, and the source goes into every record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fuseboard.ports import Origin

IDLE_GAP_S = 30 * 60.0
"""Two requests further apart than this are taken for two runs, where nothing better tells."""

MAX_INFERRED = 1000
"""Inferred runs of one principal. Client names are the clients' own invention; what comes on top shares one run."""

_OVERFLOW = "…"


class Source(StrEnum):
    """What named the run. All but the inferred one are exact about *which connection*, none is proof of *who*."""

    PROCESS = "process"
    """A stdio proxy has one parent."""
    SESSION = "session"
    """A session of the handshake revisions."""
    INFERRED = "inferred"
    """Same principal, same client name, no long silence between."""


@dataclass(slots=True)
class Run:
    """``seq`` counts the run's calls, from 1."""

    id: str
    source: Source
    seq: int = 0
    last_at: float = 0.0

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq


class Runs:
    """The runs that are known to this process. ``mint`` makes a new id at a time in Unix seconds."""

    def __init__(self, mint: Callable[[float], str]) -> None:
        self._mint = mint
        self._process: Run | None = None
        self._inferred: dict[str, dict[str | None, Run]] = {}

    def of_session(self, origin: Origin, *, at: float) -> Run:
        """The run of a new session of the handshake revisions."""
        if origin.transport == "stdio":
            return self._of_process(at)
        return Run(self._mint(at), Source.SESSION, last_at=at)

    def of_request(self, origin: Origin, client: str | None, *, at: float) -> Run:
        """The run of a request that belongs to no session."""
        if origin.transport == "stdio":
            return self._of_process(at)
        runs = self._inferred.setdefault(origin.principal, {})
        if client not in runs and len(runs) >= MAX_INFERRED:
            _forget_idle(runs, at)
            client = client if len(runs) < MAX_INFERRED else _OVERFLOW
        run = runs.pop(client, None)
        if run is None or at - run.last_at > IDLE_GAP_S:
            run = Run(self._mint(at), Source.INFERRED)
        run.last_at = at
        runs[client] = run  # at the end again: the longest silent stands first
        return run

    def _of_process(self, at: float) -> Run:
        if self._process is None:
            self._process = Run(self._mint(at), Source.PROCESS, last_at=at)
        return self._process


def _forget_idle(runs: dict[str | None, Run], at: float) -> None:
    """Forget those that a next request would begin anew. The longest silent stands first."""
    while runs and at - next(iter(runs.values())).last_at > IDLE_GAP_S:
        del runs[next(iter(runs))]
