"""The proxy without its edges: a real board, real policies, and servers that are scripts. No sockets, no processes.

    async with playing(FakeServer("weather", FakeTool("forecast", says("sun")))) as play:
        client = await play.connect()
        answer = await client.call("forecast", city="Ulm")
        assert play.server("weather").calls == ...

What a client sends goes through the same decoder as at any edge; what reaches a server, and what the ledger got, is
written down in order. Time is the event loop's, so with :mod:`support.virtual_time` waiting costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import anyio.abc

from fuseboard import pipeline
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.approvals import Approval
from fuseboard.bulkheads import Bulkheads
from fuseboard.cedar.rules import compile_rules
from fuseboard.claims import Claims
from fuseboard.cleaning.result import Cleaner
from fuseboard.config import Rule
from fuseboard.config.conduct import Approvals
from fuseboard.config.conduct import Quarantine as KeptFor
from fuseboard.definitions import Wash, as_listed
from fuseboard.entrance import Entrance
from fuseboard.era import Era
from fuseboard.errors import StoreUnavailable
from fuseboard.exchange import Exchange
from fuseboard.gateway import Board
from fuseboard.holds import Holds
from fuseboard.identity import Identity
from fuseboard.ids import Ids
from fuseboard.inbox import Inbox
from fuseboard.keeping import Keeping
from fuseboard.opaque import Handles
from fuseboard.pins.book import Book
from fuseboard.pins.listed import Pinned
from fuseboard.ports import Concluded, Entry, Origin, Proposed, Reply, Request, Result, Session
from fuseboard.provenance import Deliveries
from fuseboard.quarantine import Quarantine
from fuseboard.questioning import Questioning
from fuseboard.recording import Recorder, Redactor
from fuseboard.runs import Runs
from fuseboard.state import Snapshot, Write
from fuseboard.tokens import Tokens
from fuseboard.turns import Turns
from fuseboard.upstreams.own import OwnTools
from fuseboard.upstreams.upstream import Upstream
from fuseboard.upstreams.vaulted import Vaulted
from fuseboard.vault import Vault
from fuseboard.wire import frames
from support.fake_server import FakeServer
from support.links import CallScope
from support.raw_client import stateless_meta
from support.seal import HmacSeal

BEGAN: Final = 1_790_000_000.0
"""The time of day at which every play begins (Unix seconds)."""

PATIENCE_S: Final = 3600
"""Longer than any wait of the proxy's own, so that only a hang runs into it."""

HANDSHAKE: Final = "2025-11-25"

TOKENS: Final = Tokens(b"the key of a play")
"""Makes and reads the run tokens of every play."""

VAULTED_BYTES: Final = 2000
"""``output.max`` of a play that has a vault: its tests give their cleaner the same."""

IDLE_S: Final = 1800.0
"""After how long an upstream session that no client holds is closed for doing nothing."""


