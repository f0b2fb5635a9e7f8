"""The seats of a stateless client at an upstream that speaks the handshake era alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import anyio.abc

from fuseboard import era
from fuseboard.bridges import questions
from fuseboard.bridges.hearing import Ear
from fuseboard.bridges.held_calls import HeldCalls, target_of, without_round
from fuseboard.bridges.listening import Listeners
from fuseboard.bridges.stateless_sessions import Client, OwnSession, OwnSessions, declared
from fuseboard.era import Era
from fuseboard.errors import METHOD_NOT_FOUND, ProtocolFault, UpstreamFault
from fuseboard.ports import Reply, Result, Scope
from fuseboard.upstreams.calls import LISTEN
from fuseboard.upstreams.handshake import CommonSeat
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.upstream import Upstream
from fuseboard.wire import frames, splice
from fuseboard.wire.frames import GOVERNED

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class ForStatelessClient:
    """The seat of one kind of client: what it can be asked, the upstream is told, and asks it."""

    era = Era.HANDSHAKE

    def __init__(self, upstream: Upstream, sessions: OwnSessions, held: HeldCalls, client: Client) -> None:
        self.upstream = upstream
        self._sessions = sessions
        self._held = held
        self._client = client

    def listing(self, key: bytes) -> Listing:
        return self._session.listing(key)

    async def introduction(self) -> bytes:
        """The upstream's ``initialize`` result.

        Raises:
            UpstreamFault: it cannot be had now.
        """
        session = self._session
        with session.used():
            await session.open()
        return session.result or b"{}"

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        """``headers`` mirror arguments for stateless servers; this one knows none of them."""
        if method == "server/discover":
            return Result(era.discover_result(await self.introduction()))
        if method in era.REMOVED:
            return gone(method)
        session = self._session
        with session.used():
            try:
                if method == LISTEN:
                    await session.open()
                    return await session.listeners.listen(params, scope, session.capabilities)
                return await self._carry(session, method, params, scope)
            except ProtocolFault as fault:
                return frames.failure(fault.code, fault.message)

    def notify(self, method: str, params: bytes | None) -> None:
        """Nothing to send: the one notification of that era, cancellation, is the link's own affair."""

    async def close(self) -> None:
        """The sessions are the origin's: they outlive the request."""

    @property
    def _session(self) -> OwnSession:
        return self._sessions.at(self.upstream, self._client)

    async def _carry(self, session: OwnSession, method: str, params: bytes | None, scope: Scope) -> Reply:
        ear = Ear(scope, params, changed=session.changed, losses=self.upstream.losses)
        sent = era.without_envelope(params)
        if method not in GOVERNED:
            await _log_for(session, ear)
            return _translated(method, await session.carry(method, sent, ear, governed=False))
        return await self._govern(session, method, sent, ear)

    async def _govern(self, session: OwnSession, method: str, params: bytes | None, ear: Ear) -> Reply:
        """A call in which the upstream may ask something, or the retry that brings the answer."""
        await _log_for(session, ear)
        if params is not None and b"requestState" in params and "requestState" in (fields := splice.fields(params)):
            return await self._resume(method, fields, target_of(self.upstream.alias, method, params), ear)
        sent = without_round(params)
        if not questions.may_be_asked(self._client.capabilities):
            return _translated(method, await session.carry(method, sent, ear, governed=True))

        async def send(scope: Scope) -> Reply:
            with session.used():
                await session.roots.put(scope)
                return await session.carry(method, sent, scope, governed=True)

        reply = await self._held.make(
            send,
            ear,
            lambda: target_of(self.upstream.alias, method, params),
            capabilities=self._client.capabilities,
            losses=self.upstream.losses,
        )
        return _translated(method, reply)

    async def _resume(self, method: str, fields: splice.Fields, target: str, ear: Ear) -> Reply:
        try:
            reply = await self._held.resume(fields["requestState"], fields.get("inputResponses"), ear, target)
        except UpstreamFault as fault:
            # An error and no fault, for who meets a fault may send the request once more, and this token was used.
            return frames.failure(fault.code, fault.message)
        return _translated(method, reply)


class ForStatelessClients:
    """The seat at a session that all callers share: ``share: all``, the operator's word that nothing hangs on it.

    Its client is the proxy, with no capabilities, so nobody is asked anything; changed lists concern everybody.
    """

    era = Era.HANDSHAKE

    def __init__(self, seat: CommonSeat, listeners: Listeners) -> None:
        self.upstream = seat.upstream
        self._seat = seat
        self._listeners = listeners

    def listing(self, key: bytes) -> Listing:
        return self._seat.listing(key)

    async def introduction(self) -> bytes:
        """The upstream's ``initialize`` result.

        Raises:
            UpstreamFault: it cannot be had now.
        """
        await self._seat.open()
        self._seat.confirm()
        return self._seat.result or b"{}"

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        introduction = await self.introduction()
        if method == "server/discover":
            return Result(era.discover_result(introduction))
        if method in era.REMOVED:
            return gone(method)
        if method == LISTEN:
            capabilities = declared(introduction)
            capabilities.pop("resources", None)  # a subscription hangs on the session, and nothing shall
            try:
                return await self._listeners.listen(params, scope, capabilities)
            except ProtocolFault as fault:
                return frames.failure(fault.code, fault.message)
        ear = Ear(scope, params, changed=self._listeners.told, losses=self.upstream.losses)
        sent = without_round(era.without_envelope(params))
        return _translated(method, await self._seat.request(method, sent, ear))

    def notify(self, method: str, params: bytes | None) -> None:
        """What one of many clients says of itself is not said of them all."""

    async def close(self) -> None:
        """The link is for the others too."""


def listeners_in_common(seat: CommonSeat, tasks: anyio.abc.TaskGroup) -> Listeners:
    """Those who listen at a session that all callers share. They subscribe to nothing, so nothing is asked for them."""

    async def ask(method: str, params: bytes) -> Reply:
        return gone(method)

    listeners = Listeners(ask, lambda: False, tasks, seat.upstream.losses)
    seat.ears.append(listeners)
    return listeners


def gone(method: str) -> Reply:
    return frames.failure(METHOD_NOT_FOUND, f"Method not found: {method} is gone since 2026-07-28")


async def _log_for(session: OwnSession, ear: Ear) -> None:
    if ear.level is not None:
        await session.log_at(ear.level)


def _translated(method: str, reply: Reply) -> Reply:
    """Every result says its type, and errors have the codes of the era."""
    return era.error_as_stateless(era.as_stateless(reply, method))
