"""All child processes of one proxy: guarded while they run, ended side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from fuseboard.adapters.upstream.guardian import Guardian
from fuseboard.era import Era
from fuseboard.errors import UpstreamUnreachable
from fuseboard.ports import Inbound, Link
from fuseboard.upstreams.upstream import Connect

if TYPE_CHECKING:
    from fuseboard.adapters.upstream.stdio import StdioLink


class Children:
    """Belongs to whoever makes the upstreams, and outlives them."""

    def __init__(self) -> None:
        self._guardian = Guardian()
        self._links: list[StdioLink] = []
        self._closing = False

    def guarded(self, alias: str, connect: Connect) -> Connect:
        """``connect``, which makes links to child processes, such that none of them outlives the proxy."""

        async def connected(era: Era, inbound: Inbound) -> Link:
            from fuseboard.adapters.upstream.stdio import StdioLink

            if self._closing:
                raise UpstreamUnreachable(alias, "the proxy is stopping")
            link = await connect(era, inbound)
            assert isinstance(link, StdioLink)
            link.guarded_by(self._guardian)
            self._links = [*(one for one in self._links if one.runs), link]
            return link

        return connected

    async def close(self) -> None:
        """End them, all at the same time. No more are started."""
        self._closing = True
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for link in self._links:
                    tasks.start_soon(link.close)
        self._guardian.close()

    def kill(self) -> None:
        """SIGKILL to each and to what it started, now."""
        self._guardian.kill()