class RpcError(Exception):
    """The client got a JSON-RPC error: the parsed object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


class Scope(CallScope):
    """The way back to the client for one request; what comes on it is heard by the client as a whole, too."""

    def __init__(self, client: FakeClient, request_id: bytes | None, answer: Reply | None) -> None:
        super().__init__(answer)
        self.request_id = request_id
        self._client = client

    def notify(self, method: str, params: bytes | None) -> None:
        super().notify(method, params)
        if self is not self._client.heard:
            self._client.heard.took(method, params)


class FakeClient:
    """A client at a session of its own. ``heard`` are the notifications; ``answer`` is what it replies to questions."""

    def __init__(self, board: Board, era: Era, origin: Origin, capabilities: dict[str, Any]) -> None:
        self.era = era
        self.capabilities = capabilities
        self.answer: Reply | None = Result(b'{"action":"accept","content":{"name":"Ada"}}')
        self.heard = Scope(self, None, self.answer)
        self.scopes: list[Scope] = []
        """One for each request, in order: what belonged to that request alone."""
        self.session: Session = board.connect(origin, self.heard) if era is Era.HANDSHAKE else board.stateless(origin)

    async def initialize(self, version: str = HANDSHAKE) -> Any:
        info = {"name": "fake-client", "version": "1"}
        hello = {"protocolVersion": version, "capabilities": self.capabilities, "clientInfo": info}
        result = await self.request("initialize", hello)
        self.session.notified("notifications/initialized", None)
        return result

    async def call(self, name: str, **arguments: Any) -> Any:
        return await self.request("tools/call", {"name": name, "arguments": arguments})

    async def refusal(self, name: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
        """Call, and expect to be refused by us: the text for the model, and the decision beside it."""
        result = await self.call(name, **arguments)
        assert result["isError"] is True, result
        (block,) = result["content"]
        return block["text"], result["_meta"]["fuseboard/decision"]

    async def listed(self, kind: str = "tools", key: str = "name") -> list[str]:
        """The names on one list; ``kind`` like ``resources/templates``."""
        result = await self.request(f"{kind}/list")
        (items,) = (value for value in result.values() if isinstance(value, list))
        return [item[key] for item in items]

    async def request(self, method: str, params: dict[str, Any] | bytes | None = None) -> Any:
        """The parsed result.

        Raises:
            RpcError: the answer was an error.
        """
        reply = await self.reply(method, params)
        if not isinstance(reply, Result):
            raise RpcError(json.loads(reply.raw))
        return json.loads(reply.raw)

    async def reply(self, method: str, params: dict[str, Any] | bytes | None = None) -> Reply:
        """The reply as it came. ``params`` that are bytes go out as they are."""
        if self.era is Era.STATELESS and not isinstance(params, bytes):
            params = dict(params or {})
            params["_meta"] = {**stateless_meta(self.capabilities), **params.get("_meta", {})}
        raw = json.dumps(params).encode() if isinstance(params, dict) else params
        frame = frames.decode(frames.request(b"%d" % (len(self.scopes) + 1), method, raw))
        assert isinstance(frame, Request)
        scope = Scope(self, frame.id, self.answer)
        self.scopes.append(scope)
        return await self.session.request(frame, scope)


class GatedStore(MemoryStore):
    """Durable commits wait until ``disk`` is set; ``down`` refuses every commit."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = anyio.Event()
        self.waiting = anyio.Event()
        self.down = False

    async def commit(
        self, writes: Sequence[Write], read: Snapshot, entry: Entry | None, *, at: float, durable: bool = False
    ) -> bool:
        if self.down:
            raise StoreUnavailable("the disk is full")
        if durable:
            self.waiting.set()
            await self.disk.wait()
        return await super().commit(writes, read, entry, at=at, durable=durable)


class Play:
    """A running board with all that is around it."""

    def __init__(self, board: Board, servers: Sequence[FakeServer], store: MemoryStore) -> None:
        self.board = board
        self.store = store
        self.inbox = Inbox(store, _clock)
        """The operator's."""
        self._servers = {server.alias: server for server in servers}

    def server(self, alias: str) -> FakeServer:
        return self._servers[alias]

    async def connect(self, era: Era = Era.HANDSHAKE, **origin: Any) -> FakeClient:
        """A client that is ready to call. ``origin``: ``principal``, ``roles``, ``transport``."""
        client = self.arrive(era, **origin)
        if era is Era.HANDSHAKE:
            await client.initialize()
        return client

    def arrive(
        self,
        era: Era = Era.HANDSHAKE,
        *,
        principal: str = "local",
        roles: tuple[str, ...] = (),
        transport: str = "stdio",
        **capabilities: Any,
    ) -> FakeClient:
        """A client that has said nothing yet."""
        return FakeClient(self.board, era, Origin(principal, transport, roles), capabilities)

    @property
    def proposed(self) -> list[Proposed]:
        """One record a call, as it stands: that of a call which waits is written anew when the wait is over."""
        return list({entry.id: entry for entry in self.store.entries if isinstance(entry, Proposed)}.values())

    @property
    def concluded(self) -> list[Concluded]:
        return [entry for entry in self.store.entries if isinstance(entry, Concluded)]

    @property
    def truths(self) -> list[str]:
        """What each call that was sent came to, in the order of the ends."""
        return [str(entry.truth) for entry in self.concluded]


