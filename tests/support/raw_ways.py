"""The raw client before the proxy and the raw upstream behind it, over each pairing of transports, in each era."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.frame_log import FrameLog
from support.matrix import Transport, address, program
from support.proxy import Proxy, serve_command, served
from support.raw_client import HANDSHAKE, MODERN, RawClient
from support.raw_transports import http_sse, pipe, streamable
from support.servers import raw_command, raw_http


@dataclass(frozen=True, slots=True)
class RawWay:
    front: Transport
    back: Transport
    era: str
    answer: str = "sse"
    """How the upstream answers over HTTP."""

    def __str__(self) -> str:
        return f"{self.era} {self.front}-{self.back}{'-json' if self.answer == 'json' else ''}"

    @property
    def modern(self) -> bool:
        return self.era == MODERN


RAW_WAYS = [
    RawWay(front, back, era)
    for front in ("stdio", "http", "sse")
    for back in ("stdio", "http", "sse")
    for era in (HANDSHAKE, MODERN)
    if era == HANDSHAKE or "sse" not in (front, back)
] + [RawWay("http", "http", era, "json") for era in (HANDSHAKE, MODERN)]


@asynccontextmanager
async def raw_upstream(back: Transport, log: FrameLog, *options: str) -> AsyncIterator[dict[str, Any]]:
    """The section of a configuration for a raw upstream that runs, or is started by the proxy."""
    if back == "stdio":
        yield program(raw_command(log, *options))
        return
    async with raw_http(log, *options) as base:
        yield address(back, base)


@asynccontextmanager
async def raw_client(
    front: Transport, config: Mapping[str, Any] | str, folder: Path, *, era: str = HANDSHAKE, **client: Any
) -> AsyncIterator[RawClient]:
    """A raw client before a proxy of its own. ``client``: ``capabilities``, ``open_session``."""
    if front == "stdio":
        async with pipe(serve_command(config, folder), folder / "proxy.log", era=era, cwd=folder, **client) as piped:
            yield piped
        return
    async with served(config, folder) as proxy, meeting(proxy, front, era=era, **client) as met:
        yield met


@asynccontextmanager
async def meeting(proxy: Proxy, front: Transport, *, era: str = HANDSHAKE, **client: Any) -> AsyncIterator[RawClient]:
    """One more raw client at a proxy that serves HTTP."""
    if front == "sse":
        async with http_sse(proxy.sse_url, **client) as old:
            yield old
        return
    async with streamable(proxy.url, era=era, **client) as http:
        yield http


@asynccontextmanager
async def raw_pair(
    way: RawWay, folder: Path, *options: str, config: Mapping[str, Any] | None = None, **client: Any
) -> AsyncIterator[tuple[RawClient, FrameLog]]:
    """Client and upstream with the proxy between them. ``options`` are the upstream's, ``config`` the rest of ours."""
    log = FrameLog(folder / "frames.jsonl")
    async with raw_upstream(way.back, log, "--answer", way.answer, *options) as server:
        whole = {**(config or {}), "servers": {"raw": server}}
        async with raw_client(way.front, whole, folder, era=way.era, **client) as met:
            yield met, log
