import sys

import anyio
import pytest

from fuseboard.adapters.connect import Connector
from fuseboard.config import HttpServer, StdioServer
from fuseboard.era import Era
from fuseboard.errors import UpstreamUnreachable
from fuseboard.ports import Link, Reply, Request, Scope


class Deaf:
    async def request(self, request: Request, scope: Scope) -> Reply:
        raise AssertionError("nothing asks here")

    def notified(self, method: str, params: bytes | None) -> None:
        raise AssertionError("nothing speaks here")

    def lost(self, reason: str) -> None:
        return None


async def linked(server: StdioServer | HttpServer, era: Era) -> Link:
    async with anyio.create_task_group() as tasks:
        connector = Connector(tasks, limit_bytes=1000)
        link = await connector.to("up", server)(era, Deaf())
        await link.close()
        await connector.close()
        tasks.cancel_scope.cancel()
    return link


@pytest.mark.parametrize(
    ("server", "era", "kind"),
    [
        pytest.param(StdioServer(command="cat"), Era.HANDSHAKE, "StdioLink", id="a command is a child"),
        pytest.param(StdioServer(command="cat"), Era.STATELESS, "StdioLink", id="in either era"),
        pytest.param(HttpServer(url="http://127.0.0.1:9/mcp"), Era.HANDSHAKE, "SessionLink", id="a URL has sessions"),
        pytest.param(HttpServer(url="http://127.0.0.1:9/mcp"), Era.STATELESS, "HttpLink", id="or none, by its era"),
    ],
)
async def test_a_server_gets_the_link_of_its_transport(server: StdioServer | HttpServer, era: Era, kind: str) -> None:
    assert type(await linked(server, era)).__name__ == kind


async def test_the_old_transport_has_no_stateless_era() -> None:
    with pytest.raises(ExceptionGroup) as group:
        await linked(HttpServer(url="http://127.0.0.1:9/sse", type="sse"), Era.STATELESS)
    assert group.group_contains(UpstreamUnreachable, match="handshake revisions only")


def test_no_transport_is_loaded_before_it_is_needed() -> None:
    import subprocess

    program = "import sys, fuseboard.adapters.connect; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
