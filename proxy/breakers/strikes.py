"""What counts as a strike: against a tool in one run, against a tool for everybody, against an upstream. Pure.

Only what came back is looked at: the run's window, and the tails of :mod:`fuseboard.breakers.tails`.

Nobody's strike is what we denied, what a client gave up, and throttling: that says when to ask again, and no more
(facts, mechanisms 1.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from fuseboard.breakers.tails import HARD, TRANSPORT, Outcome, Sign
from fuseboard.events import Effect
from fuseboard.truth import GOOD, Truth
from fuseboard.windows import Past

EVIDENCE: Final = 12
"""Strikes that are kept as evidence."""

LEARNING: Final = 1 / 3
"""What a strike weighs by which the agent learns: it asks otherwise, or asks again of a world that it has changed."""

_GOOD: Final = GOOD
_RAN: Final = frozenset({*_GOOD, Truth.BUSINESS_ERROR, Truth.INPUT_REQUIRED})
_ANSWERED: Final = frozenset({*_RAN, Truth.BAD_ARGUMENTS, Truth.TASK})

_TOOL: Final = Past._fields.index("tool")
_TRUTH: Final = Past._fields.index("truth")
_WEIGHT: Final = Past._fields.index("weight")


class Strike(NamedTuple):
    """One result that counted, and how much."""

    decision: str
    at: float
    truth: str
    weight: float


class Hit(NamedTuple):
    """One result as it counts for everybody: a strike, or ``None`` for a sign of life. ``retry_at``: asked for."""

    at: float
    run: str
    strike: Strike | None
    retry_at: float = 0.0


def good_for_run(truth: str, weight: float, whose: str) -> bool | None:
    """``None`` where it speaks neither for nor against the tool."""
    if weight > 0:
        return False
    return True if truth in _GOOD else None


def good_for_all(truth: str, weight: float, whose: str) -> bool | None:
    """Whether the tool ran. Only what is the upstream's fault speaks against it."""
    if whose == "upstream" and weight >= HARD:
        return False
    return True if truth in _RAN else None


def good_of_upstream(truth: str, weight: float, whose: str) -> bool | None:
    """Whether anybody is there at all: an answer about bad arguments is one."""
    if whose == "upstream" and weight >= HARD:
        return False
    return True if truth in _ANSWERED else None


def of_run(steps: Sequence[Any], tool: str, first: str = "") -> tuple[Strike, ...]:
    """The strikes of a tool in a run since its last good result, the oldest first, with what each of them weighs.

    ``steps`` are the run's window; calls of ids smaller than ``first`` belong to an older generation.
    """
    begin = None
    for at in range(len(steps) - 1, -1, -1):
        step = steps[at]
        if step[_TOOL] != tool or step[0] < first:
            continue
        if step[_WEIGHT] > 0:
            begin = at
        elif step[_TRUTH] in _GOOD:
            break
    return () if begin is None else _weighed(steps[begin:], tool, first)


def any_of_run(steps: Sequence[Any], tool: str) -> bool:
    """Whether :func:`of_run` would find any, of whatever generation."""
    for step in reversed(steps):
        if step[_TOOL] == tool:
            if step[_WEIGHT] > 0:
                return True
            if step[_TRUTH] in _GOOD:
                return False
    return False


def _weighed(steps: Sequence[Any], tool: str, first: str) -> tuple[Strike, ...]:
    strikes: list[Strike] = []
    since = _Row()
    for step in (Past(*one) for one in steps):
        if step.tool != tool:
            since.saw(step)
        elif step.weight > 0 and step.decision >= first:
            weight = step.weight * since.share(step)
            since.struck(step)
            if weight:
                strikes.append(Strike(step.decision, step.at, step.truth, weight))
    return tuple(strikes)


class _Row:
    """What an agent has tried and been told since the last good result of a tool."""

    def __init__(self) -> None:
        self._calls: set[str] = set()
        self._told: set[str] = set()
        self._shapes: set[str] = set()
        self._writes: set[str] = set()
        self._last = ""
        self._changed = False
        self._edited = False

    def saw(self, step: Past) -> None:
        """A step with another tool. One that wrote something new has changed the world that is asked about."""
        if step.effect != Effect.READ and step.truth == Truth.OK and step.fingerprint not in self._writes:
            self._writes.add(step.fingerprint)
            self._changed = True
            self._edited |= step.part == "change"

    def share(self, step: Past) -> float:
        """How much of its weight a strike has.

        Asking otherwise after bad arguments is learning. So is asking again after a change, where the answer is
        another one: a test that fails in a new way is no failure of the tool that runs it.
        """
        if step.whose == "upstream":
            return 1.0
        if self._last == Truth.BAD_ARGUMENTS and step.fingerprint not in self._calls:
            return LEARNING
        if step.truth == Truth.BUSINESS_ERROR and self._changed and self._told and step.digest not in self._told:
            return LEARNING if step.skeleton in self._shapes else 0.0
        if step.truth == Truth.BUSINESS_ERROR and self._edited and self._told:
            return LEARNING  # the same test still fails after another try: the next one is no repeat either
        return 1.0

    def struck(self, step: Past) -> None:
        self._calls.add(step.fingerprint)
        self._told.add(step.digest)
        self._shapes.add(step.skeleton)
        self._last, self._changed, self._edited = step.truth, False, False


def weight(strikes: Iterable[Strike]) -> float:
    """What they come to; thirds that make a whole are one."""
    return round(sum(strike.weight for strike in strikes), 6)


def row(hits: Iterable[Hit], count: int, runs: int) -> tuple[Hit, ...]:
    """The strikes in a row up to the newest, the oldest first, where they are enough and of enough runs; else none.

    ``hits`` come newest first.
    """
    found: list[Hit] = []
    who: set[str] = set()
    for hit in hits:
        if hit.strike is None:
            break
        found.append(hit)
        who.add(hit.run)
        if len(found) >= count and len(who) >= runs:
            return tuple(reversed(found))
    return ()


def share(hits: Iterable[Hit], part: float, least: int, within_s: float) -> tuple[Hit, ...]:
    """The strikes of the last ``within_s`` up to the newest, where they are such a part of at least so many; else none.

    ``hits`` come newest first.
    """
    recent: list[Hit] = []
    for hit in hits:
        if recent and hit.at <= recent[0].at - within_s:
            break
        recent.append(hit)
    struck = [hit for hit in recent if hit.strike is not None]
    return tuple(reversed(struck)) if len(recent) >= least and len(struck) >= part * len(recent) else ()


def of_tool(tail: Sequence[Any], first: str = "") -> Iterator[Hit]:
    """What came of a tool's calls, of whatever run, the newest first. The newest of ``tail`` is its last."""
    for one in (Outcome(*each) for each in reversed(tail)):
        good = good_for_all(one.truth, one.weight, one.whose)
        if good is None or one.decision < first:
            continue
        retry_at = one.at + (one.retry_after_s or 0.0)
        yield Hit(one.at, one.run, None if good else Strike(one.decision, one.at, one.truth, one.weight), retry_at)


def of_upstream(signs: Sequence[Any], first: str = "") -> Iterator[Hit]:
    """What reached the upstream and what did not, the newest first."""
    for sign in (Sign(*one) for one in reversed(signs)):
        if sign.decision >= first:
            lost = sign.truth in TRANSPORT
            yield Hit(sign.at, sign.run, Strike(sign.decision, sign.at, sign.truth, HARD) if lost else None)
