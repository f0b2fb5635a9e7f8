"""Servers that nobody here wrote, with the SDK's client: what they say through the proxy is what they say directly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp.types as types
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.subscriptions import ResourceUpdated

from support.matrix import Transport, Way, address, program, through
from support.sdk_client import Ears, words
from support.servers import everything_command, everything_http, filesystem_command, time_command

WAYS = [
    Way("stdio", "stdio", "legacy"),
    Way("stdio", "http", "auto"),
    Way("http", "stdio", "auto"),
    Way("http", "http", "legacy"),
    Way("sse", "sse", "legacy"),
]
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")


@asynccontextmanager
async def everything(back: Transport, folder: Path) -> AsyncIterator[dict[str, Any]]:
    if back == "stdio":
        yield program(everything_command())
        return
    async with everything_http(folder, "sse" if back == "sse" else "streamableHttp") as base:
        yield address(back, base)


OF_THE_NEWER_ERA = {"resultType", "ttlMs", "cacheScope"}


def plain(result: Any) -> Any:
    """As JSON, and without what is the era's own."""
    fields = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: value for name, value in fields.items() if name not in OF_THE_NEWER_ERA}


async def lists_of(c: Client) -> dict[str, Any]:
    """Every list that the server has."""
    return {
        "tools": plain(await c.list_tools()),
        "prompts": plain(await c.list_prompts()),
        "resources": plain(await c.list_resources()),
        "templates": plain(await c.list_resource_templates()),
    }


@pytest.mark.node
@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_server_everything(way: Way, tmp_path: Path) -> None:
    ears = Ears()
    async with everything(way.back, tmp_path) as server:
        async with through(way, {"everything": server}, tmp_path, **ears.callbacks) as c:
            with anyio.fail_after(60):
                assert words(await c.call_tool("echo", {"message": "hi"})) == "Echo: hi"
                assert words(await c.call_tool("get-sum", {"a": 1, "b": 2})).endswith("3.")
                wrong = await c.call_tool("get-sum", {"a": "one"})
                assert wrong.is_error
                assert "/a" in words(wrong)
                await works_slowly(c)
                await asks_back(c)
                await (listens(c) if way.modern else logs_and_subscribes(c, ears))
                proxied = await lists_of(c)
                assert (await c.get_prompt("simple-prompt")).messages
                uri = proxied["resources"]["resources"][0]["uri"]
                assert (await c.read_resource(uri)).contents
        if way.back != "stdio":
            return
        command, *arguments = everything_command()
        direct = StdioServerParameters(command=command, args=arguments)
        async with Client(direct, mode="legacy", **Ears().callbacks) as d:
            assert proxied == await lists_of(d)


async def works_slowly(c: Client) -> None:
    steps: list[float] = []

    async def step(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    arguments = {"duration": 0.2, "steps": 4}
    await c.call_tool("trigger-long-running-operation", arguments, progress_callback=step)
    assert steps == [1, 2, 3, 4]


async def asks_back(c: Client) -> None:
    """These tools are offered only to a client that declared what they need, and it is ours that did."""
    offered = {tool.name for tool in (await c.list_tools()).tools}
    assert {"trigger-sampling-request", "trigger-elicitation-request", "get-roots-list"} <= offered
    assert "four" in words(await c.call_tool("trigger-sampling-request", {"prompt": "2+2?"}))
    assert "Ada" in str(plain(await c.call_tool("trigger-elicitation-request")))
    assert "file:///home/ada" in str(plain(await c.call_tool("get-roots-list")))


async def logs_and_subscribes(c: Client, ears: Ears) -> None:
    await c.session.set_logging_level("debug")
    await c.call_tool("toggle-simulated-logging")
    await ears.kind(types.LoggingMessageNotification)
    await c.call_tool("toggle-simulated-logging")
    uri = str((await c.list_resources()).resources[0].uri)
    await c.session.subscribe_resource(uri)
    await c.session.unsubscribe_resource(uri)


async def listens(c: Client) -> None:
    """The server knows subscriptions by request alone, and sends its updates beside the calls."""
    uri = str((await c.list_resources()).resources[0].uri)
    async with c.listen(tools_list_changed=True, resource_subscriptions=[uri]) as news:
        assert news.honored.resource_subscriptions == [uri]
        await c.call_tool("toggle-subscriber-updates")
        update = await anext(news)
        assert isinstance(update, ResourceUpdated)
        assert str(update.uri) == uri
        await c.call_tool("toggle-subscriber-updates")


@pytest.mark.node
async def test_server_filesystem_under_a_rule_about_paths(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/id").write_text("secret")
    (home / "note.txt").write_text("not secret")
    condition = f'context.args has path && context.args.path like "{home}/.ssh/*"'
    rule = {"id": "no-keys", "tools": "files__*", "when": condition, "decide": "deny", "say": "Keys are out of bounds."}
    server = program(filesystem_command(home))
    async with through(Way("stdio", "stdio", "auto"), {"files": server}, tmp_path, config={"rules": [rule]}) as c:
        assert words(await c.call_tool("read_text_file", {"path": str(home / "note.txt")})) == "not secret"
        for path in (home / ".ssh/id", f"{home}/x/../.ssh/id", f"{home}//.ssh/./id"):
            refused = await c.call_tool("read_text_file", {"path": str(path)})
            assert refused.is_error
            assert words(refused).startswith("Keys are out of bounds.")
        await c.call_tool("write_file", {"path": str(home / "new.txt"), "content": "written"})
    assert (home / "new.txt").read_text() == "written"


@pytest.mark.parametrize("front", ["stdio", "http"])
async def test_server_time(front: Transport, tmp_path: Path) -> None:
    server = program(await anyio.to_thread.run_sync(time_command))
    async with through(Way(front, "stdio", "auto"), {"time": server}, tmp_path) as c:
        assert {tool.name for tool in (await c.list_tools()).tools} == {"get_current_time", "convert_time"}
        answer = await c.call_tool("get_current_time", {"timezone": "Europe/Berlin"})
        assert '"timezone": "Europe/Berlin"' in words(answer)
        refused = await c.call_tool("get_current_time", {"zone": "Europe/Berlin"})
        assert refused.is_error
        assert "timezone" in words(refused)


@pytest.mark.node
async def test_three_servers_of_three_authors_behind_one_door(tmp_path: Path) -> None:
    servers = {
        "everything": program(everything_command()),
        "files": program(filesystem_command(tmp_path)),
        "time": program(await anyio.to_thread.run_sync(time_command)),
    }
    async with through(Way("http", "stdio", "auto"), servers, tmp_path) as c:
        names = [tool.name for tool in (await c.list_tools()).tools]
        assert {"everything__echo", "files__read_text_file", "time__get_current_time"} <= set(names)
        assert words(await c.call_tool("everything__echo", {"message": "hi"})) == "Echo: hi"
        assert '"timezone": "UTC"' in words(await c.call_tool("time__get_current_time", {"timezone": "UTC"}))
        listing = words(await c.call_tool("files__list_directory", {"path": str(tmp_path)}))
        assert "fuseboard.yaml" in listing
