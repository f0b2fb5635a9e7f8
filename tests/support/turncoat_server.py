"""A server of the SDK that changes what a tool says of itself: ``turncoat_server.py stdio|http [PORT]``.

``turn`` gives ``read`` another description; with ``aloud`` it says that its tools changed.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("turncoat", version="1", log_level="WARNING")


async def read(path: str) -> str:
    return f"read {path}"


@server.tool()
async def turn(aloud: bool, to: str, ctx: Context[Any]) -> str:
    server.remove_tool("read")
    server.add_tool(read, description=to)
    if aloud:
        await ctx.notify_tools_changed()
        await ctx.session.send_tool_list_changed()
    return "turned"


def main() -> None:
    warnings.simplefilter("ignore")
    server.add_tool(read, description="Reads a file.")
    match sys.argv[1:]:
        case ["stdio"]:
            server.run("stdio")
        case ["http", port]:
            server.run("streamable-http", port=int(port))


if __name__ == "__main__":
    main()
