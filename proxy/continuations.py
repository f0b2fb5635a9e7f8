"""Calls that go on: a client's retry with what it was asked for is the same logical call as its first round.

2026-07-28, basic/patterns/mrtr: a server that answers ``input_required`` may add a ``requestState``, which the client
sends back unchanged with its retry. By that state the round before is found again. A state is good for one retry, and
only for the same caller, method, tool and arguments: otherwise one question would be a free pass for many calls. Nor
does a call go on for ever: a client that answers nothing is asked again, and each time the upstream is at work.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from fuseboard.events import CallProposed
from fuseboard.ports import Result
from fuseboard.recording import digest_of

MAX_OPEN: Final = 10_000
KEEP_S: Final = 3600.0

MAX_ROUNDS: Final = 8
"""Of one logical call, the first among them. What comes after counts as a call of its own."""


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
    rounds: int


class _Result(msgspec.Struct):
    state: str | None = msgspec.field(name="requestState", default=None)


_RESULT: Final = msgspec.json.Decoder(_Result)


class Continuations:
    """The rounds that wait for their next one, by the digest of their state."""

    def __init__(self, *, limit: int = MAX_OPEN) -> None:
        self._limit = limit
        self._open: dict[bytes, _Open] = {}
        self._rounds: dict[str, int] = {}
        """Of calls that go on, so far, by the decision of their first round."""

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
        self._open[digest] = _Open(binding, first, at + KEEP_S, self._rounds.pop(first, 1))
        _trim(self._open, self._limit)

    def first_of(self, state: object, binding: Binding, *, at: float) -> str | None:
        """The decision of the first round of the call that goes on with this state, ``None`` where none is known."""
        if not isinstance(state, str):
            return None
        digest = _digest(state)
        waiting = self._open.get(digest)
        if waiting is None or waiting.binding != binding:
            return None
        del self._open[digest]
        if at >= waiting.expires_at or waiting.rounds >= MAX_ROUNDS:
            return None
        self._rounds[waiting.first] = waiting.rounds + 1  # nobody says whether that round asks again
        _trim(self._rounds, self._limit)
        return waiting.first


def _trim(oldest_first: dict[Any, Any], limit: int) -> None:
    while len(oldest_first) > limit:
        del oldest_first[next(iter(oldest_first))]


def _digest(state: str) -> bytes:
    return hashlib.sha256(state.encode(errors="surrogatepass")).digest()
