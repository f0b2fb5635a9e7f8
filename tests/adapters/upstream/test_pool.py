import subprocess
import sys

import pytest

from fuseboard.adapters.upstream.pool import HttpPool
from support.http_upstream import Call, http_upstream


async def test_all_links_share_one_session_until_the_pool_is_closed() -> None:
    pool = HttpPool()
    first = pool.session()
    assert pool.session() is first
    await pool.close()
    await pool.close()
    assert first.closed


async def test_neither_cookies_nor_the_environment_reach_an_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(call: Call) -> None:
        await call.reply(200, set_cookie="track=1")

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    pool = HttpPool()
    async with http_upstream(script) as upstream:
        for _ in range(2):
            async with pool.session().get(upstream.url) as response:
                await response.read()
        await pool.close()
    assert [call.headers.get("cookie") for call in upstream.calls] == [None, None]
    assert upstream.calls[0].headers["accept-encoding"] == "identity"
    assert upstream.connections == 1


def test_making_a_pool_does_not_load_the_http_client() -> None:
    program = (
        "import sys; from fuseboard.adapters.upstream.pool import HttpPool; HttpPool(); print('aiohttp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
