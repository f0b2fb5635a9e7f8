from mcp import Client

from fuseboard.adapters.demo.servers.mail import server


async def test_it_says_what_it_would_have_sent() -> None:
    async with Client(server()) as client:
        sent = await client.call_tool("send", {"to": "ops@shop.example", "subject": "hello", "text": "?"})
    assert "'hello' to ops@shop.example" in str(sent.content)
