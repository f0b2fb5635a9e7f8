import pytest
from mcp import Client

from fuseboard.adapters.demo.servers.files import server


async def test_the_log_leads_to_the_cause() -> None:
    async with Client(server()) as client:
        log = await client.call_tool("read_file", {"path": "/srv/checkout/logs/error.log"})
        listed = await client.call_tool("list_files", {"folder": "/srv/checkout/config"})
    assert "config/payments.toml" in str(log.content)
    assert "/srv/checkout/config/payments.toml" in str(listed.content)


@pytest.mark.parametrize("path", ["/nowhere", "/srv/checkout/logs/../logs/error.log"])
async def test_only_a_path_as_it_is_written_finds_a_file(path: str) -> None:
    async with Client(server()) as client:
        assert (await client.call_tool("read_file", {"path": path})).is_error


async def test_an_edited_file_holds_what_was_put_there() -> None:
    async with Client(server()) as client:
        await client.call_tool("edit_file", {"path": "/srv/new", "text": "fresh"})
        assert "fresh" in str((await client.call_tool("read_file", {"path": "/srv/new"})).content)
