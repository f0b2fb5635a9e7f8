"""A handshake server's ``roots/list`` outside any call, put to its stateless client with the next call.

Many servers ask for the roots as soon as they hear that the client is initialized (2025-11-25, roots), take an error
for "there are none", and never ask again. A stateless client can be asked inside a call alone. No other question waits
so: the roots are about the client and no call in particular, and nobody has to be at the keyboard to answer.
"""

from __future__ import annotations

from typing import Final

import anyio

from fuseboard.bridges.questions import ROOTS
from fuseboard.errors import INTERNAL_ERROR
from fuseboard.ports import Reply, Scope
from fuseboard.wire import frames

WAIT_S: Final = 60.0
"""How long the question waits for a call: the SDK for TypeScript gives a request of its own up after it."""


class _Question:
    def __init__(self, params: bytes | None) -> None:
        self.params = params
        self.taken = anyio.Event()
        self.answered = anyio.Event()
        self.answer: Reply | None = None


class EarlyRoots:
    """The question of one upstream session. There is one at most: a second finds no room."""

    def __init__(self) -> None:
        self._waiting: _Question | None = None

    @property
    def room(self) -> bool:
        return self._waiting is None

    async def ask(self, params: bytes | None) -> Reply | None:
        """Wait for a call, and for its client's answer; ``None`` where no call came in time."""
        question = self._waiting = _Question(params)
        try:
            with anyio.move_on_after(WAIT_S):
                await question.taken.wait()
        finally:
            if self._waiting is question:
                self._waiting = None
        if question.taken.is_set():
            await question.answered.wait()
        return question.answer

    async def put(self, scope: Scope) -> None:
        """Ask the client of ``scope``, whose call has not been sent yet, what waits to be asked."""
        if (question := self._waiting) is None:
            return
        self._waiting = None
        question.taken.set()
        question.answer = frames.failure(INTERNAL_ERROR, f"{ROOTS}: the call that it was asked with was given up")
        try:
            question.answer = await scope.request(ROOTS, question.params)
        finally:
            question.answered.set()
