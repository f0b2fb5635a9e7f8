"""A mail server that sends nothing anywhere."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer


def server() -> MCPServer:
    """A server whose mail goes nowhere."""
    made = MCPServer("demo-mail", version="1", log_level="WARNING")

    @made.tool()
    def send(to: str, subject: str, text: str) -> str:
        """Send a mail to anybody."""
        return f"sent {subject!r} to {to}"

    return made


if __name__ == "__main__":
    server().run()
