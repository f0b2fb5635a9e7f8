"""What one request of a stateless client hears of its call at a handshake upstream.

Log messages are a matter of the session there (``logging/setLevel``) and of the single request here, which opts in by
``_meta`` (2026-07-28, logging); progress goes by a token of ours there, since one session serves several requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fuseboard import era
from fuseboard.bridges.listening import CHANGES
from fuseboard.bridges.losses import Losses
from fuseboard.errors import METHOD_NOT_FOUND
from fuseboard.ports import Reply, Result, Scope
from fuseboard.upstreams.calls import PROGRESS, progress_token
from fuseboard.wire import frames, splice

LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""The levels of a log message, least first (RFC 5424)."""

LEVEL_KEY: Final = era.PREFIX + "logLevel"
MESSAGE: Final = "notifications/message"

_PONG: Final = Result(b"{}")


class _Message(msgspec.Struct):
    level: str = "emergency"


def level_of(params: bytes | None) -> int | None:
    """The level that a request opts in to, as its place among :data:`LEVELS`; ``None`` where it wants no messages."""
    if params is None or b"logLevel" not in params:
        return None
    level = era.meta_of(params).get(LEVEL_KEY)
    return LEVELS.index(level) if level in LEVELS else None


class Ear:
    """The scope of a call that asks nothing. ``changed`` takes what belongs to no call, wherever it came."""

    request_id: bytes | None = None

    def __init__(
        self, scope: Scope, params: bytes | None, *, changed: Callable[[str, bytes | None], None], losses: Losses
    ) -> None:
        self.level = level_of(params)
        self._scope = scope
        self._token = progress_token(params)
        self._changed = changed
        self._losses = losses

    def notify(self, method: str, params: bytes | None) -> None:
        if method in CHANGES:
            self._changed(method, params)
        elif method == PROGRESS:
            if self._token is not None:
                self._scope.notify(method, _with_token(params, self._token))
        elif method != MESSAGE or (self.level is not None and _severity(params) >= self.level):
            self._scope.notify(method, params)

    def stream(self) -> None:
        self._scope.stream()

    def release(self) -> None:
        self._scope.release()

    async def request(self, method: str, params: bytes | None) -> Reply:
        if method == "ping":
            return _PONG
        self._losses.count(f"{method}: not asked in a call that a client can be asked in")
        return frames.failure(METHOD_NOT_FOUND, f"a client of 2026-07-28 cannot be asked {method} here")


def _with_token(params: bytes | None, token: bytes) -> bytes:
    fields = splice.fields(params)
    fields["progressToken"] = msgspec.Raw(token)
    return splice.join(fields)


def _severity(params: bytes | None) -> int:
    """What names no level that is known is not held back."""
    try:
        level = msgspec.json.decode(params or b"{}", type=_Message).level
    except msgspec.MsgspecError:
        level = ""
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)
