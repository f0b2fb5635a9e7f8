"""A client of 2026-07-28, the proxy as a process, and a server that speaks only the handshake: all that crosses."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp.types as types
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError

from support.matrix import Transport, address
from support.processes import child, free_port
from support.proxy import serve_command, served
from support.sdk_client import LIMIT_S, Ears, words

OLDER_SERVER = Path(__file__).parents[1] / "support/older_server.py"
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")


@asynccontextmanager
async def older_server(back: Transport, folder: Path) -> AsyncIterator[dict[str, Any]]:
    command = [sys.executable, str(OLDER_SERVER), back]
    if back == "stdio":
        yield {"command": command[0], "args": command[1:]}
        return
    port = free_port()
    async with child([*command, str(port)], folder / "server.log", port=port):
        yield address(back, f"http://127.0.0.1:{port}")


@asynccontextmanager
async def newer_client(
    front: Transport, back: Transport, folder: Path, *, mode: Any = "2026-07-28", **client: Any
) -> AsyncIterator[Client]:
    async with older_server(back, folder) as server:
        config = {"servers": {"older": server}}
        if front == "stdio":
            program, *arguments = serve_command(config, folder)
            async with Client(StdioServerParameters(command=program, args=arguments), mode=mode, **client) as connected:
                yield connected
            return
        async with served(config, folder) as proxy, Client(proxy.url, mode=mode, **client) as connected:
            yield connected


BACKS: list[Transport] = ["stdio", "http", "sse"]
FRONTS: list[Transport] = ["stdio", "http"]


@pytest.mark.parametrize("back", BACKS)
@pytest.mark.parametrize("front", FRONTS)
async def test_everything_crosses(front: Transport, back: Transport, tmp_path: Path) -> None:
    ears = Ears()
    async with newer_client(front, back, tmp_path, **ears.callbacks) as c:
        with anyio.fail_after(60):
            assert c.protocol_version == "2026-07-28"
            await asks_the_user_the_model_and_for_roots(c)
            await asks_two_things_at_once(c)
            await knows_who_calls(c)
            await logs(c, ears)
            await reports_progress_and_is_cancelled(c)
            await completes_reads_and_fails(c)
            await listens(c)


async def asks_the_user_the_model_and_for_roots(c: Client) -> None:
    assert words(await c.call_tool("greet")) == "Hello Ada"
    assert words(await c.call_tool("think")) == "four"
    assert words(await c.call_tool("where")) == "file:///home/ada"


async def asks_two_things_at_once(c: Client) -> None:
    first = await c.session.call_tool("ask_twice", {}, allow_input_required=True)
    assert isinstance(first, types.InputRequiredResult)
    assert first.input_requests is not None
    said = sorted(request.params.message for request in first.input_requests.values())  # type: ignore[union-attr]
    assert said == ["First?", "Second?"]
    answers: Any = {
        key: types.ElicitResult(action="accept", content={"name": request.params.message[:-1]})  # type: ignore[union-attr]
        for key, request in first.input_requests.items()
    }
    last = await c.session.call_tool(
        "ask_twice", {}, input_responses=answers, request_state=first.request_state, allow_input_required=True
    )
    assert isinstance(last, types.CallToolResult)
    assert words(last) == "First and Second"
    with pytest.raises(MCPError, match="used already"):
        await c.session.call_tool(
            "ask_twice", {}, input_responses=answers, request_state=first.request_state, allow_input_required=True
        )


async def knows_who_calls(c: Client) -> None:
    who = (await c.call_tool("who")).structured_content
    assert who is not None
    assert who["name"] == "mcp"
    assert set(who["capabilities"]) == {"elicitation", "sampling", "roots"}


async def logs(c: Client, ears: Ears) -> None:
    ears.heard.clear()
    await c.call_tool("chatter", meta={"io.modelcontextprotocol/logLevel": "info"})
    await ears.until(lambda message: getattr(getattr(message, "params", None), "level", None) == "error")
    levels = [one.params.level for one in ears.heard if isinstance(one, types.LoggingMessageNotification)]
    assert levels == ["info", "error"]


async def reports_progress_and_is_cancelled(c: Client) -> None:
    steps: list[tuple[float, float | None, str | None]] = []
    begun = anyio.Event()

    async def step(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))
        begun.set()

    assert words(await c.call_tool("count", {"to": 3}, progress_callback=step)) == "counted"
    assert steps == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]
    begun = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: c.call_tool("hang", {"label": "mine"}, progress_callback=step))
        await begun.wait()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(LIMIT_S):
        while (await c.call_tool("cancelled")).structured_content != {"result": ["mine"]}:  # noqa: ASYNC110
            await anyio.sleep(0.02)


async def completes_reads_and_fails(c: Client) -> None:
    reference = types.PromptReference(type="ref/prompt", name="hello")
    assert (await c.complete(reference, {"name": "who", "value": "a"})).completion.values == ["ada", "alan"]
    (contents,) = (await c.read_resource("note://numbered/7")).contents
    assert isinstance(contents, types.TextResourceContents)
    assert contents.text == "number 7"
    with pytest.raises(MCPError) as missing:
        await c.read_resource("note://nowhere")
    assert missing.value.code == types.INVALID_PARAMS


async def listens(c: Client) -> None:
    async with c.listen(tools_list_changed=True) as news:
        assert news.honored.tools_list_changed
        before = len((await c.list_tools(cache_mode="bypass")).tools)
        await c.call_tool("grow")
        with anyio.fail_after(LIMIT_S):
            assert type(await anext(news)).__name__ == "ToolsListChanged"
    assert len((await c.list_tools(cache_mode="bypass")).tools) == before + 1


@pytest.mark.parametrize("back", BACKS)
async def test_a_client_that_asks_first_is_introduced_to_the_server_itself(back: Transport, tmp_path: Path) -> None:
    async with newer_client("http", back, tmp_path, mode="auto") as c:
        assert c.protocol_version == "2026-07-28"
        assert c.server_info is not None
        assert (c.server_info.name, c.server_info.version) == ("sdk-server", "1.2.3")
        assert c.instructions == "Say hello first."
        assert c.server_capabilities.completions is not None
        assert words(await c.call_tool("echo", {"text": "hi"})) == "hi"
