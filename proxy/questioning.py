"""How a client is asked to let its user decide: by a question on its back-channel (2025-06-18 and later), or by the end
of its request, which it sends again with the answer (2026-07-28, basic/patterns/mrtr).

A link to the approval page is preferred: what stands in a form the client itself could answer, and the agent is part of
the client. Forms are only for effects that the operator named (``approvals.form``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from fuseboard import petitions
from fuseboard.approvals import Approval
from fuseboard.bridges import questions
from fuseboard.bridges.held_calls import without_round
from fuseboard.bridges.questions import ELICIT
from fuseboard.era import Era
from fuseboard.errors import INVALID_PARAMS, ProtocolFault
from fuseboard.events import Caller
from fuseboard.ports import Reply, Request, Result, Scope, Seal

STATE: Final = "fuseboard-approval."
"""How our own ``requestState`` begins. All others are the upstream's."""

KEY: Final = "approval"
FORM_BYTES: Final = 4096
"""Requests that are longer are not put into a form: nobody reads that in a dialogue."""

SAY_CHARACTERS: Final = 1000

_PURPOSE: Final = "approval"
_HARM: Final = {"none": -1, "read": 0, "write": 1, "destructive": 2}
_FORM: Final = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "title": "Approve", "description": "Let this one call go through"},
        "reason": {"type": "string", "title": "Reason", "description": "Told to the agent where you refuse"},
    },
    "required": ["approve"],
}


class Asker(Protocol):
    """A governed request, as far as its client may be asked something. ``declared`` gives a client's capabilities."""

    @property
    def request(self) -> Request: ...
    @property
    def scope(self) -> Scope: ...
    @property
    def era(self) -> Era: ...
    @property
    def caller(self) -> Caller: ...
    @property
    def declared(self) -> Callable[[Request], Mapping[str, Any]]: ...


class Question(NamedTuple):
    """How one client can be asked: by a form or by a link, in the middle of its request or by the end of it."""

    form: bool
    ends_the_request: bool


class Claims(msgspec.Struct, frozen=True):
    """What a stateless client keeps for us between two rounds."""

    purpose: str
    approval: str
    serial: int
    principal: str
    form: bool
    expires_at: float


class Answer(NamedTuple):
    """``approve`` is what a form said, ``None`` where it said nothing. ``willing``: the user did not wave it away."""

    approve: bool | None
    say: str = ""
    willing: bool = True


NO_ANSWER: Final = Answer(None, willing=False)


class Address:
    """Where the approval page is, once the listener that serves it is bound. No client is sent there before."""

    def __init__(self) -> None:
        self._url: str | None = None

    def __call__(self) -> str | None:
        return self._url

    def bound(self, host: str, port: int) -> None:
        """Whoever binds every address is reached at loopback by the person at this machine."""
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self._url = f"http://{f'[{name}]' if ':' in name else name}:{port}/approvals"


