"""What a handshake client wants to be told of, listened for at a stateless server on one stream per session.

2026-07-28, basic/patterns/subscriptions: a stream's filter is fixed when it opens, so another set of resources means
another stream. The new one is acknowledged before the old one goes, so nothing is missed in between; and what the old
one still says after that is told only if the new one did not say it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any, Final

import anyio
import anyio.abc
import msgspec

from fuseboard.era import SUBSCRIPTION_KEY
from fuseboard.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, UPSTREAM_TIMEOUT, UpstreamFault
from fuseboard.ports import Failure, Reply, Result
from fuseboard.scopes import Silent
from fuseboard.upstreams.calls import ACKNOWLEDGED, LISTEN
from fuseboard.upstreams.seats import Seat
from fuseboard.wire import frames, splice

_log = logging.getLogger("fuseboard.seat")

ACK_TIMEOUT_S: Final = 5.0
"""How long a server may take to acknowledge a stream."""

DRAIN_S: Final = 0.25
"""How long a stream that was replaced stays open: over HTTP its last words may arrive after the new one's first."""

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0

RESOURCE_UPDATED: Final = "notifications/resources/updated"
EMPTY_RESULT: Final = Result(b"{}")

Tell = Callable[[str, bytes | None], None]


class Filter(msgspec.Struct, frozen=True):
    """What one stream is to tell of. ``lists`` are names of capabilities."""

    lists: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()

    def params(self) -> bytes:
        wanted: dict[str, Any] = {f"{name}ListChanged": True for name in self.lists}
        if self.uris:
            wanted["resourceSubscriptions"] = self.uris
        return msgspec.json.encode({"notifications": wanted})

    def honoured(self, acknowledged: Any) -> Filter:
        """What of it the server agreed to."""
        said = acknowledged if isinstance(acknowledged, dict) else {}
        uris = said.get("resourceSubscriptions")
        agreed = frozenset(uri for uri in uris if isinstance(uri, str)) if isinstance(uris, list) else frozenset()
        return Filter(
            tuple(name for name in self.lists if said.get(f"{name}ListChanged") is True),
            tuple(uri for uri in self.uris if uri in agreed),
        )


class _Stream(Silent):
    """One ``subscriptions/listen`` request, and the scope on which its notices come."""

    def __init__(self, wanted: Filter, heard: Callable[[_Stream, str, bytes | None], None]) -> None:
        super().__init__()
        self.wanted = wanted
        self.honoured: Filter | None = None
        self.settled = anyio.Event()
        """It was acknowledged, or has ended without."""
        self.ended: Reply | None = None
        self.life = anyio.CancelScope()
        self.began_at = anyio.current_time()
        self.successor: _Stream | None = None
        self.held: dict[tuple[str, bytes | None], None] = {}
        """What it said after it was replaced, in order."""
        self.said: set[tuple[str, bytes | None]] | None = None
        """What it has said while its predecessor drains."""
        self._heard = heard

    def notify(self, method: str, params: bytes | None) -> None:
        if method == ACKNOWLEDGED:
            if self.honoured is None:
                self.honoured = self.wanted.honoured(_field(params, "notifications"))
                self.settled.set()
            return
        self._heard(self, method, bare(params))


