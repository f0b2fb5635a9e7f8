"""The reference server of the protocol's authors, which shakes hands, before clients of either era."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import mcp.types as types
import pytest
from mcp.client.client import Client

from support.cells import STATELESS, CellEars, Steps
from support.matrix import Transport, address, program
from support.proxy import served
from support.sdk_client import words
from support.servers import everything_command, everything_http

pytestmark = [pytest.mark.node, pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")]


async def tools(c: Client) -> None:
    assert words(await c.call_tool("echo", {"message": "hi"})) == "Echo: hi"
    structured = await c.call_tool("get-structured-content", {"location": "Chicago"})
    assert structured.structured_content is not None
    assert "conditions" in structured.structured_content
    assert any(block.type == "image" for block in (await c.call_tool("get-tiny-image")).content)
    assert any(block.type == "resource_link" for block in (await c.call_tool("get-resource-links")).content)


async def progress(c: Client) -> None:
    """Soon after the handshake the server asks for roots, beside any call. A client of 2026-07-28 hears of that by the
    call under way, and what is reported while it is asked is lost to it (the README's table says so)."""
    steps = Steps()
    slowly = {"duration": 0.2, "steps": 4}
    await c.call_tool("trigger-long-running-operation", slowly, progress_callback=steps)
    if c.protocol_version != STATELESS:
        await steps.all(4)
    heard = [progress for progress, _, _ in await steps.all(1)]
    assert heard == sorted(set(heard) & {1, 2, 3, 4})


async def questions(c: Client) -> None:
    """These tools are offered only to a client that declared what they need."""
    assert "four" in words(await c.call_tool("trigger-sampling-request", {"prompt": "2+2?"}))
    form = await c.call_tool("trigger-elicitation-request")
    assert "Ada" in form.model_dump_json()
    visit = await c.call_tool("trigger-url-elicitation", {"url": "https://example.com/"})
    assert "accept" in visit.model_dump_json()
    assert "file:///home/ada" in (await c.call_tool("get-roots-list")).model_dump_json()


async def prompts_and_resources(c: Client) -> None:
    assert (await c.get_prompt("simple-prompt")).messages
    uri = (await c.list_resources()).resources[0].uri
    assert (await c.read_resource(str(uri))).contents
    assert len((await c.list_resource_templates()).resource_templates) == 2
    reference = types.PromptReference(type="ref/prompt", name="completable-prompt")
    assert (await c.complete(reference, {"name": "department", "value": "E"})).completion.values == ["Engineering"]


@pytest.mark.parametrize("back", ["stdio", "http", "sse"])
@pytest.mark.parametrize("mode", ["legacy", STATELESS])
async def test_server_everything_for_a_client_of_either_era(mode: str, back: Transport, tmp_path: Path) -> None:
    if back == "stdio":
        await _tour(mode, program(everything_command()), tmp_path)
        return
    async with everything_http(tmp_path, "sse" if back == "sse" else "streamableHttp") as base:
        await _tour(mode, address(back, base), tmp_path)


async def _tour(mode: str, server: dict[str, Any], folder: Path) -> None:
    async with (
        served({"servers": {"everything": server}}, folder) as proxy,
        Client(proxy.url, mode=mode, **CellEars().callbacks) as c,
    ):
        with anyio.fail_after(60):
            await tools(c)
            await progress(c)
            await questions(c)
            await prompts_and_resources(c)
