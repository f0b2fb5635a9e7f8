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


_FEW_RUNS = 256


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
        self._inferred: dict[tuple[str, str | None], Run] = {}
        self._forget_above = _FEW_RUNS

    def of_session(self, origin: Origin, *, at: float) -> Run:
        """The run of a new session of the handshake revisions."""
        if origin.transport == "stdio":
            return self._of_process(at)
        return Run(self._mint(at), Source.SESSION, last_at=at)

    def of_request(self, origin: Origin, client: str | None, *, at: float) -> Run:
        """The run of a request that belongs to no session."""
        if origin.transport == "stdio":
            return self._of_process(at)
        key = (origin.principal, client)
        run = self._inferred.get(key)
        if run is None or at - run.last_at > IDLE_GAP_S:
            if len(self._inferred) >= self._forget_above:
                self._forget_idle(at)
            run = self._inferred[key] = Run(self._mint(at), Source.INFERRED)
        run.last_at = at
        return run

    def _of_process(self, at: float) -> Run:
        if self._process is None:
            self._process = Run(self._mint(at), Source.PROCESS, last_at=at)
        return self._process

    def _forget_idle(self, at: float) -> None:
        """Client names are the clients' own invention: without this, inventing them would fill the memory."""
        for key in [key for key, run in self._inferred.items() if at - run.last_at > IDLE_GAP_S]:
            del self._inferred[key]
        # Only when their number has doubled is looking through all of them worth it again.
        self._forget_above = max(_FEW_RUNS, 2 * len(self._inferred))
