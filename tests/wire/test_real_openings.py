"""How the clients of today open, word for word: Claude Code probes ``server/discover``, Codex shakes hands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.frame_log import FrameLog
from support.matrix import Transport
from support.raw_client import HANDSHAKE, MODERN, RawClient
from support.raw_transports import HttpClient
from support.raw_ways import raw_client, raw_upstream

CLAUDE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"roots": {}, "elicitation": {}},
    "clientInfo": {
        "name": "claude-code",
        "title": "Claude Code",
        "version": "2.1.317",
        "websiteUrl": "https://claude.com",
    },
}
CODEX = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"elicitation": {}},
    "clientInfo": {"name": "codex-mcp-client", "title": "Codex", "version": "0.142.0"},
}
ERAS = ["handshake", "handshake,stateless", "stateless"]


@pytest.mark.parametrize("eras", ERAS)
@pytest.mark.parametrize("back", ["stdio", "http"])
@pytest.mark.parametrize("front", ["stdio", "http"])
async def test_claude_code_probes_the_newest_era_and_finds_it(
    front: Transport, back: Transport, eras: str, tmp_path: Path
) -> None:
    log = FrameLog(tmp_path / "frames.jsonl")
    async with raw_upstream(back, log, "--eras", eras) as server:
        config = {"servers": {"raw": server}}
        async with raw_client(front, config, tmp_path, era=MODERN, open_session=False) as client:
            assert MODERN in (await client.result("server/discover"))["supportedVersions"]
            await works(client)


@pytest.mark.parametrize("back", ["stdio", "http"])
@pytest.mark.parametrize("front", ["stdio", "http"])
async def test_claude_code_falls_back_where_eras_are_not_bridged(
    front: Transport, back: Transport, tmp_path: Path
) -> None:
    log = FrameLog(tmp_path / "frames.jsonl")
    async with raw_upstream(back, log, "--eras", "handshake") as server:
        config = {"servers": {"raw": {**server, "bridge": False}}}
        async with raw_client(front, config, tmp_path, era=MODERN, open_session=False) as client:
            discovery = json.loads(await client.ask("server/discover"))
            assert discovery["error"]["code"] == -32022
            assert HANDSHAKE in discovery["error"]["data"]["supported"]
            await shakes_hands(client, CLAUDE)
            await works(client)


@pytest.mark.parametrize("eras", ERAS)
@pytest.mark.parametrize("back", ["stdio", "http"])
@pytest.mark.parametrize("front", ["stdio", "http", "sse"])
async def test_codex_shakes_hands(front: Transport, back: Transport, eras: str, tmp_path: Path) -> None:
    log = FrameLog(tmp_path / "frames.jsonl")
    async with raw_upstream(back, log, "--eras", eras) as server:
        config = {"servers": {"raw": server}}
        async with raw_client(front, config, tmp_path, open_session=False) as client:
            introduction = await shakes_hands(client, CODEX)
            assert introduction["protocolVersion"] == "2025-06-18"
            assert introduction["serverInfo"]["name"] == "raw"
            await works(client)


async def shakes_hands(client: RawClient, hello: dict[str, Any]) -> Any:
    client.era = HANDSHAKE
    if isinstance(client, HttpClient):
        client.headers.pop("mcp-protocol-version", None)
    result = await client.result("initialize", hello)
    if isinstance(client, HttpClient):
        client.headers["mcp-protocol-version"] = result["protocolVersion"]
    await client.notify("notifications/initialized")
    return result


async def works(client: RawClient) -> None:
    tools = await client.result("tools/list")
    assert "echo" in [tool["name"] for tool in tools["tools"]]
    answer = json.loads(await client.call("echo", {"text": "hi"}))
    assert answer["result"]["content"] == [{"type": "text", "text": "hi"}]
