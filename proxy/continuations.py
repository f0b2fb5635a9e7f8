"""Calls that go on: a client's retry with what it was asked for is the same logical call as its first round.

2026-07-28, basic/patterns/mrtr: a server that answers ``input_required`` may add a ``requestState``, which the client
sends back unchanged with its retry. By that state the round before is found again. A state is good for one retry, and
only for the same caller, method, tool and arguments: otherwise one question would be a free pass for many calls.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from fuseboard.events import CallProposed
from fuseboard.ports import Result
from fuseboard.recording import digest_of

MAX_OPEN: Final = 10_000
KEEP_S: Final = 3600.0


class Binding(msgspec.Struct, frozen=True):
    """What two rounds of one call have in common. ``arguments`` is their digest."""

    principal: str
    method: str
    upstream: str
    tool: str
    arguments: str


def binding_of(event: CallProposed) -> Binding:
    """Neither the state nor the answers are part of the arguments, so all rounds of a call have the same."""
    tool = event.tool
    return Binding(event.caller.principal, event.method, tool.upstream, tool.name, digest_of(event.arguments))


class _Open(msgspec.Struct, frozen=True):
    binding: Binding
    first: str
    expires_at: float


class _Result(msgspec.Struct):
    state: str | None = msgspec.field(name="requestState", default=None)


_RESULT: Final = msgspec.json.Decoder(_Result)


class Continuations:
    """The rounds that wait for their next one, by the digest of their state."""

    def __init__(self, *, limit: int = MAX_OPEN) -> None:
        self._limit = limit
        self._open: dict[bytes, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def asked(self, result: Result, binding: Binding, first: str, *, at: float) -> None:
        """The upstream asked something. ``first`` is the decision of the first round, this one's own where it is that.

        A result without a state is not kept: nothing in the retry would tell which call it belongs to.
        """
        try:
            state = _RESULT.decode(result.raw).state
        except (msgspec.MsgspecError, RecursionError):
            return
        if state is None:
            return
        digest = _digest(state)
        self._open.pop(digest, None)  # to the end of the line
        self._open[digest] = _Open(binding, first, at + KEEP_S)
        while len(self._open) > self._limit:
            del self._open[next(iter(self._open))]

    def first_of(self, state: object, binding: Binding, *, at: float) -> str | None:
        """The decision of the first round of the call that goes on with this state, ``None`` where none is known."""
        if not isinstance(state, str):
            return None
        digest = _digest(state)
        waiting = self._open.get(digest)
        if waiting is None or waiting.binding != binding:
            return None
        del self._open[digest]
        return waiting.first if at < waiting.expires_at else None


def _digest(state: str) -> bytes:
    return hashlib.sha256(state.encode(errors="surrogatepass")).digest()
