"""Over HTTP a tool has another name downstream than at its server, and its headers there say what its body says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client

from fuseboard.errors import HEADER_MISMATCH
from support.http_upstream import Call, Script, http_upstream
from support.proxy import served

LIMIT_S = 40
META = {"io.modelcontextprotocol/serverInfo": {"name": "s", "version": "1"}}
HINTS = {"resultType": "complete", "ttlMs": 0, "cacheScope": "public"}
LONG = "a_tool_whose_name_is_far_too_long_for_any_model_to_call_it_by_that_name"


def tool(name: str, token: str = "Region", **more: Any) -> dict[str, Any]:
    properties = {"region": {"type": "string", "x-mcp-header": token}, "n": {"type": "integer"}}
    return {"name": name, "inputSchema": {"type": "object", "properties": {**properties, **more}}}


def modern(*tools: dict[str, Any], later: list[dict[str, Any]] | None = None) -> Script:
    """A server of 2026-07-28. Once it has refused a call for its headers, it lists ``later``."""
    listed = list(tools)

    async def script(call: Call) -> None:
        match call.method:
            case "server/discover":
                said = {
                    "supportedVersions": ["2026-07-28"],
                    "capabilities": {"tools": {}, "prompts": {}},
                    "_meta": META,
                }
                await call.result({**HINTS, **said})
            case "tools/list":
                await call.result({**HINTS, "tools": listed})
            case "prompts/list":
                await call.result({**HINTS, "prompts": [{"name": "greet"}]})
            case "tools/call" if later and listed != later:
                listed[:] = later
                await call.error(HEADER_MISMATCH, "Mcp-Param-Zone is missing", status=400, id=call.id)
            case "tools/call":
                content = [{"type": "text", "text": call.message["params"]["name"]}]
                await call.result({"resultType": "complete", "content": content})
            case "prompts/get":
                await call.result({"resultType": "complete", "messages": []})
            case _:
                await call.error(-32601, "Method not found", status=404, id=call.id)

    return script


def config(**urls: str) -> dict[str, Any]:
    return {"servers": {alias: {"url": url, "trust": "trusted"} for alias, url in urls.items()}}


def said(call: Call) -> dict[str, Any]:
    """What the headers of a call say."""
    return {name: value for name, value in call.headers.items() if name.startswith("mcp-") and "protocol" not in name}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_headers_that_arrive_match_the_body_that_arrives(tmp_path: Path) -> None:
    async with (
        http_upstream(modern(tool("look"), tool(LONG))) as one,
        http_upstream(modern(tool("look", "Zone"))) as two,
        served(config(one=one.url, two=two.url), tmp_path) as proxy,
    ):
        with anyio.fail_after(LIMIT_S):
            async with Client(proxy.url, mode="2026-07-28") as client:
                names = [listed.name for listed in (await client.list_tools()).tools]
                assert (names[0], names[2]) == ("one__look", "two__look")
                for name in names:
                    await client.call_tool(name, {"region": "höh", "n": 1})
                await client.get_prompt("two__greet")
        for server, sent in ((one, ["look", LONG]), (two, ["look"])):
            calls = server.seen("tools/call")
            assert [call.message["params"]["name"] for call in calls] == sent
            for call in calls:
                token = "mcp-param-region" if server is one else "mcp-param-zone"
                name = call.message["params"]["name"]
                assert said(call) == {"mcp-method": "tools/call", "mcp-name": name, token: "=?base64?aMO2aA==?="}
        (got,) = two.seen("prompts/get")
        assert (got.message["params"]["name"], said(got)["mcp-name"]) == ("greet", "greet")
        assert one.seen("prompts/get") == []


async def test_a_call_that_is_refused_for_stale_headers_is_sent_once_more_with_those_of_a_fresh_list(
    tmp_path: Path,
) -> None:
    async with (
        http_upstream(modern(tool("look"), later=[tool("look", "Zone")])) as one,
        http_upstream(modern()) as two,
        served(config(one=one.url, two=two.url), tmp_path) as proxy,
    ):
        with anyio.fail_after(LIMIT_S):
            async with Client(proxy.url, mode="2026-07-28") as client:
                await client.list_tools()
                answer = await client.call_tool("one__look", {"region": "eu"})
                assert not answer.is_error
        first, second = one.seen("tools/call")
        assert (first.headers["mcp-param-region"], second.headers["mcp-param-zone"]) == ("eu", "eu")
        assert "mcp-param-region" not in second.headers
        (record,) = await proxy.trace()
        assert record["truth"] == "ok"


async def test_a_call_is_not_sent_again_where_a_fresh_list_says_the_same(tmp_path: Path) -> None:
    async def refuses(call: Call) -> None:
        if call.method == "tools/call":
            await call.error(HEADER_MISMATCH, "other headers", status=400, id=call.id)
        else:
            await modern(tool("look"))(call)

    async with http_upstream(refuses) as one, served(config(one=one.url), tmp_path) as proxy:
        with anyio.fail_after(LIMIT_S):
            async with Client(proxy.url, mode="2026-07-28") as client:
                await client.list_tools()
                with pytest.raises(Exception, match="other headers"):
                    await client.session.call_tool("look", {"region": "eu"})
        assert len(one.seen("tools/call")) == 1


async def test_a_tool_with_a_bad_declaration_is_neither_listed_nor_called(tmp_path: Path) -> None:
    bad = tool("bad", "Bad", n={"type": "number", "x-mcp-header": "N"})
    async with (
        http_upstream(modern(tool("look"), bad)) as one,
        http_upstream(modern()) as two,
        served(config(one=one.url, two=two.url), tmp_path) as proxy,
    ):
        with anyio.fail_after(LIMIT_S):
            async with Client(proxy.url, mode="2026-07-28") as client:
                assert [listed.name for listed in (await client.list_tools()).tools] == ["one__look"]
                with pytest.raises(Exception, match="declares headers wrongly"):
                    await client.session.call_tool("one__bad", {"n": 1})
        assert one.seen("tools/call") == []
        assert "the tool bad is left out" in json.dumps(proxy.stderr)
