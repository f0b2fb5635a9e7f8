"""The SDK's server as one that speaks 2026-07-28 alone: ``newer_server.py stdio|http [PORT]``."""

from __future__ import annotations

from typing import Any

import mcp.types as types
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from sdk_server import main, server

UNSUPPORTED_VERSION = -32022


async def shake_no_hands(ctx: Any, call_next: Any) -> Any:
    if ctx.method == "initialize":
        raise MCPError(
            UNSUPPORTED_VERSION, "no handshake here", {"supported": ["2026-07-28"], "requested": "2025-11-25"}
        )
    return await call_next(ctx)


@server.tool()
async def sign_in(ctx: Context[Any]) -> str | types.InputRequiredResult:
    """Sends the user to an address and looks whether they said yes."""
    answer = (ctx.input_responses or {}).get("consent")
    if isinstance(answer, types.ElicitResult):
        return f"{answer.action} {ctx.request_state}"
    where = types.ElicitRequestURLParams(message="Sign in", url="https://example.com/sign-in", elicitation_id="unused")
    return types.InputRequiredResult(
        input_requests={"consent": types.ElicitRequest(params=where)}, request_state="at-the-door"
    )


@server.tool()
async def tally() -> types.CallToolResult:
    """Its structured value is no object, as only this revision allows."""
    return types.CallToolResult(content=[types.TextContent(type="text", text="1, 2")], structured_content=[1, 2])


server.middleware.append(shake_no_hands)

if __name__ == "__main__":
    main()
