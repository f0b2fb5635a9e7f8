"""Streamable HTTP of the stateless revision (2026-07-28): each POST stands alone, and leaving means cancelling."""

from __future__ import annotations

import msgspec

from fuseboard.adapters.downstream import ladder
from fuseboard.adapters.downstream.asgi import Incoming, Refusal, accepts, empty, refuse
from fuseboard.adapters.downstream.call import Call
from fuseboard.adapters.downstream.ladder import METHOD, NAME, PARAM_PREFIX, STATUS, VERSION, Rejection, Routing
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.downstream.streams import event
from fuseboard.era import SUBSCRIPTION_KEY
from fuseboard.errors import INTERNAL_ERROR, INVALID_REQUEST, ProtocolFault
from fuseboard.ports import Gateway, Notification, Origin, Reply, Request, Result
from fuseboard.wire import frames

_LISTEN = "subscriptions/listen"
_SUBSCRIPTION = SUBSCRIPTION_KEY.encode()
_NEITHER = Refusal(406, "Accept must list both application/json and text/event-stream")
_RESPONSE = Refusal(400, "a response answers nothing here: this revision asks its clients nothing")


class StatelessCall(Call):
    """A call without a session: its stream has no ids, cannot be resumed, and ends with its connection."""

    statuses = True
    listens = False

    async def request(self, method: str, params: bytes | None) -> Reply:
        return frames.failure(INVALID_REQUEST, f"{method}: in 2026-07-28 a server asks by its result, not by a request")

    def _emit(self, frame: bytes) -> None:
        self.commit()
        assert self._outlet is not None
        self._outlet.put(event(frame))

    def _end(self, frame: bytes | None) -> None:
        assert self._outlet is not None
        if frame is not None:
            self._outlet.put(event(frame))
        self._outlet.close()

    def _left(self) -> None:
        if self._outlet is not None:
            self._outlet.close()
        self.stop()


class Stateless:
    """The endpoint. It keeps nothing but what is under way."""

    def __init__(self, gateway: Gateway, limits: Limits) -> None:
        self._gateway = gateway
        self._limits = limits
        self._calls: set[StatelessCall] = set()

    async def post(self, http: Incoming) -> None:
        if accepts(http.head.get(b"accept")) != (True, True):
            return await refuse(http.send, _NEITHER)
        body = await http.body(self._limits.body_bytes)
        if body is None:
            return None
        if isinstance(body, Refusal):
            return await refuse(http.send, body)
        try:
            frame = frames.decode(body, depth=self._limits.depth)
        except ProtocolFault as fault:
            return await _reject(http, Rejection(fault.code, fault.message), fault.id)
        if isinstance(frame, Request):
            return await self._answer(http, frame)
        if isinstance(frame, Notification):
            return await self._acknowledge(http)
        return await refuse(http.send, _RESPONSE)

    def quiet(self) -> None:
        """End the subscriptions, which would go on for ever."""
        for call in list(self._calls):
            if call.listens and call.request_id is not None:
                # 2026-07-28, subscriptions: the answer says that the server has ended it in order.
                call.stop(Result(b'{"resultType":"complete","_meta":{"%b":%b}}' % (_SUBSCRIPTION, call.request_id)))

    def close(self) -> None:
        """Stop what is under way."""
        for call in list(self._calls):
            call.stop(frames.failure(INTERNAL_ERROR, "the proxy is stopping"))

    async def _answer(self, http: Incoming, request: Request) -> None:
        routing = Routing(http.head.text(VERSION), http.head.text(METHOD), http.head.text(NAME))
        rejection = ladder.repeated(http.head.repeated) or ladder.judge(request, routing)
        if rejection is not None:
            return await _reject(http, rejection, request.id)
        if request.method == "tools/call":
            request = msgspec.structs.replace(request, headers=http.head.starting(PARAM_PREFIX), over_http=True)
        if http.beside is not None:
            request = msgspec.structs.replace(request, beside=http.beside)
        origin = Origin(http.caller.principal, "http", http.caller.roles)
        call = StatelessCall(http, request.id, self._limits)
        if request.method == _LISTEN:
            call.listens = True
            call.stream()
        self._calls.add(call)
        try:
            reply = await call.run(self._gateway.stateless(origin), request)
        finally:
            self._calls.discard(call)
        return await call.conclude(reply)

    async def _acknowledge(self, http: Incoming) -> None:
        """The revision has no notifications from clients; those that come are taken and mean nothing."""
        rejection = ladder.unsupported(http.head.text(VERSION) or "")
        if rejection is not None:
            return await _reject(http, rejection, None)
        return await empty(http.send, 202)


async def _reject(http: Incoming, rejection: Rejection, id: bytes | None) -> None:
    refusal = Refusal(STATUS.get(rejection.code, 400), rejection.message, rejection.code)
    await refuse(http.send, refusal, id=id, data=rejection.data)
