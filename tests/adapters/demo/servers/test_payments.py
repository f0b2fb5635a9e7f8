import sys

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

from fuseboard.adapters.demo.servers.payments import server

COMMAND = ["-P", "-m", "fuseboard.adapters.demo.servers.payments"]


async def test_its_rates_are_the_web_page_of_an_error_that_calls_itself_a_success() -> None:
    async with Client(server()) as client:
        for currency in ("CHF", "GBP"):
            rate = await client.call_tool("rate", {"currency": currency})
            assert not rate.is_error
            assert "502 Bad Gateway" in str(rate.content)


async def test_the_books_are_locked_and_it_says_by_whom() -> None:
    async with Client(server()) as client:
        settled = await client.call_tool("settle", {"day": "2026-11-21"})
    assert settled.is_error
    assert "locked by another job" in str(settled.content)


async def test_a_refund_is_the_last_thing_that_it_does() -> None:
    async with Client(stdio_client(StdioServerParameters(command=sys.executable, args=COMMAND))) as client:
        with pytest.raises(MCPError):
            await client.call_tool("refund", {"order": "A-1", "cents": 1})
