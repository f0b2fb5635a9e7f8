"""The vault as an upstream of its own, so that reading there takes the road of every other call.

Rules, budgets and the record are for it as for any. Two things are read: the rest of what was cut, and what a person
released, by its address or by making the call again that it was withheld from. That call goes to nobody a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from fuseboard import rest
from fuseboard.checkpoint import UPSTREAM
from fuseboard.era import STATELESS_ONLY, Era
from fuseboard.errors import (
    DENIED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    RESOURCE_NOT_FOUND,
    ProtocolFault,
    StoreUnavailable,
    UpstreamUnreachable,
)
from fuseboard.events import Effect, Sensitivity, Tool, Trust
from fuseboard.listings import TOOLS
from fuseboard.ports import Failure, Reply, Result, Scope
from fuseboard.quarantine import Quarantine
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.own import Facts, no_link
from fuseboard.upstreams.seats import NO_HEADERS, Absent, Seat
from fuseboard.upstreams.upstream import Upstream
from fuseboard.vault import QUARANTINE, SCHEME, WITHHELD, Held, Kept, named
from fuseboard.wire import frames, splice

RELEASED_KEY: Final = "fuseboard/released"
"""The ``_meta`` key of a result that a person released: by whom, when, and what it had been withheld for."""

_CACHED: Final[Mapping[str, Any]] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
_UNREADABLE: Final = "What was kept cannot be read now; try again later"
_UNSURE: Final = (
    "{tool} was not called: the same call was withheld before, and whether a person has released its result cannot be "
    "looked up now. Try again later"
)
_GONE: Final = "What was released for this call has been given meanwhile; make the call again"


class Vaulted:
    """``most_bytes`` is ``output.max``. ``clock`` gives Unix seconds."""

    def __init__(self, quarantine: Quarantine, clock: Callable[[], float], *, most_bytes: int) -> None:
        self.quarantine = quarantine
        self.most_bytes = most_bytes
        self.waiting = quarantine.waiting
        """Empty, as nearly always, where there is no call at all that might be given something from here."""
        self.upstream = Upstream(UPSTREAM, Facts(), no_link, prefixed=True, scoped=False, clock=clock)
        self._clock = clock

    def owns(self, uri: str) -> bool:
        """Whether an address is one of ours: no upstream is asked for it."""
        return uri.startswith(SCHEME) and named(uri.partition("?")[0]) is not None

    async def resource(self, uri: str, principal: str, era: Era) -> tuple[Seat, Tool]:
        """Where that is read, and as what.

        Raises:
            ProtocolFault: there is nothing for this principal, or not yet. What is another's is not there.
        """
        base, _, query = uri.partition("?")
        what, place = named(base), rest.place(query)
        held = await self._held(what[1], what[0], principal) if what is not None and place is not None else None
        if held is None or place is None:
            # 2026-07-28, server/resources, "Error Handling"; a code of its own before
            raise ProtocolFault(
                RESOURCE_NOT_FOUND if era is Era.HANDSHAKE else INVALID_PARAMS, f"Resource not found: {uri}"
            )
        if held.kept.kind == QUARANTINE and held.kept.status == WITHHELD:
            raise ProtocolFault(DENIED, f"{held.kept.handle} still waits for a person. Go on without it.")
        return _Page(self, era, held, uri, place), _tool(held.kept, uri, uri)

    async def instead(
        self, seat: Seat, tool: Tool, method: str, arguments: Mapping[str, Any], principal: str, era: Era
    ) -> tuple[Seat, Tool]:
        """The seat that gives what was released for exactly this call, or the very same where nothing was.

        Where nobody can say whether it was, the call is made nowhere: it would be a second time.
        """
        try:
            held = await self.quarantine.released(principal, method, tool.upstream, tool.name, arguments)
        except StoreUnavailable:
            own = msgspec.structs.replace(
                tool, upstream=UPSTREAM, name=QUARANTINE, effect=Effect.READ, origin=tool.origin or tool.qualified
            )
            return Absent(self.upstream, era, UpstreamUnreachable(UPSTREAM, _UNSURE.format(tool=tool.exposed))), own
        if held is None:
            return seat, tool
        own = _tool(held.kept, f"{QUARANTINE}/{held.kept.handle}", tool.exposed)
        return _Again(self, era, held), own

    async def _held(self, handle: str, kind: str, principal: str) -> Held | None:
        try:
            held = await self.quarantine.vault.get(handle, at=self._clock())
        except StoreUnavailable as fault:
            raise ProtocolFault(INTERNAL_ERROR, _UNREADABLE) from fault
        if held is None or held.kept.kind != kind or held.kept.principal != principal:
            return None
        return held


class _Seat:
    """Answers at once, from the vault, one call."""

    def __init__(self, vaulted: Vaulted, era: Era, held: Held) -> None:
        self.upstream = vaulted.upstream
        self.era = era
        self._vaulted = vaulted
        self._held = held
        self._listing = Listing(self.upstream.definitions)

    def listing(self, key: bytes) -> Listing:
        return self._listing

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> Reply:
        if method == TOOLS.method:
            return Result(b'{"tools":[]}')  # asked for once a person has approved a call: nothing new is known of it
        return await self._read()

    def notify(self, method: str, params: bytes | None) -> None:
        """Nothing that a client says beside its call concerns it."""

    async def close(self) -> None:
        """There is no link to end."""

    async def _read(self) -> Reply:
        raise NotImplementedError


class _Page(_Seat):
    def __init__(self, vaulted: Vaulted, era: Era, held: Held, uri: str, place: rest.Place) -> None:
        super().__init__(vaulted, era, held)
        self._uri = uri
        self._place = place

    async def _read(self) -> Reply:
        kept, place = self._held.kept, self._place
        document = rest.document(self._held.raw, kept.method, failure=kept.failure, block=place.block)
        most_bytes = self._vaulted.most_bytes // 2
        page = rest.page(document.raw, place.start, most_bytes) if document is not None else None
        if document is None or page is None:
            return frames.failure(INVALID_PARAMS, f"Resource not found: {self._uri}: nothing is there any more")
        released = kept.kind == QUARANTINE
        before = f"withheld by {kept.rule}, released by {kept.by}; " if released else ""
        raw = rest.contents(self._uri, document.mime, page, block=place.block, before=before)
        fields = splice.fields(raw)
        if released:
            fields["_meta"] = splice.raw({RELEASED_KEY: released_as(kept)})
        return Result(_in_era(fields, self.era, _CACHED))


class _Again(_Seat):
    async def _read(self) -> Reply:
        try:
            kept = await self._vaulted.quarantine.given(self._held.kept.handle)
        except StoreUnavailable:
            return frames.failure(INTERNAL_ERROR, _UNREADABLE)
        if kept is None:
            return frames.failure(INTERNAL_ERROR, _GONE)
        return again(Held(kept, self._held.raw), self.era)


def again(held: Held, era: Era) -> Reply:
    """What was withheld, marked as released. What breaks its tool's schema is an error, for no client may get it as
    anything else (2025-11-25, server/tools, "Output Schema").
    """
    kept = held.kept
    if kept.failure:
        return Failure(held.raw)
    fields = splice.fields(held.raw)
    meta = splice.fields(fields.get("_meta"))
    fields["_meta"] = msgspec.Raw(splice.join({**meta, RELEASED_KEY: splice.raw(released_as(kept))}))
    if kept.method == "tools/call":
        text = f"[fuseboard] This had been withheld by {kept.rule}; {kept.by} looked at it and released it."
        if kept.unfit:
            text += " It still does not fit the schema that the tool declares, so it is marked as an error."
            fields["isError"] = msgspec.Raw(b"true")
        blocks = splice.items(fields.get("content") or b"[]")
        fields["content"] = msgspec.Raw(splice.join([*blocks, splice.raw({"type": "text", "text": text})]))
    cached = _CACHED if kept.method == "resources/read" else {"resultType": "complete"}
    return Result(_in_era(fields, era, cached))


def released_as(kept: Kept) -> dict[str, Any]:
    """By whom, when, and what it had been withheld for."""
    when = datetime.fromtimestamp(kept.decided_at or kept.at, tz=UTC).isoformat(timespec="seconds")
    return {"handle": kept.handle, "by": kept.by, "at": when, "decision": kept.decision, "rule": kept.rule}


def _in_era(fields: splice.Fields, era: Era, stateless: Mapping[str, Any]) -> bytes:
    """It may have been kept from a call of the other era."""
    if era is Era.STATELESS:
        return splice.join({**{name: splice.raw(value) for name, value in stateless.items()}, **fields})
    return splice.join({name: value for name, value in fields.items() if name not in STATELESS_ONLY})


def _tool(kept: Kept, name: str, exposed: str) -> Tool:
    """What is judged: a read of ours. Whose words it is stays what it was."""
    veiled = ("principal" if kept.shared else "run") if kept.veiled else ""
    return Tool(
        UPSTREAM,
        name,
        exposed,
        Effect.READ,
        trust=Trust(kept.trust),
        sensitivity=Sensitivity(kept.sensitivity),
        opaque=veiled,
        origin=kept.qualified,
    )