class Questioning:
    """``page`` gives the address of the approval page, ``None`` where nothing serves it; ``form`` is the most harmful
    effect for which a client may answer by itself."""

    def __init__(self, seal: Seal, *, form: str, page: Callable[[], str | None]) -> None:
        self.page = page
        self._seal = seal
        self._form = _HARM[form]

    def to_client(self, ask: Asker, request: Request, effect: str) -> Question | None:
        """How this client can be asked about something of that effect, ``None`` for not at all.

        ``request`` is without what we asked before.
        """
        stateless = ask.era is Era.STATELESS
        value = request.value or {}
        if stateless and ("requestState" in value or "inputResponses" in value):
            return None  # its next round belongs to the upstream's questions
        declared = ask.declared(ask.request).get("elicitation")
        if not isinstance(declared, Mapping):
            return None
        modes = declared or {"form": {}}  # 2025-11-25, elicitation: an empty object means forms
        if "url" in modes and self.page() is not None:
            return Question(False, stateless)
        fits = len(request.params or b"") <= FORM_BYTES
        if "form" in modes and fits and _HARM[effect] <= self._form:
            return Question(True, stateless)
        return None

    async def elicit(self, approval: Approval, ask: Asker, question: Question) -> Answer:
        """Ask on the client's back-channel."""
        reply = await ask.scope.request(ELICIT, msgspec.json.encode(self._params(approval, question)))
        return _answer(msgspec.json.decode(reply.raw)) if isinstance(reply, Result) else NO_ANSWER

    def completed(self, approval: Approval, ask: Asker) -> None:
        """2025-11-25, elicitation: say that what was to be done at the link is done."""
        done = msgspec.json.encode({"elicitationId": _elicitation(approval)})
        ask.scope.notify("notifications/elicitation/complete", done)

    async def input_required(self, approval: Approval, ask: Asker, question: Question) -> Reply:
        """The answer to a stateless request that makes its client ask its user."""
        claims = Claims(
            _PURPOSE, approval.id, approval.serial, ask.caller.principal, question.form, approval.expires_at
        )
        token = STATE + await self._seal.seal(msgspec.json.encode(claims))
        params = msgspec.json.encode(self._params(approval, question))
        return questions.input_required({KEY: questions.as_input_request(ELICIT, params)}, token)

    async def claims(self, request: Request, principal: str, *, at: float) -> Claims | None:
        """What a request brings back from its last round, ``None`` where it brings nothing of ours.

        Raises:
            ProtocolFault: it is ours, and not good here.
        """
        state = (request.value or {}).get("requestState")
        if not isinstance(state, str) or not state.startswith(STATE):
            return None
        try:
            claims = msgspec.json.decode(await self._seal.unseal(state[len(STATE) :]), type=Claims)
        except (ProtocolFault, msgspec.MsgspecError):
            claims = None
        if claims is None or claims.purpose != _PURPOSE or claims.principal != principal or claims.expires_at <= at:
            raise ProtocolFault(INVALID_PARAMS, "requestState is not valid here: begin the request anew, without it")
        return claims

    def _params(self, approval: Approval, question: Question) -> dict[str, Any]:
        message = petitions.question(approval)
        if question.form:
            return {"message": message, "requestedSchema": _FORM}
        params = {"mode": "url", "message": message, "url": f"{self.page()}/{approval.id}"}
        return params if question.ends_the_request else {**params, "elicitationId": _elicitation(approval)}


def stripped(request: Request) -> Request:
    """The request as it was before its client was asked: nothing of that is for the upstream."""
    value = {
        name: field for name, field in (request.value or {}).items() if name not in ("requestState", "inputResponses")
    }
    return msgspec.structs.replace(request, params=without_round(request.params), value=value)


def answer(value: Mapping[str, Any] | None) -> Answer:
    """What the user of a stateless client said: in the params of its retry."""
    responses = (value or {}).get("inputResponses")
    return _answer(responses.get(KEY)) if isinstance(responses, Mapping) else NO_ANSWER


def progress_token(value: Mapping[str, Any] | None) -> str | int | None:
    meta = (value or {}).get("_meta")
    token = meta.get("progressToken") if isinstance(meta, Mapping) else None
    return token if isinstance(token, str | int) else None


def progress(token: str | int, approval: Approval, left_s: float) -> tuple[str, bytes]:
    """A progress notification. Progress must increase, and the upstream's own begins at zero: so ours ends there."""
    said = {"progressToken": token, "progress": -round(left_s, 3), "message": f"waits for a person ({approval.id})"}
    return "notifications/progress", msgspec.json.encode(said)


def _answer(result: Any) -> Answer:
    if not isinstance(result, Mapping):
        return NO_ANSWER
    content = result.get("content")
    content = content if isinstance(content, Mapping) else {}
    reason = content.get("reason")
    say = reason[:SAY_CHARACTERS] if isinstance(reason, str) else ""
    match result.get("action"):
        case "accept":
            approve = content.get("approve")
            return Answer(approve if isinstance(approve, bool) else None, say)
        case "decline":
            return Answer(False, say, willing=False)
    return NO_ANSWER


def _elicitation(approval: Approval) -> str:
    return f"{approval.id}.{approval.serial}"
