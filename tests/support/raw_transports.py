"""The raw client over each transport, each opening its session (handshake eras) unless told ``open_session=False``.

async with pipe(command, log) as client:                     stdio
async with streamable(url, era=MODERN) as client:            Streamable HTTP
async with http_sse(url) as client:                          HTTP+SSE
    frame = await client.ask("tools/call", {"name": "echo", "arguments": {}})
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream
from yarl import URL

from support.processes import Child, child
from support.raw_client import HANDSHAKE, LIMIT_S, MODERN, Ask, RawClient

FRAME_LIMIT_BYTES: Final = 200_000_000
_PATIENT: Final = aiohttp.ClientTimeout(total=None)


class PipeClient(RawClient):
    def __init__(self, child: Child, era: str, capabilities: Mapping[str, Any] | None) -> None:
        super().__init__(era, capabilities)
        self.child = child

    async def send(self, frame: bytes) -> None:
        await self.send_bytes(frame + b"\n")

    async def send_bytes(self, data: bytes) -> None:
        """Any bytes: half a frame, two frames, no frame."""
        assert self.child.process.stdin is not None
        await self.child.process.stdin.send(data)

    async def close_stdin(self) -> None:
        assert self.child.process.stdin is not None
        await self.child.process.stdin.aclose()

    async def read(self) -> None:
        assert self.child.process.stdout is not None
        lines = BufferedByteReceiveStream(self.child.process.stdout)
        try:
            while True:
                self.take(await lines.receive_until(b"\n", FRAME_LIMIT_BYTES))
        except (anyio.IncompleteRead, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self.lost()


class HttpClient(RawClient):
    """Streamable HTTP. ``headers`` are changed at will by tests; ``responses`` are the HTTP statuses and headers."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        tasks: anyio.abc.TaskGroup,
        era: str,
        capabilities: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(era, capabilities)
        self.url, self.http, self._tasks = url, session, tasks
        self.headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        self.responses: list[tuple[int, Mapping[str, str]]] = []
        if era == MODERN:
            self.headers["mcp-protocol-version"] = MODERN

    async def send(self, frame: bytes) -> None:
        await self._post(frame, {})

    async def send_request(self, ask: Ask, frame: bytes, headers: Mapping[str, str]) -> None:
        async def exchange() -> None:
            with ask.scope:
                await self._post(frame, headers if self.era == MODERN else {})
            ask.settle(None)

        self._tasks.start_soon(exchange)

    async def _post(self, frame: bytes, headers: Mapping[str, str]) -> None:
        async with self.http.post(self.url, data=_body(frame), headers={**self.headers, **headers}) as response:
            self.responses.append((response.status, response.headers))
            if "mcp-session-id" in response.headers:
                self.headers["mcp-session-id"] = response.headers["mcp-session-id"]
            if response.content_type == "text/event-stream":
                await self._read_events(response)
            elif body := await response.read():
                self.take(body)

    async def _read_events(self, response: aiohttp.ClientResponse) -> None:
        async for name, data in events(response):
            if name == "message" and data:
                self.take(data)

    async def cancel(self, ask: Ask) -> None:
        if self.era == MODERN:
            ask.scope.cancel()
        else:
            await super().cancel(ask)

    async def listen(self) -> None:
        """Open the GET stream of the handshake era; what comes on it is among :meth:`next`."""
        started = anyio.Event()

        async def read() -> None:
            async with self.http.get(self.url, headers=self.headers) as response:
                self.responses.append((response.status, response.headers))
                started.set()
                if response.status == 200:
                    await self._read_events(response)

        self._tasks.start_soon(read)
        with anyio.fail_after(LIMIT_S):
            await started.wait()

    async def end_session(self) -> int:
        """DELETE; returns the HTTP status."""
        async with self.http.delete(self.url, headers=self.headers) as response:
            return response.status

    async def open_session(self) -> dict[str, Any]:
        result = await super().open_session()
        if self.era != MODERN:
            self.headers["mcp-protocol-version"] = result["protocolVersion"]
        return result


class SseClient(HttpClient):
    """HTTP+SSE: answers come on the stream, whatever is posted."""

    async def read(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with self.http.get(self.url, headers={"accept": "text/event-stream"}) as response:
            assert response.status == 200, response.status
            async for name, data in events(response):
                if name == "endpoint":
                    self.url = str(response.url.join(URL(data.decode(), encoded=True)))
                    task_status.started()
                elif data:
                    self.take(data)
        self.lost()

    async def send_request(self, ask: Ask, frame: bytes, headers: Mapping[str, str]) -> None:
        await self._post(frame, {})

    async def _post(self, frame: bytes, headers: Mapping[str, str]) -> None:
        async with self.http.post(
            self.url, data=_body(frame), headers={"content-type": "application/json"}
        ) as response:
            self.responses.append((response.status, response.headers))


def _body(frame: bytes) -> bytes | io.BytesIO:
    """aiohttp warns of a large body that comes as bytes."""
    return frame if len(frame) < 1_000_000 else io.BytesIO(frame)


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, bytes]]:
    """The events of a stream: name and data."""
    name, data, rest = "message", b"", b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in (line.removesuffix(b"\r") for line in lines):
            field, _, value = line.partition(b":")
            if not line:
                yield name, data
                name, data = "message", b""
            elif field == b"event":
                name = value.strip().decode()
            elif field == b"data":
                data += value.removeprefix(b" ")


@asynccontextmanager
async def pipe(
    command: Sequence[str],
    log: Path,
    *,
    era: str = HANDSHAKE,
    capabilities: Mapping[str, Any] | None = None,
    open_session: bool = True,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> AsyncIterator[PipeClient]:
    """Start ``command`` and talk to it over its pipes; its stderr goes to ``log``."""
    async with child(command, log, piped=True, env=env, cwd=cwd) as started, anyio.create_task_group() as tasks:
        client = PipeClient(started, era, capabilities)
        tasks.start_soon(client.read)
        try:
            if open_session:
                await client.open_session()
            yield client
        finally:
            tasks.cancel_scope.cancel()
            client.close()


@asynccontextmanager
async def streamable(
    url: str,
    *,
    era: str = HANDSHAKE,
    capabilities: Mapping[str, Any] | None = None,
    open_session: bool = True,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[HttpClient]:
    async with aiohttp.ClientSession(timeout=_PATIENT) as session, anyio.create_task_group() as tasks:
        client = HttpClient(url, session, tasks, era, capabilities)
        client.headers.update(headers or {})
        try:
            if open_session:
                await client.open_session()
            yield client
        finally:
            tasks.cancel_scope.cancel()
            client.close()


@asynccontextmanager
async def http_sse(
    url: str, *, capabilities: Mapping[str, Any] | None = None, open_session: bool = True
) -> AsyncIterator[SseClient]:
    async with aiohttp.ClientSession(timeout=_PATIENT) as session, anyio.create_task_group() as tasks:
        client = SseClient(url, session, tasks, "2024-11-05", capabilities)
        await tasks.start(client.read)
        try:
            if open_session:
                await client.open_session()
            yield client
        finally:
            tasks.cancel_scope.cancel()
            client.close()
