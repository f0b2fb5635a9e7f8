"""One conversation over every way through the proxy: the SDK's client, the proxy as a process, the SDK's server."""

from __future__ import annotations

import warnings
from pathlib import Path

import anyio
import mcp.types as types
import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from support.matrix import WAYS, Way, sdk_server, through
from support.sdk_client import LIMIT_S, Ears, words

TOOLS = ["echo", "add", "fail", "count", "log", "hang", "cancelled", "greet", "think", "where", "grow"]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
async def test_a_whole_conversation(way: Way, tmp_path: Path) -> None:
    ears = Ears()
    async with sdk_server(way.back, tmp_path) as server, through(way, {"sdk": server}, tmp_path, **ears.callbacks) as c:
        with anyio.fail_after(60):
            await introduces_itself(c, way)
            await lists_and_calls(c)
            await has_prompts_and_resources(c)
            await reports_progress(c)
            await logs(c, ears)  # before a call is given up: after that, a shared pipe tells nobody whose a log line is
            await is_cancelled(c)
            await asks_back(c)
            await (listens(c, way) if way.modern else subscribes(c, ears))


async def introduces_itself(c: Client, way: Way) -> None:
    assert c.protocol_version == ("2026-07-28" if way.modern else "2025-11-25")
    assert c.server_info is not None
    assert (c.server_info.name, c.server_info.version) == ("sdk-server", "1.2.3")
    assert c.instructions == "Say hello first."
    assert c.server_capabilities.completions is not None


async def lists_and_calls(c: Client) -> None:
    tools = {tool.name: tool for tool in (await c.list_tools()).tools}
    assert list(tools) == TOOLS
    assert tools["echo"].title == "Echo"
    assert tools["echo"].annotations is not None
    assert tools["echo"].annotations.read_only_hint
    assert words(await c.call_tool("echo", {"text": "grüß 🦊"})) == "grüß 🦊"
    assert (await c.call_tool("add", {"a": 1, "b": 2})).structured_content == {"sum": 3}
    failed = await c.call_tool("fail")
    assert failed.is_error
    assert words(failed).endswith("no such order")
    refused = await c.call_tool("add", {"a": 1, "b": -2})
    assert refused.is_error
    assert "/b" in words(refused)
    assert refused.meta is not None
    assert refused.meta["fuseboard/decision"]["rule"] == "schema.arguments"
    unknown = await c.call_tool("nobody")
    assert (unknown.is_error, words(unknown)) == (True, "Unknown tool: nobody")


async def has_prompts_and_resources(c: Client) -> None:
    assert [prompt.name for prompt in (await c.list_prompts()).prompts] == ["hello"]
    prompt = await c.get_prompt("hello", {"who": "Ada"})
    assert prompt.messages[0].content == types.TextContent(type="text", text="Hello Ada")
    assert [str(resource.uri) for resource in (await c.list_resources()).resources] == ["note://one"]
    templates = (await c.list_resource_templates()).resource_templates
    assert [template.uri_template for template in templates] == ["note://numbered/{n}"]
    (contents,) = (await c.read_resource("note://numbered/7")).contents
    assert isinstance(contents, types.TextResourceContents)
    assert contents.text == "number 7"
    with pytest.raises(MCPError):
        await c.read_resource("note://nowhere")
    reference = types.PromptReference(type="ref/prompt", name="hello")
    assert (await c.complete(reference, {"name": "who", "value": "a"})).completion.values == ["ada", "alan"]


async def reports_progress(c: Client) -> None:
    steps: list[tuple[float, float | None, str | None]] = []

    async def step(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    assert words(await c.call_tool("count", {"to": 3}, progress_callback=step)) == "counted"
    assert steps == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


async def is_cancelled(c: Client) -> None:
    """Cancelling a call here reaches the tool over there."""
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


async def asks_back(c: Client) -> None:
    """The server asks the client in the middle of a call: by a request, or (2026-07-28) by its result."""
    assert words(await c.call_tool("greet")) == "Hello Ada"
    assert words(await c.call_tool("think")) == "four"
    assert words(await c.call_tool("where")) == "file:///home/ada"


async def logs(c: Client, ears: Ears) -> None:
    if c.protocol_version != "2026-07-28":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            await c.session.send_ping()
    await c.call_tool("log", {"words": "so it goes"})
    message = await ears.kind(types.LoggingMessageNotification)
    assert message.params.data == "so it goes"


async def subscribes(c: Client, ears: Ears) -> None:
    await c.call_tool("grow")
    await ears.kind(types.ToolListChangedNotification)
    assert len((await c.list_tools(cache_mode="bypass")).tools) == len(TOOLS) + 1


async def listens(c: Client, way: Way) -> None:
    # The SDK's server has no subscriptions in the handshake era.
    expected = {"ToolsListChanged"} if way.bridged else {"ToolsListChanged", "ResourceUpdated"}
    async with c.listen(tools_list_changed=True, resource_subscriptions=["note://one"]) as news:
        assert news.honored.tools_list_changed
        await c.call_tool("grow")
        kinds = {type(await anext(news)).__name__ for _ in expected}
    assert kinds == expected
    assert len((await c.list_tools(cache_mode="bypass")).tools) == len(TOOLS) + 1
