"""The one function that says what a result really was, and what it leaves behind for those that come after. Pure.

Weights and whose fault it is follow facts, mechanisms 1.2: only what is the ``upstream``'s and weighs 1 may shut a tool
to everybody; less is a suspicion. Nobody's failure is a limit of calls, what we denied, and what was given up.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from fuseboard import windows
from fuseboard.breakers.tails import outcome_pushed, tool_key
from fuseboard.errors import UpstreamCutShort, UpstreamFault
from fuseboard.events import CallProposed, CallReturned, Finding
from fuseboard.pipeline import Check
from fuseboard.ports import Failure, Reply
from fuseboard.recording import TRUTH_CHECK
from fuseboard.results import profile
from fuseboard.results.complaints import Complaint, complaint, quoted
from fuseboard.results.constancy import is_telling
from fuseboard.results.digests import digests
from fuseboard.results.examine import Seen, examined
from fuseboard.results.expected import is_expected
from fuseboard.results.shapes import disguised
from fuseboard.results.throttling import asked_wait_s
from fuseboard.results.waiting import is_pending
from fuseboard.state import Snapshot, Write
from fuseboard.truth import Truth

HARD: Final = 1.0
WEAK: Final = 0.5
LINE_CHARS: Final = 160

TOLD_WAIT_S: Final = 60.0
"""The longest that a result may keep its upstream's callers waiting that says itself that it did not fail."""

_UPSTREAM: Final = "upstream"
_CALLER: Final = "caller"
_NOBODY: Final = ""
_WEIGHTS: Final = {
    Truth.BUSINESS_ERROR: (HARD, _CALLER),
    Truth.BAD_ARGUMENTS: (HARD, _CALLER),
    Truth.ERROR: (HARD, _UPSTREAM),
    Truth.MALFORMED: (HARD, _UPSTREAM),
    Truth.OVERSIZE: (HARD, _UPSTREAM),
    Truth.SCHEMA_VIOLATION: (HARD, _UPSTREAM),
    Truth.TIMEOUT: (HARD, _UPSTREAM),
    Truth.OUTAGE: (HARD, _UPSTREAM),
    Truth.LOST: (HARD, _UPSTREAM),
}
_SHARED: Final = (Complaint.THROTTLED, Complaint.UPSTREAM)
"""What concerns all who call, where it is true."""

_WHOSE: Final = {
    Complaint.ARGUMENTS: _CALLER,
    Complaint.CREDENTIALS: _NOBODY,
    Complaint.UPSTREAM: _UPSTREAM,
}
_INTERNAL: Final = (-32603, -32700)
_UNKNOWN_NAME: Final = (-32601, -32002)
_ASKS_TO_OPEN: Final = -32042
"""2025-11-25, elicitation, "URL Elicitation Required Errors": the call waits for a person."""


def keys(call: CallProposed) -> tuple[str, ...]:
    """What :func:`found` reads: what came back from the tool before."""
    return (tool_key(call.tool.qualified),) if call.method == "tools/call" else ()


def found(event: CallReturned, reply: Reply | None, state: Snapshot, fault: UpstreamFault | None = None) -> Finding:
    """What came back. ``reply`` is ``None`` where the upstream did not answer; ``fault`` is why, where it is known."""
    said = event.truth if isinstance(event.truth, Truth) else Truth(event.truth)
    if reply is None:
        return _unanswered(said, fault)
    if event.proposal.method != "tools/call" and not isinstance(reply, Failure):
        digest, skeleton = digests(reply.raw)  # prompts and resources are documents, whatever they are about
        return _plain(said, digest, skeleton)
    seen = examined(reply)
    digest, skeleton = digests(seen.said)
    if isinstance(reply, Failure):
        finding = _failed(event.proposal, said, reply, seen)
    elif said is Truth.BUSINESS_ERROR:
        finding = _business(event.proposal, seen)
    elif said in (Truth.OK, Truth.EMPTY):
        finding = _succeeded(event.proposal, said, seen, profile.tail_of(event.proposal.tool.qualified, state), digest)
    else:
        finding = _plain(said)
    return replace(finding, digest=digest, skeleton=skeleton, shape=seen.shape)


