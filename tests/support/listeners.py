"""``subscriptions/listen`` at a scripted server: who listens to what, and the notices that they get."""

from __future__ import annotations

import json
from typing import Any

import anyio

from fuseboard.era import SUBSCRIPTION_KEY
from fuseboard.ports import Reply
from support.fake_server import Asked, FakeServer, result

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


class Listener:
    """One stream. Over a pipe its notices carry its request's id, over HTTP they come on its request's scope too."""

    def __init__(self, asked: Asked, server: FakeServer) -> None:
        self.id = asked.id
        self.wanted: dict[str, Any] = asked.value["notifications"]
        self.meta: dict[str, Any] = asked.value["_meta"]
        self.open = True
        self._over = anyio.Event()
        self._scope = asked.scope
        self._server = server

    def tell(self, method: str, **params: Any) -> None:
        params["_meta"] = {SUBSCRIPTION_KEY: self.id}
        if self._server.scoped:
            self._scope.notify(method, json.dumps(params).encode())
        else:
            self._server.links[-1].tell(method, params)

    def end(self) -> None:
        """The server ends the stream in good order."""
        self._over.set()

    async def last(self) -> None:
        await self._over.wait()


class Listeners:
    """All streams of a server, in order. ``silent``: it acknowledges nothing."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.streams: list[Listener] = []
        self.silent = False
        self.brief = False
        """It ends every stream as soon as it has acknowledged it."""
        self.refuses: Reply | None = None
        self.deaf_to: set[str] = set()
        """URIs and fields of the filter that it does not agree to."""
        server.acts["subscriptions/listen"] = self._act

    @property
    def open(self) -> list[Listener]:
        return [stream for stream in self.streams if stream.open]

    def tell(self, method: str, **params: Any) -> None:
        """Tell everybody who listens."""
        for stream in self.open:
            stream.tell(method, **params)

    async def _act(self, asked: Asked) -> Reply:
        if self.refuses is not None:
            return self.refuses
        stream = Listener(asked, self.server)
        self.streams.append(stream)
        try:
            if not self.silent:
                stream.tell(ACKNOWLEDGED, notifications=self._agreed(stream.wanted))
            if not self.brief:
                await stream.last()
        finally:
            stream.open = False
        return result({"resultType": "complete", "_meta": {SUBSCRIPTION_KEY: stream.id}})

    def _agreed(self, wanted: dict[str, Any]) -> dict[str, Any]:
        agreed = {field: value for field, value in wanted.items() if field not in self.deaf_to}
        if uris := agreed.get("resourceSubscriptions"):
            agreed["resourceSubscriptions"] = [uri for uri in uris if uri not in self.deaf_to]
        return agreed
