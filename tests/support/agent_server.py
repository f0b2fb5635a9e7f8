"""An agent that is called as a tool, by the official SDK as it is: it calls another tool at a given address.

It does nothing about traces. The SDK takes the received one for its own and sends it on.
"""

from __future__ import annotations

import warnings
from typing import Any

from mcp.client.client import Client
from mcp.server.mcpserver import MCPServer

server = MCPServer("agent-server", log_level="ERROR")


@server.tool()
async def ask(board: str, mode: Any, tool: str, arguments: dict[str, Any]) -> str:
    async with Client(board, mode=mode) as client:
        result = await client.call_tool(tool, arguments)
    return "".join(getattr(block, "text", "") for block in result.content)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    server.run("stdio")
