"""A real browser, driven as a person would: Chromium without a window, by the W3C's WebDriver over plain HTTP.

Debian's packages have both halves at one version (``apt-get install chromium chromium-driver``), so that nothing is
downloaded behind our backs. Without them the test is skipped and says so; with ``CI=true`` it fails instead.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from support.processes import child, free_port
from support.servers import unavailable

LIMIT_S: Final = 30
PATIENCE_MS: Final = 10_000
"""How long an element is waited for that is not there yet."""

BROWSERS: Final = ("chromium", "google-chrome", "chromium-browser")
NEEDED: Final = "a browser is needed: apt-get install chromium chromium-driver"
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver, 12.1: the name is part of the protocol

_OPTIONS: Final = (
    "--headless=new",
    "--disable-background-networking",
    "--disable-dev-shm-usage",  # containers have little of it
    "--disable-gpu",
    "--no-first-run",
    "--no-proxy-server",
)


class BrowserError(Exception):
    """What WebDriver refused. ``kind`` is its own word, such as ``no such element``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Browser:
    """One window with its own cookies. Elements are named by CSS selectors."""

    def __init__(self, session: str) -> None:
        self._session = session

    async def open(self, url: str) -> None:
        """As if typed into the address bar: waits until the page is there."""
        await self._command("POST", "/url", {"url": url})

    async def url(self) -> str:
        return str(await self._command("GET", "/url"))

    async def title(self) -> str:
        return str(await self._command("GET", "/title"))

    async def source(self) -> str:
        """The document as the browser has it now."""
        return str(await self._command("GET", "/source"))

    async def words(self, selector: str = "body") -> str:
        """What a person reads there."""
        return str(await self._of(selector, "GET", "/text"))

    async def click(self, selector: str) -> None:
        """Waits for the page that a link or a form leads to."""
        await self._of(selector, "POST", "/click", {})

    async def write(self, selector: str, text: str) -> None:
        await self._of(selector, "POST", "/value", {"text": text})

    async def count(self, selector: str) -> int:
        return int(await self.run("return document.querySelectorAll(arguments[0]).length", selector))

    async def enter(self, frame: str) -> None:
        """Go on inside a frame of the page, whoever it belongs to."""
        found = await self._command("POST", "/element", {"using": "css selector", "value": frame})
        await self._command("POST", "/frame", {"id": found})

    async def run(self, script: str, *arguments: Any) -> Any:
        """The debugger's hand: no policy of the page holds it back. A promise is waited for."""
        return await self._command("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    async def cookies(self) -> list[dict[str, Any]]:
        return list(await self._command("GET", "/cookie"))

    async def _of(self, selector: str, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        while True:
            found = await self._command("POST", "/element", {"using": "css selector", "value": selector})
            try:
                return await self._command(verb, f"/element/{found[_ELEMENT]}{path}", body)
            except BrowserError as gone:  # another page came in between
                if gone.kind != "stale element reference":
                    raise

    async def _command(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return await anyio.to_thread.run_sync(_send, verb, self._session + path, body)


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Browser]:
    """A fresh browser: no cookies, no history, nothing left behind."""
    program, driver = _programs()
    port = free_port()
    async with child([driver, f"--port={port}"], folder / "chromedriver.log", port=port):
        base = f"http://127.0.0.1:{port}/session"
        # Root's processes get no sandbox of their own, and Chromium refuses to start without saying so.
        options = [
            *_OPTIONS,
            f"--user-data-dir={folder / 'chromium'}",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]
        chrome = {"goog:chromeOptions": {"binary": program, "args": options}, "timeouts": {"implicit": PATIENCE_MS}}
        begun = await anyio.to_thread.run_sync(_send, "POST", base, {"capabilities": {"alwaysMatch": chrome}})
        session = f"{base}/{begun['sessionId']}"
        try:
            yield Browser(session)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_send, "DELETE", session, None)


@functools.cache
def _programs() -> tuple[str, str]:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        unavailable(NEEDED)
        raise AssertionError("unreachable")
    return program, driver


def _send(verb: str, url: str, body: dict[str, Any] | None) -> Any:
    data = json.dumps(body or {}).encode() if verb == "POST" else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=verb)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=LIMIT_S) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as refused:
        with refused:
            said = json.load(refused)["value"]
        raise BrowserError(said["error"], said["message"]) from None
