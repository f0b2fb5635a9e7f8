"""The progress of a call that is sent more than once: what falls back behind what was told is not told.

An upstream that asks something ends its request, and starts counting again with the next (2026-07-28, mrtr). Its
handshake client sees one request with one token, and progress MUST increase with each notice of it (2025-11-25,
progress). What falls back is dropped and not raised to a value that nobody reported: it says no more than that the work
goes on, and the next notice that is further along says that too.
"""

from __future__ import annotations

import msgspec

from fuseboard.bridges.losses import Losses
from fuseboard.ports import Reply, Scope
from fuseboard.upstreams.calls import PROGRESS


class _Progress(msgspec.Struct):
    progress: int | float


_PROGRESS = msgspec.json.Decoder(_Progress)


class Rising:
    """The scope of one call, over all its rounds."""

    def __init__(self, scope: Scope, losses: Losses) -> None:
        self.request_id = scope.request_id
        self.again = False
        """Whether the call was sent before. Nothing of a first round is dropped: that is the upstream's own."""
        self._scope = scope
        self._losses = losses
        self._highest: float | None = None

    @property
    def connection(self) -> object:
        """The pipe of the client, where there is one."""
        return getattr(self._scope, "connection", self)

    def notify(self, method: str, params: bytes | None) -> None:
        if method == PROGRESS and not self._rises(params):
            self._losses.count(f"{PROGRESS}: fell back when the call was sent again")
            return
        self._scope.notify(method, params)

    def stream(self) -> None:
        self._scope.stream()

    def release(self) -> None:
        self._scope.release()

    async def request(self, method: str, params: bytes | None) -> Reply:
        return await self._scope.request(method, params)

    def _rises(self, params: bytes | None) -> bool:
        try:
            progress = _PROGRESS.decode(params or b"{}").progress
        except msgspec.MsgspecError:
            return True  # no progress that could be compared
        highest = self._highest
        if highest is None or progress > highest:
            self._highest = progress
            return True
        return not self.again
