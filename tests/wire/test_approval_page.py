"""A person at the approval page, in a real browser: what they see, what their click does, and what nobody else can do.

A library that speaks HTTP sends what it is told to. Only a browser has an opinion of its own about Origin, cookies,
frames and scripts; the page and the proxy have to agree with that opinion.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final

import anyio
import mcp.types as types
import pytest
from aiohttp import web
from mcp import Client

from fuseboard.cleaning.characters import cleaned
from support.asking import configuration, executed, link, waiting
from support.browser import Browser, browsing
from support.processes import free_port
from support.proxy import Proxy, served
from support.raw_client import Ask, RawClient
from support.raw_ways import meeting
from support.sdk_client import words

HOSTILE: Final = (
    "</pre><script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"
    "<form action='/approvals/x'><button value=approve>Approve</button></form>"
    "&lt;b&gt; \u202edetrever\u202c zero\u200bwidth \u2066isolated\u2069 \U000e0041tag \x1b[2Kcleared"
)
"""What an agent may write to a person who is to say yes."""

ERAS: Final = ["2025-11-25", "2026-07-28"]


@dataclass
class Desk:
    """An operator's desk: the terminal of a proxy, and a browser beside it."""

    proxy: Proxy
    browser: Browser
    folder: Path

    async def sit_down(self) -> None:
        await self.browser.open(link(self.proxy))

    async def question(self, id: str) -> None:
        await self.browser.open(f"{self.proxy.base}/approvals/{id}")

    async def answers(self, decision: str, say: str = "") -> str:
        """Fill in the form and send it. Returns what the next page says."""
        if say:
            await self.browser.write("textarea", say)
        await self.browser.click(f"button[value={decision}]")
        return await self.browser.words("body:not(:has(form))")  # not of the page that is about to go


@asynccontextmanager
async def desk(folder: Path, **approvals: Any) -> AsyncIterator[Desk]:
    # What is still asked when the test is over need not be answered. What the page shows is to be hostile indeed.
    more = {"limits": {"drain": "100ms"}, "output": {"arguments": "keep"}}
    config = configuration(folder, more=more, **({"via": ["web"]} | approvals))
    async with browsing(folder) as browser, served(config, folder) as proxy:
        yield Desk(proxy, browser, folder)


async def call(client: RawClient, text: str = "hi") -> Ask:
    return await client.begin("tools/call", {"name": "echo", "arguments": {"text": text}})


@dataclass
class Viewer:
    """The user of the SDK's client: whatever address it is sent to is opened in the operator's browser."""

    addresses: list[str] = field(default_factory=list)
    sent: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, context: Any, params: Any) -> types.ElicitResult:
        self.addresses.append(params.url)
        self.sent.set()
        return types.ElicitResult(action="accept")


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_person_reads_what_would_be_sent_and_lets_it_through(era: str, tmp_path: Path) -> None:
    async with desk(tmp_path, via=["elicit", "web"]) as at:
        viewer, answers = Viewer(), []
        async with (
            Client(at.proxy.url, mode=era, elicitation_callback=viewer) as client,
            anyio.create_task_group() as tasks,
        ):

            async def call_tool() -> None:
                answers.append(await client.call_tool("echo", {"text": HOSTILE}))

            tasks.start_soon(call_tool)
            asked = await waiting(at.proxy)
            assert executed(tmp_path) == []
            await at.sit_down()
            assert "token" not in await at.browser.url()
            await at.browser.click(f"a[href='/approvals/{asked['id']}']")
            await viewer.sent.wait()
            assert viewer.addresses == [await at.browser.url()]
            await harmless(at.browser)
            assert "approved by" in await at.answers("approve")
        assert words(answers[0]) == cleaned(HOSTILE)[0]  # what went in to the letter comes back clean
        assert executed(tmp_path) == [{"text": HOSTILE}]


async def harmless(browser: Browser) -> None:
    """The arguments are there to the letter, and none of them does anything."""
    shown = await browser.words("pre")
    assert json.loads(shown) == {"text": HOSTILE}
    assert "\\u202edetrever" in shown
    assert not set(shown) & set("\u202e\u202c\u200b\u2066\u2069\U000e0041\x1b")
    assert await browser.count("script, img, pre *") == 0
    assert await browser.count("form") == 1
    assert await browser.run("return typeof window.pwned") == "undefined"


@pytest.mark.parametrize("era", ERAS)
async def test_a_person_rejects_and_the_agent_is_told_why(era: str, tmp_path: Path) -> None:
    async with desk(tmp_path) as at, meeting(at.proxy, "http", era=era) as client:
        held = await call(client)
        asked = await waiting(at.proxy)
        await at.sit_down()
        await at.question(asked["id"])
        assert "rejected by" in await at.answers("reject", "not on a <b>Friday</b>")
        result = json.loads(await held.response())["result"]
        assert result["isError"]
        assert "not on a <b>Friday</b>" in result["content"][0]["text"]
        assert executed(tmp_path) == []


