import json
import os
from pathlib import Path

import anyio

from support.frame_log import FrameLog
from support.proxy import Proxy, fuseboard, served, wrapped
from support.servers import raw_command


async def shown(proxy: Proxy, state: str) -> dict[str, object]:
    """The one proxy's entry, as soon as all of its upstreams are known."""
    with anyio.fail_after(20):
        while True:
            done = await fuseboard("status", "--json", state=proxy.state, ok=False)
            proxies = json.loads(done.stdout)["proxies"]
            if proxies and state in [one["state"] for one in proxies[0]["upstreams"].values()]:
                return {"code": done.returncode, **proxies[0]}
            await anyio.sleep(0.1)


async def test_a_running_proxy_is_shown_with_its_upstream(tmp_path: Path) -> None:
    async with wrapped(raw_command(FrameLog(tmp_path / "log")), tmp_path, front="http", name="raw") as proxy:
        entry = await shown(proxy, "up")
        assert entry["code"] == 0
        assert entry["pid"] == proxy.child.process.pid
        assert str(proxy.port) in str(entry["serves"])
        text = await proxy.cli("status")
        assert "raw" in text
        assert "up" in text


async def test_a_dead_upstream_is_said_to_be_dead_and_why(tmp_path: Path) -> None:
    program, *arguments = raw_command(FrameLog(tmp_path / "log"))
    config = {"servers": {"alive": {"command": program, "args": arguments}, "dead": {"command": "/does/not/exist"}}}
    async with served(config, tmp_path, front="http") as proxy:
        entry = await shown(proxy, "down")
        assert entry["code"] == 3
        dead = entry["upstreams"]["dead"]  # type: ignore[index]
        assert "could not be started" in dead["error"]


async def test_a_proxy_that_ended_is_not_shown(tmp_path: Path) -> None:
    async with wrapped(raw_command(FrameLog(tmp_path / "log")), tmp_path, front="http") as proxy:
        await shown(proxy, "up")
    done = await fuseboard("status", state=tmp_path / "state")
    assert "No proxy runs" in done.stdout.decode()


HOSTILE = {
    "serves": "stdio",
    "since": 1_790_000_000.0,
    "upstreams": {
        "odd": {
            "state": "up",
            "error": "a\x1b[2J\u202e [/oops]",
            "server": {"name": "[/oops]\x1b]0;t\x07", "version": "[bold]1"},
        }
    },
}


async def test_what_an_upstream_says_of_itself_is_shown_and_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "proxies").mkdir()
    (tmp_path / "proxies" / f"{os.getpid()}.json").write_text(json.dumps({"pid": os.getpid(), **HOSTILE}))
    done = await fuseboard("status", state=tmp_path)
    text = done.stdout.decode()
    assert "[/oops]\\x1b]0;t\\x07 [bold]1" in text
    assert "a\\x1b[2J\\u202e [/oops]" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
