"""From a configured server to a link. A transport's library is loaded when a server first needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.abc

from fuseboard.config import HttpServer, StdioServer
from fuseboard.era import Era
from fuseboard.errors import UpstreamUnreachable
from fuseboard.ports import Inbound, Link
from fuseboard.upstreams.upstream import Connect

if TYPE_CHECKING:
    from fuseboard.adapters.upstream.pool import HttpPool


class Connector:
    """Makes the :class:`fuseboard.upstreams.upstream.Connect` of each server. ``limit_bytes`` bounds one message."""

    def __init__(self, tasks: anyio.abc.TaskGroup, *, limit_bytes: int) -> None:
        self._tasks = tasks
        self._limit_bytes = limit_bytes
        self._pool: HttpPool | None = None

    def to(self, alias: str, server: StdioServer | HttpServer) -> Connect:
        if isinstance(server, StdioServer):
            return lambda era, inbound: self._child(alias, server, inbound)
        if server.type == "sse":
            return lambda era, inbound: self._sse(alias, server, era, inbound)
        return lambda era, inbound: self._http(alias, server, era, inbound)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def _child(self, alias: str, server: StdioServer, inbound: Inbound) -> Link:
        from fuseboard.adapters.upstream.stdio import StdioLink

        return await StdioLink.start(
            alias,
            [server.command, *server.args],
            env={name: secret.reveal() for name, secret in server.env.items()},
            cwd=server.cwd,
            inbound=inbound,
            limit_bytes=self._limit_bytes,
        )

    async def _http(self, alias: str, server: HttpServer, era: Era, inbound: Inbound) -> Link:
        if era is Era.STATELESS:
            from fuseboard.adapters.upstream.http import HttpLink

            return HttpLink(
                name=alias,
                url=server.url,
                headers=_headers(server),
                pool=self._http_pool(),
                limit_bytes=self._limit_bytes,
            )
        from fuseboard.adapters.upstream.session import SessionLink

        return SessionLink(
            name=alias,
            url=server.url,
            headers=_headers(server),
            pool=self._http_pool(),
            inbound=inbound,
            tasks=self._tasks,
            limit_bytes=self._limit_bytes,
        )

    async def _sse(self, alias: str, server: HttpServer, era: Era, inbound: Inbound) -> Link:
        if era is Era.STATELESS:
            raise UpstreamUnreachable(alias, f"{alias} speaks HTTP+SSE, a transport of the handshake revisions only")
        from fuseboard.adapters.upstream.sse import SseLink

        return await SseLink.connect(
            name=alias,
            url=server.url,
            headers=_headers(server),
            pool=self._http_pool(),
            inbound=inbound,
            tasks=self._tasks,
            limit_bytes=self._limit_bytes,
        )

    def _http_pool(self) -> HttpPool:
        if self._pool is None:
            from fuseboard.adapters.upstream.pool import HttpPool

            self._pool = HttpPool()
        return self._pool


def _headers(server: HttpServer) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in server.headers.items()}
