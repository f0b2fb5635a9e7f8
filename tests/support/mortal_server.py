"""A server of the official SDK that writes down all that reaches it, to be killed and started again by a test.

    mortal_server.py http|sse|stdio JOURNAL [PORT]

The journal gets a line for each thing that happens: the number of the process, and what. A number that is in a file
``JOURNAL.extra`` is how many tools more are offered.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import anyio
import mcp.types as types
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("mortal", log_level="WARNING")
journal = Path(sys.argv[2])


def note(what: str) -> None:
    with journal.open("a") as file:
        file.write(f"{os.getpid()} {what}\n")


@server.tool()
async def work(label: str) -> str:
    note(f"work {label}")
    return f"done {os.getpid()}"


@server.tool()
async def slow(label: str) -> str:
    note(f"slow {label}")
    await anyio.sleep(1)
    note(f"slow {label} done")
    return f"done {os.getpid()}"


@server.tool()
async def long(label: str) -> str:
    note(f"long {label}")
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        note(f"long {label} cancelled")
        raise
    return ""


@server.tool()
async def dies(label: str) -> str:
    """Kills the server the first time."""
    note(f"dies {label}")
    if journal.read_text().count(f"dies {label}") == 1:  # noqa: ASYNC240  a test's server, one call at a time
        os.kill(os.getpid(), signal.SIGKILL)
    return f"done {os.getpid()}"


@server.tool()
async def touch(ctx: Context[Any]) -> str:
    await ctx.session.send_resource_updated("note://one")
    return "touched"


async def _subscribe(ctx: Any, params: types.SubscribeRequestParams) -> types.EmptyResult:
    note(f"subscribed {params.uri}")
    return types.EmptyResult()


async def _set_level(ctx: Any, params: types.SetLevelRequestParams) -> types.EmptyResult:
    note(f"level {params.level}")
    return types.EmptyResult()


def main() -> None:
    warnings.simplefilter("ignore")
    note("started")
    lowlevel = server._lowlevel_server
    lowlevel.add_request_handler("resources/subscribe", types.SubscribeRequestParams, _subscribe)
    lowlevel.add_request_handler("logging/setLevel", types.SetLevelRequestParams, _set_level)
    extra = Path(f"{journal}.extra")
    for number in range(int(extra.read_text()) if extra.exists() else 0):
        server.add_tool(work, name=f"extra_{number}")
    match sys.argv[1]:
        case "stdio":
            server.run("stdio")
        case "http":
            server.run("streamable-http", port=int(sys.argv[3]))
        case "sse":
            server.run("sse", port=int(sys.argv[3]))


if __name__ == "__main__":
    main()
