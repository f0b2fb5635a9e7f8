"""The way in: where a call that nothing speaks against waits for its turn, before it is written down as admitted.

Two things may keep it waiting, a busy upstream (:mod:`fuseboard.bulkheads`) and what others work upon
(:mod:`fuseboard.turns`). Nothing is reserved meanwhile, neither budget nor lock nor place, and after each wait the call
is judged anew, for everything may have changed. So it may wait for the one and the other in turn: for either no longer
than is configured for it, however often, and for both together no longer than the call itself may take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import anyio
import msgspec

from fuseboard import effects
from fuseboard.bulkheads import POLICY, Bulkheads, Turned, refused
from fuseboard.errors import StoreUnavailable
from fuseboard.events import CallProposed, Trust
from fuseboard.pipeline import Check, Outcome
from fuseboard.settlement import Judgement
from fuseboard.turns import FENCE, Turns
from fuseboard.verdicts import Deny
from fuseboard.wire import splice


class Entrance:
    """``turns`` is given where any tool needs locks. ``clock`` gives Unix seconds."""

    def __init__(self, bulkheads: Bulkheads, turns: Turns | None, clock: Callable[[], float], *, enforce: bool) -> None:
        self.bulkheads = bulkheads
        self._turns = turns
        self._clock = clock
        self._enforce = enforce

    def open_to(self, event: CallProposed, outcome: Outcome) -> bool:
        """Whether it is settled what becomes of the call: it has its place, or is refused whatever it waits for."""
        verdict, bulkhead = outcome.refused, self.bulkheads.at(event.tool.upstream)
        if verdict is None:
            if effects.counts(event) and effects.attached_to(check.facts for check in outcome.checks) is not None:
                return True  # it waits for the result of another, and does not go there itself
            return bulkhead is None or bulkhead.enter(event) or not self._enforce
        if bulkhead is not None:
            bulkhead.leave(event.id)  # whoever waits for a lock or a person waits outside
        return self._turns is None or not isinstance(verdict, Deny) or verdict.waits is None

    async def passed(
        self, event: CallProposed, said: Judgement, judge: Callable[[CallProposed], Awaitable[Judgement]]
    ) -> Judgement:
        """What is said of the call when it need not wait any longer, or has waited enough."""
        locks_s = place_s = 0.0
        while not self.open_to(event, said.outcome):
            began_s = anyio.current_time()
            if said.outcome.refused is not None:
                assert self._turns is not None
                said = await self._turns.taken(event, said, judge, spent_s=locks_s, elsewhere_s=place_s)
                locks_s += anyio.current_time() - began_s
                continue
            bulkhead = self.bulkheads.at(event.tool.upstream)
            assert bulkhead is not None
            turned = await bulkhead.turn(event, most_s=event.timeout_s - locks_s, spent_s=place_s)
            place_s += anyio.current_time() - began_s
            if turned is not None:
                return Judgement(_busy(event, said.outcome, turned), said.read)
            said = await judge(msgspec.structs.replace(event, at=self._clock()))
        return said

    def begun(self, judged: CallProposed, outcome: Outcome) -> Mapping[str, int] | None:
        """The call is admitted and goes on: what it holds is kept for it. Gives its fencing tokens, by name of the
        lock, where its upstream may see them.
        """
        if self._turns is None:
            return None
        fences = self._turns.begun(judged.id, outcome.writes)
        return fences if self._enforce and judged.tool.trust is not Trust.UNTRUSTED else None

    def over(self, event: CallProposed) -> None:
        """The call has ended, however it did."""
        if (bulkhead := self.bulkheads.at(event.tool.upstream)) is not None:
            bulkhead.leave(event.id)
        if self._turns is not None:
            self._turns.over(event.id)

    async def ended(self, run: str) -> None:
        """The run has ended."""
        if self._turns is not None:
            with suppress(StoreUnavailable):
                await self._turns.ended(run)


def fenced(params: bytes | None, fences: Mapping[str, int]) -> bytes:
    """The params with the fencing tokens in their ``_meta``; every other byte as it came."""
    fields = splice.fields(params)
    meta = splice.fields(fields.get("_meta"))
    meta[FENCE] = splice.raw(dict(fences))
    fields["_meta"] = msgspec.Raw(splice.join(meta))
    return splice.join(fields)


def _busy(event: CallProposed, outcome: Outcome, turned: Turned) -> Outcome:
    no = refused(event, turned)
    check = Check(POLICY, "deny", no.rule, no.facts)
    return msgspec.structs.replace(
        outcome, verdict=no, policy=POLICY, checks=(*outcome.checks, check), writes=(), nudges=()
    )
