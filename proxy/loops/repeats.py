"""How often one call was answered alike since anything happened that speaks to it. Pure.

Repeats need not stand side by side: what is strewn between them hides nothing, so a cycle of any period shows as well,
and so does a walk in circles without one. Only what may have changed the answer begins the count anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from fuseboard.loops.bearings import TEXT, names_things, relation
from fuseboard.loops.found import Found, answer_of, good, shown, told, under_way
from fuseboard.windows import Past

_STATES: Final = 3
"""A call that has shown so many different answers walks through states: a debugger, a browser, a player."""

_REVISITED: Final = 1 / 3
"""What it counts that such a call comes to a state again: a program has loops of its own."""

_MOVED: Final = 1 / 2
"""What it counts that only numbers changed: something moves, and a line or a share of the work is worth knowing."""


class Counts(NamedTuple):
    """``same`` are answers alike, ``polls`` askings after what is under way or moves by numbers; by what they count."""

    same: float
    polls: float
    answer: str
    calls: tuple[str, ...]
    """The decisions that were answered like the last, since the count began."""


def counted(steps: Sequence[Past], fingerprint: str, *, share: float = 1.0, poll_share: float = 1.0) -> Counts | None:
    """What the window says about one call, the latest answer being the one that counts.

    ``share`` is what a repeat weighs, ``poll_share`` what asking after something under way does.
    """
    own = [index for index, step in enumerate(steps) if step.fingerprint == fingerprint]
    if not own:
        return None
    asked = steps[own[-1]]
    count = _Count(share, poll_share)
    between = _Between(asked, steps)
    at = 0
    for index in own:
        if told(steps[index]):
            count.progress(between.spoken(at, index))
            count.add(steps[index])
            at = index + 1
    count.progress(between.spoken(at, len(steps)))
    return count.total()


def repeated(
    steps: Sequence[Past],
    fingerprint: str,
    *,
    same: float,
    polls: float,
    longest: int,
    share: float = 1.0,
    poll_share: float = 1.0,
) -> Found | None:
    """The loop that the latest answer to a call is part of, where it counts ``same`` or ``polls`` and more."""
    counts = counted(steps, fingerprint, share=share, poll_share=poll_share)
    if counts is None:
        return None
    calls = shown(counts.calls)
    if counts.same >= same:
        period = cycle(steps, longest) if steps[-1].fingerprint == fingerprint else 1
        return Found("cycle" if period > 1 else "repeat", fingerprint, counts.same, calls, counts.answer, period)
    if counts.polls >= polls:
        return Found("poll", fingerprint, counts.polls, calls, counts.answer)
    return None


def begins(steps: Sequence[Past], fingerprint: str) -> int:
    """Where the window begins as far as one call is concerned: after the latest thing that speaks to it."""
    own = next((step for step in reversed(steps) if step.fingerprint == fingerprint), None)
    if own is None:
        return 0
    between = _Between(own, steps)
    return next((n for n in range(len(steps), 0, -1) if between.spoken(n - 1, n) >= 1), 0)


def cycle(steps: Sequence[Past], longest: int, *, rounds: int = 2) -> int:
    """The period of the cycle of (call, answer) that the window ends with, 1 where there is none.

    The suffix is tested for each period: at most ``longest`` times ``rounds`` comparisons each.
    """
    pairs = [(step.fingerprint, answer_of(step)) for step in steps[-longest * (rounds + 1) :]]
    for period in range(1, longest + 1):
        length = period * rounds + 1
        if len(pairs) >= length and all(pairs[-n] == pairs[-n - period] for n in range(1, length - period + 1)):
            return period
    return 1


class _Count:
    """The answers to one call, in their order."""

    __slots__ = (
        "_calls",
        "_last",
        "_moves",
        "_poll_share",
        "_polled",
        "_polls",
        "_same",
        "_scale",
        "_seen",
        "_shape",
        "_share",
        "_skeletons",
    )

    def __init__(self, share: float, poll_share: float) -> None:
        self._share = share
        self._poll_share = poll_share
        self._same: dict[str, float] = {}
        self._calls: dict[str, list[str]] = {}
        self._polls = 0.0
        self._polled: list[str] = []
        self._seen: set[str] = set()
        self._skeletons: set[str] = set()
        self._moves = False
        self._last = ""
        self._shape: str | None = None
        self._scale = 1.0

    def progress(self, weight: float) -> None:
        """Something that speaks to the call happened."""
        if weight >= 1:
            self._begin()
        elif weight > 0:
            self._scale = weight

    def add(self, step: Past) -> None:
        answer = answer_of(step)
        if answer not in self._seen:
            self._learnt(answer, step)
        elif self._moves or under_way(step):
            self._polls += self._poll_share if self._polls else 1
        else:
            again = answer in self._same
            by = self._scale * self._share * (_REVISITED if self._walks(answer) else 1)
            self._same[answer] = self._same[answer] + by if again else 1.0
        self._calls.setdefault(answer, []).append(step.decision)
        self._polled.append(step.decision)
        self._last, self._shape, self._scale = answer, step.skeleton, 1.0

    def total(self) -> Counts:
        calls = self._polled if self._polls else self._calls.get(self._last, [])
        return Counts(self._same.get(self._last, 0.0), self._polls, self._last, tuple(calls))

    def _learnt(self, answer: str, step: Past) -> None:
        """An answer that was not heard before. One that differs from the last by its numbers alone goes on from it."""
        moved = step.weight == 0 and step.skeleton == self._shape
        polls, polled = self._polls, self._polled
        self._begin()
        if moved:
            self._moves = True
            self._polls, self._polled = max(polls, 1.0) + _MOVED * self._poll_share, polled
        elif under_way(step):
            self._polls = 1.0
        else:
            self._same[answer] = 1.0
        self._seen.add(answer)
        self._skeletons.add(step.skeleton)

    def _walks(self, answer: str) -> bool:
        return answer != self._last and len(self._skeletons) >= _STATES

    def _begin(self) -> None:
        self._same.clear()
        self._calls.clear()
        self._polls, self._polled, self._moves = 0.0, [], False


class _Between:
    """What happened between two answers to a call, as far as it speaks to it."""

    __slots__ = ("_acts", "_asked", "_firsts", "_steps")

    def __init__(self, asked: Past, steps: Sequence[Past]) -> None:
        self._asked = asked
        self._steps = steps
        self._acts = asked.part not in ("read", "run", "wait") and asked.weight == 0
        self._firsts: tuple[set[int], set[int]] | None = None

    def spoken(self, begin: int, end: int) -> float:
        """The most that any step of the stretch says."""
        most = 0.0
        for index in range(begin, end):
            step = self._steps[index]
            if step.part in ("change", "note") and good(step) and index in self._first()[0]:
                most = max(most, self._of_change(step))
            if self._acts and good(step) and self._looked(step) and index in self._first()[1]:
                return 1.0
        return most

    def _first(self) -> tuple[set[int], set[int]]:
        """The steps that no one like them came before; and those that were seen before, but never with such an answer.

        One pass over the window, and only where anybody asks.
        """
        if self._firsts is None:
            new: set[int] = set()
            moved: set[int] = set()
            looks: dict[str, set[str]] = {}
            for index, step in enumerate(self._steps):
                if (before := looks.get(step.fingerprint)) is None:
                    new.add(index)
                    looks[step.fingerprint] = {step.skeleton}
                elif step.skeleton not in before:
                    moved.add(index)
                    before.add(step.skeleton)
            self._firsts = new, moved
        return self._firsts

    def _of_change(self, step: Past) -> float:
        if not names_things(step.names):
            return 0.0
        asked = self._asked
        if names_things(asked.names) and asked.part != "run":
            return relation(step.names, asked.names)
        if step.part == "note":
            return 0.0
        # Tests and builds ask about everything. Words that are looked for may stand in what was written, or not.
        return 0.5 if TEXT in asked.names and asked.part != "run" else 1.0

    def _looked(self, step: Past) -> bool:
        """A look at the same server that showed a new state: what was done before it had an effect."""
        if step.pending or step.fingerprint == self._asked.fingerprint:
            return False
        return step.tool.partition("__")[0] == self._asked.tool.partition("__")[0]
