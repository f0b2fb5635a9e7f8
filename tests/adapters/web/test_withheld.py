"""Withheld results on the pages: nothing of them is markup, and only the operator's own form decides."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import anyio
import msgspec
import pytest

from fuseboard.adapters.downstream.edge import HttpEdge
from fuseboard.adapters.downstream.http import serve_http
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.vault_memory import MemoryVault
from fuseboard.adapters.web.door import Door
from fuseboard.adapters.web.pages import ROOT, Pages
from fuseboard.adapters.web.withheld import Withheld
from fuseboard.config.conduct import Quarantine as KeptFor
from fuseboard.errors import StoreUnavailable
from fuseboard.inbox import Inbox
from fuseboard.quarantine import ACTS, Quarantine
from support.edge import Answer, Served
from support.gateway import FakeGateway
from support.vaulting import kept

HOSTILE = (
    "</pre><script>window.pwned = 1</script><form action='/approvals/q-1'><button>ok</button></form>\u202ex\x1b[2K"
)
FORM = "application/x-www-form-urlencoded"


def text(answer: Answer) -> str:
    assert answer.body is not None
    return answer.body.decode()


class Site:
    def __init__(self, served: Served, store: MemoryStore, vault: MemoryVault, quarantine: Quarantine) -> None:
        self.served = served
        self.store = store
        self.vault = vault
        self.quarantine = quarantine
        self.cookie = ""

    async def withhold(self, handle: str = "q-1", words: str = HOSTILE, **changed: Any) -> None:
        at = time.time()
        raw = msgspec.json.encode({"content": [{"type": "text", "text": words}]})
        fields = {"why": f"why {HOSTILE}", "exposed": "web__<b>fetch"}
        assert await self.vault.put(kept(handle, at=at, expires_at=at + 60, **{**fields, **changed}), raw)

    async def get(self, path: str = ROOT) -> Answer:
        return await self.served.ask("GET", path, {"Cookie": self.cookie})

    async def post(self, handle: str, headers: dict[str, str | None] | None = None, **form: str) -> Answer:
        own = {"Cookie": self.cookie, "Origin": f"http://127.0.0.1:{self.served.port}", "Content-Type": FORM}
        return await self.served.ask("POST", f"{ROOT}/{handle}", {**own, **(headers or {})}, urlencode(form).encode())

    async def mark(self, handle: str) -> str:
        found = re.search(r'name="mark" value="(\w+)"', text(await self.get(f"{ROOT}/{handle}")))
        assert found is not None
        return found[1]

    async def status(self, handle: str) -> str:
        return next(one.status for one in await self.quarantine.listed() if one.handle == handle)


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    told: list[str] = []
    store, vault = MemoryStore(), MemoryVault(most_bytes=10_000_000)
    door = Door(told.append, time.time)
    door.open()
    quarantine = Quarantine(vault, store, time.time, KeptFor())
    pages = Pages(Inbox(store, time.time), door, time.time, operator="ana", withheld=Withheld(quarantine))
    async with anyio.create_task_group() as tasks:
        edge = HttpEdge(
            FakeGateway(), auth=None, limits=Limits(), allowed_hosts=(), status=dict, tasks=tasks, pages=(ROOT, pages)
        )

        async def serve(*, task_status: Any) -> None:
            await serve_http(edge, "127.0.0.1", 0, ready=task_status.started, signals=False)

        with anyio.fail_after(20):
            one = Site(Served(edge, await tasks.start(serve)), store, vault, quarantine)
            answer = await one.served.ask("GET", f"{ROOT}?token={told[-1]}")
            one.cookie = answer.headers["set-cookie"].partition(";")[0]
            yield one
        tasks.cancel_scope.cancel()


async def test_what_waits_stands_in_the_list_and_on_a_page_of_its_own_as_text() -> None:
    async with site() as one:
        await one.withhold()
        for page in (text(await one.get()), text(await one.get(f"{ROOT}/q-1"))):
            assert "<script>" not in page
            assert "<b>fetch" not in page
            assert "\u202e" not in page
            assert "\x1b" not in page
        assert f'href="{ROOT}/q-1"' in text(await one.get())
        assert "&lt;script&gt;window.pwned" in text(await one.get(f"{ROOT}/q-1"))
        assert text(await one.get(f"{ROOT}/q-1")).count("<form") == 1


async def test_nothing_is_shown_without_the_door() -> None:
    async with site() as one:
        await one.withhold()
        one.cookie = ""
        assert (await one.get(f"{ROOT}/q-1")).status == 401
        assert (await one.post("q-1", decision="release", mark="x")).status == 401
        assert await one.status("q-1") == "withheld"


@pytest.mark.parametrize(("decision", "status"), [("release", "released"), ("drop", "dropped")])
async def test_a_person_decides_once_and_stands_on_record(decision: str, status: str) -> None:
    async with site() as one:
        await one.withhold()
        mark = await one.mark("q-1")
        done = await one.post("q-1", decision=decision, mark=mark)
        assert (done.status, done.headers["location"]) == (303, ROOT)
        assert await one.status("q-1") == status
        assert "q-1" not in text(await one.get())
        assert (await one.post("q-1", decision="release", mark=mark)).status == 409
        acts = (await one.store.read((ACTS,), at=time.time())).get(ACTS)
        assert [(act["do"], act["by"]) for act in acts] == [(decision, "ana")]


@pytest.mark.parametrize(
    ("headers", "form", "status"),
    [
        ({}, {"mark": "guess"}, 403),
        ({}, {"decision": "keep"}, 400),
        ({"Origin": "http://evil.example"}, {}, 403),
        ({"Origin": None}, {}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, {}, 403),
        ({"Content-Type": "application/json"}, {}, 415),
    ],
)
async def test_no_other_page_decides(headers: dict[str, str | None], form: dict[str, str], status: int) -> None:
    async with site() as one:
        await one.withhold()
        fields = {"decision": "release", "mark": await one.mark("q-1"), **form}
        assert (await one.post("q-1", headers, **fields)).status == status
        assert await one.status("q-1") == "withheld"


async def test_the_mark_of_one_is_no_mark_of_another() -> None:
    async with site() as one:
        await one.withhold("q-1")
        await one.withhold("q-2")
        assert (await one.post("q-2", decision="release", mark=await one.mark("q-1"))).status == 403


async def test_a_long_one_is_read_page_by_page() -> None:
    async with site() as one:
        await one.withhold(words="x" * 100_000 + "the end")
        first = text(await one.get(f"{ROOT}/q-1"))
        assert "the end" not in first
        onward = re.search(r'href="(/approvals/q-1\?from=\d+)"', first)
        assert onward is not None
        assert "the end" in text(await one.get(onward[1]))
        assert (await one.get(f"{ROOT}/q-1?from=999999999")).status == 409


async def test_what_is_not_there_is_said() -> None:
    async with site() as one:
        assert (await one.get(f"{ROOT}/q-1")).status == 409
        await one.withhold("h-1", kind="opaque")
        assert (await one.get(f"{ROOT}/h-1")).status == 404
        assert "Nothing waits" in text(await one.get())


async def test_approvals_are_shown_though_the_vault_is_not() -> None:
    async def down(*args: Any, **more: Any) -> Any:
        raise StoreUnavailable("the disk is gone")

    async with site() as one:
        one.vault.listed = down  # type: ignore[method-assign]
        answer = await one.get()
        assert answer.status == 200
        assert "cannot be looked for" in text(answer)
