"""The load: a closed loop of callers, and what one burst of it cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from wire import NUMBER, Connection, Question

OURS = (b'"isError":true', b'"isError": true', b"fuseboard/decision")
"""What stands in an answer that was not the upstream's own: a load that trips a policy measures refusals."""


@dataclass(slots=True)
class Burst:
    """What the client saw: latencies in seconds, the wall time, wrong answers and the first of them."""

    latencies_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0
    errors: int = 0
    first_error: str | None = None

    def note(self, body: bytes | None, expected: bytes) -> None:
        if body is None or expected not in body or any(mark in body for mark in OURS):
            self.errors += 1
            self.first_error = self.first_error or repr(body[:200] if body else body)

    def quantile_us(self, q: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1e6 if ordered else float("nan")


class Loop:
    """Each caller asks anew as soon as it is answered, until the calls or the seconds are used up."""

    def __init__(self, question: Question, expected: bytes, calls: int, seconds: float, first_id: int) -> None:
        self._question = question
        self._before, self._number, self._after = expected.partition(NUMBER.encode())
        self._left, self._next_id = calls, first_id
        self._end = time.perf_counter() + seconds
        self._limit_s = seconds + 30
        self.burst = Burst()

    async def run(self, callers: Sequence[Connection]) -> Burst:
        started = time.perf_counter()
        self._live = len(callers)
        self._done = asyncio.get_running_loop().create_future()
        for caller in callers:
            self._ask(caller)
        try:
            await asyncio.wait_for(self._done, self._limit_s)
        except TimeoutError:
            self.burst.errors += self._live
            self.burst.first_error = self.burst.first_error or "no answer in time"
        self.burst.wall_s = time.perf_counter() - started
        return self.burst

    def _ask(self, caller: Connection) -> None:
        if self._left <= 0 or time.perf_counter() > self._end or self.burst.errors > 50:
            self._live -= 1
            if not self._live and not self._done.done():
                self._done.set_result(None)
            return
        self._left -= 1
        self._next_id += 1
        expected = b"%b%08d%b" % (self._before, self._next_id, self._after) if self._number else self._before
        asked = time.perf_counter()

        def got(body: bytes | None) -> None:
            self.burst.latencies_s.append(time.perf_counter() - asked)
            self.burst.note(body, expected)
            self._ask(caller)

        caller.ask(self._next_id, self._question, got)