@asynccontextmanager
async def playing(
    *servers: FakeServer,
    rules: Sequence[dict[str, Any]] = (),
    default: Any = "allow",
    mode: str = "enforce",
    store: MemoryStore | None = None,
    fuses: pipeline.Fuses | None = None,
    policies: pipeline.Policies | None = None,
    approvals: Approvals | None = None,
    page: str | None = None,
    notices: tuple[Callable[[Approval], None], ...] = (),
    cleaner: Cleaner | None = None,
    vault: Vault | None = None,
    pins: Book | None = None,
) -> AsyncIterator[Play]:
    """A board in front of the servers; ``rules``, ``default``, ``mode`` as in a configuration, ``fuses`` its limits.

    Fuses with a ``checkpoint`` offer that tool. ``policies`` judge in place of all of that. With a ``vault`` what
    the model does not get is kept. With ``pins`` its definitions are held against them, and shown as ``cleaner`` leaves
    them.
    """
    kept = store or MemoryStore()
    counter = iter(range(1 << 30))
    ids = Ids(lambda bits: next(counter))
    async with anyio.create_task_group() as tasks:
        keeping = _keeping(vault, kept, fuses) if vault is not None else None
        compiled = compile_rules([Rule.model_validate(rule) for rule in rules], default)
        exchange = Exchange(
            policies or pipeline.standard(compiled, fuses),
            kept,
            Recorder(arguments="full", config="test", redact=Redactor(())),
            ids,
            _clock,
            enforce=mode == "enforce",
            holds=_holds(approvals, kept, page, notices),
            retries=fuses.retries if fuses is not None else None,
            cleaner=cleaner,
            keeping=keeping,
            deliveries=Deliveries(kept, (), compiled.traces) if fuses is not None and fuses.flow is not None else None,
            entrance=Entrance(
                Bulkheads({server.alias: server.facts for server in servers}),
                Turns(kept, _clock, tasks) if fuses is not None and fuses.locks else None,
                _clock,
                enforce=mode == "enforce",
            ),
        )
        upstreams = {server.alias: _upstream(server, len(servers), pins, cleaner) for server in servers}
        identity = Identity(Runs(ids.run), Claims(TOKENS), kept, lambda bits: next(counter))
        offered = fuses is not None and fuses.checkpoint is not None and fuses.checkpoint.offer
        own = OwnTools(_clock) if offered else None
        vaulted = Vaulted(keeping.quarantine, _clock, most_bytes=VAULTED_BYTES) if keeping is not None else None
        board = Board(
            upstreams, exchange, identity, tasks, _clock, seal=HmacSeal(), idle_s=IDLE_S, own=own, vaulted=vaulted
        )
        with anyio.fail_after(PATIENCE_S):
            yield Play(board, servers, kept)
            await board.close()
        tasks.cancel_scope.cancel()


def _keeping(vault: Vault, store: MemoryStore, fuses: pipeline.Fuses | None) -> Keeping:
    settings = KeptFor()
    handles = Handles(vault, _clock, settings) if fuses is not None and fuses.opaque else None
    return Keeping(vault, Quarantine(vault, store, _clock, settings), handles, settings, rests=True)


def _clock() -> float:
    return BEGAN + anyio.current_time()


def _holds(
    settings: Approvals | None, store: MemoryStore, page: str | None, notices: tuple[Callable[[Approval], None], ...]
) -> Holds:
    """Without settings nobody can be asked."""
    chosen = settings or Approvals()
    return Holds(
        chosen,
        store,
        _clock,
        Questioning(HmacSeal(), form=chosen.form, page=lambda: page),
        config="test",
        redact=Redactor(()),
        terminal=settings is not None,
        notices=notices,
    )


def _upstream(server: FakeServer, count: int, pins: Book | None, cleaner: Cleaner | None) -> Upstream:
    return Upstream(
        server.alias,
        server.facts,
        server.connect,
        prefixed=count > 1,
        scoped=server.scoped,
        clock=_clock,
        pins=Pinned(pins.shelf(server.alias, "fake")) if pins is not None else None,
        lists=Wash(server.alias, cleaner, most_bytes=8000) if pins is not None and cleaner is not None else as_listed,
    )
