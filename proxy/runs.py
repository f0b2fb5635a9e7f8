"""Which run a request belongs to, and how surely that is known.

Modern MCP has no session, so a run is found by a chain, the first hit wins, and the source goes into every record.
Only a token is the operator's word. All else is the agent's own, or a guess: it groups calls, and raises or resets no
limit, for whatever is unsigned draws on what its principal may use altogether.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from fuseboard import ids
from fuseboard.ports import Origin, SignedRun
from fuseboard.stated import NOTHING_STATED, Stated
from fuseboard.trace_context import TraceParent

IDLE_GAP_S: Final = 15 * 60.0
"""Two requests further apart than this are taken for two runs, where nothing better tells."""

MAX_INFERRED: Final = 1000
"""Inferred runs of one principal. Client names are the clients' own invention; what comes on top shares one run."""

MAX_NAMED: Final = 1000
"""Runs of one principal that are known by a claim and kept in memory. The ids of all can be derived again."""

MAX_SIGNED: Final = 10_000
LONGEST_CLAIM: Final = 256
"""In characters. A longer one says nothing."""

CHAIN: Final = ("token", "meta", "trace", "session", "inferred")

_OVERFLOW = "…"


class Source(StrEnum):
    """What named the run."""

    TOKEN = "token"
    """A token that the operator signed."""
    META = "meta"
    """The configured key of ``_meta`` or member of the baggage."""
    TRACE = "trace"
    """The trace that the request belongs to (``traceparent``)."""
    PROCESS = "process"
    """A stdio proxy has one parent."""
    SESSION = "session"
    """A session of the handshake revisions."""
    INFERRED = "inferred"
    """Same principal, same client name, no long silence between."""


class Confidence(StrEnum):
    """How surely the calls of a run belong together."""

    SIGNED = "signed"
    CLAIMED = "claimed"
    """The agent says so."""
    CONNECTION = "connection"
    """They came over one connection or session, as one conversation commonly does."""
    INFERRED = "inferred"
    """Nothing says that these are not two conversations: since 2026-07-28 a connection is not one."""


_CONFIDENCE: Final = {
    Source.TOKEN: Confidence.SIGNED,
    Source.META: Confidence.CLAIMED,
    Source.TRACE: Confidence.CLAIMED,
    Source.PROCESS: Confidence.CONNECTION,
    Source.SESSION: Confidence.CONNECTION,
    Source.INFERRED: Confidence.INFERRED,
}


class Said(msgspec.Struct, frozen=True):
    """What a request says of the run that it belongs to. ``parent`` and ``state`` are its place in a trace."""

    signed: SignedRun | None = None
    claim: str | None = None
    parent: TraceParent | None = None
    state: str | None = None


_KEPT_S: Final = {
    Confidence.SIGNED: 14 * 86400.0,
    Confidence.CONNECTION: 86400.0,
    Confidence.CLAIMED: 1800.0,
    Confidence.INFERRED: 1800.0,
}


@dataclass(slots=True, eq=False)
class Run:
    """``seq`` counts the run's calls, from 1. ``due_at`` is when the store is to be asked or told of it."""

    id: str
    source: Source
    principal: str = ""
    confidence: Confidence = Confidence.INFERRED
    limits: Stated | None = None
    """What its token states in place of the configured limits."""
    seq: int = 0
    last_at: float = 0.0
    due_at: float = math.inf
    cell: str | None = None
    """Where the store keeps the id of a run that cannot be derived again."""
    anew: bool = False
    """Whether this process saw the one before it end, so that the store has nothing to say."""
    expires_at: float = math.inf
    """When the token of a signed run ends."""
    ttl_s: float = 0.0
    """For how long it was signed."""
    lent: bool = False
    """Whether a call of it was sent under a span of ours: what was called may call on in its name, even after it."""

    @property
    def signed(self) -> bool:
        return self.confidence is Confidence.SIGNED

    @property
    def kept_s(self) -> float:
        """How long what is known of the run outlives its last call.

        A claimed run that comes back later begins anew: names cost the agent nothing, and each would cost us memory.
        A signed one is known for longer than its token holds, however long it is silent, else silence would fill its
        budget; by so much longer that a clock that goes back does not matter either.
        """
        return _KEPT_S[self.confidence] + self.ttl_s

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq


