from typing import Any

import pytest
from mcp import Client

from fuseboard.adapters.demo.servers.tickets import server

FIT = {"title": "t", "severity": 1, "service": "checkout"}


async def test_a_ticket_is_opened_and_takes_comments() -> None:
    async with Client(server()) as client:
        opened = await client.call_tool("open_ticket", FIT)
        commented = await client.call_tool("comment", {"ticket": "SHOP-118", "text": "x"})
        unknown = await client.call_tool("comment", {"ticket": "SHOP-1", "text": "x"})
    assert "opened SHOP-118" in str(opened.content)
    assert "2 entries" in str(commented.content)
    assert unknown.is_error


@pytest.mark.parametrize("wrong", [{"severity": "high"}, {"severity": 9}, {"service": "shop"}])
async def test_its_own_schema_is_strict(wrong: dict[str, Any]) -> None:
    async with Client(server()) as client:
        assert (await client.call_tool("open_ticket", FIT | wrong)).is_error


async def test_each_server_starts_empty() -> None:
    for _ in range(2):
        async with Client(server()) as client:
            assert "SHOP-118" in str((await client.call_tool("open_ticket", FIT)).content)