def as_judged(event: CallReturned, said: Truth) -> CallReturned:
    """The event with what the policies made of its result: the schema may have found what nobody else could."""
    if event.finding is None or said == event.truth:
        return event
    weight, whose = _WEIGHTS.get(said, (0.0, _NOBODY))
    return replace(event, truth=said, finding=replace(event.finding, truth=said, weight=weight, whose=whose))


def check(finding: Finding) -> Check:
    """What the ledger holds of it. The word itself is the record's ``truth``."""
    facts = {"weight": finding.weight, "whose": finding.whose, "evidence": list(finding.evidence)}
    if finding.retry_after_s is not None:
        facts["retry_after_s"] = finding.retry_after_s
    return Check(TRUTH_CHECK, "allow", f"{TRUTH_CHECK}.{finding.truth}", facts)


def learnt(event: CallReturned) -> tuple[Write, ...]:
    """What this result adds to what is known: a step of its run, and an entry in the tail of its tool."""
    call = event.proposal
    if call.method != "tools/call" or event.late:
        return ()
    step = windows.pushed(event, ())
    return (step,) if event.shared else (step, outcome_pushed(event))  # the tool answered once, whoever joined


def _plain(said: Truth, digest: str = "", skeleton: str = "") -> Finding:
    weight, whose = _WEIGHTS.get(said, (0.0, _NOBODY))
    return Finding(said, weight, whose, digest=digest, skeleton=skeleton)


def _unanswered(said: Truth, fault: UpstreamFault | None) -> Finding:
    weight, whose = _WEIGHTS.get(said, (0.0, _NOBODY))
    if fault is None:
        return Finding(said, weight, whose)
    if isinstance(fault, UpstreamCutShort):
        return Finding(said, 0.0, _CALLER, (_line(fault.message),))
    if fault.status in (401, 403):
        whose = _NOBODY  # the operator's credentials: no breaker mends them
    return Finding(said, weight, whose, (_line(fault.message),), fault.retry_after_s)


def _failed(call: CallProposed, said: Truth, reply: Failure, seen: Seen) -> Finding:
    """A JSON-RPC error."""
    code = int(seen.code)
    evidence = (f"JSON-RPC error {code}", _line(seen.text))
    if said in (Truth.MALFORMED, Truth.OVERSIZE):
        return Finding(said, HARD, _UPSTREAM, evidence)
    if code == _ASKS_TO_OPEN:
        return Finding(Truth.INPUT_REQUIRED)
    says = _complaint(call, seen.text)
    if reply.status == 429 or code == 429 or (says is Complaint.THROTTLED and said is not Truth.BAD_ARGUMENTS):
        wait_s = reply.retry_after_s if reply.retry_after_s is not None else asked_wait_s(seen.text, seen.value)
        return Finding(Truth.THROTTLED, 0.0, _NOBODY, evidence, wait_s)
    if said is Truth.BAD_ARGUMENTS or says is Complaint.ARGUMENTS or code in _UNKNOWN_NAME:
        return Finding(Truth.ERROR if code in _UNKNOWN_NAME else Truth.BAD_ARGUMENTS, HARD, _CALLER, evidence)
    theirs = code in _INTERNAL or -32099 <= code <= -32000 or 500 <= code <= 599 or (reply.status or 0) >= 500
    theirs = (theirs or says is Complaint.UPSTREAM) and says is not Complaint.CREDENTIALS
    return Finding(Truth.ERROR, HARD, _UPSTREAM if theirs else _NOBODY, evidence, reply.retry_after_s)


def _complaint(call: CallProposed, text: str) -> Complaint:
    """What the upstream complains of in its own words. A caller whose words it quotes could else speak in its name."""
    says = complaint(text)
    return Complaint.OTHER if _quotes(call, says) else says


