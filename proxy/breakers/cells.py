"""The cells that the breakers before one call stand in, with what changes there and what speaks for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fuseboard.breakers import machine, strikes, tails
from fuseboard.breakers.machine import CLOSED, OPEN, Breaker
from fuseboard.breakers.strikes import Strike
from fuseboard.breakers.words import RUN, TOOL, UPSTREAM
from fuseboard.events import CallProposed, CallReturned
from fuseboard.state import Snapshot, Write
from fuseboard.verdicts import Allow
from fuseboard.windows import pushed, window_key

_NONE: Final[Sequence[Any]] = ()
_NOTHING: Final = Allow()
_WEIGHTY: Final = (OPEN, CLOSED, "probe", "last_chance")
"""Which of several changes names the rule."""


class Cells:
    """The breakers before one call, and what is known of its run, its tool and its upstream.

    With the ``event`` by which it returned, that is part of what is known.
    """

    def __init__(self, call: CallProposed, state: Snapshot, event: CallReturned | None = None) -> None:
        self.call = call
        self.event = event
        self.at = call.at if event is None else event.at
        self._state = state
        self._tool = call.tool.qualified
        self._cells = {RUN: machine.run_key(call.run), UPSTREAM: machine.shared_key(call.tool.upstream)}
        self._cells[TOOL] = self._cells[UPSTREAM]
        self._changes: dict[str, tuple[Breaker, str]] = {}
        self._pushes: tuple[Write, ...] = ()

    def name(self, scope: str) -> str:
        """What tells it from all others."""
        if scope == RUN:
            return f"{self.call.run} {self._tool}"
        return self._tool if scope == TOOL else self.call.tool.upstream

    def breaker(self, scope: str) -> Breaker:
        return machine.read(self._state.get(self._cells[scope]), self._within(scope))

    def of_tools(self) -> dict[str, Breaker]:
        """The breakers of all tools of the upstream, as they are now."""
        cell = self._state.get(self._cells[UPSTREAM]) or {}
        now = {name: machine.read(cell, name) for name in cell if name != machine.UPSTREAM}
        return now | {self._tool: self._changes[TOOL][0]} if TOOL in self._changes else now

    def struck(self, now: Breaker) -> tuple[Strike, ...]:
        """The strikes against the tool in its run."""
        steps = self._state.get(window_key(self.call.run), _NONE)
        if self.event is not None:
            steps = [*steps, pushed(self.event, ()).item]
        return strikes.of_run(steps, self._tool, now.first)

    @property
    def outcomes(self) -> Sequence[Any]:
        tail = self._state.get(tails.tool_key(self._tool), _NONE)
        return tail if self.event is None else [*tail, tails.outcome(self.event)][-tails.OUTCOMES :]

    @property
    def fails(self) -> bool:
        """Whether the newest result of the tool, of whatever run, speaks against it."""
        return self.event is not None or tails.fails(self._state.get(tails.tool_key(self._tool), _NONE))

    @property
    def signs(self) -> Sequence[Any]:
        found = self._state.get(tails.signs_key(self.call.tool.upstream), _NONE)
        return found if self.event is None else [*found, tails.sign_of(self.event)]

    def opens(self, scope: str) -> bool:
        return scope in self._changes and self._changes[scope][1] == OPEN

    def change(self, scope: str, after: Breaker, word: str) -> None:
        self._changes[scope] = (after, word)

    def push(self, write: Write | None) -> None:
        self._pushes += () if write is None else (write,)

    def allowed(self) -> Allow:
        if not self._changes:
            return Allow(writes=self._pushes) if self._pushes else _NOTHING
        words = {word for _, word in self._changes.values()}
        rule = next(word for word in (*_WEIGHTY, *sorted(words)) if word in words)
        facts = {scope: {"change": word, **facts_of(one)} for scope, (one, word) in self._changes.items()}
        return Allow(f"breaker.{rule}", facts, (*self.writes_of(*self._changes), *self._pushes))

    def writes_of(self, *scopes: str) -> tuple[Write, ...]:
        """What changed, a write for each cell."""
        cells: dict[str, dict[str, Breaker]] = {}
        for scope in scopes:
            if scope in self._changes:
                cells.setdefault(self._cells[scope], {})[self._within(scope)] = self._changes[scope][0]
        kept_s = {self._cells[RUN]: self.call.kept_s}
        return tuple(
            machine.written(key, self._state.get(key), changes, ttl_s=kept_s.get(key, tails.KEPT_S))
            for key, changes in cells.items()
        )

    def _within(self, scope: str) -> str:
        return machine.UPSTREAM if scope == UPSTREAM else self._tool


def facts_of(now: Breaker, struck: tuple[Strike, ...] = ()) -> dict[str, Any]:
    """The evidence, for the ledger."""
    said: dict[str, Any] = {"state": now.state, "generation": now.generation}
    if now.state == OPEN:
        said |= {"rule": now.rule, "until": now.until, "times": now.times}
    if evidence := struck or now.strikes:
        said |= {"strikes": [strike._asdict() for strike in evidence], "weight": strikes.weight(evidence)}
    return said | {key: value for key, value in (("by", now.by), ("why", now.why)) if value}
