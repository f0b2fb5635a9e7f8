"""The composition root: the only room that knows everybody. From a configuration to a running proxy."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from fuseboard import pipeline
from fuseboard.adapters.connect import Connector
from fuseboard.adapters.seal import SdkSeal
from fuseboard.adapters.signals import caught
from fuseboard.adapters.upstream.children import Children
from fuseboard.cedar.check import RuleError
from fuseboard.cedar.rules import RuleSet, compile_rules
from fuseboard.config import Config, ConfigInvalid, HttpServer, StdioServer, digest, placed
from fuseboard.errors import ConfigError
from fuseboard.exchange import Exchange
from fuseboard.gateway import Board
from fuseboard.ids import Chance, Ids
from fuseboard.ports import Store
from fuseboard.recording import Recorder, Redactor
from fuseboard.runs import Runs
from fuseboard.upstreams import inspection
from fuseboard.upstreams.inspection import Probe
from fuseboard.upstreams.shared import SharedSeats
from fuseboard.upstreams.upstream import Upstream

if TYPE_CHECKING:
    from fuseboard.adapters.downstream.limits import Limits


@asynccontextmanager
async def board(
    config: Config, state: Path, *, children: Children | None = None, clock: Callable[[], float] = time.time
) -> AsyncIterator[Board]:
    """Everything behind the edges, started and, at the end, stopped in order: sessions, links, ledger."""
    children = children or Children()
    if not config.servers:
        raise ConfigError("no servers are configured: name at least one under `servers:`")
    rules = _rules(config)
    store = _open_store(config, state, clock)
    try:
        async with anyio.create_task_group() as tasks:
            connector = Connector(tasks, limit_bytes=config.limits.frame_bytes)
            ids = Ids(Chance(os.urandom))
            exchange = Exchange(
                pipeline.standard(rules),
                store,
                Recorder(arguments=config.trace.args, config=digest(config), redact=Redactor(config.secrets)),
                ids,
                clock,
                enforce=config.mode == "enforce",
            )
            core = Board(
                _upstreams(config, connector, children, clock),
                exchange,
                Runs(ids.run),
                tasks,
                clock,
                seal=SdkSeal(),
                idle_s=config.limits.session_idle_s,
            )
            try:
                yield core
            finally:
                with anyio.CancelScope(shield=True):
                    async with anyio.create_task_group() as closing:
                        closing.start_soon(core.close)
                        closing.start_soon(children.close)
                    await connector.close()
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


async def serve_stdio(config: Config, state: Path) -> None:
    """Serve the client at the other end of our stdin and stdout until it goes."""
    from fuseboard.adapters.downstream.stdio import serve_stdio as serve

    async with (
        _until_signalled(config, state) as (core, signalled),
        _presence(core, state, "stdio"),
    ):
        limits = config.limits
        await serve(core, limit_bytes=limits.frame_bytes, depth=limits.depth, drain_s=limits.drain_s, stop=signalled)


@asynccontextmanager
async def _until_signalled(config: Config, state: Path) -> AsyncIterator[tuple[Board, anyio.Event]]:
    """A board, and the event of the first signal. It ends us as the client's leaving does: open calls are answered or,
    after a while, cancelled, sessions closed, children reaped, the ledger written out.

    The next signal kills the children and us. What the ledger got in the 20 ms before that may be lost.
    """
    children = Children()
    with caught(children.kill) as signalled:
        async with board(config, state, children=children) as core:
            yield core, signalled


async def serve_http(config: Config, state: Path, host: str, port: int, *, ready: Callable[[int], None]) -> None:
    """Serve over HTTP until a signal ends it. ``ready`` is told the port that was bound."""
    from fuseboard.adapters.downstream.edge import HttpEdge
    from fuseboard.adapters.downstream.http import serve_http as serve

    async with _until_signalled(config, state) as (core, signalled):
        core.tasks.start_soon(core.probe)
        edge = HttpEdge(
            core,
            auth=_bearers(config),
            limits=_edge_limits(config),
            allowed_hosts=[f"{host}:*", *(name if ":" in name else f"{name}:*" for name in config.hosts)],
            any_address=host in ("0.0.0.0", "::"),
            status=core.status,
            tasks=core.tasks,
        )
        async with _presence(core, state, f"http://{host}:{port}/mcp"):
            await serve(edge, host, port, ready=ready, ended=signalled)


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


def _rules(config: Config) -> RuleSet:
    try:
        return compile_rules(config.rules, config.default, config.cedar_sources)
    except RuleError as error:
        raise ConfigInvalid([placed(config, finding) for finding in error.findings]) from None


def _open_store(config: Config, state: Path, clock: Callable[[], float]) -> Store:
    match config.store.kind:
        case "memory":
            from fuseboard.adapters.stores.memory import MemoryStore

            return MemoryStore()
        case "sqlite":
            from fuseboard.adapters.stores.sqlite import SqliteStore

            store = SqliteStore.open(Path(config.store.location) if config.store.location else state / "ledger.db")
            store.retain(config.trace.keep_s, at=clock())
            return store
        case kind:
            raise ConfigError(f"store: {kind} is not supported by this version; use sqlite or memory")


def _upstreams(
    config: Config, connector: Connector, children: Children, clock: Callable[[], float]
) -> Mapping[str, Upstream]:
    prefixed = len(config.servers) > 1
    upstreams = {}
    for alias, server in config.servers.items():
        connect = connector.to(alias, server)
        if isinstance(server, StdioServer):
            connect = children.guarded(alias, connect)
        over_http = isinstance(server, HttpServer) and server.type == "http"
        upstream = upstreams[alias] = Upstream(alias, server, connect, prefixed=prefixed, scoped=over_http, clock=clock)
        if isinstance(server, HttpServer) and server.type == "sse":
            upstream.stateless = False  # the transport was gone before the stateless era came
    return upstreams


async def probe(config: Config) -> tuple[Probe, ...]:
    """Ask every upstream who it is and list its tools, side by side, each once."""
    found: dict[str, Probe] = {}
    async with anyio.create_task_group() as tasks:
        connector = Connector(tasks, limit_bytes=config.limits.frame_bytes)
        shared, children = SharedSeats(tasks), Children()

        async def ask(upstream: Upstream) -> None:
            found[upstream.alias] = await inspection.probe(upstream, shared, at=time.time())

        async with anyio.create_task_group() as asking:
            for upstream in _upstreams(config, connector, children, time.time).values():
                asking.start_soon(ask, upstream)
        await children.close()
        await shared.close()
        await connector.close()
        tasks.cancel_scope.cancel()
    return tuple(found[alias] for alias in config.servers)