def _quotes(call: CallProposed, says: Complaint) -> bool:
    return says in _SHARED and quoted(says, call.arguments)


def _business(call: CallProposed, seen: Seen) -> Finding:
    """The tool says that it failed."""
    evidence = ("isError: true", _line(seen.text))
    if is_pending(seen.text, seen.value, whole=seen.whole):
        return Finding(Truth.BUSINESS_ERROR, 0.0, _NOBODY, evidence, asked_wait_s(seen.text, seen.value), pending=True)
    says = _complaint(call, seen.text)
    if says is Complaint.THROTTLED:
        return Finding(Truth.THROTTLED, 0.0, _NOBODY, evidence, asked_wait_s(seen.text, seen.value))
    if says is Complaint.ARGUMENTS:
        return Finding(Truth.BAD_ARGUMENTS, HARD, _CALLER, evidence)
    return Finding(Truth.BUSINESS_ERROR, HARD, _WHOSE.get(says, _CALLER), evidence)


def _succeeded(call: CallProposed, said: Truth, seen: Seen, tail: profile.Tail, digest: str) -> Finding:
    """It says that it did not fail."""
    tool = call.tool
    if seen.broken:
        return Finding(Truth.MALFORMED, HARD, _UPSTREAM, (_line(seen.broken),))
    for junk in tool.junk:
        if junk.found(seen.text):
            return Finding(Truth.JUNK, HARD, _UPSTREAM, (f"junk by the pattern {junk.source!r}", _line(seen.text)))
    shape = disguised(seen)
    if shape is not None and not is_expected(shape, call, seen.text, tail) and not _quotes(call, shape.complaint):
        evidence = (shape.kind, _line(seen.text or str(seen.value)))
        if shape.complaint is Complaint.THROTTLED:
            # Any document may say so, and all would wait: for a while, then, and not for as long as it likes.
            asked_s = asked_wait_s(seen.text, seen.value)
            return Finding(
                Truth.THROTTLED, 0.0, _NOBODY, evidence, None if asked_s is None else min(asked_s, TOLD_WAIT_S)
            )
        weight = WEAK if tool.result is None else HARD
        whose = _WHOSE.get(shape.complaint, _UPSTREAM)
        return Finding(Truth.ERROR_SHAPED_SUCCESS, weight, whose, evidence)
    if said is Truth.EMPTY or seen.empty:
        return _empty(call, tail)
    return _full(call, seen, tail, digest)


def _empty(call: CallProposed, tail: profile.Tail) -> Finding:
    stated = call.tool.empty_ok
    if stated is False:
        return Finding(Truth.EMPTY, WEAK, _UPSTREAM, ("empty, where the operator says that it never is",))
    if stated is None and profile.hardly_ever_empty(tail):
        return Finding(Truth.EMPTY, WEAK, _UPSTREAM, ("empty, as hardly any of its results before",))
    return Finding(Truth.EMPTY)


def _full(call: CallProposed, seen: Seen, tail: profile.Tail, digest: str) -> Finding:
    if is_pending(seen.text, seen.value, whole=seen.whole):
        return Finding(Truth.OK, retry_after_s=asked_wait_s(seen.text, seen.value), pending=True)
    if not tail:
        return Finding(Truth.OK)
    alike = profile.constant(tail, digest, call.fingerprint)
    if alike and is_telling(seen, call.tool):
        evidence = (f"the same result to {len(alike) + 1} different calls", ", ".join(alike[:4]))
        return Finding(Truth.JUNK, WEAK, _UPSTREAM, evidence)
    if seen.shape and (difference := profile.drifted(tail, seen.shape)):
        return Finding(Truth.DRIFT, evidence=(_line(f"another shape: {difference}"),))
    return Finding(Truth.OK)


def _line(text: str) -> str:
    """Short, and one line whatever the upstream wrote."""
    first = " ".join(text[: 4 * LINE_CHARS].split())
    return first if len(first) <= LINE_CHARS else first[: LINE_CHARS - 1] + "…"
