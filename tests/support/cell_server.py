"""The SDK's server, of one era alone or of both: ``cell_server.py handshake|stateless|both stdio|http|sse [PORT]``.

It has what ``sdk_server`` has, and besides it asks for a visit to a URL, takes subscriptions, and announces changes.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import mcp.types as types
from mcp.server.lowlevel import NotificationOptions
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from sdk_server import server

STATELESS = "2026-07-28"
VERSION = "io.modelcontextprotocol/protocolVersion"
NOTE = "note://one"
VISIT = "https://example.com/visit"

levels: list[str] = []
"""What was asked for by ``logging/setLevel``, in order."""

subscribed: list[str] = []


class OneEra:
    """A middleware that refuses the other era as a server refuses it that has never heard of it."""

    def __init__(self, era: str) -> None:
        self._era = era

    async def __call__(self, ctx: Any, call_next: Any) -> Any:
        modern = ctx.method == "server/discover" or VERSION in ((ctx.params or {}).get("_meta") or {})
        if self._era == "handshake" and modern:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found")
        if self._era == "stateless" and ctx.method == "initialize":
            raise MCPError(-32022, "Unsupported protocol version", {"supported": [STATELESS]})
        return await call_next(ctx)


async def _set_level(ctx: Any, params: types.SetLevelRequestParams) -> types.EmptyResult:
    levels.append(params.level)
    return types.EmptyResult()


async def _subscribe(ctx: Any, params: types.SubscribeRequestParams) -> types.EmptyResult:
    subscribed.append(str(params.uri))
    return types.EmptyResult()


async def _unsubscribe(ctx: Any, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
    subscribed.remove(str(params.uri))
    return types.EmptyResult()


@server.tool()
async def level() -> list[str]:
    """The log levels that were set."""
    return levels


@server.tool()
async def subscriptions() -> list[str]:
    """The resources that are subscribed to in the way of the handshake era."""
    return subscribed


@server.tool()
async def announce(ctx: Context[Any]) -> str:
    """Says that everything has changed, in the way of the era."""
    await ctx.notify_tools_changed()
    await ctx.notify_prompts_changed()
    await ctx.notify_resources_changed()
    if ctx.protocol_version != STATELESS:
        await ctx.session.send_tool_list_changed()
        await ctx.session.send_prompt_list_changed()
        await ctx.session.send_resource_list_changed()
    return "announced"


@server.tool()
async def rewrite_note(ctx: Context[Any]) -> str:
    """Says that one resource has changed, to those who wait for that."""
    await ctx.notify_resource_updated(NOTE)
    if NOTE in subscribed:
        await ctx.session.send_resource_updated(NOTE)
    return "rewritten"


@server.tool()
async def visit(ctx: Context[Any]) -> types.CallToolResult | types.InputRequiredResult:
    """Sends the user to a page, in the way of the era."""
    if ctx.protocol_version != STATELESS:
        answer = await ctx.elicit_url("Please visit", VISIT, "visit-1")
        return _said(answer.action)
    responses = ctx.input_responses
    if not responses:
        params = types.ElicitRequestURLParams(mode="url", message="Please visit", url=VISIT, elicitation_id="visit-1")
        question = types.ElicitRequest(method="elicitation/create", params=params)
        return types.InputRequiredResult(input_requests={"visit": question}, request_state="visit")
    (response,) = responses.values()
    return _said(getattr(response, "action", "?"))


def _said(words: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=words)])


def main() -> None:
    warnings.simplefilter("ignore")
    era, transport, *port = sys.argv[1:]
    lowlevel = server._lowlevel_server
    lowlevel.middleware.append(OneEra(era))
    lowlevel.add_request_handler("logging/setLevel", types.SetLevelRequestParams, _set_level)
    lowlevel.add_request_handler("resources/subscribe", types.SubscribeRequestParams, _subscribe)
    lowlevel.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, _unsubscribe)
    changing = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
    options = lowlevel.create_initialization_options(changing)
    lowlevel.create_initialization_options = lambda *_, **__: options
    match transport:
        case "stdio":
            server.run("stdio")
        case "http":
            server.run("streamable-http", port=int(port[0]))
        case "sse":
            server.run("sse", port=int(port[0]))


if __name__ == "__main__":
    main()
