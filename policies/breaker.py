"""Does this tool work at all just now?"""

from __future__ import annotations

import math
from typing import Final, Protocol

from fuseboard.breakers import machine, strikes, tails, trips, words
from fuseboard.breakers.cells import Cells, facts_of
from fuseboard.breakers.machine import CLOSED, HALF_OPEN, OPEN, Breaker, Pace
from fuseboard.breakers.strikes import Strike
from fuseboard.breakers.trips import HealthLike, Trip
from fuseboard.breakers.words import RUN, TOOL, UPSTREAM
from fuseboard.checkpoint import UPSTREAM as OUR_OWN
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.state import Snapshot, Write
from fuseboard.verdicts import Allow, Deny, Verdict
from fuseboard.windows import window_key

BUSY_S: Final = 1.0
"""When to ask again while the one call that is let through is under way: nobody knows how long it takes."""

_NOTHING_AGAINST_IT: Final = Allow()
_TOOL_CALL: Final = "tools/call"
_GOOD: Final = {RUN: strikes.good_for_run, TOOL: strikes.good_for_all, UPSTREAM: strikes.good_of_upstream}


class BreakerLike(Protocol):
    """The section ``breaker`` of the configuration."""

    @property
    def strikes(self) -> int | None: ...
    @property
    def open_s(self) -> float: ...
    @property
    def longest_s(self) -> float: ...
    @property
    def health(self) -> HealthLike | None: ...


class BreakerPolicy:
    """Three breakers stand before a call: of its upstream and of its tool, for everybody, and of the tool for its run.

    What trips them is looked for when a result comes back, and once more when a call is proposed: another policy may
    have found out only then what the result was, and two processes may have seen half of it each. Nothing is written
    but openings, probes, and what an operator says.
    """

    name = "breaker"
    tells_callers_apart = False
    keyed_by_call = False
    judges = (CallProposed, CallReturned)

    def __init__(self, settings: BreakerLike) -> None:
        self._limit = settings.strikes
        self._health = health = settings.health
        self._paces: dict[str, Pace] = {}
        if self._limit is not None:
            self._paces[RUN] = Pace(settings.open_s, settings.longest_s)
        if health is not None:
            self._paces[TOOL] = self._paces[UPSTREAM] = Pace(
                health.open_s, health.longest_s, health.jitter, health.good
            )

    def keys(self, event: Event) -> tuple[str, ...]:
        if isinstance(event, CallProposed):
            if _concerns(event):
                return _keys(event)
            return () if event.method == _TOOL_CALL else (machine.shared_key(event.tool.upstream),)
        if isinstance(event, CallReturned) and _concerns(event.proposal) and not event.late:
            return (*_keys(event.proposal), tails.signs_key(event.proposal.tool.upstream))
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallProposed):
            if _concerns(event):
                return self._proposed(event, state)
            return _NOTHING_AGAINST_IT if event.method == _TOOL_CALL else self._fetched(event, state)
        if isinstance(event, CallReturned) and _concerns(event.proposal) and not event.late:
            return self._returned(event, state)
        return _NOTHING_AGAINST_IT

    def _proposed(self, event: CallProposed, state: Snapshot) -> Verdict:
        if _silent(event, state) and _faultless(event, state):
            return _NOTHING_AGAINST_IT
        board = Cells(event, state)
        for scope in (UPSTREAM, TOOL, RUN):
            if (refused := self._asked(scope, event, board)) is not None:
                return refused
        return board.allowed()

    def _fetched(self, event: CallProposed, state: Snapshot) -> Verdict:
        """A prompt or a resource strikes nobody and is no probe, but does not go to a server that is off the board."""
        cell = state.get(machine.shared_key(event.tool.upstream))
        if cell is None or machine.UPSTREAM not in cell:
            return _NOTHING_AGAINST_IT
        now = machine.read(cell, machine.UPSTREAM)
        stands = UPSTREAM in self._paces or now.by
        return _off(UPSTREAM, event, now, ()) if stands and now.phase(event.at) == OPEN else _NOTHING_AGAINST_IT

    def _asked(self, scope: str, event: CallProposed, board: Cells) -> Deny | None:
        """What one breaker says to a call. Where it lets one through alone, this one takes the lease."""
        at, now = event.at, board.breaker(scope)
        if scope not in self._paces and not now.by:
            return None  # there is no such breaker any more
        if now.phase(at) == CLOSED:
            struck = board.struck(now) if scope == RUN and RUN in self._paces else ()
            trip = None if now.held_closed(at) else self._trip(scope, now, board, struck)
            if trip is None:
                return None if now.held_closed(at) else self._last_chance(event, now, struck, board)
            now = trips.opened(now, board.name(scope), self._paces[scope], trip)
            board.change(scope, now, OPEN)
        if now.phase(at) == OPEN:
            return _off(scope, event, now, board.writes_of(scope))
        return _alone(scope, event, now, board, "probe", words.busy(scope, event))

    def _last_chance(self, event: CallProposed, now: Breaker, struck: tuple[Strike, ...], board: Cells) -> Deny | None:
        """Where one more strike trips it, calls go one at a time: side by side they would be more than one."""
        if self._limit is None or not struck or strikes.weight(struck) < self._limit - 1:
            return None
        return _alone(RUN, event, now, board, "last_chance", words.last_chance(event, struck, self._limit), struck)

    def _returned(self, event: CallReturned, state: Snapshot) -> Verdict:
        call, found = event.proposal, event.finding
        if found is None:
            return _NOTHING_AGAINST_IT
        if not found.weight and _silent(call, state):
            sign = None if self._health is None else _sign(event, state, self._health.active_s)
            return _NOTHING_AGAINST_IT if sign is None else Allow(writes=(sign,))
        board = Cells(call, state, event)
        for scope in self._paces:  # the upstream comes last: the breakers of its tools are evidence against it
            now = board.breaker(scope)
            good = _GOOD[scope](found.truth, found.weight, found.whose)
            if good is False or now.leased_to(call.id):
                self._weigh(scope, now, event, board, good=good)
        if (health := self._health) is not None:
            board.push(_sign(event, state, health.active_s))
        return board.allowed()

    def _weigh(self, scope: str, now: Breaker, event: CallReturned, board: Cells, *, good: bool | None) -> None:
        """What a result does to a breaker. To one that it was not sent through it does nothing."""
        at, call = event.at, event.proposal
        mine = now.leased_to(call.id)
        if mine and now.state == HALF_OPEN:
            if good is None:
                board.change(scope, machine.released(now, at=at), "released")
            elif good:
                after = machine.recovered(now, self._paces[scope], call.id, at=at)
                board.change(scope, after, CLOSED if after.state == CLOSED else "recovering")
            else:
                self._open(scope, now, event, board, Trip("probe", (*now.strikes, _strike(event)), at))
            return
        if mine:
            now = machine.released(now, at=at)
            board.change(scope, now, "released")
        if good is False and now.phase(at) == CLOSED and not now.held_closed(at) and call.id >= now.first:
            struck = board.struck(now) if scope == RUN else ()
            if (trip := self._trip(scope, now, board, struck)) is not None:
                self._open(scope, now, event, board, trip)

    def _open(self, scope: str, now: Breaker, event: CallReturned, board: Cells, trip: Trip) -> None:
        asked_s = event.finding.retry_after_s if event.finding is not None else None
        trip = trip._replace(retry_at=max(trip.retry_at, event.at + (asked_s or 0.0)))
        board.change(scope, trips.opened(now, board.name(scope), self._paces[scope], trip), OPEN)

    def _trip(self, scope: str, now: Breaker, board: Cells, struck: tuple[Strike, ...]) -> Trip | None:
        """What trips a closed breaker. ``struck``: the strikes against a run's."""
        health = self._health
        if scope == RUN:
            return trips.of_run(struck, self._limit) if struck and self._limit is not None else None
        if health is None:
            return None
        if scope == TOOL:
            return trips.of_tool(board.outcomes, health, now.first) if board.fails else None
        if board.event is None:
            return None
        trip = trips.of_upstream(board.signs, health, now.first)
        if trip is None and board.opens(TOOL):
            active = tails.active(board.signs, at=board.at, within_s=health.active_s)
            trip = trips.of_its_tools(board.of_tools(), active, health, at=board.at, since=now.since)
        return trip


