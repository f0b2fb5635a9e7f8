"""Does this run learn anything by asking again?"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import Any, Final, Protocol

from fuseboard.checkpoint import TOOL, UPSTREAM
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.loops.barren import barren, drought, is_fruitful, novelty, stale
from fuseboard.loops.found import Found, told
from fuseboard.loops.ladder import ANSWERS, BOTTOM, WAITS, ladder_key, rungs, stands
from fuseboard.loops.repeats import repeated
from fuseboard.loops.verbs import is_asked_after
from fuseboard.loops.wording import denied, nudged
from fuseboard.reviews import RunState, state_key
from fuseboard.state import Snapshot, Write
from fuseboard.truth import Truth, meets
from fuseboard.verdicts import Allow, Deny, Hold, Verdict
from fuseboard.windows import KEPT, Past, step_of, window, window_key

PAUSED_RULE: Final = "run.paused"
"""The rule by which a person is asked about a run, and not about a call."""

RECURSION_RULE: Final = "loops.recursion"
POLL_RULE: Final = "loops.poll_early"

_CHECKPOINT: Final = f"{UPSTREAM}__{TOOL}"

_NOTHING_AGAINST_IT: Final = Allow()
_TOOL, _FINGERPRINT, _DIGEST = (itemgetter(Past._fields.index(name)) for name in ("tool", "fingerprint", "digest"))

_POLLED: Final = 0.1
"""What a repeat counts of a tool that the operator says is polled."""


_ASKED_AFTER: Final = 0.5
"""What it counts of a tool whose name says that it tells how something stands."""


class LoopsLike(Protocol):
    """``loops:`` of the configuration."""

    @property
    def repeat(self) -> int: ...
    @property
    def repeat_stop(self) -> int: ...
    @property
    def cycle(self) -> int: ...
    @property
    def poll(self) -> int: ...
    @property
    def poll_stop(self) -> int: ...
    @property
    def barren(self) -> int: ...
    @property
    def barren_stop(self) -> int: ...
    @property
    def drought(self) -> int: ...
    @property
    def novelty(self) -> int: ...
    @property
    def novelty_window(self) -> int: ...
    @property
    def cool_off_s(self) -> float: ...
    @property
    def then(self) -> str: ...


class Goal(Protocol):
    """One of ``milestones:``."""

    @property
    def tool(self) -> str: ...
    @property
    def truth(self) -> str: ...


class LoopPolicy:
    """Tells the model on a result that it learns nothing new, and refuses the call once it goes on all the same.

    A result is judged on its way back, with itself as the last step of the window; a proposal by the window as it
    stands. Nothing but the window is looked at, so a judgement costs the same after 100,000 calls.
    """

    name = "loops"
    tells_callers_apart = False
    keyed_by_call = False
    judges = (CallProposed, CallReturned)

    def __init__(self, settings: LoopsLike, milestones: Sequence[Goal] = ()) -> None:
        self._limits = settings
        self._milestones = tuple(milestones)

    def keys(self, event: Event) -> tuple[str, ...]:
        if isinstance(event, CallProposed) and _judged(event):
            return (window_key(event.run), state_key(event.run), ladder_key(event.run))
        if isinstance(event, CallReturned) and _judged(event.proposal) and not event.late:
            return (window_key(event.proposal.run), state_key(event.proposal.run))
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallProposed):
            return self._proposed(event, state) if _judged(event) else _NOTHING_AGAINST_IT
        if isinstance(event, CallReturned) and _judged(event.proposal) and not event.late:
            return self._returned(event, state)
        return _NOTHING_AGAINST_IT

    def _returned(self, event: CallReturned, state: Snapshot) -> Verdict:
        call = event.proposal
        if not self._worth_a_look(event, state.get(window_key(call.run), ())):
            return _NOTHING_AGAINST_IT
        steps = self._since(call.run, state)[1 - KEPT :]
        steps.append(step_of(event))
        if not told(steps[-1]):
            return _NOTHING_AGAINST_IT
        found = self._soft(call, steps)
        if found is None:
            return _NOTHING_AGAINST_IT
        return Allow(f"loops.{found.kind}", found.facts(), nudge=nudged(call, found))

    def _worth_a_look(self, event: CallReturned, tail: Sequence[Any]) -> bool:
        """Whether the result can be part of a loop at all. Every result pays for this, so it touches what it needs."""
        found, asked = event.finding, event.proposal.fingerprint
        if found is None or not tail:
            return False
        if found.weight or found.truth == Truth.EMPTY:
            return True
        if asked in map(_FINGERPRINT, tail):
            return True
        return found.digest in map(_DIGEST, tail)

    def _soft(self, call: CallProposed, steps: Sequence[Past]) -> Found | None:
        limits, last = self._limits, steps[-1]
        if any(step.fingerprint == call.fingerprint for step in steps[:-1]):
            share, poll_share = _shares(call)
            same, polls, longest = limits.repeat, limits.poll, limits.cycle
            found = repeated(
                steps,
                call.fingerprint,
                same=same,
                polls=polls,
                longest=longest,
                share=share,
                poll_share=poll_share,
            )
            if found is None and not call.tool.poll_s and not last.pending:
                found = novelty(steps, call.run, few=limits.novelty, among=limits.novelty_window)
            if found is not None:
                return found
        if last.weight == 0 and last.truth != Truth.EMPTY:
            return stale(steps, last.tool, at=limits.barren)
        return barren(steps, last.tool, at=limits.barren) or drought(steps, call.run, at=limits.drought)

    def _proposed(self, event: CallProposed, state: Snapshot) -> Verdict:
        if (above := next((a for a in event.ancestors if a.fingerprint == event.fingerprint), None)) is not None:
            return _recursion(event, above.decision)
        tail = state.get(window_key(event.run), ())
        if not tail or self._limits.then == "nudge":
            return _NOTHING_AGAINST_IT
        asked, tool = event.fingerprint, event.tool.qualified
        if asked not in map(_FINGERPRINT, tail):
            last = next((step for step in reversed(tail) if _TOOL(step) == tool), None)
            if last is None or is_fruitful(last if type(last) is Past else Past(*last)):
                return _NOTHING_AGAINST_IT  # by far the most calls: what the tool said last was worth the asking
            if list(map(_TOOL, tail)).count(tool) < self._limits.barren_stop:
                return _NOTHING_AGAINST_IT
        steps = self._since(event.run, state)
        own = next((step for step in reversed(steps) if step.fingerprint == event.fingerprint and told(step)), None)
        if own is not None and (early := _early(event, own)) is not None:
            return early
        found = self._hard(event, steps, own)
        return _NOTHING_AGAINST_IT if found is None else self._stopped(event, state, found, own)

    def _hard(self, event: CallProposed, steps: Sequence[Past], own: Past | None) -> Found | None:
        """What the call would go on with: the counts are those that it would bring about."""
        limits, tool = self._limits, event.tool.qualified
        if own is not None:
            share, poll_share = _shares(event)
            same, polls = limits.repeat_stop - share, limits.poll_stop - poll_share
            found = repeated(
                steps,
                event.fingerprint,
                same=same,
                polls=polls,
                longest=limits.cycle,
                share=share,
                poll_share=poll_share,
            )
            if found is None and not event.tool.poll_s and not own.pending:
                among = limits.novelty_window + limits.novelty_window // 2
                found = novelty(steps, event.run, few=limits.novelty, among=among)
            if found is not None:
                return found
        most = limits.barren_stop
        return (
            barren(steps, tool, at=most)
            or stale(steps, tool, at=most)
            or (drought(steps, event.run, at=2 * limits.drought) if own is not None else None)
        )

    def _stop(self, found: Found) -> int:
        """The number at which such a loop is stopped."""
        limits = self._limits
        match found.kind:
            case "poll":
                return limits.poll_stop
            case "barren" | "stale":
                return limits.barren_stop
            case "drought":
                return 2 * limits.drought
            case "novelty":
                return limits.novelty_window + limits.novelty_window // 2
        return limits.repeat_stop

    def _stopped(self, event: CallProposed, state: Snapshot, found: Found, own: Past | None) -> Verdict:
        """The earlier answer first, then waiting, and a person last."""
        before = rungs(event.run, state, since=_reviewed(event.run, state))
        rung = before.get(found.subject, BOTTOM)
        rule, facts = f"loops.{found.kind}", found.facts()
        if rung.waited(event.at):
            write = stands(event.run, before, found.subject, rung._replace(until=0.0), ttl_s=event.kept_s)
            return Allow(rule, {**facts, "waited": True}, (write,))
        if rung.exhausted and self._limits.then == "pause":
            return self._paused(event, state, found)
        higher = rung.next(event.at, cool_off_s=self._limits.cool_off_s)
        writes: tuple[Write, ...] = (stands(event.run, before, found.subject, higher, ttl_s=event.kept_s),)
        retry_after_s = round(higher.until - event.at, 3) if higher.until else None
        stop = self._stop(found)
        reason = denied(event, found, stop, retry_after_s)
        answer = own.decision if own is not None and not retry_after_s else None
        return Deny(rule, reason, {**facts, "stop": stop, "refused": higher.refused}, retry_after_s, writes, answer)

    def _paused(self, event: CallProposed, state: Snapshot, found: Found) -> Hold:
        now = RunState.of(state.get(state_key(event.run)))
        why = f"it went on with a loop of {event.tool.qualified} ({found.kind}) after {ANSWERS + WAITS} refusals"
        pause = now.paused(at=event.at, by="fuseboard", why=why)
        facts = {**found.facts(), "by": pause.by, "why": why}
        return Hold(PAUSED_RULE, f"This run is paused for review: {why}.", facts, (pause.written(event.run),))

    def _since(self, run: str, state: Snapshot) -> list[Past]:
        """The window since a person looked at the run, or since it reached a milestone."""
        steps = window(run, state)
        if reviewed := _reviewed(run, state):
            steps = [step for step in steps if step.at >= reviewed]
        if not self._milestones:
            return steps
        reached: set[tuple[str, str]] = set()
        begin = 0
        for index, step in enumerate(steps):
            pair = (step.fingerprint, step.digest)
            if pair not in reached and self._is_milestone(step):
                begin = index + 1  # the same milestone a second time is none
                reached.add(pair)
        return steps[begin:]

    def _is_milestone(self, step: Past) -> bool:
        if step.tool == _CHECKPOINT:  # it is the agent's own word that it got somewhere
            return False
        return any(meets(step.truth, goal.truth) and fnmatchcase(step.tool, goal.tool) for goal in self._milestones)


def _shares(call: CallProposed) -> tuple[float, float]:
    """What a repeat weighs, and what asking after something under way does.

    How something stands is asked more than once, and a status may say nothing of its own progress for a while.
    """
    if call.tool.poll_s:
        return _POLLED, _POLLED
    return (_ASKED_AFTER if is_asked_after(call.tool.name) else 1.0), 1.0


def _judged(call: CallProposed) -> bool:
    """Later rounds of one logical call are no repeats of it."""
    return call.method == "tools/call" and call.continues is None


def _reviewed(run: str, state: Snapshot) -> float:
    """When a person let the run go on, 0 where none did."""
    kept = state.get(state_key(run))
    if kept is None:
        return 0.0
    now = RunState.of(kept)
    return now.at if now.reviews else 0.0


def _early(event: CallProposed, own: Past) -> Deny | None:
    """A tool that is polled is asked as often as the operator said; in between its last answer stands."""
    poll_s = event.tool.poll_s
    left_s = own.at + poll_s - event.at if poll_s and own.weight == 0 else 0.0
    if left_s <= 0:
        return None
    reason = (
        f"{event.tool.exposed} was asked the same less than {poll_s:g} s ago, so this is its last answer. "
        f"Ask again in {left_s:.1f} s, or go on with something else meanwhile."
    )
    facts = {"poll_s": poll_s, "calls": [own.decision]}
    return Deny(POLL_RULE, reason, facts, round(left_s, 3), answer=own.decision)


def _recursion(event: CallProposed, above: str) -> Deny:
    reason = (
        f"{event.tool.exposed} was not called: this very call is already under way further up ({above}) and led here, "
        "so it would call itself without end. Do this part yourself, or ask for something smaller."
    )
    return Deny(RECURSION_RULE, reason, {"loop": "recursion", "period": 1, "count": 2, "calls": [above]})
