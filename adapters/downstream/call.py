"""One request being answered over one POST: JSON as long as the answer stands alone, a stream as soon as it does not.

The handler runs in the request's own task; a plain call costs one timer and nothing else. Only a call that lasts gets a
second task, which watches for its client going away, and only one that streams gets a third, which sends.
"""

from __future__ import annotations

import asyncio
import logging
from typing import ClassVar

import msgspec

from fuseboard.adapters.downstream.asgi import Headers, Incoming, answer
from fuseboard.adapters.downstream.ladder import STATUS
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.downstream.streams import Outlet
from fuseboard.errors import INTERNAL_ERROR
from fuseboard.ports import Failure, Handler, Reply, Request, Result
from fuseboard.wire import frames

_log = logging.getLogger("fuseboard.downstream")


class _Error(msgspec.Struct):
    code: int


_ERROR = msgspec.json.Decoder(_Error)


class Call:
    """The scope of one request (see :class:`fuseboard.ports.Scope`), and what decides the form of its answer.

    What differs between the eras: how a stream is opened, what becomes of a call whose client has gone, and who
    can be asked something. ``headers`` go with a result and with every stream.
    """

    statuses: ClassVar[bool] = False
    """Whether the HTTP status follows the JSON-RPC error."""

    def __init__(self, http: Incoming, id: bytes, limits: Limits, headers: Headers = ()) -> None:
        self.request_id: bytes | None = id
        self._id = id
        self._http = http
        self._limits = limits
        self._headers = headers
        self._outlet: Outlet | None = None
        self._sender: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._streamed = False
        self._last_word: Reply | None = None

    async def run(self, handler: Handler, request: Request) -> Reply | None:
        """Run the handler. ``None``: it was cancelled, and no answer is due."""
        loop = asyncio.get_running_loop()
        task = self._task = asyncio.current_task()
        assert task is not None
        self._timer = loop.call_later(self._limits.linger_s, self._linger)
        try:
            return await handler.request(request, self)
        except asyncio.CancelledError:
            if not self._stopped:
                if self._sender is not None:
                    self._sender.cancel()
                raise
            task.uncancel()
            return self._last_word
        except Exception:  # the root of this request's task
            _log.exception("%s failed", request.method)
            return frames.failure(INTERNAL_ERROR, "internal error; the log of the proxy says more")
        finally:
            self._task = None
            self._timer.cancel()
            self._over()
            if self._watcher is not None:
                self._watcher.cancel()
                self._watcher = None  # its fate has a traceback that leads back here: with it we would be a cycle

    async def conclude(self, reply: Reply | None) -> None:
        """Send the reply in the form that the call has come to."""
        if self._sender is not None:
            self._end(frames.response(self._id, reply) if reply is not None else None)
            await self._sender
        elif reply is None:
            await self._say_nothing()
        elif self._streamed and isinstance(reply, Result):
            outlet = self._open()
            self._end(frames.response(self._id, reply))
            await outlet.run()
        else:
            status = _status(reply) if self.statuses else 200
            headers = self._headers if isinstance(reply, Result) else ()
            await answer(self._http.send, status, frames.response(self._id, reply), headers)

    def stop(self, last_word: Reply | None = None) -> None:
        """Cancel the handler, if it still runs. ``None``: no answer is due."""
        if self._task is not None and not self._stopped:
            self._stopped = True
            self._last_word = last_word
            self._task.cancel()

    def notify(self, method: str, params: bytes | None) -> None:
        if self._task is not None:
            self._emit(frames.notification(method, params))

    async def request(self, method: str, params: bytes | None) -> Reply:
        raise NotImplementedError

    def stream(self) -> None:
        """Answer by a stream even if it carries nothing but the answer, as the upstream does."""
        self._streamed = True

    def release(self) -> None:
        """Let the client come back for the rest, as the upstream lets us. Only a session can."""

    def commit(self) -> None:
        """Turn the answer into a stream now."""
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._open().run())

    def _open(self) -> Outlet:
        outlet = self._outlet = self._new_outlet()
        self._opened(outlet)
        return outlet

    def _opened(self, outlet: Outlet) -> None:
        """The answer has become a stream."""

    def _over(self) -> None:
        """The handler is done."""

    def _emit(self, frame: bytes) -> None:
        """Send a message of this request."""
        raise NotImplementedError

    def _end(self, frame: bytes | None) -> None:
        """Send the last message on the stream, if there is one, and end it."""
        raise NotImplementedError

    def _left(self) -> None:
        """The client has gone before the answer was complete."""
        raise NotImplementedError

    async def _say_nothing(self) -> None:
        """Conclude a cancelled call: HTTP wants some response, and an empty stream holds no message."""
        outlet = self._new_outlet()
        outlet.close()
        await outlet.run()

    def _new_outlet(self) -> Outlet:
        return Outlet(self._http.send, self._limits, abort=self._http.abort, headers=self._headers)

    def _linger(self) -> None:
        """The call lasts: see whether its client does, and break the silence before some middleman hangs up."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limits.ping_s, self.commit)
        self._watcher = loop.create_task(self._watch())
        if self._streamed:
            self.commit()

    async def _watch(self) -> None:
        await self._http.left()
        if self._task is not None:
            self._left()


def _status(reply: Reply) -> int:
    if not isinstance(reply, Failure):
        return 200
    try:
        return STATUS.get(_ERROR.decode(reply.raw).code, 200)
    except msgspec.MsgspecError:
        return 200
