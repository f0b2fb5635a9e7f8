"""A client of the handshake era before a server that speaks 2026-07-28 alone: the SDK's client, the SDK's server."""

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
from mcp.shared.exceptions import MCPError

from support.matrix import Transport, Way, address, program, through
from support.processes import child, free_port
from support.sdk_client import LIMIT_S, Ears, words

SERVER = Path(__file__).parents[1] / "support" / "newer_server.py"

WAYS = [Way(front, back, "legacy") for front in ("stdio", "http", "sse") for back in ("stdio", "http")]

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")


@asynccontextmanager
async def newer_server(back: Transport, folder: Path) -> AsyncIterator[dict[str, Any]]:
    command = [sys.executable, str(SERVER), back]
    if back == "stdio":
        yield program(command)
        return
    port = free_port()
    async with child([*command, str(port)], folder / "server.log", port=port):
        yield address(back, f"http://127.0.0.1:{port}")


class Answers(Ears):
    """Tells what it was asked, and consents to every address."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[types.ElicitRequestParams] = []

    @property
    def callbacks(self) -> dict[str, Any]:
        return {**super().callbacks, "elicitation_callback": self._answer}

    async def _answer(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.asked.append(params)
        if isinstance(params, types.ElicitRequestURLParams):
            return types.ElicitResult(action="accept")
        return types.ElicitResult(action="accept", content={"name": "Ada"})


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_an_older_client_loses_nothing_that_can_be_carried(way: Way, tmp_path: Path) -> None:
    ears = Answers()
    async with (
        newer_server(way.back, tmp_path) as server,
        through(way, {"sdk": server}, tmp_path, **ears.callbacks) as c,
    ):
        with anyio.fail_after(60):
            await is_introduced(c)
            await calls(c)
            await is_asked(c, ears)
            await reports_progress(c)
            await logs(c, ears)
            await subscribes(c, ears)
            await gives_up(c)


async def is_introduced(c: Client) -> None:
    assert c.protocol_version == "2025-11-25"
    assert c.server_info is not None
    assert (c.server_info.name, c.server_info.version) == ("sdk-server", "1.2.3")
    assert c.instructions == "Say hello first."
    resources = c.server_capabilities.resources
    assert resources is not None
    assert (resources.subscribe, resources.list_changed) == (True, True)
    await c.session.send_ping()


async def calls(c: Client) -> None:
    tools = {tool.name: tool for tool in (await c.list_tools()).tools}
    assert {"echo", "greet", "sign_in"} <= tools.keys()
    assert words(await c.call_tool("echo", {"text": "grüß 🦊"})) == "grüß 🦊"
    assert (await c.call_tool("add", {"a": 1, "b": 2})).structured_content == {"sum": 3}
    tally = await c.call_tool("tally")
    assert (words(tally), tally.structured_content) == ("1, 2", None)
    prompt = await c.get_prompt("hello", {"who": "Ada"})
    assert prompt.messages[0].content == types.TextContent(type="text", text="Hello Ada")
    (contents,) = (await c.read_resource("note://numbered/7")).contents
    assert isinstance(contents, types.TextResourceContents)
    assert contents.text == "number 7"
    reference = types.PromptReference(type="ref/prompt", name="hello")
    assert (await c.complete(reference, {"name": "who", "value": "a"})).completion.values == ["ada", "alan"]


async def is_asked(c: Client, ears: Answers) -> None:
    assert words(await c.call_tool("greet")) == "Hello Ada"
    assert words(await c.call_tool("think")) == "four"
    assert words(await c.call_tool("where")) == "file:///home/ada"
    assert words(await c.call_tool("sign_in")) == "accept at-the-door"
    form, url = ears.asked
    assert form.message == "Who is there?"
    assert isinstance(url, types.ElicitRequestURLParams)
    assert url.url == "https://example.com/sign-in"
    assert url.elicitation_id


async def reports_progress(c: Client) -> None:
    steps: list[float] = []

    async def step(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    assert words(await c.call_tool("count", {"to": 3}, progress_callback=step)) == "counted"
    assert steps == [1, 2, 3]


async def logs(c: Client, ears: Ears) -> None:
    await c.set_logging_level("info")
    await c.call_tool("log", {"words": "so it goes"})
    message = await ears.kind(types.LoggingMessageNotification)
    assert message.params.data == "so it goes"
    with pytest.raises(MCPError) as refused:
        await c.session.send_request(
            types.SetLevelRequest(params=types.SetLevelRequestParams.model_construct(level="loud")),  # type: ignore[arg-type]
            types.EmptyResult,
        )
    assert refused.value.code == types.INVALID_PARAMS


async def subscribes(c: Client, ears: Ears) -> None:
    before = len((await c.list_tools()).tools)
    await c.subscribe_resource("note://one")
    await c.call_tool("grow")
    await ears.kind(types.ToolListChangedNotification)
    updated = await ears.kind(types.ResourceUpdatedNotification)
    assert str(updated.params.uri) == "note://one"
    assert len((await c.list_tools(cache_mode="bypass")).tools) == before + 1
    await c.unsubscribe_resource("note://one")
    ears.heard.clear()
    await c.call_tool("grow")
    await ears.kind(types.ToolListChangedNotification)
    assert not any(isinstance(heard, types.ResourceUpdatedNotification) for heard in ears.heard)


async def gives_up(c: Client) -> None:
    begun = anyio.Event()

    async def step(progress: float, total: float | None, message: str | None) -> None:
        begun.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: c.call_tool("hang", {"label": "mine"}, progress_callback=step))
        await begun.wait()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(LIMIT_S):
        while (await c.call_tool("cancelled")).structured_content != {"result": ["mine"]}:  # noqa: ASYNC110
            await anyio.sleep(0.02)
