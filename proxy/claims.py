"""What a request says of its run, read out of its ``_meta`` and the headers that came beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fuseboard.ports import Beside
from fuseboard.runs import LONGEST_CLAIM, Said
from fuseboard.tokens import VERSION, BadToken, Tokens
from fuseboard.trace_context import BAGGAGE, TRACEPARENT, TRACESTATE, baggage_value, traceparent

META_KEY: Final = "fuseboard/run"
BAGGAGE_KEY: Final = "run"

_NOBODY: Final = Beside()


class Claims:
    """Reads them. ``meta_key`` is the key of ``_meta``, ``baggage_key`` the baggage's member that names a run.

    A token may stand at that key too. Without ``tokens`` none is accepted.
    """

    def __init__(self, tokens: Tokens | None, *, meta_key: str = META_KEY, baggage_key: str = BAGGAGE_KEY) -> None:
        self.meta_key = meta_key
        self.baggage_key = baggage_key
        self.tokens = tokens
        self._keys = frozenset({meta_key, TRACEPARENT, BAGGAGE})

    def any_in(self, meta: Mapping[str, Any]) -> bool:
        """Whether there is anything to read. Nearly always there is not."""
        return not self._keys.isdisjoint(meta)

    def read(self, meta: Mapping[str, Any], beside: Beside | None, *, principal: str, at: float) -> Said:
        """What it says; what breaks its form or bounds says nothing, unless it is a token.

        Raises:
            BadToken: a token that does not hold is never passed over.
        """
        beside = beside or _NOBODY
        signed = beside.signed
        claim = meta.get(self.meta_key)
        if isinstance(claim, str) and claim.startswith(f"{VERSION}."):
            if self.tokens is None:
                raise BadToken("run tokens are not accepted here: `identity.chain` leaves them out")
            named = self.tokens.read(claim, principal=principal, at=at)
            if signed is not None and signed.run != named.run:
                raise BadToken("the request bears two run tokens, and they name two runs; send one")
            signed, claim = named, None
        if not _is_claim(claim):
            claim = baggage_value(meta.get(BAGGAGE, beside.baggage), self.baggage_key)
        parent, state = traceparent(meta.get(TRACEPARENT)), meta.get(TRACESTATE)
        if parent is None:
            parent, state = traceparent(beside.traceparent), beside.tracestate
        return Said(signed, claim if _is_claim(claim) else None, parent, state if isinstance(state, str) else None)


def _is_claim(claim: object) -> bool:
    return isinstance(claim, str) and 0 < len(claim) <= LONGEST_CLAIM
