"""The run and the lineage of each governed request: what it says, what is remembered, and what the store knows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from fuseboard.claims import Claims
from fuseboard.errors import DENIED, ProtocolFault, StoreUnavailable
from fuseboard.lineage import Lineage, Step, may_lend
from fuseboard.ports import Origin, Request, Store
from fuseboard.runs import Run, Runs, Said
from fuseboard.spending import stated
from fuseboard.state import Put
from fuseboard.tokens import EXPIRED, VERSION, BadToken
from fuseboard.trace_context import BAGGAGE, baggage_value

_log = logging.getLogger("fuseboard.identity")

_NOTES: Final = 15
"""Into so many parts the idle gap is divided: that often it is written down that an inferred run goes on."""

_AGAIN_S: Final = 5.0
"""How long a store that could not be asked is left alone."""


class ServerLike(Protocol):
    """An upstream, as the configuration has it."""

    @property
    def agent(self) -> bool: ...
    @property
    def trust(self) -> str: ...


class Identity:
    """What every session shares. ``entropy`` gives that many random bits."""

    def __init__(self, runs: Runs, claims: Claims, store: Store, entropy: Callable[[int], int]) -> None:
        self.runs = runs
        self.lineage = Lineage(entropy)
        self._claims = claims
        self._store = store
        self.tokens = claims.tokens
        """What reads run tokens, for the edges that are told of them."""

    def step(self, request: Request, origin: Origin, server: ServerLike, *, at: float) -> Step | None:
        """Where a governed request stands; ``None`` where it says nothing of that, as nearly all do.

        Raises:
            ProtocolFault: it bears a run token that does not hold.
        """
        meta = request.value.get("_meta") if request.value is not None else None
        speaks = isinstance(meta, dict) and self._claims.any_in(meta)
        if not speaks and request.beside is None and not server.agent:
            return None
        try:
            return self._step(request, meta if meta and speaks else {}, origin, server, at)
        except BadToken as fault:
            raise ProtocolFault(DENIED, str(fault)) from None

    def _step(self, request: Request, meta: Mapping[str, Any], origin: Origin, server: ServerLike, at: float) -> Step:
        said = self._claims.read(meta, request.beside, principal=origin.principal, at=at)
        run = self.runs.named(origin, said, at=at)
        below = self.lineage.below(said)
        if below is not None and may_lend(below, origin.principal) and (run is None or not run.signed):
            run = below.run
        trace = said.parent or (self.lineage.begun() if server.agent else None)
        return Step(
            self.lineage,
            run,
            below,
            trace,
            said.state,
            self._drops(meta, said, server),
            origin.principal,
            server.agent,
        )

    def _drops(self, meta: Mapping[str, Any], said: Said, server: ServerLike) -> tuple[str, str] | None:
        """Our own keys are nobody's business whose words nobody trusts, and a token is no upstream's at all."""
        meta_key, baggage_key = self._claims.meta_key, self._claims.baggage_key
        claim = meta.get(meta_key)
        if isinstance(claim, str) and claim.startswith(f"{VERSION}."):
            return meta_key, baggage_key
        if server.trust != "untrusted":
            return None
        there = meta_key in meta or (BAGGAGE in meta and baggage_value(meta[BAGGAGE], baggage_key) is not None)
        return (meta_key, baggage_key) if there else None

    async def attend(self, run: Run, *, at: float) -> None:
        """Ask the store what it knows of a run that is new here, or tell it that an inferred one goes on.

        Calls that come meanwhile ask, too: none of them goes on before the id and the number of calls are known.

        Raises:
            ProtocolFault: the run's token has expired since the connection was made that bears it.
        """
        if at >= run.expires_at:
            raise ProtocolFault(DENIED, EXPIRED)
        known = run.seq > 0 or run.anew
        try:
            if run.cell is not None:
                await self._note(run, run.cell, known=known, at=at)
            if not known:
                run.seq = max(run.seq, await self._store.last_seq(run.id))
                if run.signed:
                    await self._tell_limits(run, at=at)
        except StoreUnavailable as fault:
            _log.error("what is on record of run %s cannot be read: %s", run.id, fault)
            run.due_at = min(at + _AGAIN_S, run.expires_at)
        else:
            run.due_at = run.expires_at if run.cell is None else at + self.runs.idle_gap_s / _NOTES

    async def _tell_limits(self, run: Run, *, at: float) -> None:
        """Leave word of what the token states, for those who look on. It is for their eyes alone."""
        word = stated(run.id, run.limits, ttl_s=run.kept_s)
        await self._store.commit([word], await self._store.read([word.key], at=at), None, at=at)

    async def _note(self, run: Run, cell: str, *, known: bool, at: float) -> None:
        ttl_s = self.runs.idle_gap_s * (1 + 1 / _NOTES)
        read = await self._store.read([cell], at=at)
        for _ in range(2):
            if not known and isinstance(before := read.get(cell), str):
                run.id = before
            if await self._store.commit([Put(cell, run.id, ttl_s)], read, None, at=at):
                return
            read = await self._store.read([cell], at=at)  # another process was quicker
