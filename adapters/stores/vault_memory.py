"""The vault of a proxy that keeps nothing: it ends with the process."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from fuseboard.vault import DROPPED, GIVEN, QUARANTINE, RANKS, WITHHELD, Held, Kept

_log = logging.getLogger("fuseboard.quarantine")


class MemoryVault:
    """Implements :class:`fuseboard.vault.Vault`. ``most_bytes`` is of all that lies there together."""

    def __init__(self, *, most_bytes: int, most: int = 10_000) -> None:
        self._most_bytes = most_bytes
        self._most = most
        self._held: dict[str, Held] = {}

    async def put(self, kept: Kept, raw: bytes) -> bool:
        self._held = {handle: held for handle, held in self._held.items() if held.kept.expires_at > kept.at}
        if kept.handle in self._held:
            return True
        goes = self._goes(kept, len(raw))
        if goes is None:
            return False
        for handle in goes:
            del self._held[handle]
        self._held[kept.handle] = Held(msgspec.structs.replace(kept, size_bytes=len(raw)), raw)
        return True

    def _goes(self, kept: Kept, size_bytes: int) -> Sequence[str] | None:
        """What has to go for it, ``None`` where that is not enough."""
        excess = sum(len(held.raw) for held in self._held.values()) + size_bytes - self._most_bytes
        many = len(self._held) + 1 - self._most
        lesser = [held for held in self._held.values() if RANKS[held.kept.kind] <= RANKS[kept.kind]]
        goes: list[str] = []
        unseen = 0
        for held in sorted(lesser, key=_worth):
            if excess <= 0 and many <= 0:
                break
            goes.append(held.kept.handle)
            unseen += held.kept.kind == QUARANTINE and held.kept.status == WITHHELD
            excess -= len(held.raw)
            many -= 1
        if unseen and excess <= 0 and many <= 0:
            _log.error("the vault is full: %d withheld results went for %s, and nobody saw them", unseen, kept.handle)
        return goes if excess <= 0 and many <= 0 else None

    async def get(self, handle: str, *, at: float) -> Held | None:
        held = self._held.get(handle)
        if held is None or held.kept.expires_at <= at or held.kept.status == DROPPED:
            return None
        return held

    async def listed(self, kind: str, *, at: float) -> Sequence[Kept]:
        found = [held.kept for held in self._held.values() if held.kept.kind == kind and held.kept.expires_at > at]
        return sorted(found, key=lambda kept: (kept.at, kept.handle))

    async def turn(self, handle: str, froms: Sequence[str], to: str, *, by: str, at: float) -> Kept | None:
        held = self._held.get(handle)
        if held is None or held.kept.expires_at <= at or held.kept.status not in froms:
            return None
        kept = turned(held.kept, to, by=by, at=at)
        self._held[handle] = Held(kept, b"" if to == DROPPED else held.raw)
        return kept

    async def close(self) -> None:
        self._held.clear()


def _worth(held: Held) -> tuple[int, bool, float]:
    """The least worth keeping first: of one kind, what was given already."""
    return RANKS[held.kept.kind], held.kept.status != GIVEN, held.kept.at


def turned(kept: Kept, to: str, *, by: str, at: float) -> Kept:
    """The same after a person decided, or after it was given."""
    return msgspec.structs.replace(kept, status=to, by=by or kept.by, decided_at=at if by else kept.decided_at)
