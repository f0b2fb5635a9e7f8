"""A proxy that asks a person before it lets ``raw__echo`` through, and what the operator sees of that."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import unescape
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from support.frame_log import FrameLog
from support.matrix import address
from support.processes import child, free_port
from support.proxy import Proxy, served
from support.servers import raw_command

SCRIBE: Final = Path(__file__).with_name("scribe_server.py")

RULES: Final = [{"id": "echoes-need-a-person", "tools": "raw__echo", "decide": "ask"}]


def frames(folder: Path) -> FrameLog:
    """What the upstream of :func:`configuration` got."""
    return FrameLog(folder / "log")


def configuration(folder: Path, *, more: Mapping[str, Any] | None = None, **approvals: Any) -> dict[str, Any]:
    program, *arguments = raw_command(frames(folder))
    raw = {"command": program, "args": arguments}
    return {"servers": {"raw": raw}, "rules": RULES, "approvals": approvals, **(more or {})}


def executed(folder: Path) -> list[dict[str, Any]]:
    """The arguments of every ``echo`` that reached the upstream, as it wrote them down."""
    calls = [json.loads(frame)["params"] for frame in frames(folder).frames("tools/call")]
    return [call.get("arguments") for call in calls if call["name"] == "echo"]


async def waiting(proxy: Proxy) -> dict[str, Any]:
    """The oldest question, as the command line shows it, once there is one."""
    with anyio.fail_after(30):
        while True:
            if (proxy.state / "ledger.db").exists():
                pending = json.loads(await proxy.cli("inbox", "--json"))["pending"]
                if pending:
                    return dict(pending[0])


def link(proxy: Proxy) -> str:
    """The newest of the links that stand on the operator's terminal, each good once."""
    return str(re.findall(r"asks people at (\S+)", proxy.stderr)[-1])


@asynccontextmanager
async def asked_about(folder: Path, *, more: Mapping[str, Any] | None = None, **approvals: Any) -> AsyncIterator[Proxy]:
    """A proxy before one upstream process for all sessions, with the tool ``swap``; its log is :func:`frames`."""
    port = free_port()
    command = [sys.executable, str(SCRIBE), "--port", str(port), "--log", str(frames(folder).path)]
    async with child(command, folder / "upstream.log", port=port):
        raw = address("http", f"http://127.0.0.1:{port}")
        config = {
            "servers": {"raw": raw},
            "rules": RULES,
            "approvals": {"ask_above": None, **approvals},
            "limits": {"drain": "100ms"},
            "pins": {"on_change": "allow"},  # an approval is bound to the definition by itself
            **(more or {}),
        }
        async with served(config, folder) as proxy:
            yield proxy


class Clerk:
    """A person at the approval page, with as much of a browser as that needs: cookies, redirects, forms."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    @classmethod
    async def let_in(cls, proxy: Proxy) -> Clerk:
        clerk = cls(proxy.base)
        await clerk.get(link(proxy))
        return clerk

    async def waiting(self) -> list[str]:
        """The ids that wait."""
        return re.findall(r'href="/approvals/([\w-]+)"', await self.get(f"{self.base}/approvals"))

    async def look(self, id: str) -> str:
        return await self.get(f"{self.base}/approvals/{id}")

    async def decide(self, id: str, page: str, decision: str, say: str = "") -> bool:
        """Whether it was this answer that counted, and not another's. A ``page`` that shows one has nothing to send."""
        if 'name="mark"' not in page:
            return False
        try:
            await self.send(f"/approvals/{id}", page, decision=decision, say=say)
        except urllib.error.HTTPError as refused:
            if refused.code != 409:
                raise
            return False
        return True

    async def get(self, url: str) -> str:
        return await self._open(urllib.request.Request(url))

    async def send(self, path: str, page: str, **fields: str) -> str:
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', page))
        data = urllib.parse.urlencode({**hidden, **fields}).encode()
        return await self._open(urllib.request.Request(self.base + path, data, {"Origin": self.base}))

    async def _open(self, request: urllib.request.Request) -> str:
        def fetch() -> str:
            try:
                with self._opener.open(request, timeout=30) as answer:
                    return str(answer.read().decode())
            except urllib.error.HTTPError as refused:
                refused.close()  # it holds the connection
                raise

        return await anyio.to_thread.run_sync(fetch)


def shown(page: str) -> dict[str, Any]:
    """The arguments that a page of the clerk's shows."""
    found = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert found is not None
    return dict(json.loads(unescape(found[1])))
