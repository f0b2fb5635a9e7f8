"""Tokens that only this process can make and read: the SDK's codec (AES-256-GCM), under a key that dies with us."""

from __future__ import annotations

import secrets
from typing import Final, Protocol

import anyio
import anyio.to_thread

from fuseboard.errors import INVALID_PARAMS, ProtocolFault

_KEY_BYTES: Final = 32

LONGEST_TOKEN: Final = 64 * 1024
"""In characters. None of ours comes near it, and a client can send any."""


class _Codec(Protocol):
    def seal(self, payload: bytes) -> str: ...
    def unseal(self, token: str) -> bytes: ...


class SdkSeal:
    """Implements :class:`fuseboard.ports.Seal`.

    The codec's module takes half a second to import, so it is fetched at the first use, away from the event loop.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._codec: _Codec | None = None
        self._fetching = anyio.Lock()

    async def seal(self, payload: bytes) -> str:
        return (await self._ready()).seal(payload)

    async def unseal(self, token: str) -> bytes:
        if len(token) > LONGEST_TOKEN:
            raise _not_ours()
        try:
            return (await self._ready()).unseal(token)
        except ProtocolFault:
            raise
        except Exception:  # the codec's own refusal is a class of the SDK's, which is not imported here
            raise _not_ours() from None

    async def _ready(self) -> _Codec:
        if self._codec is None:
            async with self._fetching:
                if self._codec is None:
                    self._codec = await anyio.to_thread.run_sync(_codec, self._key)
        return self._codec


def _codec(key: bytes) -> _Codec:
    from mcp.server.request_state import AESGCMRequestStateCodec

    return AESGCMRequestStateCodec([key])


def _not_ours() -> ProtocolFault:
    """Nothing is said of what was wrong with it: the asker may be the one who made it so."""
    return ProtocolFault(INVALID_PARAMS, "not a token of this process, or altered since")
