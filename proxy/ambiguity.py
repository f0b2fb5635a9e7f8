"""How much of a call a person had better see: points for each sign, 0 to 100. Pure.

Points add up. A sum can be explained, grows with each sign, and lets no term make the others void, as a product would.
A term is a name, the most that it can come to, and its signs; a new one is a line more in :data:`TERMS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from fuseboard.events import Effect
from fuseboard.familiarity import Seen
from fuseboard.readings import Reading

MOST: Final = 100

Sign: TypeAlias = tuple[int, str]
"""Points and the reason for them."""


class Evidence(NamedTuple):
    """All that a score rests on."""

    effect: Effect
    reading: Reading
    seen: Seen
    listed: bool = True
    """Whether the upstream listed the tool."""
    unruled: bool = False
    """Whether there are rules and none of them speaks of this call."""
    pressed: str | None = None
    """What of the run's budgets is half used, with no milestone reached."""
    phrased: int = 0
    """How many results of the run spoke like somebody who gives orders, where that is looked for."""


class Term(NamedTuple):
    """``most`` caps what the signs come to together."""

    name: str
    most: int
    signs: Callable[[Evidence], Iterator[Sign]]


class Points(NamedTuple):
    """What one term gave, and why."""

    term: str
    points: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"term": self.term, "points": self.points, "reason": self.reason}


class Score(NamedTuple):
    """``terms`` are those that gave any points, in the order of the table."""

    total: int
    terms: tuple[Points, ...]

    def top(self, count: int) -> tuple[Points, ...]:
        """The terms that weigh most."""
        return tuple(sorted(self.terms, key=lambda one: -one.points)[:count])

    def to_json(self) -> dict[str, Any]:
        return {"score": self.total, "terms": [one.to_json() for one in self.terms]}


def irreversibility(call: Evidence) -> Iterator[Sign]:
    """The effect as the operator and the upstream's hints have it; what nobody stated is destructive."""
    if call.effect is Effect.DESTRUCTIVE:
        yield 35, "what it does may not be undone"
    elif call.effect is Effect.WRITE:
        yield 15, "it changes something"


def unfamiliarity(call: Evidence) -> Iterator[Sign]:
    """What has not worked for this principal before."""
    reading, seen = call.reading, call.seen
    if not seen.shapes:
        yield 8, "the tool is new for this principal"
    if reading.shape not in seen.shapes:
        yield 4, "it was never called with these arguments together"
    new = dict.fromkeys(name for digest, name in reading.identities.items() if digest not in seen.values)
    if new or not reading.whole:
        yield 8, f"new in {_listed(new)}" if new else "not all of its arguments were looked through"


def blast_radius(call: Evidence) -> Iterator[Sign]:
    """How far the arguments reach."""
    reading = call.reading
    if not reading.whole:
        yield 15, "too many arguments to look through"
    if reading.wildcards:
        yield 8, f"a wildcard in {_listed(reading.wildcards)}"
    if reading.switches:
        yield 7, f"{_listed(reading.switches)} set"
    if reading.batches:
        yield 5, f"{max(reading.batches.values())} items in {_listed(reading.batches)}"
    if reading.amounts:
        yield 5, f"a large {_listed(reading.amounts)}"


def under_specification(call: Evidence) -> Iterator[Sign]:
    """What nobody said: neither rules, nor the listing, nor the call itself."""
    if call.unruled:
        yield 4, "no rule speaks of it"
    if not call.listed:
        yield 3, "the server lists no such tool"
    if call.effect is not Effect.READ:
        if call.reading.empty:
            yield 3, "it says nothing of what to do it to"
        if call.reading.vague:
            yield 3, f"a path from nowhere in {_listed(call.reading.vague)}"


def pressure(call: Evidence) -> Iterator[Sign]:
    """An agent that runs out of budget tries things."""
    if call.pressed is not None:
        yield 5, f"{call.pressed}, and no milestone reached"


def suggestion(call: Evidence) -> Iterator[Sign]:
    """Words alone prove nothing, so they weigh little; on a read they have no weight at all."""
    if call.phrased and call.effect is not Effect.READ:
        yield 7, "a result of this run has words that give orders"
        if call.phrased > 1:
            yield 3, f"{call.phrased} of them have"


TERMS: Final = (
    Term("irreversibility", 35, irreversibility),
    Term("unfamiliarity", 20, unfamiliarity),
    Term("blast radius", 15, blast_radius),
    Term("under-specification", 10, under_specification),
    Term("pressure", 10, pressure),
    Term("suggestion", 10, suggestion),
)


def score(call: Evidence, terms: Sequence[Term] = TERMS) -> Score:
    """Add it up."""
    given = []
    for term in terms:
        if signs := list(term.signs(call)):
            points = min(term.most, sum(worth for worth, _ in signs))
            given.append(Points(term.name, points, "; ".join(reason for _, reason in signs)))
    return Score(min(MOST, sum(one.points for one in given)), tuple(given))


_NAMED: Final = 3
_LONGEST_NAME: Final = 40


def _listed(names: Sequence[str] | dict[str, Any]) -> str:
    """The first few. They are the agent's own words, so no more of them than a person reads."""
    shown = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in list(names)[:_NAMED]]
    return ", ".join(shown) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
