"""I8: every judgement is recorded with the state that it read, and made again from JSON: it must come out the same.

So no policy keeps anything between calls, reads a clock, or leans on what memory holds and a file cannot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from fuseboard import pipeline
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.pipeline import NO_GRANTS, Grants, Outcome, Policies
from fuseboard.state import Snapshot


class Judged(NamedTuple):
    """One descent or ascent, and what was said."""

    policies: Policies
    event: Event
    state: Snapshot
    granted: Grants
    said: Outcome

    @property
    def event_id(self) -> str:
        return _id(self.event)


@contextmanager
def recorded(into: Callable[[Judged], None]) -> Iterator[None]:
    """Record all that the pipeline judges while this is open."""
    descend, ascend = pipeline.descend, pipeline.ascend

    def down(
        policies: Policies, event: Event, state: Snapshot, *, enforce: bool = True, granted: Grants = NO_GRANTS
    ) -> Outcome:
        said = descend(policies, event, state, enforce=enforce, granted=granted)
        into(Judged(policies, event, state, granted, said))
        return said

    def up(policies: Policies, event: CallReturned, state: Snapshot, *, enforce: bool = True) -> Outcome:
        said = ascend(policies, event, state, enforce=enforce)
        into(Judged(policies, event, state, NO_GRANTS, said))
        return said

    pipeline.descend, pipeline.ascend = down, up
    try:
        yield
    finally:
        pipeline.descend, pipeline.ascend = descend, ascend


def replayed(all_judged: Sequence[Judged]) -> Iterator[tuple[Judged, str]]:
    """Those that come out otherwise, and how."""
    for judged in all_judged:
        state = Snapshot(json.loads(msgspec.json.encode(judged.state.values)), judged.state.versions)
        if isinstance(judged.event, CallReturned):
            again = pipeline.ascend(judged.policies, judged.event, state)
        else:
            again = pipeline.descend(judged.policies, judged.event, state, granted=judged.granted)
        before, after = _plain(judged.said), _plain(again)
        if before != after:
            yield judged, _apart(before.decode(), after.decode())


def _plain(outcome: Outcome) -> bytes:
    """All that an outcome says. Sorted: what is kept as JSON comes back in another order of keys."""
    said: Any = (outcome.verdict, outcome.policy, outcome.checks, outcome.writes, outcome.nudges)
    return msgspec.json.encode(said, order="sorted")


def _apart(before: str, after: str) -> str:
    """Where two texts begin to differ."""
    same = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), 0)
    begins = max(0, same - 60)
    return f"…{before[begins : same + 60]}… became …{after[begins : same + 60]}…"


def _id(event: Event) -> str:
    if isinstance(event, CallReturned):
        return f"the result of {event.proposal.id}"
    return event.id if isinstance(event, CallProposed) else f"the listing of {event.tool.qualified}"
