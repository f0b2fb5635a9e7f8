"""The ports: what the motion floor needs of the edge, as Protocols. Raw JSON travels as ``bytes``, unparsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from fuseboard.state import Snapshot, Write
from fuseboard.stated import NOTHING_STATED, Stated

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Result(msgspec.Struct, frozen=True):
    """A JSON-RPC ``result`` as it came, byte for byte."""

    raw: bytes


class Failure(msgspec.Struct, frozen=True):
    """A JSON-RPC ``error`` object as it came, byte for byte (code, message, data and whatever else it holds).

    ``status`` is the HTTP status that it came with where that says more than "here is an error": 429, or of a server's
    failure. ``retry_after_s`` is how long its headers ask to be left alone.
    """

    raw: bytes
    status: int | None = None
    retry_after_s: float | None = None


Reply: TypeAlias = Result | Failure


class SignedRun(msgspec.Struct, frozen=True):
    """A run that the operator signed a token for."""

    run: str
    issued_at: float
    expires_at: float
    principal: str | None = None
    limits: Stated = NOTHING_STATED


class Beside(msgspec.Struct, frozen=True):
    """What an HTTP request says beside its message of the run that it belongs to: its token and the trace's headers."""

    signed: SignedRun | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    baggage: str | None = None


class Request(msgspec.Struct, frozen=True):
    """A JSON-RPC request. ``value`` is the parsed ``params`` of a governed method, ``None`` for any other.

    ``headers`` are the ``mcp-param-*`` headers that came with it, by lower-case name; ``over_http`` says that it came
    over HTTP in the stateless era, where such headers are due.
    """

    id: bytes
    method: str
    params: bytes | None
    value: dict[str, Any] | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=lambda: _NO_HEADERS)
    over_http: bool = False
    beside: Beside | None = None


class Notification(msgspec.Struct, frozen=True):
    method: str
    params: bytes | None


class Response(msgspec.Struct, frozen=True):
    """``id`` is ``None`` where the other side could not read the request's id."""

    id: bytes | None
    reply: Reply


Frame: TypeAlias = Request | Notification | Response


class Scope(Protocol):
    """The way back to whoever sent one request, for what belongs to that request alone.

    On a pipe this is the connection; over Streamable HTTP it is the response stream of that one POST.
    """

    @property
    def request_id(self) -> bytes | None:
        """The id of the request that this scope belongs to, as raw JSON, or ``None`` outside any request."""
        ...

    def notify(self, method: str, params: bytes | None) -> None:
        """Send a notification. Never waits; order is kept."""
        ...

    def stream(self) -> None:
        """The upstream answers by a stream of events: so does the downstream, where its transport has streams."""
        ...

    def release(self) -> None:
        """The upstream broke its stream off to be polled for the rest: so does the downstream, where it can."""
        ...

    async def request(self, method: str, params: bytes | None) -> Reply:
        """Ask the other side something and wait for its answer. A dead connection answers with a ``Failure``."""
        ...


class Link(Protocol):
    """One connection to one upstream, in one era.

    ``inbound`` (given when the link is made) is the :class:`Scope` for what the upstream sends outside any request.
    """

    @property
    def open(self) -> bool:
        """Whether a request sent now has a chance. ``False`` for ever once the link has died."""
        ...

    async def request(
        self,
        method: str,
        params: bytes | None,
        scope: Scope,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        on_id: Callable[[bytes], None] | None = None,
    ) -> Reply:
        """Send one request and wait for its response.

        Cancelling the caller cancels the request upstream (``notifications/cancelled``, or closing the response
        stream where that is the revision's way). ``headers`` are for HTTP links alone; others ignore them. ``on_id`` is
        told the id (raw JSON) that the request goes by, before anything is sent, where only that id will say what
        belongs to it; links that have a stream for each request ignore it.

        Raises:
            UpstreamUnreachable: nothing was sent.
            UpstreamLost: the link died after sending.
        """
        ...

    async def notify(self, method: str, params: bytes | None) -> None:
        """Send a notification; what cannot be sent any more is dropped."""
        ...

    async def close(self) -> None:
        """End the session and free what it holds. Idempotent."""
        ...


class Handler(Protocol):
    """What becomes of what the other side of a connection asks and says."""

    async def request(self, request: Request, scope: Scope) -> Reply:
        """Answer one request. Never raises but for cancellation, which is how the asker gives up."""
        ...

    def notified(self, method: str, params: bytes | None) -> None:
        """Take a notification. Called in the order of receipt; never waits."""
        ...


class Inbound(Handler, Protocol):
    """What the link to an upstream talks to, beside the scopes of the requests that go over it."""

    def lost(self, reason: str) -> None:
        """The link has died, or the upstream has ended its session. Never waits."""
        ...


class Origin(msgspec.Struct, frozen=True):
    """Who stands at a downstream connection. ``session`` is the transport's own session id, where it has one."""

    principal: str
    transport: str
    roles: tuple[str, ...] = ()
    session: str | None = None


class Session(Handler, Protocol):
    """What an edge talks to: one client's view of everything behind the proxy."""

    async def close(self) -> None:
        """The client has gone: end what was held for it upstream. Idempotent."""
        ...


class Gateway(Protocol):
    """What the core offers to the edges."""

    def connect(self, origin: Origin, back: Scope) -> Session:
        """A session of the handshake revisions. ``back`` is the way to the client outside any request."""
        ...

    def stateless(self, origin: Origin) -> Session:
        """The session that serves every request of the stateless revision from this origin. No edge closes it."""
        ...


