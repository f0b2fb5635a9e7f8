"""What a stateless server wants to know before it goes on, asked of a handshake client in its own way.

2026-07-28, basic/patterns/mrtr: the server ends the request with its questions, and the client sends the same request
again with the answers. A client of the handshake era is asked in the middle of its call instead, and sees one call.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import anyio
import msgspec

from fuseboard.bridges.losses import Losses
from fuseboard.errors import INTERNAL_ERROR, UPSTREAM_JUNK, FuseboardError
from fuseboard.ports import Failure, Reply, Result, Scope
from fuseboard.wire import frames, splice

ROUNDS: Final = 16
"""How often one call may be sent again: a server that never has enough must not keep it for ever."""

QUESTIONS: Final = 64
"""How many questions a server may put at once."""

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 5.0


class Unanswerable(FuseboardError):
    """The server's questions cannot be put, or were answered with an error: what the call fails with."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.raw.decode(errors="replace"))
        self.failure = failure


class _Required(msgspec.Struct):
    """Never ``Raw | None``: msgspec takes that for ``None`` alone."""

    inputRequests: dict[str, msgspec.Raw] | None = None
    requestState: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    @property
    def state(self) -> msgspec.Raw | None:
        """Absent and null are the same: not every writer leaves out what it has not."""
        return None if self.requestState is msgspec.UNSET or bytes(self.requestState) == b"null" else self.requestState


class _Question(msgspec.Struct):
    method: str
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _ClientError(msgspec.Struct):
    code: int = INTERNAL_ERROR
    message: str = ""


class InputRounds:
    """The rounds of one call. ``params`` are those that it was first sent with, envelope and all.

    ``capabilities`` are the client's own, as they were declared upstream.
    """

    def __init__(
        self, method: str, params: bytes, scope: Scope, *, alias: str, capabilities: dict[str, Any], losses: Losses
    ) -> None:
        self._method = method
        self._params = params
        self._scope = scope
        self._alias = alias
        self._capabilities = capabilities
        self._losses = losses
        self._rounds = 0
        self._pause_s = _FIRST_PAUSE_S

    async def next(self, result: Result) -> bytes:
        """The params to send the call with again: the questions of ``result`` answered, its state as it came.

        Raises:
            Unanswerable: the call fails.
        """
        self._rounds += 1
        if self._rounds > ROUNDS:
            raise self._refusal(f"input for {self._method} once more after {ROUNDS} rounds; the call is given up")
        required = self._read(result)
        fields = splice.fields(self._params)
        # Answers and state belong to the latest round alone.
        fields.pop("inputResponses", None)
        fields.pop("requestState", None)
        if (state := required.state) is not None:
            fields["requestState"] = state
        if required.inputRequests:
            fields["inputResponses"] = msgspec.Raw(splice.join(await self._answers(required.inputRequests)))
            self._pause_s = _FIRST_PAUSE_S
        else:  # it only wants to be asked again; the pause is the courtesy of one who does not know when
            await anyio.sleep(self._pause_s)
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        return splice.join(fields)

    def _read(self, result: Result) -> _Required:
        if self._method not in frames.GOVERNED:
            raise self._refusal(f"input for {self._method}, which 2026-07-28 does not allow it to")
        try:
            required = msgspec.json.decode(result.raw, type=_Required)
        except msgspec.MsgspecError as fault:
            raise self._refusal(f"input in a form that cannot be read: {fault}", code=UPSTREAM_JUNK) from None
        if not required.inputRequests and required.state is None:
            raise self._refusal("input without saying which", code=UPSTREAM_JUNK)
        if required.inputRequests and len(required.inputRequests) > QUESTIONS:
            self._losses.count("questions: too many at once")
            raise self._refusal(f"{len(required.inputRequests)} inputs at once; at most {QUESTIONS} are put")
        return required

    async def _answers(self, requests: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
        """Every answer by the key of its question. All are put at once, in order; an error withdraws the rest."""
        questions = {key: self._question(raw) for key, raw in requests.items()}
        replies: dict[str, Result] = {}
        failed: list[Failure] = []

        async def put(key: str, question: _Question) -> None:
            reply = await self._put(question)
            if isinstance(reply, Result):
                replies[key] = reply
            else:
                failed.append(reply)
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for key, question in questions.items():
                tasks.start_soon(put, key, question)
        if failed:
            raise Unanswerable(failed[0])
        return {key: msgspec.Raw(replies[key].raw) for key in questions}

    async def _put(self, question: _Question) -> Reply:
        params = None if question.params is msgspec.UNSET else bytes(question.params)
        reply = await self._scope.request(question.method, params)
        if isinstance(reply, Failure):
            error = _client_error(reply)
            asked = f"{self._alias} asked for {question.method} in the middle of {self._method}"
            return frames.failure(error.code, f"{asked}, and the client answered with an error: {error.message}")
        if reply.raw.lstrip()[:1] != b"{":
            return self._refusal(f"{question.method}, and the client's answer is no object").failure
        return reply

    def _question(self, raw: msgspec.Raw) -> _Question:
        """A question that this client can be asked.

        Raises:
            Unanswerable: it declared nothing of the kind (2026-07-28, mrtr: the server must not ask then).
        """
        try:
            question = msgspec.json.decode(raw, type=_Question)
            params = msgspec.json.decode(b"{}" if question.params is msgspec.UNSET else question.params)
        except msgspec.MsgspecError as fault:
            raise self._refusal(f"input in a form that cannot be read: {fault}", code=UPSTREAM_JUNK) from None
        if not isinstance(params, dict):
            raise self._refusal(f"{question.method} with params that are no object", code=UPSTREAM_JUNK)
        if (lacking := _lacking(question.method, params, self._capabilities)) is not None:
            self._losses.count(f"{question.method} that the client cannot answer")
            raise self._refusal(f"{question.method}, which cannot be put: {lacking}")
        if question.method == "elicitation/create" and params.get("mode") == "url" and "elicitationId" not in params:
            # 2025-11-25 requires one. The notice of completion that it serves for is gone with 2026-07-28.
            question.params = msgspec.Raw(
                splice.with_fields(bytes(question.params), elicitationId=secrets.token_hex(8))  # type: ignore[arg-type]
            )
        return question

    def _refusal(self, what: str, *, code: int = INTERNAL_ERROR) -> Unanswerable:
        return Unanswerable(frames.failure(code, f"{self._alias} asks for {what}"))


def _lacking(method: str, params: dict[str, Any], capabilities: dict[str, Any]) -> str | None:
    """What the client would have had to declare to be asked this, ``None`` where it did."""
    match method:
        case "elicitation/create":
            mode = params.get("mode", "form")
            path = ("elicitation", mode) if isinstance(mode, str) else ("elicitation",)
        case "sampling/createMessage":
            path = ("sampling", "tools") if "tools" in params or "toolChoice" in params else ("sampling",)
        case "roots/list":
            path = ("roots",)
        case _:
            return "a client can be asked for elicitation, sampling and roots, and for nothing else"
    value: Any = capabilities
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return None if value is not None else f"this client did not declare the capability {'.'.join(path)}"


def _client_error(failure: Failure) -> _ClientError:
    try:
        return msgspec.json.decode(failure.raw, type=_ClientError)
    except msgspec.MsgspecError:
        return _ClientError()
