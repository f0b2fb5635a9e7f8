"""Where poisoned data went: which runs took it in, and what they did from then on. Pure.

One walk over the ledger in the order of time, in which influence only ever goes forward: into the run that a result was
delivered to; into what that run calls (agents that are called as tools); back with the results of agents that took it
in; and through what it wrote to a memory into the runs of the same principal that read that afterwards.

What cannot be told apart counts as influenced: this is a list for a person to go through, and one thing too many on it
costs a look, one too few costs the clean-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

import msgspec

from fuseboard.truth import Truth

SAW: Final = "saw"
CALLED: Final = "called"
RETURNED: Final = "returned"
READ: Final = "read"

_FAILED: Final = frozenset({Truth.BAD_ARGUMENTS, Truth.BUSINESS_ERROR, Truth.THROTTLED, Truth.OUTAGE})
"""Words for a call that changed nothing, as far as anybody says. Of all others that is not known."""

_SHORT: Final = 3
"""Of a word that is shorter it means nothing that a longer text holds it."""


class Passed(msgspec.Struct, frozen=True):
    """One call, as far as it matters here.

    ``withheld``: its result reached nobody. ``memory``: its tool gives back later what it was given. ``of`` is the
    call whose result it was given out of our own vault: then ``upstream`` and ``tool`` are of that one.
    """

    id: str
    run: str
    seq: int
    at: float
    principal: str
    upstream: str
    tool: str
    method: str
    effect: str
    arguments: str | None
    sent: str | None
    final: bool
    truth: str
    ended_at: float | None
    result_sha256: str | None
    withheld: bool
    memory: bool
    root: str | None
    parent: str | None
    of: str = ""

    @property
    def delivered(self) -> bool:
        """Whether a result of it reached its run."""
        return not self.final and not self.withheld and self.ended_at is not None and self.result_sha256 is not None

    @property
    def acted(self) -> bool:
        """Whether it may have changed something."""
        effect = self.method == "tools/call" and self.effect != "read"
        return effect and not self.final and self.truth not in _FAILED


class Reached(NamedTuple):
    """How it came into a run, first. ``seen`` is the call by which it did: for ``called`` that of another run."""

    run: str
    principal: str
    since: float
    how: str
    seen: str
    by: str
    """``<server>__<tool>`` of that call, empty where that is another run's."""


class Kept(NamedTuple):
    """What was written to a memory under the influence, and who read it afterwards."""

    write: Passed
    readers: list[str]
    """Decisions."""


class Influence(NamedTuple):
    """``results`` are those that were taken back, as they were delivered; ``acts`` is the clean-up list."""

    results: tuple[Passed, ...]
    runs: Mapping[str, Reached]
    acts: tuple[Passed, ...]
    memory: tuple[Kept, ...]


def walked(calls: Iterable[Passed], poisoned: Callable[[Passed], bool]) -> Influence:
    """``calls`` in the order in which they began."""
    walk = _Walk(poisoned)
    for number, call in enumerate(calls):
        walk.began(call, number)
    walk.until(float("inf"))
    return Influence(tuple(walk.results), walk.reached, tuple(walk.acts), tuple(walk.kept))


class _Walk:
    def __init__(self, poisoned: Callable[[Passed], bool]) -> None:
        self.results: list[Passed] = []
        self.reached: dict[str, Reached] = {}
        self.acts: list[Passed] = []
        self.kept: list[Kept] = []
        self._poisoned = poisoned
        self._under: set[str] = set()
        self._above: dict[str, set[str]] = {}
        self._ends: list[tuple[float, int, Passed]] = []

    def began(self, call: Passed, number: int) -> None:
        self.until(call.at)
        if call.parent is not None:
            self._above.setdefault(call.parent, set()).add(call.run)
            if call.parent in self._under:
                self._reach(call, call.at, CALLED, call.parent)
        if call.final:
            return
        if call.run in self.reached:
            self._under.add(call.id)
            if call.acted:
                self.acts.append(call)
                if call.memory:
                    self.kept.append(Kept(call, []))
        if call.ended_at is not None:
            # What began last ends first where both end at once: it is the answer that the other one waited for.
            heappush(self._ends, (max(call.ended_at, call.at), -number, call))

    def until(self, at: float) -> None:
        """All that ended up to then. What is delivered at the moment in which a call begins came before it."""
        while self._ends and self._ends[0][0] <= at:
            ended_at, _, call = heappop(self._ends)
            if call.delivered:
                self._ended(call, ended_at)

    def _ended(self, call: Passed, at: float) -> None:
        if self._poisoned(call) or (call.of and self._poisoned(msgspec.structs.replace(call, id=call.of))):
            self.results.append(call)
            self._reach(call, at, SAW, call.id)
        if any(run in self.reached for run in self._above.get(call.id, ())):
            self._reach(call, at, RETURNED, call.id)
        if call.memory and call.effect == "read":
            for one in self.kept:
                if may_hold(call, one.write):
                    one.readers.append(call.id)
                    self._reach(call, at, READ, call.id)

    def _reach(self, call: Passed, at: float, how: str, seen: str) -> None:
        if call.run not in self.reached:
            by = "" if how == CALLED else f"{call.upstream}__{call.tool}"
            self.reached[call.run] = Reached(call.run, call.principal, at, how, seen, by)


def may_hold(read: Passed, write: Passed) -> bool:
    """Whether what was read may be what was written: the same memory, and nothing that says otherwise.

    A reading that names nothing reads everything; one that searches finds what holds its words. Where the ledger keeps
    no arguments nothing speaks against it.
    """
    if (read.upstream, read.principal) != (write.upstream, write.principal):
        return False
    asked, there = _value(read.arguments), _value(write.sent or write.arguments)
    if asked is None or there is None:
        return True
    words, held = [word.casefold() for word in texts(asked)], [text.casefold() for text in texts(there)]
    return not words or any(word in held or (len(word) >= _SHORT and _in_any(word, held)) for word in words)


def named(write: Passed) -> tuple[str, ...]:
    """What a write to a memory may be found by: its short texts."""
    value = _value(write.sent or write.arguments)
    return tuple(dict.fromkeys(text for text in texts(value) if len(text) <= 200))


def texts(value: Any) -> Iterator[str]:
    """All texts inside a JSON value, at any depth; the names of fields are none."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            pending += reversed(one.values())
        elif isinstance(one, list):
            pending += reversed(one)


def _in_any(word: str, held: Iterable[str]) -> bool:
    return any(word in text for text in held)


def _value(arguments: str | None) -> Any:
    """``None`` where the ledger keeps no arguments, or a digest."""
    if arguments is None or arguments.startswith("sha256:"):
        return None
    try:
        return msgspec.json.decode(arguments)
    except msgspec.MsgspecError:
        return None
