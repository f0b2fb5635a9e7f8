"""What an upstream says of a held call while its client is being asked, kept for the client's next request.

Two requests make one call there, and between them nobody listens. The notices are the call's all the same, so the next
request's stream begins with them.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from fuseboard.bridges.losses import Losses
from fuseboard.ports import Scope

NOTICES: Final = 256
KEPT_BYTES: Final = 64 * 1024
"""How much is kept of one call. A client may take its time, and an upstream may talk on: the oldest goes first."""


class Meanwhile:
    """The notices of one call, in order."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._kept: deque[tuple[str, bytes | None]] = deque()
        self._bytes = 0

    def keep(self, method: str, params: bytes | None) -> None:
        self._kept.append((method, params))
        self._bytes += len(params or b"")
        while len(self._kept) > NOTICES or self._bytes > KEPT_BYTES:
            self._lose()

    def tell(self, ear: Scope) -> None:
        """Say all of it, once."""
        while self._kept:
            method, params = self._kept.popleft()
            ear.notify(method, params)
        self._bytes = 0

    def lose(self) -> None:
        """Nobody comes for it any more."""
        while self._kept:
            self._lose()

    def _lose(self) -> None:
        method, params = self._kept.popleft()
        self._bytes -= len(params or b"")
        self._losses.count(f"{method}: came while the client was asked")
