"""The realistic floor: the same checks on uvicorn and aiohttp.

asgi.py --port PORT --url URL --audit FILE
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvicorn
from checks import Checks, denial

FORWARDED = frozenset({b"mcp-session-id", b"mcp-protocol-version", b"mcp-method", b"mcp-name"})


class App:
    def __init__(self, url: str, checks: Checks) -> None:
        self._url, self._checks = url, checks
        self._client: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request = orjson.loads(await read_body(receive))
        headers = {name.decode(): value.decode() for name, value in scope["headers"] if name in FORWARDED}
        session = headers.get("mcp-session-id", "")
        why = self._checks.refuse(session, request)
        status, out, extra = (200, denial(request, why), []) if why else await self._forward(request, headers)
        self._checks.record(session, request, len(out), started, why or "allow")
        length = (b"content-length", b"%d" % len(out))
        kind = (b"content-type", b"application/json")
        await send({"type": "http.response.start", "status": status, "headers": [kind, length, *extra]})
        await send({"type": "http.response.body", "body": out})

    async def _forward(
        self, request: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        if self._client is None:
            self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        headers |= {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        async with self._client.post(self._url, data=orjson.dumps(request), headers=headers) as answer:
            out, status = await answer.read(), answer.status
            session = answer.headers.get("mcp-session-id")
        if out:
            response = orjson.loads(out)
            self._checks.learn(request, response)
            out = orjson.dumps(response)
        return status, out, [(b"mcp-session-id", session.encode())] if session else []


async def read_body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--audit", type=Path, required=True)
    options = parser.parse_args()
    uvicorn.run(
        App(options.url, Checks(options.audit)),
        host="127.0.0.1",
        port=options.port,
        http="httptools",
        loop="uvloop",
        log_level="error",
        access_log=False,
        lifespan="off",
        backlog=4096,
    )


if __name__ == "__main__":
    main()
