"""MCP Apps: a tool names its view by a ``ui://`` resource, and whatever happens to the tool's name, the link holds."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.era import Era
from fuseboard.ports import Reply
from support.fake_server import Asked, FakeServer, FakeTool, result, says
from support.playbook import RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

VIEW = "ui://clock/view.html"
META = {
    "ui": {"resourceUri": VIEW, "visibility": ["model", "app"], "csp": {"connectDomains": ["https://x.example"]}},
    "ui/resourceUri": VIEW,
}
PAGE = {
    "uri": VIEW,
    "mimeType": "text/html;profile=mcp-app",
    "text": "<p>12:00</p>",
    "_meta": {"ui": {"prefersBorder": True, "permissions": {"camera": {}}}},
}


def clock(*, listed: bool = True) -> FakeServer:
    async def read(asked: Asked) -> Reply:
        assert asked.value["uri"] == VIEW
        return result({"contents": [PAGE]})

    name = "show.the.time"  # which has to be cut, since no model could call it behind a prefix
    server = FakeServer("clock", FakeTool(name, says("12:00"), _meta=META), tools={name: {"effect": "read"}})
    server.resources = [VIEW] if listed else []
    server.capabilities = {"tools": {}, "resources": {}, "extensions": {"io.modelcontextprotocol/ui": {"x": [1.5]}}}
    server.acts["resources/read"] = read
    return server


def others() -> list[FakeServer]:
    """Another App of the same kind, and a server without any."""
    map_ = FakeServer("map", FakeTool("show", _meta={"ui": {"resourceUri": "ui://map/view.html"}}))
    map_.resources = ["ui://map/view.html"]
    return [map_, FakeServer("plain", FakeTool("show"))]


@pytest.mark.parametrize("era", Era)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "of three"])
async def test_a_view_is_found_by_the_link_of_its_renamed_tool(alone: bool, era: Era) -> None:
    servers = [clock()] if alone else [*others(), clock()]
    async with playing(*servers) as play:
        client = await play.connect(era)
        tools = (await client.request("tools/list"))["tools"]
        (tool,) = [tool for tool in tools if tool.get("_meta") == META]
        assert (tool["name"] == "show.the.time") is alone
        page = await client.request("resources/read", {"uri": tool["_meta"]["ui"]["resourceUri"]})
        assert page["contents"] == [PAGE]
        assert [asked.method for asked in play.server("clock").calls] == ["resources/read"]


@pytest.mark.parametrize("era", Era)
async def test_what_the_app_calls_is_a_call_like_any_other(era: Era) -> None:
    """The host passes the view's calls on by the name that it was shown."""
    rules = [{"id": "no-maps", "tools": "map__*", "decide": "deny", "say": "No maps."}]
    async with playing(*others(), clock(), rules=rules) as play:
        client = await play.connect(era)
        (name,) = [name for name in await client.listed() if name.startswith("clock__")]
        assert (await client.call(name))["content"][0]["text"] == "12:00"
        _, decision = await client.refusal("map__show")
        assert (decision["rule"], play.server("map").calls) == ("no-maps", [])
        assert [(entry.upstream, entry.verdict) for entry in play.proposed] == [("clock", "allow"), ("map", "deny")]


async def test_a_view_that_is_not_listed_is_found_where_it_is_alone() -> None:
    """MCP Apps: servers may leave views out of their list of resources."""
    async with playing(clock(listed=False)) as play:
        client = await play.connect()
        assert (await client.request("resources/read", {"uri": VIEW}))["contents"] == [PAGE]


@pytest.mark.parametrize("listed_first", [True, False])
async def test_a_view_that_is_not_listed_is_found_by_the_tool_that_names_it(listed_first: bool) -> None:
    async with playing(*others(), clock(listed=False)) as play:
        client = await play.connect()
        if listed_first:
            await client.listed()
        assert (await client.request("resources/read", {"uri": VIEW}))["contents"] == [PAGE]


async def test_who_lists_a_view_goes_before_who_only_names_it() -> None:
    """Else a server could put its own page in place of another's."""
    thief = FakeServer("thief", FakeTool("show", _meta={"ui/resourceUri": VIEW}))
    async with playing(thief, clock()) as play:
        client = await play.connect()
        await client.listed()
        assert (await client.request("resources/read", {"uri": VIEW}))["contents"] == [PAGE]
        assert play.server("thief").calls == []


@pytest.mark.parametrize("meta", [7, {"ui": 7}, {"ui": {"resourceUri": 7}}, {"x": "resourceUri"}], ids=str)
async def test_a_strange_link_does_no_harm(meta: Any) -> None:
    async with playing(FakeServer("odd", FakeTool("show", _meta=meta)), clock(listed=False)) as play:
        client = await play.connect()
        assert "odd__show" in await client.listed()
        assert (await client.request("resources/read", {"uri": VIEW}))["contents"] == [PAGE]


async def test_a_view_that_nobody_names_is_not_found() -> None:
    async with playing(*others(), clock()) as play:
        client = await play.connect()
        with pytest.raises(RpcError, match="ui://nobody/x"):
            await client.request("resources/read", {"uri": "ui://nobody/x"})


async def test_that_apps_are_understood_is_passed_on_with_all_that_belongs_to_it() -> None:
    async with playing(*others(), clock()) as play:
        client = play.arrive()
        said: dict[str, Any] = await client.initialize()
        assert said["capabilities"]["extensions"]["io.modelcontextprotocol/ui"] == {"x": [1.5]}
