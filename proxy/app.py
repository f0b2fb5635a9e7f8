"""The composition root: the only room that knows everybody. From a configuration to a running proxy."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.abc
import anyio.to_thread

from fuseboard import naming, pinning, storing, vaulting
from fuseboard.adapters.approvals.operator import operator
from fuseboard.adapters.connect import Connector
from fuseboard.adapters.seal import SdkSeal
from fuseboard.adapters.signals import caught
from fuseboard.adapters.upstream.children import Children
from fuseboard.bulkheads import Bulkheads
from fuseboard.cleaning import configured
from fuseboard.cleaning.result import Cleaner
from fuseboard.config import Config, HttpServer, StdioServer, digest
from fuseboard.entrance import Entrance
from fuseboard.errors import ConfigError
from fuseboard.exchange import Exchange
from fuseboard.fuses import policies, rules
from fuseboard.gateway import Board
from fuseboard.holds import Holds
from fuseboard.ids import Chance, Ids
from fuseboard.keeping import Keeping
from fuseboard.pins.book import Book
from fuseboard.pipeline import Policies
from fuseboard.ports import Store
from fuseboard.provenance import Deliveries
from fuseboard.questioning import Address, Questioning
from fuseboard.recording import Recorder, Redactor
from fuseboard.turns import Turns
from fuseboard.upstreams import inspection
from fuseboard.upstreams.cleaned import cleaned
from fuseboard.upstreams.inspection import Probe
from fuseboard.upstreams.own import OwnTools
from fuseboard.upstreams.shared import SharedSeats
from fuseboard.upstreams.upstream import Upstream

if TYPE_CHECKING:
    from fuseboard.adapters.downstream.limits import Limits
    from fuseboard.adapters.web.door import Door
    from fuseboard.adapters.web.pages import Pages

OnSignal: TypeAlias = Callable[[signal.Signals], None]

_log = logging.getLogger("fuseboard.app")


@asynccontextmanager
async def board(
    config: Config,
    state: Path,
    *,
    children: Children | None = None,
    clock: Callable[[], float] = time.time,
    token: str | None = None,
    page: Address | None = None,
) -> AsyncIterator[Board]:
    """Everything behind the edges, started and, at the end, stopped in order: sessions, links, ledger.

    ``token`` names the run of the one client of a stdio proxy. ``page`` is where people are asked, if it is served.
    """
    children = children or Children()
    _need_servers(config)
    compiled = rules(config)
    judges = policies(config, compiled, process=os.urandom(6).hex())
    named = naming.named(config, state, token, at=clock())
    pins = pinning.keeper(config, state)
    # In a thread: another proxy on this state folder may have to let us in first.
    store = await anyio.to_thread.run_sync(storing.opened, config, state, clock)
    try:
        await storing.tell_limits(config, store, at=clock())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(storing.reap, store, clock)
            connector = Connector(tasks, limit_bytes=config.limits.frame_bytes)
            chance = Chance(os.urandom)
            seal, cleaner = SdkSeal(), configured.cleaner(config, named.key)
            keeping = vaulting.keeping(config, state, store, clock)
            holds = _holds(config, store, tasks, clock, seal, page or Address())
            entrance = _entrance(config, store, tasks, clock)
            heard = Deliveries(store, config.flow.known, compiled.traces)
            exchange = _exchange(config, judges, store, Ids(chance), clock, holds, entrance, cleaner, keeping, heard)
            tasks.start_soon(vaulting.kept_up, keeping)
            tasks.start_soon(pins.run)
            core = Board(
                _upstreams(config, connector, children, clock, pins.book, cleaner if exchange.enforce else None),
                exchange,
                naming.identity(config, named, store, chance),
                tasks,
                clock,
                seal=seal,
                idle_s=config.limits.session_idle_s,
                own=OwnTools(clock) if config.checkpoint.offer else None,
                vaulted=vaulting.vaulted(config, keeping, clock),
            )
            try:
                yield core
            finally:
                with anyio.CancelScope(shield=True):
                    async with anyio.create_task_group() as closing:
                        closing.start_soon(core.close)
                        closing.start_soon(children.close)
                    await connector.close()
                    await pins.flush()
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


def _exchange(
    config: Config,
    judges: Policies,
    store: Store,
    ids: Ids,
    clock: Callable[[], float],
    holds: Holds,
    entrance: Entrance,
    cleaner: Cleaner,
    keeping: Keeping | None,
    deliveries: Deliveries,
) -> Exchange:
    return Exchange(
        judges,
        store,
        Recorder(arguments=config.trace.args, config=digest(config), redact=Redactor(config.secrets)),
        ids,
        clock,
        enforce=config.mode == "enforce",
        holds=holds,
        entrance=entrance,
        retries=config.retries,
        cleaner=cleaner,
        keeping=keeping,
        deliveries=deliveries,
    )


def _need_servers(config: Config) -> None:
    if not config.servers:
        raise ConfigError("no servers are configured: name at least one under `servers:`")


def _holds(
    config: Config,
    store: Store,
    tasks: anyio.abc.TaskGroup,
    clock: Callable[[], float],
    seal: SdkSeal,
    page: Address,
) -> Holds:
    settings, notices = config.approvals, []
    if settings.webhook.url is not None and settings.webhook.secret is not None:
        from fuseboard.adapters.approvals.webhook import Webhook

        notices.append(Webhook(settings.webhook.url, settings.webhook.secret.reveal(), tasks, clock, page).asked)
    return Holds(
        settings,
        store,
        clock,
        Questioning(seal, form=settings.form, page=page),
        config=digest(config),
        redact=Redactor(config.secrets),
        terminal=config.store.kind != "memory",
        notices=tuple(notices),
    )


def _entrance(config: Config, store: Store, tasks: anyio.abc.TaskGroup, clock: Callable[[], float]) -> Entrance:
    locking = any(facts.lock for server in config.servers.values() for facts in server.tools.values())
    turns = Turns(store, clock, tasks) if locking else None
    return Entrance(Bulkheads(config.servers), turns, clock, enforce=config.mode == "enforce")


async def serve_stdio(
    config: Config, state: Path, *, token: str | None = None, on_signal: OnSignal | None = None
) -> None:
    """Serve the client at the other end of our stdin and stdout until it goes. ``token`` names its run.

    ``on_signal`` is told the signal that ends us, if one does.
    """
    from fuseboard.adapters.downstream.stdio import serve_stdio as serve

    async with (
        _until_signalled(config, state, token, on_signal=on_signal) as (core, signalled),
        _presence(core, state, "stdio"),
    ):
        limits = config.limits
        await serve(
            core,
            limit_bytes=limits.frame_bytes,
            depth=limits.depth,
            drain_s=limits.drain_s,
            stop=signalled,
            on_cut=core.exchange.stopping,
        )


@asynccontextmanager
async def _until_signalled(
    config: Config,
    state: Path,
    token: str | None = None,
    page: Address | None = None,
    on_signal: OnSignal | None = None,
) -> AsyncIterator[tuple[Board, anyio.Event]]:
    """A board, and the event of the first signal. It ends us as the client's leaving does: open calls are answered or,
    after a while, cancelled, sessions closed, children reaped, the ledger written out.

    The next signal kills the children and us. What the ledger got in the 20 ms before that may be lost.
    """
    children = Children()
    with caught(children.kill, first=on_signal) as signalled:
        async with board(config, state, children=children, token=token, page=page) as core:
            yield core, signalled


async def serve_http(
    config: Config,
    state: Path,
    host: str,
    port: int,
    *,
    ready: Callable[[int], None],
    tell: Callable[[str], None] | None = None,
    on_signal: OnSignal | None = None,
) -> None:
    """Serve over HTTP until a signal ends it. ``ready`` is told the port that was bound, ``on_signal`` the signal.

    ``tell`` says something to the person at the terminal: nobody else may learn the way to the approval page.
    """
    from fuseboard.adapters.downstream.edge import HttpEdge
    from fuseboard.adapters.downstream.http import serve_http as serve

    page = Address()
    async with _until_signalled(config, state, page=page, on_signal=on_signal) as (core, signalled):
        door = _door(core, page, tell) if tell is not None and "web" in config.approvals.via else None

        def bound(port: int) -> None:
            ready(port)
            if door is not None:
                page.bound(host, port)
                door.open()

        core.tasks.start_soon(core.probe)
        edge = HttpEdge(
            core,
            auth=_bearers(config),
            limits=_edge_limits(config),
            allowed_hosts=[f"{host}:*", *(name if ":" in name else f"{name}:*" for name in config.hosts)],
            any_address=host in ("0.0.0.0", "::"),
            status=core.status,
            tasks=core.tasks,
            tokens=core.identity.tokens,
            pages=_pages(config, core, door) if door is not None else None,
            on_cut=core.exchange.stopping,
        )
        async with _presence(core, state, f"http://{host}:{port}/mcp"):
            await serve(edge, host, port, ready=bound, ended=signalled)


def _door(core: Board, page: Address, tell: Callable[[str], None]) -> Door:
    from fuseboard.adapters.web.door import Door

    return Door(lambda token: tell(f"fuseboard asks people at {page()}?token={token}"), core.now)


def _pages(config: Config, core: Board, door: Door) -> tuple[str, Pages] | None:
    """Only this machine's own people, unless the listener asks who comes."""
    from fuseboard.adapters.web.pages import ROOT, Pages
    from fuseboard.adapters.web.withheld import Withheld

    if core.exchange.holds is None:
        return None
    inbox, anywhere = core.exchange.holds.inbox, config.auth is not None
    withheld = Withheld(core.vaulted.quarantine) if core.vaulted is not None else None
    return ROOT, Pages(inbox, door, core.now, operator=operator(), anywhere=anywhere, withheld=withheld)


