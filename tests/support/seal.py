"""A seal without a thread, a key of half a second or an SDK: what :mod:`fuseboard.adapters.seal` is to the proxy."""

from __future__ import annotations

import hashlib
import hmac

from fuseboard.errors import INVALID_PARAMS, ProtocolFault


class HmacSeal:
    """It does not hide the payload, which no test asks of it, but tells every altered one."""

    def __init__(self, key: bytes = b"of the play") -> None:
        self._key = key

    async def seal(self, payload: bytes) -> str:
        return f"{self._mark(payload)}.{payload.hex()}"

    async def unseal(self, token: str) -> bytes:
        mark, _, payload = token.partition(".")
        try:
            opened = bytes.fromhex(payload)
        except ValueError:
            raise ProtocolFault(INVALID_PARAMS, "not a token of this process, or altered since") from None
        if not hmac.compare_digest(mark.encode(), self._mark(opened).encode()):
            raise ProtocolFault(INVALID_PARAMS, "not a token of this process, or altered since")
        return opened

    def _mark(self, payload: bytes) -> str:
        return hmac.new(self._key, payload, hashlib.sha256).hexdigest()
