"""A server of the official SDK, to be run as a program: ``sdk_upstream.py http|sse PORT``."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventMessage, EventStore
from pydantic import BaseModel

server = MCPServer("sdk-upstream")
given_up: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)


class Name(BaseModel):
    name: str


class Events(EventStore):
    """Event ids are ``<stream>/<n>``."""

    def __init__(self) -> None:
        self._streams: dict[str, list[Any]] = {}

    async def store_event(self, stream_id: str, message: Any) -> str:
        stream = self._streams.setdefault(stream_id, [])
        stream.append(message)
        return f"{stream_id}/{len(stream)}"

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        stream_id, _, n = last_event_id.rpartition("/")
        for number, message in enumerate(self._streams.get(stream_id, [])[int(n) :], int(n) + 1):
            if message is not None:
                await send_callback(EventMessage(message, f"{stream_id}/{number}"))
        return stream_id


@server.tool()
async def echo(text: str) -> str:
    return text


@server.tool()
async def greet(ctx: Context[Any]) -> str:
    """Asks the client for a name in the middle of the call."""
    answer = await ctx.elicit("Who is there?", Name)
    return f"Hello {answer.data.name}" if answer.action == "accept" else "Hello nobody"


@server.tool()
async def count(ctx: Context[Any]) -> str:
    for step in range(3):
        await ctx.report_progress(step, 3)
    return "counted"


@server.tool()
async def hang(label: str, ctx: Context[Any]) -> None:
    """Says that it has begun, and then does nothing until it is cancelled."""
    try:
        await ctx.report_progress(1, 2)
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        given_up[label].set()
        raise


@server.tool()
async def cancelled(label: str) -> str:
    """Waits until the call of ``hang`` with that label has been cancelled."""
    await given_up[label].wait()
    return "it was"


@server.tool()
async def break_off(ctx: Context[Any]) -> str:
    """Ends its own stream and answers on the one that the client opens next."""
    await ctx.close_sse_stream()
    return "answered after the break"


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    app = server.sse_app() if kind == "sse" else server.streamable_http_app(event_store=Events(), retry_interval=50)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
