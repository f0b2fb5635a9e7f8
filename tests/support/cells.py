"""The four cells: a client of one era before a server of one era, for each feature, over several transports."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import anyio
import mcp.types as types
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters

from support.matrix import Transport, address, program
from support.processes import child, free_port
from support.proxy import serve_command, served
from support.sdk_client import Ears

FEATURE_LIMIT_S: Final = 15
STATELESS: Final = "2026-07-28"
SERVER: Final = Path(__file__).with_name("cell_server.py")

EraName: TypeAlias = Literal["handshake", "stateless"]


@dataclass(frozen=True, slots=True)
class Cell:
    """The client's era and the server's, and the transports before and behind the proxy."""

    name: Literal["LL", "MM", "ML", "LM"]
    front: Transport
    back: Transport

    def __str__(self) -> str:
        return f"{self.name}-{self.front}-{self.back}"

    @property
    def client(self) -> EraName:
        return "stateless" if self.name[0] == "M" else "handshake"

    @property
    def server(self) -> EraName:
        return "stateless" if self.name[1] == "M" else "handshake"


CELLS: Final = (
    Cell("LL", "stdio", "stdio"),
    Cell("LL", "http", "http"),
    Cell("LL", "sse", "sse"),
    Cell("MM", "stdio", "http"),
    Cell("MM", "http", "stdio"),
    Cell("MM", "http", "http"),
    Cell("ML", "stdio", "stdio"),
    Cell("ML", "http", "http"),
    Cell("ML", "http", "sse"),
    Cell("LM", "stdio", "stdio"),
    Cell("LM", "http", "http"),
    Cell("LM", "sse", "http"),
)
"""Each transport on either side of each cell, wherever it has the era. HTTP+SSE was gone before the stateless one."""


class Guest:
    """A client in a cell: the SDK's, and what it heard and was asked."""

    def __init__(self, client: Client, ears: Ears, cell: Cell) -> None:
        self.c = client
        self.ears = ears
        self.cell = cell

    @property
    def modern(self) -> bool:
        return self.cell.client == "stateless"


Feature: TypeAlias = Callable[[Guest], Awaitable[None]]


@asynccontextmanager
async def guest(cell: Cell, folder: Path) -> AsyncIterator[Guest]:
    """A client in front of a proxy in front of a server, as the cell wants them."""
    ears = CellEars()
    mode = STATELESS if cell.client == "stateless" else "legacy"
    async with (
        _server(cell, folder) as server,
        _door(cell, {"servers": {"sdk": server}}, folder) as door,
        Client(door, mode=mode, **ears.callbacks) as client,
    ):
        yield Guest(client, ears, cell)


async def outcomes(cell: Cell, features: dict[str, Feature], folder: Path) -> dict[str, str | None]:
    """What became of each feature in that cell: ``None`` where it works, else the traceback."""
    found: dict[str, str | None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        async with guest(cell, folder) as met:
            for name, feature in features.items():
                found[name] = await _outcome(met, feature)
    return found


async def _outcome(met: Guest, feature: Feature) -> str | None:
    try:
        with anyio.fail_after(FEATURE_LIMIT_S):
            await feature(met)
    except Exception:
        return traceback.format_exc()
    return None


class Steps:
    """A progress callback. The SDK's client runs each call of it in a task, some of them after the result is there."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, float | None, str | None]] = []

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.taken.append((progress, total, message))

    async def all(self, count: int) -> list[tuple[float, float | None, str | None]]:
        while len(self.taken) < count:  # noqa: ASYNC110
            await anyio.sleep(0.01)
        return sorted(self.taken)


class CellEars(Ears):
    """Ears that visit the pages that they are sent to."""

    @property
    def callbacks(self) -> dict[str, Any]:
        form = super().callbacks["elicitation_callback"]

        async def elicit(context: Any, params: Any) -> types.ElicitResult:
            if isinstance(params, types.ElicitRequestURLParams):
                return types.ElicitResult(action="accept")
            answer: types.ElicitResult = await form(context, params)
            return answer

        return {**super().callbacks, "elicitation_callback": elicit}


@asynccontextmanager
async def _server(cell: Cell, folder: Path) -> AsyncIterator[dict[str, Any]]:
    command = [sys.executable, str(SERVER), cell.server, cell.back]
    if cell.back == "stdio":
        yield program(command)
        return
    port = free_port()
    async with child([*command, str(port)], folder / "server.log", port=port):
        yield address(cell.back, f"http://127.0.0.1:{port}")


@asynccontextmanager
async def _door(cell: Cell, config: dict[str, Any], folder: Path) -> AsyncIterator[Any]:
    if cell.front == "stdio":
        name, *arguments = serve_command(config, folder)
        yield StdioServerParameters(command=name, args=arguments)
        return
    async with served(config, folder) as proxy:
        yield proxy.url if cell.front == "http" else sse_client(proxy.sse_url)
