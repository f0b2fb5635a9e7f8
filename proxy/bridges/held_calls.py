"""Calls that are held upstream while their client finds out the answer to a question.

A handshake upstream asks in the middle of a call and waits; a stateless client is asked by the end of its request and
answers with another. In between the call upstream goes on in a task of its own, and nothing but a sealed token with the
client leads to it (2026-07-28, multi round-trip requests, server requirements 4 and 5).
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import anyio
import anyio.abc
import msgspec

from fuseboard.bridges import questions
from fuseboard.bridges.listening import CHANGES
from fuseboard.bridges.losses import Losses
from fuseboard.bridges.meanwhile import Meanwhile
from fuseboard.errors import INTERNAL_ERROR, INVALID_PARAMS, ProtocolFault, UpstreamFault
from fuseboard.ports import Reply, Result, Scope, Seal
from fuseboard.wire import frames, splice

HOLD_S: Final = 600.0
"""How long a call is held for its client's answers, all rounds together."""

HELD: Final = 64
"""How many calls of one origin wait for answers at once, and how many questions of one call.

Where nobody has to say who comes, all callers are one origin, and have this bound in common.
"""

TOGETHER_S: Final = 0.02
"""How long after a question others of the same call are waited for, so that the client is asked once."""

_RESENT: Final = 5
"""How often a call is made anew because pages have to be visited first."""

_log = logging.getLogger("fuseboard.bridge")

_PURPOSE: Final = "held call"
_NOT_PARAMS: Final = frozenset({"inputResponses", "requestState", "_meta"})
"""What may differ between a request and its retry. Progress tokens and traces stand in ``_meta``."""

_FLOAT: Final = secrets.token_hex(8)
"""What the text of such a number is marked with, so that 1.5 and "1.5" are two things and nobody can write the mark."""

PONG: Final = Result(b"{}")

Send: TypeAlias = Callable[[Scope], Awaitable[Reply]]
Target: TypeAlias = Callable[[], str]


class _Claims(msgspec.Struct):
    purpose: str
    handle: str
    turn: int
    principal: str
    target: str
    expires_at: float


class _Question:
    """``request`` is how the client is asked."""

    def __init__(self, request: msgspec.Raw) -> None:
        self.request = request
        self.answered = anyio.Event()
        self.answer: Reply | None = None


