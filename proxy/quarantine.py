"""What is withheld until a person has looked, and what becomes of it then. All ways to put something there end here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from fuseboard import refusals
from fuseboard.errors import StoreUnavailable
from fuseboard.events import CallProposed
from fuseboard.ports import Failure, Reply, Store
from fuseboard.recording import digest_of
from fuseboard.state import EMPTY, Push
from fuseboard.vault import (
    DROPPED,
    GIVEN,
    QUARANTINE,
    RELEASED,
    WITHHELD,
    Held,
    Kept,
    Vault,
    handle_of,
    uri_of,
)
from fuseboard.verdicts import Deny

_log = logging.getLogger("fuseboard.quarantine")

ACTS: Final = "quarantine/acts"
"""The key under which it stands who put, released and dropped what."""
_ACTS_KEPT: Final = 1000
_ACTS_TTL_S: Final = 90 * 86400.0

POISONED: Final = "quarantine.poisoned"
"""The rule of what is withheld because its origin was revoked."""

_KEPT: Final = (
    "It is kept as {handle} ({size:,} bytes) until a person has looked at it. Once they have released it, the same "
    "call gives it, or read the resource {uri}. Go on without it until then."
)
_NOT_KEPT: Final = "It could not be kept for a person to look at ({why}), so it is lost."


_OPEN: Final = (WITHHELD, RELEASED)
"""What may still be given."""


class Settings(Protocol):
    """``quarantine:``."""

    @property
    def keep_s(self) -> float: ...
    @property
    def handles_s(self) -> float: ...


class Unknown(Exception):
    """There is nothing to decide about, or not any more. The message is for the person who tried."""


class _Which(NamedTuple):
    """What calls have in common that might be the same one."""

    principal: str
    method: str
    upstream: str
    tool: str


class Quarantine:
    """``clock`` gives Unix seconds.

    It knows in memory which calls have a result that waits, so that all others need not be looked for in the vault.
    """

    def __init__(self, vault: Vault, store: Store, clock: Callable[[], float], settings: Settings) -> None:
        self.vault = vault
        self._store = store
        self._clock = clock
        self._settings = settings
        self.waiting: dict[_Which, dict[str, tuple[str, ...]]] = {}
        """The handles of what is kept, by the calls that might be given it; every call looks whether there are any.

        One call may have several, made again before a person had looked: any of them may be the one that is released.
        """

    async def quarantined(
        self,
        judged: CallProposed,
        reply: Reply,
        rule: str,
        why: str,
        *,
        modern: bool,
        policy: str | None = "quarantine",
        asked: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
        unfit: bool = False,
    ) -> Reply:
        """Withhold ``reply`` and give what takes its place: that it is withheld, why, and that a person has to look.

        ``reply`` has been cleaned. ``asked`` are the arguments as the client sent them, where they are known.
        """
        at = self._clock()
        arguments = judged.arguments if asked is None else asked
        kept = kept_of(judged, QUARANTINE, at=at, for_s=self._settings.keep_s, modern=modern)
        kept = msgspec.structs.replace(
            kept,
            arguments=digest_of(arguments),
            policy=policy,
            rule=rule,
            why=why,
            failure=isinstance(reply, Failure),
            unfit=unfit,
            size_bytes=len(reply.raw),
        )
        # one line where handles are among the arguments: no more than that is told of such a call
        told, more = (why.partition("\n")[0] + " " if judged.handles else why + "\n"), dict(facts or {})
        try:
            if await self.vault.put(kept, reply.raw):
                more["quarantine"] = kept.handle
                uri = uri_of(QUARANTINE, kept.handle)
                told += _KEPT.format(handle=kept.handle, size=len(reply.raw), uri=uri)
                self._await(kept)
                await self._put(kept, why=rule, at=at)
            else:
                told += _NOT_KEPT.format(why="there is no room for it")
        except StoreUnavailable as fault:
            _log.error("what was withheld of %s cannot be kept: %s", judged.id, fault)
            told += _NOT_KEPT.format(why="there is no place for it now")
        return refusals.of_call(judged, policy, Deny(rule, told, more), modern=modern)

    async def released(
        self, principal: str, method: str, upstream: str, tool: str, arguments: Mapping[str, Any]
    ) -> Held | None:
        """What was released for exactly this call, and was not given yet."""
        which = _Which(principal, method, upstream, tool)
        calls = self.waiting.get(which)
        if calls is None or not (handles := calls.get(digest_of(arguments), ())):
            return None
        if len(handles) > 1:
            known = {kept.handle: kept.status for kept in await self.vault.listed(QUARANTINE, at=self._clock())}
            self._forget({handle for handle in handles if known.get(handle) not in _OPEN})
            handles = tuple(handle for handle in handles if known.get(handle) == RELEASED)
        held = await self.vault.get(handles[0], at=self._clock()) if handles else None
        if held is None or held.kept.status not in _OPEN:
            self._forget(set(handles[:1]))
            return None
        return held if held.kept.status == RELEASED else None

    async def given(self, handle: str) -> Kept | None:
        """Take what was released, once; ``None`` where somebody else did."""
        return await self.vault.turn(handle, (RELEASED,), GIVEN, by="", at=self._clock())

    async def refresh(self) -> None:
        """Learn what other processes withheld, and forget what is past its time."""
        before = {handle for calls in self.waiting.values() for handles in calls.values() for handle in handles}
        try:
            found = await self.vault.listed(QUARANTINE, at=self._clock())
        except StoreUnavailable as fault:
            _log.warning("what waits for a person cannot be looked for: %s", fault)
            return
        # what came in while we looked stays
        self._forget(before - {kept.handle for kept in found if kept.status in _OPEN})
        for kept in found:
            if kept.status in _OPEN:
                self._await(kept)

    # What a person does.

    async def release(self, handle: str, *, by: str) -> Kept:
        """Let whoever asked for it have it.

        Raises:
            Unknown: it is not there, or was released before.
        """
        return await self._decided(handle, (WITHHELD,), RELEASED, "release", by)

    async def drop(self, handle: str, *, by: str) -> Kept:
        """Forget its bytes.

        Raises:
            Unknown: it is not there.
        """
        return await self._decided(handle, (WITHHELD, RELEASED, GIVEN), DROPPED, "drop", by)

    async def listed(self) -> Sequence[Kept]:
        return await self.vault.listed(QUARANTINE, at=self._clock())

    async def find(self, handle: str) -> Held:
        """
        Raises:
            Unknown: it is not there.
        """
        held = await self.vault.get(handle, at=self._clock())
        if held is None or held.kept.kind != QUARANTINE:
            raise Unknown(f"{handle} is not there: it never was, its time is over, or it was dropped")
        return held

    async def _decided(self, handle: str, froms: Sequence[str], to: str, act: str, by: str) -> Kept:
        kept, at = (await self.find(handle)).kept, self._clock()
        now = await self.vault.turn(handle, froms, to, by=by, at=at)
        if now is None:
            raise Unknown(f"{handle} was {kept.status} already" + (f" by {kept.by}" if kept.by else ""))
        await self._act(act, now, by=by, why=kept.rule, at=at)
        return now

    async def _put(self, kept: Kept, *, why: str, at: float) -> None:
        """The call's own record says so, too: where this one cannot be written, what is kept is kept all the same."""
        try:
            await self._act("put", kept, by="fuseboard", why=why, at=at)
        except StoreUnavailable as fault:
            _log.error("that %s was withheld cannot be written down: %s", kept.handle, fault)

    async def _act(self, do: str, kept: Kept, *, by: str, why: str, at: float) -> None:
        act = {"at": at, "by": by, "do": do, "handle": kept.handle, "decision": kept.decision, "rule": why}
        act |= {"run": kept.run, "tool": kept.qualified, "bytes": kept.size_bytes}
        write, durable = Push(ACTS, act, _ACTS_KEPT, _ACTS_TTL_S), by != "fuseboard"
        await self._store.commit([write], EMPTY, None, at=at, durable=durable)

    def _await(self, kept: Kept) -> None:
        which = _Which(kept.principal, kept.method, kept.upstream, kept.tool)
        calls = self.waiting.setdefault(which, {})
        if kept.handle not in (handles := calls.get(kept.arguments, ())):
            calls[kept.arguments] = (*handles, kept.handle)

    def _forget(self, gone: Set[str]) -> None:
        if not gone:
            return
        for which, calls in list(self.waiting.items()):
            for call, handles in list(calls.items()):
                if left := tuple(handle for handle in handles if handle not in gone):
                    calls[call] = left
                else:
                    del calls[call]
            if not calls:
                del self.waiting[which]


def kept_of(judged: CallProposed, kind: str, *, at: float, for_s: float, modern: bool) -> Kept:
    """What the vault knows of something that came of this call."""
    tool = judged.tool
    upstream, _, name = tool.origin.partition("__")  # what comes out of the vault may go in again
    return Kept(
        handle=handle_of(kind, judged.id),
        kind=kind,
        at=at,
        expires_at=at + for_s,
        principal=judged.caller.principal,
        run=judged.root or judged.run,
        decision=judged.id,
        upstream=upstream or tool.upstream,
        tool=name or tool.name,
        exposed=tool.exposed,
        method=judged.method,
        trust=tool.trust,
        sensitivity=tool.sensitivity,
        modern=modern,
        veiled=bool(tool.opaque),
        shared=tool.opaque == "principal",
    )
