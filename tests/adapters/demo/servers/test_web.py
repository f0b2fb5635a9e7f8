from mcp import Client

from fuseboard.adapters.demo.servers.web import ADDRESS, TAKER, server


async def test_its_page_hides_a_sentence_for_agents() -> None:
    async with Client(server()) as client:
        page = await client.call_tool("read_page", {"url": ADDRESS})
    assert not page.is_error
    assert TAKER in str(page.content)


async def test_it_knows_no_other_page() -> None:
    async with Client(server()) as client:
        page = await client.call_tool("read_page", {"url": "https://forum.example/"})
    assert page.is_error
