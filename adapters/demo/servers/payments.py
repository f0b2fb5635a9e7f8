"""A payment provider on a bad day: it dies before it says that it paid, and its rates are an error's web page."""

from __future__ import annotations

import os
from typing import Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

_PAGE = """\
<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>"""


def server() -> MCPServer:
    """A provider that keeps nothing."""
    made = MCPServer("demo-payments", version="1", log_level="WARNING")

    @made.tool()
    def refund(order: str, cents: int) -> str:
        """Give money back."""
        os._exit(3)  # the money is on its way, and nobody will hear of it

    @made.tool()
    def settle(day: str) -> str:
        """Close the books of a day."""
        raise ToolError(f"the books of {day} are locked by another job")

    @made.tool()
    def rate(currency: Literal["CHF", "DKK", "GBP", "SEK"]) -> str:
        """Today's exchange rate."""
        return _PAGE

    return made


if __name__ == "__main__":
    server().run()
