"""A judged call on its way to the upstream and back: once, and under its deadline, however many wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

import anyio

from fuseboard import effects, fingerprints, param_headers, retries, truth
from fuseboard.answers import Answers
from fuseboard.attaching import Attaching
from fuseboard.bulkheads import Bulkheads
from fuseboard.coalescing import Asking, Came, Coalescing, for_all, in_time
from fuseboard.deadline import Deadline, Listening, Watched, fell_silent, ran_out
from fuseboard.era import is_header_mismatch
from fuseboard.errors import StoreUnavailable, UpstreamFault, UpstreamGarbled, UpstreamLost
from fuseboard.events import CallProposed, Effect, Tool
from fuseboard.late import Listener
from fuseboard.lineage import Step, ancestor
from fuseboard.ports import Failure, Reply, Result, Scope, Store
from fuseboard.retries import RetriesLike
from fuseboard.runs import Run
from fuseboard.state import EMPTY
from fuseboard.truth import Truth

_log = logging.getLogger("fuseboard.exchange")

BACKOFF_S: Final = (0.2, 2.0)
"""Between which the proxy waits before the one repeat of its own, each call for its own while."""

_LATE_S: Final = 120.0
_HEARD_LATE: Final = (Truth.OK, Truth.EMPTY, Truth.BUSINESS_ERROR)
"""What says that the call came to its end. An error may only say that the server heard that it was given up."""

_ENDED: Final = (
    "{tool} was not called again: exactly this call was under way already, and has ended meanwhile with an answer that "
    "cannot be given twice"
)


class Sendable(Asking, Protocol):
    """What is needed of a proposal."""

    @property
    def scope(self) -> Scope: ...
    @property
    def idle_s(self) -> float | None: ...
    @property
    def step(self) -> Step | None: ...
    @property
    def run(self) -> Run: ...
    @property
    def relist(self) -> Callable[[], Awaitable[Tool | None]] | None: ...


class Sending:
    """``limits`` are those of ``retries:``. Without them, or where nothing is enforced, each call is made for itself.

    ``answers`` are those of the calls that came to their end, ``places`` those that calls have at their upstreams.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        answers: Answers,
        limits: RetriesLike | None,
        *,
        enforce: bool,
        places: Bulkheads | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._answers = answers
        self._limits = limits
        self._shares = enforce and limits is not None
        self._reads = Coalescing(clock, places)
        self._effects = Attaching()
        self._later: set[asyncio.Task[None]] = set()

    async def made(
        self,
        judged: CallProposed,
        params: bytes | None,
        ask: Sendable,
        *,
        attached_to: str | None,
        late: Callable[[Reply], Awaitable[object]],
    ) -> Came:
        """Send the call, or wait for the same one. ``late`` takes what comes after a call with effects was given up.

        Raises:
            UpstreamFault: the upstream did not answer the call that was made for this very one.
        """
        call = partial(self._call, judged, ask, params)
        if self._shares and judged.method == "tools/call":
            if judged.tool.effect is Effect.READ:
                return await self._reads.made(judged, ask, call)
            if attached_to is not None:
                return await self._joined(judged, ask, attached_to)
            if effects.counts(judged):
                limits = self._limits
                for_s = limits.late_s if limits is not None else _LATE_S
                listener = Listener(for_s, partial(self._heard_late, judged, late))
                return Came(await self._effects.made(judged.id, call, listener))
        return Came(await call())

    def over(self, id: str) -> None:
        """The call is settled, and its answer kept: whoever comes now finds it there."""
        self._effects.over(id)

    def goes_on(self, id: str) -> bool:
        """Whether a call that was given up is under way for others."""
        return self._effects.goes_on(id)

    async def _joined(self, judged: CallProposed, ask: Sendable, id: str) -> Came:
        if (end := self._effects.joined(id)) is not None:
            came = await in_time(end, judged, ask, at=self._clock())
            if isinstance(came, UpstreamFault) or for_all(judged, came):
                return Came(came, id)
        elif (earlier := self._answers.get(id)) is not None:
            return Came(earlier, id)
        return Came(UpstreamLost(judged.tool.upstream, _ENDED.format(tool=judged.tool.exposed)), id)

    def _heard_late(self, judged: CallProposed, late: Callable[[Reply], Awaitable[object]], reply: Reply) -> None:
        if isinstance(reply, Result) and truth.of_reply(judged.method, reply) in _HEARD_LATE:
            task = asyncio.get_running_loop().create_task(_taken(late, reply))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def _call(self, judged: CallProposed, ask: Sendable, params: bytes | None) -> Reply:
        step, timeout_s, idle_s = ask.step, ask.timeout_s, ask.idle_s
        if step is not None:
            at = self._clock()
            timeout_s, idle_s = step.within(timeout_s, at=at), step.silent_within(idle_s)
            params = step.sent(params, judged.id, ask.run, deadline_at=at + timeout_s, at=at, call=ancestor(judged))
        if idle_s is not None:
            return await self._watched(judged, ask, params, timeout_s, idle_s)
        deadline = Deadline(timeout_s)
        try:
            return await self._send(judged, ask, params, ask.scope)
        except asyncio.CancelledError:
            if not deadline.was_it():
                raise
        finally:
            deadline.over()
            if step is not None:
                step.over(at=self._clock())
        upstream = ask.seat.upstream
        raise ran_out(upstream.timed_out(ask.request.method, timeout_s), upstream, judged.tool, had_s=timeout_s)

    async def _watched(
        self, judged: CallProposed, ask: Sendable, params: bytes | None, timeout_s: float, idle_s: float
    ) -> Reply:
        """The same for a call whose upstream may not be silent for long. What stands on it speaks for it, too."""
        step, deadline = ask.step, Watched(timeout_s, idle_s)
        heard = deadline.heard
        if step is not None:
            step.heard()
            if step.span is not None:
                step.span.idle_s, step.span.heard = idle_s, deadline.heard
            heard = partial(_heard, deadline, step)
        try:
            return await self._send(judged, ask, params, Listening(ask.scope, deadline, heard))
        except asyncio.CancelledError:
            if not deadline.was_it():
                raise
        finally:
            deadline.over()
            if step is not None:
                step.heard()
                step.over(at=self._clock())
        upstream, method = ask.seat.upstream, ask.request.method
        if deadline.was_idle:
            raise fell_silent(upstream.silent(method, idle_s), upstream, judged.tool, had_s=idle_s)
        raise ran_out(upstream.timed_out(method, timeout_s), upstream, judged.tool, had_s=timeout_s)

    async def _send(self, judged: CallProposed, ask: Sendable, params: bytes | None, scope: Scope) -> Reply:
        # Headers that mirror arguments say what was judged; those that the client sent go no further.
        headers = param_headers.derived(judged.tool.mirrored, judged.arguments)
        try:
            reply = await ask.seat.request(ask.request.method, params, scope, headers=headers)
        except UpstreamLost as fault:
            heard = isinstance(fault, UpstreamGarbled)  # something came back: it is there, and did what it does
            if heard or not judged.tool.idempotent or not await self._may_repeat(judged):
                raise
            reply = await ask.seat.request(ask.request.method, params, scope, headers=headers)
        if isinstance(reply, Failure) and ask.relist is not None and is_header_mismatch(reply):
            # 2026-07-28, custom headers: the listing is stale. Nobody has read the call, so it is sent once more.
            fresh = await ask.relist()
            anew = param_headers.derived(fresh.mirrored, judged.arguments) if fresh is not None else headers
            if anew != headers:
                return await ask.seat.request(ask.request.method, params, scope, headers=anew)
        return reply

    async def _may_repeat(self, judged: CallProposed) -> bool:
        """Whether the upstream's budget has room for a repeat of the proxy's own, once a moment has passed.

        Only the operator's word that the tool is idempotent leads here, never the upstream's hint.
        """
        if self._limits is not None:
            take = retries.withdrawal(judged.tool.upstream, self._limits)
            try:
                if not await self._store.commit([take], EMPTY, None, at=self._clock()):
                    return False
            except StoreUnavailable:
                return False
        least_s, most_s = BACKOFF_S
        share = int(fingerprints.of_text(judged.id.encode())[:8], 16) / 0x1_0000_0000
        await anyio.sleep(least_s + share * (most_s - least_s))
        return True


def _heard(deadline: Watched, step: Step) -> None:
    deadline.heard()
    step.heard()


async def _taken(late: Callable[[Reply], Awaitable[object]], reply: Reply) -> None:
    try:
        await late(reply)
    except StoreUnavailable as fault:
        _log.error("a result that came late cannot be written down: %s", fault)
