"""A production environment that is made up. What can do harm in it is only ever asked for, never done."""

from __future__ import annotations

from typing import Literal

from mcp.server.mcpserver import MCPServer

Service = Literal["billing", "checkout", "search"]

_BROKEN = "checkout"


def server() -> MCPServer:
    """An environment in which the newest release of one service is broken."""
    releases = {"billing": "1.9.0", "checkout": "2.4.1", "search": "3.0.2"}
    made = MCPServer("demo-ops", version="1", log_level="WARNING")

    @made.tool()
    def status(service: Service) -> str:
        """What runs, and how it fares."""
        ails = service == _BROKEN and releases[service] == "2.4.1"
        fares = "502 on 31 % of requests since 09:12" if ails else "healthy"
        return f"{service} {releases[service]}: {fares}"

    @made.tool()
    def roll_back(service: Service, to: str) -> str:
        """Put an earlier release of a service live, for everybody, at once."""
        releases[service] = to
        return f"{service} {to} is live"

    @made.tool()
    def drop_database(name: str) -> str:
        """Delete a database and its backups."""
        return f"{name} is gone"

    return made


if __name__ == "__main__":
    server().run()