class Proposed(msgspec.Struct, frozen=True):
    """The first half of a ledger record: what was asked and what was decided. Written before anything is sent.

    ``arguments`` is raw JSON, ``sha256:…`` or ``None``, as ``trace.args`` says. ``checks`` are JSON objects with
    ``policy, verdict, rule, facts``. ``final`` is true where nothing was let through: the call was refused, or it
    waits for a person, after which it is written anew. ``sent`` is what goes upstream in place of ``arguments``, in
    the same form, ``None`` where that is the same; ``arguments_sha256`` is its digest then. ``continues`` is the id
    of the first round, where this is a later round of one logical call. ``confidence`` says how surely ``run`` is
    known. ``depth`` calls under way stand below this one, the nearest of them ``parent``, the run at the bottom
    ``root`` where that is another.
    """

    id: str
    run: str
    run_source: str
    seq: int
    at: float
    principal: str
    client: str | None
    era: str
    transport: str
    upstream: str
    tool: str
    exposed: str
    method: str
    effect: str
    arguments: str | None
    arguments_sha256: str
    verdict: str
    policy: str | None
    rule: str | None
    reason: str | None
    checks: Sequence[Mapping[str, Any]]
    config: str
    final: bool
    sent: str | None = None
    continues: str | None = None
    confidence: str | None = None
    depth: int = 0
    root: str | None = None
    parent: str | None = None


class Concluded(msgspec.Struct, frozen=True):
    """The second half: what came back and what it really was.

    A call that began a task is concluded twice, first as ``task`` and then by what finally came of it.

    ``truth`` is one of the words of :mod:`fuseboard.truth`. ``verdict`` and its company are set only where a policy
    changed the outcome on the way down. ``checks`` are those of the way down. ``preview`` is the head of the result.
    """

    id: str
    at: float
    duration_ms: float
    truth: str
    result_bytes: int
    result_sha256: str | None
    preview: str | None
    error: str | None = None
    verdict: str | None = None
    policy: str | None = None
    rule: str | None = None
    reason: str | None = None
    checks: Sequence[Mapping[str, Any]] = msgspec.field(default_factory=tuple)


Entry: TypeAlias = Proposed | Concluded


class Lapsed(msgspec.Struct, frozen=True):
    """What a call without an end had reserved of one account, charged in full now. ``amounts`` by unit."""

    call: str
    key: str
    amounts: Mapping[str, float]


class Store(Protocol):
    """Run state and the ledger behind one door, so that one commit can hold both."""

    async def read(self, keys: Sequence[str], *, at: float) -> Snapshot:
        """The live values of ``keys`` at ``at`` (Unix seconds); what is missing or past its time to live is absent."""
        ...

    async def commit(
        self,
        writes: Sequence[Write],
        read: Snapshot,
        entry: Entry | None,
        *,
        at: float,
        durable: bool = False,
    ) -> bool:
        """Apply all the writes and the ledger entry, or none.

        Returns ``False`` when a ceiling would be passed or a ``Put`` key changed since ``read``; nothing is written
        then. With ``durable`` it returns only once the entry would survive a power cut; without, the entry is on its
        way and survives an orderly stop.

        A call is admitted once: where the entry is a :class:`Proposed` that is not final, of an id that was admitted
        before, the writes are left out, whatever they are, the entry is written anew, and the answer is ``True``. So
        whoever does not know what became of a commit may ask again, with the same ``id`` and ``at``. A refused commit
        and a final entry admit nothing.

        What the caller of a durable commit was told survives the death of this process, and so does, durable or not,
        what was used and held of an account: after it at least that much is charged.

        Raises:
            StoreUnavailable: the store is closed, or a durable commit's outcome is unknown.
        """
        ...

    async def changed(self, keys: Sequence[str], read: Snapshot, *, at: float, timeout_s: float) -> bool:
        """Wait until any of ``keys`` is not as ``read`` saw it. ``False`` when ``timeout_s`` was over first.

        A key counts as it lives at ``at``. This store's own commits wake at once, other processes' within 0.25 s.
        """
        ...

    async def reap(self, *, at: float) -> Sequence[Lapsed]:
        """Close the record of the calls whose reservations are past their time and which have no end on record.

        They are charged in full (:mod:`fuseboard.accounts`), their truth is ``lost``. Of several that reap at once,
        one does it and says so. A call that comes to its end after all has that end.

        Raises:
            StoreUnavailable: nothing could be read or written; try again later.
        """
        ...

    async def last_seq(self, run: str) -> int:
        """The highest ``seq`` of the calls that the ledger knows of a run, 0 where it knows none."""
        ...

    async def close(self) -> None:
        """Write out what is on its way and let go of the files. Idempotent."""
        ...


class Seal(Protocol):
    """Makes tokens that a client keeps for us, can neither read nor alter, and gives back later.

    A token is good for whoever holds it and as often as it comes back: what binds it to somebody, to a time or to one
    use stands in the payload, and so does what it is for, since one seal serves several purposes.
    """

    async def seal(self, payload: bytes) -> str:
        """A token of URL-safe characters."""
        ...

    async def unseal(self, token: str) -> bytes:
        """The payload.

        Raises:
            ProtocolFault: this process did not make the token, or not like that.
        """
        ...
