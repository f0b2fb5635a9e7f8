"""The approval pages over raw HTTP, behind the real edge."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest

from fuseboard import approvals
from fuseboard.adapters.downstream.edge import HttpEdge
from fuseboard.adapters.downstream.http import serve_http
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.web.door import Door
from fuseboard.adapters.web.pages import ROOT, Pages
from fuseboard.approvals import INDEX, PENDING, Approval, approval_key
from fuseboard.inbox import Inbox
from support.edge import Answer, Served
from support.gateway import FakeGateway
from support.judging import DEPLOY, call

FORM = "application/x-www-form-urlencoded"


def text(answer: Answer) -> str:
    assert answer.body is not None
    return answer.body.decode()


class Site:
    """A listener with pages, one question, and an operator."""

    def __init__(self, served: Served, store: MemoryStore, told: list[str]) -> None:
        self.served = served
        self.store = store
        self.told = told
        self.inbox = Inbox(store, time.time)
        self.cookie = ""

    async def ask(self, **changes: Any) -> Approval:
        at = time.time()
        bound = approvals.of_call(call(DEPLOY, changes), (("p", "r"),), "c")
        fields: dict[str, Any] = {"arguments": "{}", "via": ("web",), "status": PENDING, "serial": 1, **changes}
        one = Approval(
            id=bound.id, binding=bound, tool="t", effect="write", why="w", created_at=at, expires_at=at + 60, **fields
        )
        read = await self.store.read((approval_key(one.id), INDEX), at=at)
        await self.store.commit(approvals.opened(one, read, at=at), read, None, at=at)
        return one

    async def enter(self) -> None:
        answer = await self.served.ask("GET", f"{ROOT}?token={self.told[-1]}")
        assert (answer.status, answer.headers["location"]) == (303, ROOT)
        self.cookie = answer.headers["set-cookie"].partition(";")[0]

    async def get(self, path: str = ROOT) -> Answer:
        return await self.served.ask("GET", path, {"Cookie": self.cookie})

    async def mark(self, id: str) -> str:
        found = re.search(r'name="mark" value="(\w+)"', text(await self.get(f"{ROOT}/{id}")))
        assert found is not None
        return found[1]

    async def post(self, id: str, headers: dict[str, str | None] | None = None, **form: str) -> Answer:
        fields = {"decision": "approve", "serial": "1", "say": "", **form}
        own = {"Cookie": self.cookie, "Origin": f"http://127.0.0.1:{self.served.port}", "Content-Type": FORM}
        return await self.served.ask("POST", f"{ROOT}/{id}", {**own, **(headers or {})}, urlencode(fields).encode())

    async def status(self, one: Approval) -> str:
        found = await self.inbox.find(one.id)
        assert found is not None
        return found.status


@asynccontextmanager
async def site(**limits: Any) -> AsyncIterator[Site]:
    told: list[str] = []
    store = MemoryStore()
    door = Door(told.append, time.time)
    door.open()
    pages = Pages(Inbox(store, time.time), door, time.time, operator="ana")
    async with anyio.create_task_group() as tasks:
        edge = HttpEdge(
            FakeGateway(),
            auth=None,
            limits=Limits(**limits),
            allowed_hosts=(),
            status=dict,
            tasks=tasks,
            pages=(ROOT, pages),
        )

        async def serve(*, task_status: Any) -> None:
            await serve_http(edge, "127.0.0.1", 0, ready=task_status.started, signals=False)

        with anyio.fail_after(20):
            yield Site(Served(edge, await tasks.start(serve)), store, told)
        tasks.cancel_scope.cancel()


async def test_nothing_is_shown_without_the_link_from_the_terminal() -> None:
    async with site() as one:
        asked = await one.ask()
        for path in (ROOT, f"{ROOT}/{asked.id}", f"{ROOT}?token=guess"):
            answer = await one.get(path)
            assert answer.status in (401, 403)
            assert asked.id not in text(answer).replace(f'href="{path}"', "")
        assert (await one.post(asked.id, mark="x")).status == 401
        assert await one.status(asked) == PENDING


async def test_the_link_is_good_once() -> None:
    async with site() as one:
        link = f"{ROOT}?token={one.told[0]}"
        await one.enter()
        assert (await one.served.ask("GET", link)).status == 403
        assert (await one.get()).status == 200
        assert len(one.told) == 2


async def test_a_person_reads_and_approves() -> None:
    async with site() as one:
        asked = await one.ask(arguments='{"to": "prod"}')
        await one.enter()
        assert asked.id in text(await one.get())
        page = text(await one.get(f"{ROOT}/{asked.id}"))
        assert "{&quot;to&quot;: &quot;prod&quot;}" in page
        answer = await one.post(asked.id, mark=await one.mark(asked.id), say="go on")
        assert (answer.status, answer.headers["location"]) == (303, f"{ROOT}/{asked.id}")
        done = await one.inbox.find(asked.id)
        assert done is not None
        assert (done.status, done.by, done.through, done.say) == ("approved", "ana", "web", "go on")
        assert "approved by ana" in text(await one.get(f"{ROOT}/{asked.id}"))


async def test_a_person_rejects() -> None:
    async with site() as one:
        asked = await one.ask()
        await one.enter()
        await one.post(asked.id, mark=await one.mark(asked.id), decision="reject", say="no")
        assert await one.status(asked) == "rejected"


@pytest.mark.parametrize(
    ("headers", "form", "status"),
    [
        ({"Origin": None}, {}, 403),
        ({"Origin": "null"}, {}, 403),
        ({"Origin": "http://localhost:1"}, {}, 403),
        ({"Origin": "http://evil.example"}, {}, 403),
        ({"Sec-Fetch-Site": "same-site"}, {}, 403),
        ({"Cookie": "fuseboard_operator=x"}, {}, 401),
        ({"Host": "evil.example"}, {}, 421),
        ({"Content-Type": "text/plain"}, {}, 415),
        ({"Content-Type": "application/json"}, {}, 415),
        ({}, {"mark": "0" * 64}, 403),
        ({}, {"mark": ""}, 403),
        ({}, {"serial": "2"}, 403),
        ({}, {"decision": "allow"}, 400),
        ({}, {"say": "x" * 20_000}, 413),
    ],
)
async def test_what_no_page_of_ours_sends_decides_nothing(
    headers: dict[str, str | None], form: dict[str, str], status: int
) -> None:
    async with site() as one:
        asked = await one.ask()
        await one.enter()
        answer = await one.post(asked.id, headers, **{"mark": await one.mark(asked.id), **form})
        assert answer.status == status
        assert await one.status(asked) == PENDING


async def test_another_question_s_form_does_not_answer_this_one() -> None:
    async with site() as one:
        first, second = await one.ask(arguments="1"), await one.ask(arguments="2")
        await one.enter()
        assert (await one.post(second.id, mark=await one.mark(first.id))).status == 403
        assert await one.status(second) == PENDING


async def test_who_comes_second_is_told() -> None:
    async with site() as one:
        asked = await one.ask()
        await one.enter()
        mark = await one.mark(asked.id)
        await one.inbox.decide(asked.id, approve=False, by="bob", through="web")
        answer = await one.post(asked.id, mark=mark)
        assert answer.status == 409
        assert "rejected already by bob" in text(answer)


async def test_every_page_is_closed_to_scripts_frames_and_caches() -> None:
    async with site() as one:
        await one.enter()
        for answer in (await one.get(), await one.get(f"{ROOT}/a-none"), await one.served.ask("GET", ROOT)):
            headers = answer.headers
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["cache-control"] == "no-store"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["x-content-type-options"] == "nosniff"
            assert "<script" not in text(answer)


@pytest.mark.parametrize("path", ["/approvals/../x", "/approvalsx", "/approvals/a/b", "/approvals//evil.example"])
async def test_there_are_no_other_pages(path: str) -> None:
    async with site() as one:
        await one.enter()
        assert (await one.get(path)).status == 404
        answer = await one.served.ask("GET", f"{path}?token={one.told[-1]}")
        assert answer.headers.get("location", ROOT) == ROOT


async def test_a_closed_store_is_said() -> None:
    async with site() as one:
        await one.enter()
        await one.store.close()
        assert (await one.get()).status == 503


async def test_only_this_machine_unless_the_listener_asks_who_comes() -> None:
    seen: list[int] = []

    async def send(message: Any) -> None:
        seen.append(message.get("status", 0))

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    inbox, door = Inbox(MemoryStore(), time.time), Door(lambda token: None, time.time)
    for anywhere, address, status in (
        (False, "10.0.0.1", 403),
        (False, "::ffff:10.0.0.1", 403),
        (False, "::ffff:127.0.0.1", 401),
        (False, "::1", 401),
        (True, "10.0.0.1", 401),
    ):
        pages = Pages(inbox, door, time.time, operator="ana", anywhere=anywhere)
        scope = {"path": ROOT, "method": "GET", "headers": [], "query_string": b"", "client": (address, 1)}
        await pages(scope, receive, send)
        assert seen[-2] == status, address
