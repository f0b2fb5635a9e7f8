from mcp import Client

from fuseboard.adapters.demo.servers.ops import server


async def test_a_roll_back_would_mend_the_checkout() -> None:
    async with Client(server()) as client:
        before = await client.call_tool("status", {"service": "checkout"})
        await client.call_tool("roll_back", {"service": "checkout", "to": "2.4.0"})
        after = await client.call_tool("status", {"service": "checkout"})
    assert "502" in str(before.content)
    assert "checkout 2.4.0: healthy" in str(after.content)


async def test_what_does_harm_says_nothing_of_it() -> None:
    """No hint stands on the dangerous tools: they count as destructive because nobody said otherwise."""
    async with Client(server()) as client:
        tools = (await client.list_tools()).tools
    assert {"roll_back", "drop_database"} <= {tool.name for tool in tools}
    assert [tool.annotations for tool in tools] == [None] * len(tools)
