"""The cursor of a merged list: how far the client has turned the pages of each upstream, sealed.

An upstream's own cursor is opaque and may say more than its client's eyes should see; and what comes back as a cursor
must be what we gave, to this caller and for this list, or a client could make an upstream's cursor up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from fuseboard.errors import INVALID_PARAMS, ProtocolFault
from fuseboard.ports import Seal

EXPIRY_S: Final = 3600.0
"""How long a cursor is good for. Its list will have changed long before."""

_PURPOSE: Final = "cursor"


class Cursor(msgspec.Struct, frozen=True):
    """``upstreams`` has the next cursor of each upstream that has more; ``page`` counts from zero."""

    method: str
    principal: str
    upstreams: dict[str, str]
    page: int
    expires_at: float
    purpose: str = _PURPOSE


class Cursors:
    """Seals cursors and reads them again. The seal has other uses too, so each token says that it is a cursor."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    async def give(self, method: str, principal: str, upstreams: Mapping[str, str], *, page: int, at: float) -> str:
        cursor = Cursor(method, principal, dict(upstreams), page, at + EXPIRY_S)
        return await self._seal.seal(msgspec.json.encode(cursor))

    async def take(self, token: str, *, method: str, principal: str, at: float) -> Cursor:
        """The cursor.

        Raises:
            ProtocolFault: it is not ours, not this caller's, for another list, or too old. Which of them is not said.
        """
        try:
            cursor = msgspec.json.decode(await self._seal.unseal(token), type=Cursor)
        except (ProtocolFault, msgspec.MsgspecError):
            raise invalid(method) from None
        claims = (cursor.purpose, cursor.method, cursor.principal)
        if claims != (_PURPOSE, method, principal) or cursor.expires_at <= at:
            raise invalid(method)
        return cursor


def invalid(method: str) -> ProtocolFault:
    """The refusal that makes a client start again (2026-07-28, server/utilities/pagination, error handling)."""
    return ProtocolFault(INVALID_PARAMS, f"Invalid cursor; call {method} again without one, from the start")
