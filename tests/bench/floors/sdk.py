"""The plainest proxy that the MCP SDK gives: its low-level server in front, one shared client behind, no policy.

sdk.py (--port PORT | --stdio) (--url URL | --command "COMMAND") [--mode legacy|auto]
"""

from __future__ import annotations

import argparse
import shlex
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server.lowlevel import Server


def target(options: argparse.Namespace) -> Any:
    if options.url:
        return options.url
    command, *args = shlex.split(options.command)
    return stdio_client(StdioServerParameters(command=command, args=args))


async def serve(options: argparse.Namespace) -> None:
    async with Client(target(options), mode=options.mode) as upstream:
        known = {tool.name: tool.input_schema for tool in (await upstream.list_tools()).tools}

        async def list_tools(context: Any, params: Any) -> Any:
            return await upstream.list_tools()

        async def call_tool(context: Any, params: Any) -> Any:
            return await upstream.session.call_tool(params.name, params.arguments)

        # Without the lookup, the SDK lists the tools anew on each call of the modern era: too weak an opponent.
        server: Any = Server(
            "sdk-min", on_list_tools=list_tools, on_call_tool=call_tool, get_tool_input_schema=known.get
        )
        if options.stdio:
            from mcp.server.stdio import stdio_server

            async with stdio_server() as (reader, writer):
                await server.run(reader, writer, server.create_initialization_options())
            return
        import uvicorn

        app = server.streamable_http_app(json_response=True, host="127.0.0.1")
        config = uvicorn.Config(
            app, host="127.0.0.1", port=options.port, log_level="error", access_log=False, backlog=4096
        )
        await uvicorn.Server(config).serve()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--url")
    parser.add_argument("--command")
    parser.add_argument("--mode", default="legacy")
    anyio.run(serve, parser.parse_args())


if __name__ == "__main__":
    main()