async def test_the_list_shows_a_new_question_by_itself(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, meeting(at.proxy, "http") as client:
        await at.sit_down()
        assert "Nothing waits for you" in await at.browser.words()
        held = await call(client)
        await at.browser.click("td a")  # waits for it: the page comes again every five seconds
        await at.answers("approve")
        assert b"isError" not in await held.response()


async def test_without_the_link_from_the_terminal_there_is_nothing_to_see(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, meeting(at.proxy, "http") as client:
        await call(client)
        asked = await waiting(at.proxy)
        for path in ("", f"/{asked['id']}", "?token=guess", f"/{asked['id']}?token=guess"):
            await at.browser.open(f"{at.proxy.base}/approvals{path}")
            assert asked["id"] not in await at.browser.words()
            assert await at.browser.count("form") == 0
            assert await at.browser.cookies() == []


async def test_the_link_opens_one_browser_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        used = link(at.proxy)
        await at.sit_down()
        assert "Nothing waits" in await at.browser.words()
        second = tmp_path / "second"
        second.mkdir()
        async with browsing(second) as other:
            await other.open(used)
            assert "used already" in await other.words()
            await other.open(f"{at.proxy.base}/approvals")
            assert "Open the link" in await other.words()
            assert link(at.proxy) != used
            await other.open(link(at.proxy))
            assert "Nothing waits" in await other.words()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_another_site_s_page_cannot_answer_for_the_operator(host: str, tmp_path: Path) -> None:
    """On 127.0.0.1 it is the same site by another port, so that the operator's cookie goes along. It even knows the
    mark, which no other page can."""
    async with desk(tmp_path) as at, meeting(at.proxy, "http") as client:
        held = await call(client)
        asked = await waiting(at.proxy)
        await at.sit_down()
        await at.question(asked["id"])
        fields = {name: await hidden(at.browser, name) for name in ("mark", "serial")}
        target = f"{at.proxy.base}/approvals/{asked['id']}"
        async with elsewhere(forgery(target, **fields, decision="approve"), host) as evil:
            await at.browser.open(evil)
            assert await at.browser.run(BLIND_FETCH, target, fields) == "unseen"
            await at.browser.click("#forged")
            said = await at.browser.source()
            assert "approved by" not in said
            assert "not accepted" in said or "Not from there" in said or "Who are you?" in said
        assert (await waiting(at.proxy))["id"] == asked["id"]
        assert executed(tmp_path) == []
        await at.question(asked["id"])
        assert "approved by" in await at.answers("approve")  # by the same browser, from our own page
        assert b"isError" not in await held.response()


async def test_another_site_s_page_cannot_hide_ours_under_a_button(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, meeting(at.proxy, "http") as client:
        await call(client)
        asked = await waiting(at.proxy)
        await at.sit_down()
        async with elsewhere(f"<iframe src='{at.proxy.base}/approvals/{asked['id']}'></iframe>", "127.0.0.1") as evil:
            await at.browser.open(evil)
            await at.browser.enter("iframe")
            assert asked["id"] not in await at.browser.words()
            assert await at.browser.count("form") == 0


async def test_a_script_that_got_into_the_page_would_not_run(tmp_path: Path) -> None:
    """Nothing gets in that we know of. Were it there: no script, no handler, nothing fetched, no form to elsewhere."""
    async with desk(tmp_path) as at, elsewhere("<p>anything goes</p>", "127.0.0.1") as evil:
        await at.browser.open(evil)
        assert await at.browser.run(INJECTED, evil) == [
            "script",
            "handler",
            "image",
            "fetch",
        ]  # where nothing forbids it
        await at.sit_down()
        assert await at.browser.run(INJECTED, evil) == []
        before = await at.browser.url()
        await at.browser.run("document.body.innerHTML = arguments[0]", forgery(evil))
        await at.browser.click("#forged")
        assert await at.browser.url() == before


@pytest.mark.parametrize("era", ERAS)
async def test_a_paused_run_goes_on_when_a_person_says_so(era: str, tmp_path: Path) -> None:
    async with desk(tmp_path) as at, meeting(at.proxy, "http", era=era) as client:
        assert b"isError" not in await client.call("sum", {"a": 1, "b": 2})
        run = (await at.proxy.trace())[-1]["run"]
        await at.proxy.cli("pause", run)
        held = await client.begin("tools/call", {"name": "sum", "arguments": {"a": 1, "b": 2}})
        asked = await waiting(at.proxy)
        await at.sit_down()
        await at.question(asked["id"])
        assert f"Let run {run} go on" in await at.browser.words()
        assert "approved by" in await at.answers("approve")
        assert b"isError" not in await held.response()
        last = (await at.proxy.trace())[-1]
        assert (last["run"], last["verdict"]) == (run, "allow")


# Somebody else's pages.

BLIND_FETCH: Final = """
const [url, fields] = arguments;
const body = new URLSearchParams({...fields, decision: "approve"});
return fetch(url, {method: "POST", mode: "no-cors", credentials: "include", body}).then(() => "seen", () => "unseen");
"""

INJECTED: Final = """
const [elsewhere] = arguments;
window.ran = [];
const script = document.createElement("script");
script.textContent = "window.ran.push('script')";
document.body.append(script);
const button = document.createElement("button");
button.setAttribute("onclick", "window.ran.push('handler')");
document.body.append(button);
button.click();
const image = new Image();
const loaded = new Promise(done => { image.onload = () => done(window.ran.push("image")); image.onerror = done; });
image.src = elsewhere + "pixel.gif";
return loaded.then(() => fetch(elsewhere)).then(() => window.ran.push("fetch"), () => 0).then(() => window.ran);
"""

PIXEL: Final = bytes.fromhex("47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b")


def forgery(target: str, **fields: str) -> str:
    inputs = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields.items())
    return f'<form method="post" action="{escape(target)}">{inputs}<button id="forged">A kitten</button></form>'


async def hidden(browser: Browser, name: str) -> str:
    return str(await browser.run("return document.getElementsByName(arguments[0])[0].value", name))


@asynccontextmanager
async def elsewhere(body: str, host: str) -> AsyncIterator[str]:
    """A page of another origin, on this machine as well: gives its address."""

    async def page(request: web.Request) -> web.Response:
        if request.path == "/pixel.gif":
            return web.Response(body=PIXEL, content_type="image/gif")
        return web.Response(text=f"<!doctype html><title>elsewhere</title>{body}", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()
