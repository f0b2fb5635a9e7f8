"""The state of a run: running, paused for a person, or stopped; and what a person granted when it went on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fuseboard.budgets import KEPT_S
from fuseboard.state import Put

RUNNING: Final = "running"
PAUSED: Final = "paused"
STOPPED: Final = "stopped"


class RunState(msgspec.Struct, frozen=True):
    """``by`` and ``why`` say who made the last change, and what for; ``at`` is Unix seconds.

    ``more`` is what reviews added to the limits, by unit. ``review_base`` is what was used when the last review ended,
    and ``milestones`` how many had been reached then.
    """

    state: str = RUNNING
    at: float = 0.0
    by: str = ""
    why: str = ""
    more: Mapping[str, float] = msgspec.field(default_factory=dict)
    reviews: int = 0
    review_base: Mapping[str, float] = msgspec.field(default_factory=dict)
    milestones: int = 0

    @classmethod
    def of(cls, value: Any) -> RunState:
        """What the store holds, a running run where it holds nothing."""
        return UNTOUCHED if value is None else msgspec.convert(value, cls)

    def raised(self, ceilings: Mapping[str, float]) -> Mapping[str, float]:
        """The ceilings with what reviews added. A unit without a ceiling stays without."""
        if not self.more:
            return ceilings
        return {unit: ceiling + self.more.get(unit, 0) for unit, ceiling in ceilings.items()}

    def paused(self, *, at: float, by: str, why: str) -> RunState:
        """Nothing new is sent from now on; what is under way ends."""
        return msgspec.structs.replace(self, state=PAUSED, at=at, by=by, why=why)

    def resumed(
        self,
        *,
        at: float,
        by: str,
        used: Mapping[str, float],
        milestones: int,
        more: Mapping[str, float] | None = None,
        why: str = "",
    ) -> RunState:
        """A person looked at it: it goes on, perhaps with more."""
        added = {unit: self.more.get(unit, 0) + (more or {}).get(unit, 0) for unit in {*self.more, *(more or {})}}
        return msgspec.structs.replace(
            self,
            state=RUNNING,
            at=at,
            by=by,
            why=why,
            more=added,
            reviews=self.reviews + 1,
            review_base=dict(used) if more else (self.review_base or dict(used)),
            milestones=milestones,
        )

    def stopped(self, *, at: float, by: str, why: str) -> RunState:
        """For good."""
        return msgspec.structs.replace(self, state=STOPPED, at=at, by=by, why=why)

    def written(self, run: str) -> Put:
        return Put(state_key(run), msgspec.to_builtins(self), KEPT_S)


UNTOUCHED: Final = RunState()


def state_key(run: str) -> str:
    return f"runstate/{run}"


def due(
    state: RunState, used: Mapping[str, float], ceilings: Mapping[str, float], share: float, *, milestones: int
) -> str | None:
    """The unit of which so much is used without a milestone that a person should look, ``None`` where there is none.

    Counted from the start or from the last review. A review that granted nothing more is not asked for a second time:
    the person has seen where this is going, and the limit itself is still there.
    """
    if milestones > state.milestones or (state.reviews and not state.more):
        return None
    for unit, ceiling in ceilings.items():
        base = state.review_base.get(unit, 0) if state.reviews else 0
        if ceiling > base and used.get(unit, 0) - base >= share * (ceiling - base):
            return unit
    return None
