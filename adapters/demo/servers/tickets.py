"""A ticket tracker that is kept in memory. Its schema is strict, as that of a real one: models trip over it."""

from __future__ import annotations

from itertools import count
from typing import Annotated, Literal

from mcp.server.mcpserver import MCPServer
from pydantic import Field

_FIRST = 118

Severity = Annotated[int, Field(ge=1, le=4, description="1 is the worst")]
Service = Literal["billing", "checkout", "search"]


def server() -> MCPServer:
    """An empty tracker."""
    tickets: dict[str, list[str]] = {}
    numbers = count(_FIRST)
    made = MCPServer("demo-tickets", version="1", log_level="WARNING")

    @made.tool()
    def open_ticket(title: str, severity: Severity, service: Service) -> str:
        """Open a ticket. Returns its key."""
        key = f"SHOP-{next(numbers)}"
        tickets[key] = [title]
        return f"opened {key} ({service}, severity {severity})"

    @made.tool()
    def comment(ticket: str, text: str) -> str:
        """Add a comment to a ticket."""
        if ticket not in tickets:
            raise ValueError(f"no such ticket: {ticket}")
        tickets[ticket].append(text)
        return f"{ticket} has {len(tickets[ticket])} entries"

    return made


if __name__ == "__main__":
    server().run()
