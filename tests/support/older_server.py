"""The SDK's server as if it had never heard of 2026-07-28: ``older_server.py stdio|http|sse [PORT]``."""

from __future__ import annotations

import asyncio
from typing import Any

import mcp.types as types
import sdk_server
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError

OLDER = "2025-11-25"


async def only_older(context: Any, call_next: Any) -> Any:
    if context.protocol_version > OLDER:
        raise MCPError(types.METHOD_NOT_FOUND, f"Method not found: {context.method}")
    return await call_next(context)


@sdk_server.server.tool()
async def who(ctx: Context[Any]) -> dict[str, Any]:
    """What this session's client said of itself."""
    params = ctx.session.client_params
    assert params is not None
    return {"name": params.client_info.name, "capabilities": params.capabilities.model_dump(exclude_none=True)}


@sdk_server.server.tool()
async def ask_twice(ctx: Context[Any]) -> str:
    """Asks two questions, the second while the first is open."""
    said = await asyncio.gather(*(ctx.elicit(words, sdk_server.Name) for words in ("First?", "Second?")))
    return " and ".join(one.data.name if one.action == "accept" else one.action for one in said)


@sdk_server.server.tool()
async def chatter(ctx: Context[Any]) -> str:
    for level in ("debug", "info", "error"):
        await ctx.log(level, level)
    return "said"


def main() -> None:
    sdk_server.server._lowlevel_server.middleware.append(only_older)
    sdk_server.main()


if __name__ == "__main__":
    main()
