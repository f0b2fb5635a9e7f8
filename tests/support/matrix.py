"""Every way through the proxy: what the client speaks, what the server speaks, and the client's era."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters

from support.processes import child, free_port
from support.proxy import serve_command, served

Transport: TypeAlias = Literal["stdio", "http", "sse"]
Mode: TypeAlias = Literal["legacy", "auto"]
"""How the SDK's client opens: ``auto`` is ``server/discover`` first."""

SDK_SERVER = Path(__file__).with_name("sdk_server.py")


@dataclass(frozen=True, slots=True)
class Way:
    front: Transport
    back: Transport
    mode: Mode

    def __str__(self) -> str:
        return f"{self.mode} {self.front}-{self.back}"

    @property
    def modern(self) -> bool:
        """Whether the client speaks the stateless era."""
        return self.mode == "auto"

    @property
    def bridged(self) -> bool:
        """Whether the server does not: HTTP+SSE was gone before that era came."""
        return self.modern and self.back == "sse"


WAYS = [
    Way(front, back, mode)
    for front in ("stdio", "http", "sse")
    for back in ("stdio", "http", "sse")
    for mode in ("legacy", "auto")
    if front != "sse" or mode == "legacy"
]


@asynccontextmanager
async def sdk_server(back: Transport, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The SDK's server over one transport; its section of a configuration."""
    command = [sys.executable, str(SDK_SERVER), back]
    if back == "stdio":
        yield {"command": command[0], "args": command[1:]}
        return
    port = free_port()
    async with child([*command, str(port)], folder / "server.log", port=port):
        yield address(back, f"http://127.0.0.1:{port}")


def address(back: Transport, base: str) -> dict[str, Any]:
    """The section of a configuration for a server at ``base`` (``/mcp``, ``/sse``)."""
    return {"url": f"{base}/{'sse' if back == 'sse' else 'mcp'}", "type": back}


def program(command: Sequence[str]) -> dict[str, Any]:
    """The section of a configuration for a server that is started by ``command``."""
    return {"command": command[0], "args": list(command[1:])}


@asynccontextmanager
async def through(
    way: Way, servers: Mapping[str, Any], folder: Path, *, config: Mapping[str, Any] | None = None, **client: Any
) -> AsyncIterator[Client]:
    """The SDK's client, connected to the proxy in front of ``servers``. ``client``: its callbacks and the like."""
    whole = {"servers": dict(servers), **(config or {})}
    if way.front == "stdio":
        program, *arguments = serve_command(whole, folder)
        parameters = StdioServerParameters(command=program, args=arguments)
        async with Client(parameters, mode=way.mode, **client) as connected:
            yield connected
        return
    async with served(whole, folder) as proxy:
        server: Any = proxy.url if way.front == "http" else sse_client(proxy.sse_url)
        async with Client(server, mode=way.mode, **client) as connected:
            yield connected