class Subscriptions:
    """The one stream of one session at one upstream. ``tell`` takes the bare notices, in order."""

    def __init__(
        self, seat: Seat, tasks: anyio.abc.TaskGroup, envelope: Callable[[bytes | None], bytes], tell: Tell
    ) -> None:
        self._seat = seat
        self._tasks = tasks
        self._envelope = envelope
        self._tell = tell
        self._turn = anyio.Lock()
        self._lists: tuple[str, ...] = ()
        self._uris: dict[str, None] = {}
        self._current: _Stream | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._reopening: anyio.CancelScope | None = None
        self._closed = False
        self.served = True
        """Whether the server serves streams at all, as far as is known."""

    async def start(self, lists: Collection[str]) -> tuple[str, ...]:
        """Listen for changes of these lists; those that the server agreed to tell of."""
        if not lists:
            return ()
        async with self._turn:
            self._lists = tuple(lists)
            changed = await self._change()
            if isinstance(changed, Failure):
                _log.warning("%s tells of no changed lists: %s", self._alias, changed.raw.decode(errors="replace"))
                self._lists = ()
            else:
                assert changed.honoured is not None
                self._lists = changed.honoured.lists
            for name in lists:
                if name not in self._lists:
                    self._seat.upstream.losses.count(f"notifications/{name}/list_changed not honoured")
            return self._lists

    async def subscribe(self, uri: str) -> Reply:
        """Answered once the server has agreed to tell of it."""
        self._uris[uri] = None  # before the wait, so that those who come together share one stream
        agreed = False
        try:
            async with self._turn:
                current: _Stream | Failure | None = self._current
                if not isinstance(current, _Stream) or current.ended is not None or uri not in current.wanted.uris:
                    current = await self._change()
                if isinstance(current, Failure):
                    return current
                agreed = current.honoured is not None and uri in current.honoured.uris
        finally:
            if agreed:
                self._uris[uri] = None
            else:
                self._uris.pop(uri, None)
        if agreed:
            return EMPTY_RESULT
        self._seat.upstream.losses.count("resources/subscribe not honoured")
        return frames.failure(INTERNAL_ERROR, f"{self._alias} does not agree to tell of updates of {uri}")

    async def unsubscribe(self, uri: str) -> Reply:
        if self._uris.pop(uri, False) is False:
            return EMPTY_RESULT
        async with self._turn:
            current = self._current
            if current is None or uri not in current.wanted.uris or uri in self._uris:
                return EMPTY_RESULT
            if not self._uris and not self._lists:
                self._current = None
                current.life.cancel()
                return EMPTY_RESULT
            changed = await self._change()
            if isinstance(changed, Failure):
                self._uris[uri] = None
                return changed
        return EMPTY_RESULT

    def close(self) -> None:
        self._closed = True
        current, self._current = self._current, None
        if current is not None:
            current.life.cancel()
        if self._reopening is not None:
            self._reopening.cancel()

    @property
    def _alias(self) -> str:
        return self._seat.upstream.alias

    async def _change(self) -> _Stream | Failure:
        """Open a stream for what is wanted now, and let it take the other one's place."""
        stream = _Stream(Filter(self._lists, tuple(self._uris)), self._heard)
        self._tasks.start_soon(self._listen, stream)
        try:
            with anyio.move_on_after(ACK_TIMEOUT_S):
                await stream.settled.wait()
        except BaseException:
            stream.life.cancel()
            raise
        if stream.honoured is None or self._closed:
            stream.life.cancel()
            return self._unacknowledged(stream)
        self._replace(stream)
        return stream

    def _unacknowledged(self, stream: _Stream) -> Failure:
        match stream.ended:
            case Failure() as refusal:
                self.served = _code(refusal) != METHOD_NOT_FOUND
                return frames.failure(INTERNAL_ERROR, f"{self._alias} refused {LISTEN}: {_message(refusal)}")
            case Result():
                return frames.failure(INTERNAL_ERROR, f"{self._alias} ended {LISTEN} before it acknowledged it")
        return frames.failure(
            UPSTREAM_TIMEOUT, f"{self._alias} did not acknowledge {LISTEN} within {ACK_TIMEOUT_S:g} s"
        )

    def _replace(self, stream: _Stream) -> None:
        old, self._current = self._current, stream
        if old is not None and old.ended is None:
            stream.said = set()
            old.successor = stream
            old.life.deadline = anyio.current_time() + DRAIN_S
        elif old is not None:
            self._tell_what_was_missed(old, stream)
        if stream.ended is not None:
            self._tasks.start_soon(self._reopen, stream)

    async def _listen(self, stream: _Stream) -> None:
        """A stream's life, in a task of its own."""
        ended: Reply | None = None
        try:
            with stream.life:
                ended = await self._seat.request(LISTEN, self._envelope(stream.wanted.params()), stream)
        except UpstreamFault as fault:
            ended = frames.failure(fault.code, fault.message)
        except Exception:  # a task's root: one odd upstream must not end the board
            _log.exception("listening to %s failed", self._alias)
            ended = frames.failure(INTERNAL_ERROR, "Fuseboard failed to listen; its log says more")
        finally:
            stream.ended = ended
            stream.settled.set()
        if stream.successor is not None:
            self._drained(stream, stream.successor)
        elif stream is self._current:
            await self._reopen(stream)

    def _heard(self, stream: _Stream, method: str, params: bytes | None) -> None:
        if self._closed:
            return
        notice = (method, params)
        if stream.said is not None:
            stream.said.add(notice)
        if stream.successor is not None:
            stream.held[notice] = None
        elif stream is self._current or stream.honoured is not None:
            self._tell(method, params)

    def _drained(self, old: _Stream, stream: _Stream) -> None:
        """The old stream is closed: what it alone said is told now."""
        said = stream.said or set()
        stream.said = None
        dropped = set(old.wanted.uris) - set(stream.wanted.uris)
        for method, params in old.held:
            if (method, params) in said or (method, params) in stream.held or self._closed:
                continue
            # What was unsubscribed from must not be told after the answer to that.
            if method != RESOURCE_UPDATED or _field(params, "uri") not in dropped:
                self._tell(method, params)

    async def _reopen(self, lost: _Stream) -> None:
        """The server, or the way to it, ended the stream: open another. 2026-07-28: nobody repeats what was missed."""
        if anyio.current_time() - lost.began_at >= _LONGEST_PAUSE_S:
            self._pause_s = _FIRST_PAUSE_S
        with anyio.CancelScope() as self._reopening:
            while self._current is lost:
                await anyio.sleep(self._pause_s)
                self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
                async with self._turn:
                    if self._current is lost:
                        await self._try_again()

    async def _try_again(self) -> None:
        if not isinstance(changed := await self._change(), Failure):
            return
        _log.info("%s cannot be listened to again yet: %s", self._alias, changed.raw.decode(errors="replace"))
        if not self.served:
            self._seat.upstream.losses.count(f"{LISTEN} ended for good")
            self._current = None

    def _tell_what_was_missed(self, old: _Stream, stream: _Stream) -> None:
        """A handshake client does not know that there was a gap: whatever may have changed in it has changed."""
        was, now = old.honoured or Filter(), stream.honoured or Filter()
        for name in now.lists:
            if name in was.lists:
                self._tell(f"notifications/{name}/list_changed", None)
        for uri in now.uris:
            if uri in was.uris:
                self._tell(RESOURCE_UPDATED, msgspec.json.encode({"uri": uri}))


def bare(params: bytes | None) -> bytes | None:
    """A notice without the id of its subscription, which its client knows nothing of."""
    if params is None:
        return None
    try:
        fields = splice.fields(params)
        meta = splice.fields(fields.get("_meta"))
    except msgspec.MsgspecError:
        return params
    if meta.pop(SUBSCRIPTION_KEY, None) is None:
        return params
    if meta:
        fields["_meta"] = msgspec.Raw(splice.join(meta))
    else:
        del fields["_meta"]
    return splice.join(fields) if fields else None


class _Error(msgspec.Struct):
    code: int | float = 0
    message: str = ""


def _error(failure: Failure) -> _Error:
    try:
        return msgspec.json.decode(failure.raw, type=_Error)
    except msgspec.MsgspecError:
        return _Error()


def _code(failure: Failure) -> float:
    return _error(failure).code


def _message(failure: Failure) -> str:
    return _error(failure).message


def _field(params: bytes | None, name: str) -> Any:
    try:
        raw = splice.fields(params).get(name)
        return msgspec.json.decode(raw) if raw is not None else None
    except msgspec.MsgspecError:
        return None