class HeldCall:
    """One call upstream that may outlive the request that made it. It is the scope that its link gets.

    ``send`` makes the call. What the upstream says goes to the request of the client that waits at that moment.
    """

    request_id: bytes | None = None

    def __init__(self, calls: HeldCalls, send: Send, *, capabilities: Mapping[str, Any], losses: Losses) -> None:
        self.handle = ""
        """Drawn when the call is first held: most calls ask nothing."""
        self.turn = 0
        """The number of the token that is good now."""
        self.expires_at: float | None = None
        self.forgotten = anyio.Event()
        """Set once no token leads to it any more."""
        self._calls = calls
        self._send = send
        self._capabilities = capabilities
        self._losses = losses
        self._questions: dict[str, _Question] = {}
        self._asked = 0
        self._outcome: Reply | UpstreamFault | None = None
        self._over = False
        self._news = anyio.Event()
        self._life = anyio.CancelScope()
        self._ear: Scope | None = None
        self._last_ear: Scope | None = None
        self._meanwhile = Meanwhile(losses)

    # The client's side.

    async def round(self, ear: Scope) -> bool:
        """Wait until the call has ended or asks something; whether it has ended. Giving up here gives up the call.

        ``ear`` hears meanwhile what the upstream says.
        """
        self._ear = self._last_ear = ear
        self._meanwhile.tell(ear)
        try:
            while not self._over:
                if not self._questions:
                    await self._next()
                    continue
                with anyio.move_on_after(TOGETHER_S):
                    while not self._over:
                        await self._next()
                if self._questions:  # the upstream may have taken them back
                    break
        except anyio.get_cancelled_exc_class():
            self.cancel()
            raise
        finally:
            self._ear = None
        return self._over

    def outcome(self) -> Reply:
        """What the call came to.

        Raises:
            UpstreamFault: the upstream did not answer.
        """
        if isinstance(self._outcome, UpstreamFault):
            raise self._outcome
        return self._outcome or frames.failure(INTERNAL_ERROR, "the call was given up while its client was asked")

    @property
    def attended(self) -> bool:
        """Whether a request of the client waits for it now."""
        return self._ear is not None

    def asks(self) -> dict[str, msgspec.Raw]:
        return {key: question.request for key, question in self._questions.items()}

    def answer(self, answers: Mapping[str, Reply]) -> None:
        """Pass on the answers. One to nothing that is asked is nobody's (server requirements: ignore it)."""
        for key, reply in answers.items():
            if (question := self._questions.pop(key, None)) is not None:
                question.answer = reply
                question.answered.set()

    def cancel(self) -> None:
        self._life.cancel()
        self._meanwhile.lose()

    # The upstream's side.

    async def run(self) -> None:
        """Make the call. Ends with an outcome unless it is cancelled, which cancels it upstream too."""
        try:
            with self._life:
                self._outcome = await self._made()
        except UpstreamFault as fault:
            self._outcome = fault
        except Exception:  # a task's root: one odd upstream must not end the board
            _log.exception("a held call failed")
        finally:
            self._over = True
            self.answer({key: _moot() for key in self._questions})
            self._news.set()

    async def _made(self) -> Reply:
        for _ in range(_RESENT):
            reply = await self._send(self)
            pages = questions.pages_required(reply)
            if not pages:
                return reply
            if len(pages) > HELD:
                self._losses.count("pages to visit first: too many")
                return reply
            if questions.refusal(questions.ELICIT, pages[0], self._capabilities) is not None:
                self._losses.count("pages to visit first: not declared by the client")
                return reply
            for visited in await self._visited(pages):
                if not questions.accepted(visited):
                    return reply
        return reply

    async def _visited(self, pages: list[bytes]) -> list[Reply]:
        said: list[Reply] = []

        async def visit(page: bytes) -> None:
            said.append(await self.request(questions.ELICIT, page))

        async with anyio.create_task_group() as tasks:
            for page in pages:
                tasks.start_soon(visit, page)
        return said

    def notify(self, method: str, params: bytes | None) -> None:
        if self._ear is not None:
            self._ear.notify(method, params)
        elif method in CHANGES and self._last_ear is not None:
            self._last_ear.notify(method, params)  # which is for whoever listens, and not for the call
        else:
            self._meanwhile.keep(method, params)

    def stream(self) -> None:
        if self._ear is not None:
            self._ear.stream()

    def release(self) -> None:
        if self._ear is not None:
            self._ear.release()

    async def request(self, method: str, params: bytes | None) -> Reply:
        """Ask the client, and wait for as long as it takes."""
        if method == "ping":
            return PONG
        if (refused := questions.refusal(method, params, self._capabilities)) is not None:
            self._losses.count(f"{method}: not declared by the client")
            return refused
        if self._over or self.forgotten.is_set():
            return frames.failure(INTERNAL_ERROR, f"{method}: the call that this belongs to is over")
        if len(self._questions) >= HELD:
            self._losses.count(f"{method}: too many questions at once")
            return frames.failure(
                INTERNAL_ERROR, f"{method}: {HELD} questions of this call wait for the client already"
            )
        if not self._calls.room_for(self):
            self._losses.count(f"{method}: too many questions at once")
            told = f"{method}: {HELD} other calls of this caller wait for its answers already; call again later"
            return frames.failure(INTERNAL_ERROR, told)
        self._asked += 1
        key = f"q{self._asked}"
        question = self._questions[key] = _Question(questions.as_input_request(method, params))
        self._news.set()
        try:
            await question.answered.wait()
        finally:
            self._questions.pop(key, None)
        assert question.answer is not None
        return question.answer

    async def _next(self) -> None:
        self._news = anyio.Event()
        await self._news.wait()