def _alone(
    scope: str,
    event: CallProposed,
    now: Breaker,
    board: Cells,
    word: str,
    reason: str,
    struck: tuple[Strike, ...] = (),
) -> Deny | None:
    """One call at a time: this one, where no other is under way."""
    if now.taken(event.at) and not now.leased_to(event.id):
        facts = {"scope": scope, **facts_of(now, struck), "under_way": now.lease[0] if now.lease is not None else None}
        return Deny(f"{scope}.breaker", reason, facts, retry_after_s=BUSY_S)
    board.change(scope, machine.leased(now, event.id, at=event.at, timeout_s=event.timeout_s), word)
    return None


def _off(scope: str, event: CallProposed, now: Breaker, writes: tuple[Write, ...]) -> Deny:
    wait_s = math.ceil(round((now.until - event.at) * 1000, 3)) / 1000  # never a moment too early
    facts = {"scope": scope, **facts_of(now), "until": now.until}
    return Deny(
        f"{scope}.breaker", words.refusal(scope, event, now, wait_s), facts, retry_after_s=wait_s, writes=writes
    )


def _strike(event: CallReturned) -> Strike:
    assert event.finding is not None
    return Strike(event.proposal.id, event.at, str(event.finding.truth), event.finding.weight)


def _silent(call: CallProposed, state: Snapshot) -> bool:
    """Whether nothing is written of any of the breakers before a call: so it mostly is, and that must cost nothing."""
    tool = call.tool.qualified
    own, shared = state.get(machine.run_key(call.run)), state.get(machine.shared_key(call.tool.upstream))
    return (own is None or tool not in own) and (shared is None or not (tool in shared or machine.UPSTREAM in shared))


def _faultless(call: CallProposed, state: Snapshot) -> bool:
    """Whether nothing came back lately that speaks against the tool."""
    tool = call.tool.qualified
    steps = state.get(window_key(call.run))
    return not (tails.fails(state.get(tails.tool_key(tool), ())) or (steps and strikes.any_of_run(steps, tool)))


def _sign(event: CallReturned, state: Snapshot, active_s: float) -> Write | None:
    return tails.sign(event, state.get(tails.signs_key(event.proposal.tool.upstream), ()), active_s)


def _concerns(call: CallProposed) -> bool:
    """Prompts and resources have no window, and what is our own does not fail."""
    return call.method == _TOOL_CALL and call.tool.upstream != OUR_OWN


def _keys(call: CallProposed) -> tuple[str, ...]:
    upstream, tool = call.tool.upstream, call.tool.qualified
    return (machine.run_key(call.run), machine.shared_key(upstream), window_key(call.run), tails.tool_key(tool))
