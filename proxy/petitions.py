"""What is said about a call that waits for a person: to the model, which must not learn how to lift the limit, and to
the person, who must see what would be sent. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fuseboard.approvals import Approval
from fuseboard.events import CallProposed
from fuseboard.pipeline import Outcome
from fuseboard.recording import Redactor
from fuseboard.verdicts import Hold

SHOWN_BYTES: Final = 65_536
"""Arguments that are longer are shown by their head."""

_CHANNELS: Final = {
    "elicit": "in your client",
    "web": "on the approval page",
    "cli": "on the operator's terminal",
}

_UNSEEN: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Control, zero-width, bidirectional, filler, variation and tag characters: they hide words or turn lines round."""


def visible(text: str) -> str:
    """The same with every character that would act instead of being seen escaped, as JSON has it. Line breaks stay."""
    return _UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text)


def arguments(given: Mapping[str, Any], redact: Redactor) -> str:
    """The arguments as a person sees them: JSON, one field a line, without the secrets that we know of."""
    text = visible(json.dumps(redact.value(dict(given)), indent=2, ensure_ascii=False))
    raw = text.encode(errors="backslashreplace")
    if len(raw) <= SHOWN_BYTES:
        return text
    digest = hashlib.sha256(msgspec.json.encode(given, order="sorted")).hexdigest()
    head = raw[:SHOWN_BYTES].decode(errors="ignore")
    return f"{head}\n… cut: {len(raw)} bytes in all, sha256 {digest}"


def question(approval: Approval) -> str:
    """What the person is asked, in a client's dialogue."""
    if approval.binding.resumes:
        return f"{approval.why} May the run go on? ({approval.id})"
    return (
        f"May the agent call {visible(approval.tool)} ({approval.effect})?\n{visible(approval.why)}\n"
        f"Arguments:\n{approval.arguments}\n({approval.id})"
    )


def asked_in_client(outcome: Outcome) -> str:
    return f"{_not_called(outcome)} Its client was asked to let a person decide."


def pending(outcome: Outcome, approval: Approval, channels: tuple[str, ...], *, at: float) -> str:
    """The model may come back; nothing here tells it how to answer for the person."""
    asked = " and ".join(_CHANNELS[name] for name in channels)
    minutes = max(1, round((approval.expires_at - at) / 60))
    if approval.binding.resumes:
        return (
            f"{_not_called(outcome)} A person was asked {asked} whether the run may go on, and has not answered yet "
            f"({approval.id}). Tell the user, and make the same call again later; until then every call is refused."
        )
    return (
        f"{_not_called(outcome)} A person was asked {asked} and has not answered yet: approval {approval.id}, open for "
        f"{minutes} min. Tell the user. Once it is approved, make the very same call again: it will go through without "
        "another question. With other arguments it is another call, and needs another answer."
    )


def rejected(outcome: Outcome, approval: Approval) -> str:
    said = f": {approval.say}" if approval.say else ""
    what = "that the run goes on" if approval.binding.resumes else "this call"
    return (
        f"{_name(outcome)} was not called: {approval.by or 'a person'} rejected {what} ({approval.id}){said}. "
        "Do not repeat it; do something else, or ask the user."
    )


def nobody(outcome: Outcome) -> str:
    return (
        f"{_not_called(outcome)} A person would have to decide, and there is no way to ask one here: "
        "do something else, or tell the user."
    )


def no_store(outcome: Outcome) -> str:
    return (
        f"{_not_called(outcome)} A person would have to decide, but the question cannot be written down. "
        "Tell the operator; a retry helps only once the ledger is back."
    )


def too_many(outcome: Outcome) -> str:
    return (
        f"{_not_called(outcome)} A person would have to decide, but too many questions wait for one already. "
        "Stop asking for more; tell the user what waits."
    )


def gave_up(outcome: Outcome) -> str:
    return f"{_not_called(outcome)} The client gave up while a person was asked."


def cut(outcome: Outcome) -> str:
    return f"{_not_called(outcome)} The proxy stopped while a person was asked."


def _not_called(outcome: Outcome) -> str:
    hold = outcome.verdict
    assert isinstance(hold, Hold)
    return f"{_name(outcome)} was not called yet. {hold.reason.rstrip()}"


def _name(outcome: Outcome) -> str:
    event = outcome.event
    assert isinstance(event, CallProposed)
    return event.tool.exposed
