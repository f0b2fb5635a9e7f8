"""Four cells: a client of either era before a server of either era, with real ones on both sides, feature by feature.

The table in the README names these tests. All features of a cell are tried over one connection, once, and each test
tells of one of them.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import anyio
import mcp.types as types
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError

from support.cells import CELLS, FEATURE_LIMIT_S, SERVER, STATELESS, Cell, Feature, Guest, Steps, outcomes
from support.sdk_client import words

NOTE = "note://one"


async def introduction(g: Guest) -> None:
    """Shaking hands, or being discovered: what the server says of itself is heard in either era."""
    if g.modern:
        discovered = await g.c.session.send_request(types.DiscoverRequest(), types.DiscoverResult)
        assert STATELESS in discovered.supported_versions
        assert discovered.instructions == "Say hello first."
        assert discovered.capabilities.completions is not None
        return
    assert g.c.protocol_version == "2025-11-25"
    assert g.c.server_info is not None
    assert (g.c.server_info.name, g.c.server_info.version) == ("sdk-server", "1.2.3")
    assert g.c.instructions == "Say hello first."
    assert g.c.server_capabilities.completions is not None


async def tools(g: Guest) -> None:
    listed = {tool.name: tool for tool in (await g.c.list_tools()).tools}
    assert listed["echo"].title == "Echo"
    assert listed["echo"].annotations is not None
    assert words(await g.c.call_tool("echo", {"text": "grüß 🦊"})) == "grüß 🦊"
    assert (await g.c.call_tool("add", {"a": 1, "b": 2})).structured_content == {"sum": 3}
    failed = await g.c.call_tool("fail")
    assert failed.is_error
    assert words(failed).endswith("no such order")


async def resources(g: Guest) -> None:
    assert [str(resource.uri) for resource in (await g.c.list_resources()).resources] == [NOTE]
    (contents,) = (await g.c.read_resource(NOTE)).contents
    assert isinstance(contents, types.TextResourceContents)
    assert contents.text == "one"
    with pytest.raises(MCPError):
        await g.c.read_resource("note://nowhere")


async def templates(g: Guest) -> None:
    listed = (await g.c.list_resource_templates()).resource_templates
    assert [template.uri_template for template in listed] == ["note://numbered/{n}"]
    (contents,) = (await g.c.read_resource("note://numbered/7")).contents
    assert isinstance(contents, types.TextResourceContents)
    assert contents.text == "number 7"


async def prompts(g: Guest) -> None:
    assert [prompt.name for prompt in (await g.c.list_prompts()).prompts] == ["hello"]
    prompt = await g.c.get_prompt("hello", {"who": "Ada"})
    assert prompt.messages[0].content == types.TextContent(type="text", text="Hello Ada")


async def completion(g: Guest) -> None:
    reference = types.PromptReference(type="ref/prompt", name="hello")
    completed = await g.c.complete(reference, {"name": "who", "value": "a"})
    assert completed.completion.values == ["ada", "alan"]


async def logging(g: Guest) -> None:
    """A client of the handshake era sets the level; one of the stateless era names it in each request."""
    if not g.modern:
        await g.c.set_logging_level("info")
    await g.c.call_tool("log", {"words": f"in {g.cell}"})
    line = await g.ears.until(lambda heard: isinstance(heard, types.LoggingMessageNotification))
    assert (line.params.level, line.params.data) == ("info", f"in {g.cell}")


async def progress(g: Guest) -> None:
    steps = Steps()
    assert words(await g.c.call_tool("count", {"to": 3}, progress_callback=steps)) == "counted"
    assert await steps.all(3) == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


async def cancellation(g: Guest) -> None:
    """Giving a call up on this side gives it up on that side, and no other."""
    begun = anyio.Event()

    async def step(progress: float, total: float | None, message: str | None) -> None:
        begun.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: g.c.call_tool("hang", {"label": "mine"}, progress_callback=step))
        await begun.wait()
        tasks.cancel_scope.cancel()
    while (await g.c.call_tool("cancelled")).structured_content != {"result": ["mine"]}:  # noqa: ASYNC110
        await anyio.sleep(0.02)


async def list_changes(g: Guest) -> None:
    if g.modern:
        async with g.c.listen(tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True) as news:
            await g.c.call_tool("announce")
            heard = {type(await anext(news)).__name__ for _ in range(3)}
        assert heard == {"ToolsListChanged", "PromptsListChanged", "ResourcesListChanged"}
        return
    await g.c.call_tool("announce")
    await g.ears.kind(types.ToolListChangedNotification)
    await g.ears.kind(types.PromptListChangedNotification)
    await g.ears.kind(types.ResourceListChangedNotification)


async def resource_subscriptions(g: Guest) -> None:
    if g.modern:
        async with g.c.listen(resource_subscriptions=[NOTE]) as news:
            await g.c.call_tool("rewrite_note")
            event = await anext(news)
        assert (type(event).__name__, str(event.uri)) == ("ResourceUpdated", NOTE)
        return
    await g.c.subscribe_resource(NOTE)
    await g.c.call_tool("rewrite_note")
    updated = await g.ears.kind(types.ResourceUpdatedNotification)
    assert str(updated.params.uri) == NOTE
    await g.c.unsubscribe_resource(NOTE)


async def sampling(g: Guest) -> None:
    assert words(await g.c.call_tool("think")) == "four"


async def elicitation_form(g: Guest) -> None:
    assert words(await g.c.call_tool("greet")) == "Hello Ada"


async def elicitation_url(g: Guest) -> None:
    assert words(await g.c.call_tool("visit")) == "accept"


async def roots(g: Guest) -> None:
    assert words(await g.c.call_tool("where")) == "file:///home/ada"


async def ping(g: Guest) -> None:
    """Answered in the handshake era, whatever is behind; gone in the stateless one."""
    if g.modern:
        with pytest.raises(MCPError):
            await g.c.session.send_ping()
    else:
        await g.c.session.send_ping()


FEATURES: dict[str, Feature] = {
    feature.__name__: feature
    for feature in (
        introduction,
        tools,
        resources,
        templates,
        prompts,
        completion,
        logging,
        progress,
        list_changes,
        resource_subscriptions,
        sampling,
        elicitation_form,
        elicitation_url,
        roots,
        ping,
        cancellation,  # last: after it, a shared pipe tells nobody whose a log line is
    )
}


@pytest.mark.parametrize(("era", "other"), [("handshake", STATELESS), ("stateless", "legacy")])
async def test_the_servers_are_of_one_era(era: str, other: str) -> None:
    """Without the proxy, a client of the other era gets nothing from them."""
    server = StdioServerParameters(command=sys.executable, args=[str(SERVER), era, "stdio"])
    with anyio.fail_after(FEATURE_LIMIT_S), pytest.raises((MCPError, ExceptionGroup)):
        async with Client(server, mode=other) as client:
            await client.list_tools()


@pytest.fixture(scope="module")
def cell_outcomes(tmp_path_factory: pytest.TempPathFactory) -> object:
    @functools.cache
    def found(cell: Cell) -> dict[str, str | None]:
        folder: Path = tmp_path_factory.mktemp(str(cell))
        return anyio.run(outcomes, cell, FEATURES, folder)

    return found


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("feature", FEATURES)
def test_feature(feature: str, cell: Cell, cell_outcomes: functools._lru_cache_wrapper[dict[str, str | None]]) -> None:
    fault = cell_outcomes(cell)[feature]
    assert fault is None, fault
