"""A server of the official SDK that offers a little of everything: ``sdk_server.py stdio|http|sse [PORT]``."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import anyio
import mcp.types as types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from pydantic import BaseModel, Field

server = MCPServer("sdk-server", instructions="Say hello first.", version="1.2.3", log_level="WARNING")
given_up: list[str] = []


class Name(BaseModel):
    name: str


class Sum(BaseModel):
    sum: int


@server.tool(annotations=types.ToolAnnotations(read_only_hint=True), title="Echo")
async def echo(text: str) -> str:
    """Says it again."""
    return text


@server.tool()
async def add(a: int, b: Annotated[int, Field(ge=0)]) -> Sum:
    return Sum(sum=a + b)


@server.tool()
async def fail() -> str:
    raise ToolError("no such order")


@server.tool()
async def count(to: int, ctx: Context[Any]) -> str:
    for step in range(to):
        await ctx.report_progress(step + 1, to, f"step {step + 1}")
    return "counted"


@server.tool()
async def log(words: str, ctx: Context[Any]) -> str:
    await ctx.info(words)
    return "logged"


@server.tool()
async def hang(label: str, ctx: Context[Any]) -> str:
    """Says that it has begun, and then does nothing until it is cancelled."""
    try:
        await ctx.report_progress(1, 2)
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        given_up.append(label)
        raise


@server.tool()
async def cancelled() -> list[str]:
    """The labels of the calls of ``hang`` that were given up."""
    return given_up


async def ask_name() -> Elicit[Name]:
    return Elicit("Who is there?", Name)


async def ask_model() -> Sample:
    question = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="2+2?"))
    return Sample([question], max_tokens=10)


async def ask_roots() -> ListRoots:
    return ListRoots()


@server.tool()
async def greet(name: Annotated[Name, Resolve(ask_name)]) -> str:
    """Asks the user, in the way of the era."""
    return f"Hello {name.name}"


@server.tool()
async def think(reply: Annotated[types.CreateMessageResult, Resolve(ask_model)]) -> str:
    """Asks the client's model, in the way of the era."""
    return reply.content.text if isinstance(reply.content, types.TextContent) else "?"


@server.tool()
async def where(roots: Annotated[types.ListRootsResult, Resolve(ask_roots)]) -> str:
    """Asks for the client's roots, in the way of the era."""
    return ", ".join(str(root.uri) for root in roots.roots)


@server.tool()
async def grow(ctx: Context[Any]) -> str:
    """Offers one tool more, and says so in the way of the era."""
    server.add_tool(echo, name=f"grown_{len(await server.list_tools())}")
    await ctx.notify_tools_changed()
    await ctx.notify_resource_updated("note://one")
    await ctx.session.send_tool_list_changed()
    return "grown"


@server.prompt()
def hello(who: str) -> str:
    return f"Hello {who}"


@server.resource("note://one", mime_type="text/plain")
def note() -> str:
    return "one"


@server.resource("note://numbered/{n}")
def numbered(n: str) -> str:
    return f"number {n}"


@server.completion()
async def complete(ref: Any, argument: Any, context: Any) -> types.Completion:
    return types.Completion(values=[word for word in ("ada", "alan", "bob") if word.startswith(argument.value)])


def main() -> None:
    warnings.simplefilter("ignore")
    match sys.argv[1:]:
        case ["stdio"]:
            server.run("stdio")
        case ["http", port]:
            server.run("streamable-http", port=int(port))
        case ["sse", port]:
            server.run("sse", port=int(port))


if __name__ == "__main__":
    main()