class Runs:
    """The runs that are known to this process. ``mint`` makes a new id at a time in Unix seconds.

    Args:
        key: what ids of claimed runs are derived with, so that nobody outside can meet another's.
        own: the run of the one client of a stdio proxy, where a token names it.
    """

    def __init__(
        self,
        mint: Callable[[float], str],
        *,
        key: bytes = b"",
        chain: Sequence[str] = CHAIN,
        idle_gap_s: float = IDLE_GAP_S,
        own: SignedRun | None = None,
    ) -> None:
        self.idle_gap_s = idle_gap_s
        self._mint = mint
        self._key = hmac.digest(key, b"fuseboard run id", hashlib.sha256)
        self._chain = tuple(chain)
        self._own = own
        self._process: Run | None = None
        self._signed: dict[str, Run] = {}
        self._named: dict[str, dict[tuple[Source, str], Run]] = {}
        self._inferred: dict[str, dict[str | None, Run]] = {}

    def named(self, origin: Origin, said: Said, *, at: float) -> Run | None:
        """The run that a request names, ``None`` where it names none that the chain would hear."""
        for step in self._chain:
            match step:
                case "token" if said.signed is not None:
                    return self._of_token(said.signed)
                case "token" if self._own is not None and origin.transport == "stdio":
                    return self._of_process(at)
                case "meta" if said.claim is not None:
                    return self._of_claim(origin.principal, Source.META, said.claim, at)
                case "trace" if said.parent is not None:
                    return self._of_claim(origin.principal, Source.TRACE, said.parent.trace, at)
                case "session" | "inferred":
                    return None
        return None

    def of_session(self, origin: Origin, *, at: float) -> Run:
        """The run of a new session of the handshake revisions, for its requests that name none."""
        if origin.transport == "stdio":
            return self._of_process(at)
        if "session" not in self._chain:
            return self.of_request(origin, None, at=at)
        return _run(self._mint(at), Source.SESSION, origin.principal, last_at=at)

    def of_request(self, origin: Origin, client: str | None, *, at: float) -> Run:
        """The run of a request that belongs to no session and names no run."""
        if origin.transport == "stdio":
            run = self._of_process(at)
            if run.confidence is Confidence.CONNECTION:
                run.confidence = Confidence.INFERRED
            return run
        runs = self._inferred.setdefault(origin.principal, {})
        if client not in runs and len(runs) >= MAX_INFERRED:
            self._forget_idle(runs, at)
            client = client if len(runs) < MAX_INFERRED else _OVERFLOW
        known = runs.pop(client, None)
        if known is None or at - known.last_at > self.idle_gap_s:
            run = self._new_inferred(origin.principal, client, at, anew=known is not None)
        else:
            run = known
        run.last_at = at
        runs[client] = run  # at the end again: the longest silent stands first
        return run

    def _new_inferred(self, principal: str, client: str | None, at: float, *, anew: bool) -> Run:
        # As JSON: ``a/b`` of the principal ``c`` would be ``b`` of the principal ``c/a``.
        cell = f"inferred/{msgspec.json.encode((principal, client)).decode()}"
        run = _run(self._mint(at), Source.INFERRED, principal, last_at=at, due_at=0.0, cell=cell)
        run.anew = anew
        return run

    def _of_process(self, at: float) -> Run:
        own = self._own
        if own is not None:
            return self._of_token(own)
        if self._process is None:
            self._process = _run(self._mint(at), Source.PROCESS, last_at=at)
        return self._process

    def _of_token(self, signed: SignedRun) -> Run:
        if (run := self._signed.get(signed.run)) is None:
            if len(self._signed) >= MAX_SIGNED:
                del self._signed[next(iter(self._signed))]
            run = self._signed[signed.run] = _run(
                signed.run,
                Source.TOKEN,
                signed.principal or "",
                limits=signed.limits if signed.limits != NOTHING_STATED else None,
                due_at=0.0,
            )
        if signed.expires_at != run.expires_at:  # the last that was shown counts, as it would over HTTP
            run.expires_at, run.ttl_s = signed.expires_at, signed.expires_at - signed.issued_at
        return run

    def _of_claim(self, principal: str, source: Source, claim: str, at: float) -> Run:
        """Derived, and so the same over connections and restarts; never the same for two principals."""
        runs = self._named.setdefault(principal, {})
        run = runs.pop((source, claim), None)
        if run is None:
            if len(runs) >= MAX_NAMED:
                del runs[next(iter(runs))]
            claimed = msgspec.json.encode((principal, source, claim))
            run = _run(ids.derived(hmac.digest(self._key, claimed, hashlib.sha256)), source, principal, due_at=0.0)
        run.last_at = at
        runs[(source, claim)] = run
        return run

    def _forget_idle(self, runs: dict[str | None, Run], at: float) -> None:
        """Forget those that a next request would begin anew. The longest silent stands first."""
        while runs and at - next(iter(runs.values())).last_at > self.idle_gap_s:
            del runs[next(iter(runs))]


def _run(
    id: str,
    source: Source,
    principal: str = "",
    *,
    limits: Stated | None = None,
    last_at: float = 0.0,
    due_at: float = math.inf,
    cell: str | None = None,
) -> Run:
    return Run(id, source, principal, _CONFIDENCE[source], limits, 0, last_at, due_at, cell)