def _presence(core: Board, state: Path, serves: str) -> AbstractAsyncContextManager[None]:
    from fuseboard.adapters.presence import announced

    since = core.now()
    return announced(state, lambda: {"serves": serves, "since": since, "upstreams": core.health()})


def _bearers(config: Config) -> Mapping[str, tuple[str, Sequence[str]]] | None:
    if config.auth is None:
        return None
    return {one.token.reveal(): (name, one.roles) for name, one in config.auth.bearer.items()}


def _edge_limits(config: Config) -> Limits:
    from fuseboard.adapters.downstream.limits import Limits

    own = config.limits
    return Limits(
        body_bytes=own.body_bytes,
        head_bytes=own.header_bytes,
        depth=own.depth,
        sessions=own.sessions,
        session_idle_s=own.session_idle_s,
        grace_s=own.drain_s,
    )


def _upstreams(
    config: Config,
    connector: Connector,
    children: Children,
    clock: Callable[[], float],
    book: Book | None = None,
    cleaner: Cleaner | None = None,
) -> Mapping[str, Upstream]:
    prefixed = len(config.servers) > 1
    upstreams = {}
    for alias, server in config.servers.items():
        connect = connector.to(alias, server)
        if isinstance(server, StdioServer):
            connect = children.guarded(alias, connect)
        if cleaner is not None:
            connect = cleaned(alias, connect, cleaner)
        over_http = isinstance(server, HttpServer) and server.type == "http"
        upstream = upstreams[alias] = Upstream(
            alias,
            server,
            connect,
            prefixed=prefixed,
            scoped=over_http,
            clock=clock,
            pins=pinning.pinned(config, alias, book),
            lists=pinning.lists(config, alias, cleaner),
        )
        if isinstance(server, HttpServer) and server.type == "sse":
            upstream.stateless = False  # the transport was gone before the stateless era came
    return upstreams


async def probe(config: Config, *, only: Collection[str] | None = None, whole: bool = False) -> tuple[Probe, ...]:
    """Ask every upstream, or ``only`` some, who it is and list its tools, side by side, each once.

    ``whole``: all its definitions too, as they are written.
    """
    found: dict[str, Probe] = {}
    async with anyio.create_task_group() as tasks:
        connector = Connector(tasks, limit_bytes=config.limits.frame_bytes)
        shared, children = SharedSeats(tasks), Children()

        async def ask(upstream: Upstream) -> None:
            found[upstream.alias] = await inspection.probe(upstream, shared, at=time.time(), whole=whole)

        async with anyio.create_task_group() as asking:
            for alias, upstream in _upstreams(config, connector, children, time.time).items():
                if only is not None and alias not in only:
                    continue
                asking.start_soon(ask, upstream)
        await children.close()
        await shared.close()
        await connector.close()
        tasks.cancel_scope.cancel()
    return tuple(found[alias] for alias in config.servers if alias in found)
