"""Is this call a repeat that only makes things worse?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fuseboard import buckets, effects, fingerprints, pauses, retries
from fuseboard.budgets import number
from fuseboard.events import CallProposed, CallReturned, Event
from fuseboard.loops.repeats import begins
from fuseboard.pauses import Pause, pause_key
from fuseboard.retries import RetriesLike, bucket_key
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Deny, Verdict
from fuseboard.windows import Past, window, window_key

PER_CALL: Final = "retries.per_call"
BUDGET: Final = "retries.budget"
PAUSED: Final = "retries.pause"

_TOOL_CALL: Final = "tools/call"
_TOLD: Final = 12
_SPREAD_S: Final = 2.0
_NOTHING_AGAINST_IT: Final = Allow()


class RetriesPolicy:
    """Fails fast where the same call failed before, and leaves an upstream alone that throttles.

    One run repeats one call so often and no more; all runs together repeat no more at one upstream than a share of its
    calls. First attempts are never refused but by a pause. In quiet times it writes nothing: first attempts are counted
    only while repeats are being made, so the bucket holds too little rather than too much.
    """

    name = "retries"
    tells_callers_apart = False
    keyed_by_call = False
    judges = (CallProposed, CallReturned)

    def __init__(self, limits: RetriesLike) -> None:
        self._limits = limits

    def keys(self, event: Event) -> tuple[str, ...]:
        if isinstance(event, CallProposed):
            upstream = event.tool.upstream
            return (pause_key(upstream), window_key(event.run), bucket_key(upstream))
        if isinstance(event, CallReturned):
            return (pause_key(event.proposal.tool.upstream),)
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallProposed):
            return self._proposed(event, state)
        if isinstance(event, CallReturned):
            return self._returned(event, state)
        return _NOTHING_AGAINST_IT

    def _proposed(self, event: CallProposed, state: Snapshot) -> Verdict:
        upstream, steps = event.tool.upstream, state.get(window_key(event.run))
        if (tail := state.get(pause_key(upstream))) is not None:
            pause = pauses.latest(tail)
            if pause is not None and event.at < (until := pauses.lets_in_at(pause, event.run, steps, upstream)):
                return _paused(event, pause, until)
        if event.method != _TOOL_CALL:
            return _NOTHING_AGAINST_IT
        limits, bucket = self._limits, state.get(bucket_key(upstream))
        since = event.at - limits.window_s
        failed = retries.failures(steps, event.fingerprint, since=since)
        if failed:
            # Tests after an edit fail alike, and are run for a reason: what bears on the call begins the count anew.
            past = window(event.run, state)
            failed = retries.failures(past[begins(past, event.fingerprint) :], event.fingerprint, since=since)
        if failed and effects.counts(event) and Past(*failed[0]).truth in effects.LOST:
            return _NOTHING_AGAINST_IT  # nobody knows whether it took effect: that decides, not how often it was tried
        if not failed:
            if bucket is None or buckets.quiet_s(bucket, at=event.at) >= retries.COUNTED_S:
                return _NOTHING_AGAINST_IT
            return Allow(writes=(retries.deposit(upstream, limits),))
        if len(failed) > limits.per_call:
            return _too_often(event, failed, limits)
        take = retries.withdrawal(upstream, limits)
        if (wait_s := buckets.wait_s(bucket, take, at=event.at)) > 0:
            return _spent(event, failed, limits, wait_s)
        return Allow(facts={"repeat": len(failed), "of": _ids(failed)}, writes=(take,))

    def _returned(self, event: CallReturned, state: Snapshot) -> Verdict:
        call, found = event.proposal, event.finding
        if event.shared:
            return Allow("retries.joined", {"with": event.shared})
        if found is None or found.truth != "throttled":
            return _NOTHING_AGAINST_IT
        upstream = call.tool.upstream
        before = pauses.latest(state.get(pause_key(upstream)))
        push = pauses.throttled(upstream, before, call.id, found.retry_after_s, self._limits, at=event.at)
        if push is None:
            return _NOTHING_AGAINST_IT
        facts = {
            "upstream": upstream,
            "retry_after_s": found.retry_after_s,
            "pause_s": round(push.item[1] - event.at, 3),
        }
        return Allow("retries.throttled", facts, (push,))


def _paused(event: CallProposed, pause: Pause, until: float) -> Deny:
    wait_s = round(until - event.at, 3)
    upstream = event.tool.upstream
    why = f"{upstream} asked to be left alone" if event.at < pause.until else f"{upstream} is coming back from a pause"
    reason = (
        f"{event.tool.exposed} was not called: {why} because it was called too often, and its callers are let back one "
        f"after another. Do something else meanwhile, or call it again in {number(wait_s)} s; calls before that do not "
        "reach it."
    )
    facts = {"upstream": upstream, "throttled": pause.decision, "at": pause.at, "until": pause.until}
    return Deny(PAUSED, reason, {**facts, "in_a_row": pause.streak}, retry_after_s=wait_s)


def _too_often(event: CallProposed, failed: Sequence[Any], limits: RetriesLike) -> Deny:
    last, count = Past(*failed[0]), len(failed)
    oldest = Past(*failed[limits.per_call])
    wait_s = round(max(0.0, oldest.at + limits.window_s - event.at), 3)
    reason = (
        f"{event.tool.exposed} was not called: exactly this call failed {_times(count)} within "
        f"{number(limits.window_s)} s, the last time with {_words(last.truth)}, and {_repeats(limits.per_call)}. Once "
        "more would fail alike. Change the arguments, use another tool, or tell the user what does not work."
    )
    facts = {"failures": count, "limit": limits.per_call, "of": _ids(failed), "truths": _truths(failed)}
    return Deny(PER_CALL, reason, facts, retry_after_s=wait_s, answer=last.decision)


def _spent(event: CallProposed, failed: Sequence[Any], limits: RetriesLike, wait_s: float) -> Deny:
    last, upstream = Past(*failed[0]), event.tool.upstream
    # Those who wait for the same token shall not all come for it at once.
    share = int(fingerprints.of_text(event.id.encode())[:8], 16) / 0x1_0000_0000
    told_s = None if wait_s == float("inf") else round(wait_s + share * _SPREAD_S, 3)
    when = "later" if told_s is None else f"in {number(told_s)} s"
    reason = (
        f"{event.tool.exposed} was not called: this call failed a moment ago ({_words(last.truth)}), and repeats are "
        f"{number(limits.budget * 100)} % of all calls to {upstream} already, which is the most: more would only keep "
        f"it down. Go on with something else, and repeat this {when}, or tell the user."
    )
    facts = {"upstream": upstream, "budget": limits.budget, "repeat": len(failed), "of": _ids(failed)}
    return Deny(BUDGET, reason, facts, retry_after_s=told_s, answer=last.decision)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _repeats(most: int) -> str:
    return {0: "it is not repeated", 1: "1 repeat is the most"}.get(most, f"{most} repeats are the most")


def _words(truth: str) -> str:
    return truth.replace("_", " ")


def _ids(failed: Sequence[Any]) -> list[str]:
    return [Past(*step).decision for step in failed[:_TOLD]]


def _truths(failed: Sequence[Any]) -> list[str]:
    return [Past(*step).truth for step in failed[:_TOLD]]