class HeldCalls:
    """The calls of one origin. ``principal`` names its owner; ``now`` gives Unix seconds."""

    def __init__(
        self,
        seal: Seal,
        tasks: anyio.abc.TaskGroup,
        now: Callable[[], float],
        *,
        principal: str,
        hold_s: float = HOLD_S,
    ) -> None:
        self._seal = seal
        self._tasks = tasks
        self._now = now
        self._principal = principal
        self._hold_s = hold_s
        self._held: dict[str, HeldCall] = {}
        self._asking: set[HeldCall] = set()
        """Those that are held and those that are about to be."""

    @property
    def handles(self) -> frozenset[str]:
        """The calls that are held now."""
        return frozenset(self._held)

    def room_for(self, call: HeldCall) -> bool:
        """Whether this call may be held; from then on it may, or all that ask at the same moment could."""
        if call not in self._asking and len(self._asking) < HELD:
            self._asking.add(call)
        return call in self._asking

    async def make(
        self, send: Send, ear: Scope, target: Target, *, capabilities: Mapping[str, Any], losses: Losses
    ) -> Reply:
        """Make a call whose client may be asked something. ``target`` gives what :func:`target_of` says of it."""
        call = HeldCall(self, send, capabilities=capabilities, losses=losses)
        self._tasks.start_soon(call.run)
        return await self._round(call, ear, target)

    async def resume(
        self, state: bytes | msgspec.Raw, given: bytes | msgspec.Raw | None, ear: Scope, target: str
    ) -> Reply:
        """Take a retry: ``state`` is its ``requestState`` and ``given`` its ``inputResponses``, both raw JSON.

        Raises:
            ProtocolFault: the token is not good for this.
            UpstreamFault: the upstream did not answer.
        """
        claims = await self._claims(state)
        if claims.target != target:
            raise ProtocolFault(INVALID_PARAMS, "requestState belongs to another request: send the same one again")
        if claims.expires_at <= self._now():
            raise ProtocolFault(INVALID_PARAMS, "requestState has expired: begin the request anew, without it")
        answers = questions.answers(given)
        call = self._held.get(claims.handle)
        if call is None or call.turn != claims.turn:
            raise ProtocolFault(INVALID_PARAMS, "requestState was used already: every answer is taken once")
        call.turn += 1
        call.answer(answers)
        return await self._round(call, ear, lambda: target)

    async def close(self) -> None:
        for call in list(self._held.values()):
            self._forget(call)

    async def _claims(self, state: bytes | msgspec.Raw) -> _Claims:
        try:
            claims = msgspec.json.decode(await self._seal.unseal(msgspec.json.decode(state, type=str)), type=_Claims)
        except (ProtocolFault, msgspec.MsgspecError):
            claims = None
        if claims is None or claims.purpose != _PURPOSE or claims.principal != self._principal:
            # One text for all of it: whoever forged, edited or found a token learns nothing of what is wrong with it.
            raise ProtocolFault(INVALID_PARAMS, "requestState is not valid here")
        return claims

    async def _round(self, call: HeldCall, ear: Scope, target: Target) -> Reply:
        try:
            over = await call.round(ear)
            if not over:
                return await self._ask(call, target())
        except BaseException:
            self._forget(call)
            raise
        self._forget(call)
        return call.outcome()

    async def _ask(self, call: HeldCall, target: str) -> Reply:
        if call.expires_at is None:
            call.handle = secrets.token_hex(16)
            call.expires_at = self._now() + self._hold_s
            self._held[call.handle] = call
            self._tasks.start_soon(self._expire, call)
        elif call.expires_at <= self._now():
            raise ProtocolFault(INVALID_PARAMS, f"the call was given up: it has asked for over {self._hold_s:g} s")
        claims = _Claims(_PURPOSE, call.handle, call.turn, self._principal, target, call.expires_at)
        return questions.input_required(call.asks(), await self._seal.seal(msgspec.json.encode(claims)))

    async def _expire(self, call: HeldCall) -> None:
        """Free a call whose client does not come back. One that a request waits for has that request's deadline."""
        with anyio.move_on_after(self._hold_s):
            await call.forgotten.wait()  # or each call that is over would be kept for as long, result and all
        if call.handle in self._held and not call.attended:
            self._forget(call)

    def _forget(self, call: HeldCall) -> None:
        self._held.pop(call.handle, None)
        self._asking.discard(call)
        call.forgotten.set()
        call.cancel()


def target_of(upstream: str, method: str, params: bytes | None) -> str:
    """What a token is good for: the same request again, whatever else stands in its ``_meta``.

    Numbers are compared as they are written but for integers: what was sent upstream is the first request alone.
    """
    value = json.loads(params or b"{}", parse_float=_FLOAT.__add__)
    kept = {name: value[name] for name in value if name not in _NOT_PARAMS}
    canonical = json.dumps([upstream, method, kept], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def without_round(params: bytes | None) -> bytes | None:
    """The params without what belongs to a round: a handshake upstream knows no such fields."""
    if params is None or (b"inputResponses" not in params and b"requestState" not in params):
        return params
    fields = splice.fields(params)
    return splice.join(
        {name: value for name, value in fields.items() if name not in ("inputResponses", "requestState")}
    )


def _moot() -> Reply:
    return frames.failure(INTERNAL_ERROR, "the call that this was asked for has ended")
