"""What was approved is what is executed, once: whatever the agent, the upstream and the people do meanwhile.

The judge is the upstream, which writes down every call that it executes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from support.asking import Clerk, asked_about, configuration, executed, waiting
from support.proxy import Proxy, served
from support.raw_client import Ask, RawClient
from support.raw_transports import streamable
from support.raw_ways import meeting, raw_client

ERAS: Final = ["2025-11-25", "2026-07-28"]
MODERN: Final = ERAS[1]
SMALL: Final = {"text": "one euro"}
LARGE: Final = {"text": "all of it"}


def params(arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "echo", "arguments": arguments, **more}


async def begin(client: RawClient, arguments: dict[str, Any], **more: Any) -> Ask:
    return await client.begin("tools/call", params(arguments, **more))


async def refusal(ask: Ask) -> str:
    result = json.loads(await ask.response(30))["result"]
    assert result["isError"], result
    return str(result["content"][0]["text"])


async def approved(proxy: Proxy) -> str:
    """Approve what waits. Returns its id."""
    id = str((await waiting(proxy))["id"])
    await proxy.cli("approve", id)
    return id


@pytest.mark.parametrize("era", ERAS)
async def test_arguments_that_are_edited_while_a_person_thinks_are_another_call(era: str, tmp_path: Path) -> None:
    async with asked_about(tmp_path, timeout="20s") as proxy, meeting(proxy, "http", era=era) as client:
        small = await begin(client, SMALL)
        asked = await waiting(proxy)
        await client.cancel(small)
        large = await begin(client, LARGE)
        await proxy.cli("approve", asked["id"])
        other = await waiting(proxy)
        assert (other["id"] != asked["id"], json.loads(other["arguments"])) == (True, LARGE)
        await proxy.cli("reject", other["id"])
        assert "rejected" in await refusal(large)
        assert executed(tmp_path) == []
        assert b"isError" not in await client.ask("tools/call", params(SMALL))  # that was approved, and nothing else
        assert executed(tmp_path) == [SMALL]


@pytest.mark.parametrize("era", ERAS)
async def test_an_approval_that_was_used_is_worth_nothing(era: str, tmp_path: Path) -> None:
    async with asked_about(tmp_path, timeout="20s") as proxy, meeting(proxy, "http", era=era) as client:
        first = await begin(client, SMALL)
        id = await approved(proxy)
        assert b"isError" not in await first.response()
        assert await proxy.cli("approve", id, ok=False) == ""
        again = await begin(client, SMALL)
        asked = await waiting(proxy)
        assert asked["id"] == id  # it binds the same; what was said of it is over
        await proxy.cli("reject", id)
        assert "rejected" in await refusal(again)
        assert executed(tmp_path) == [SMALL]


async def test_a_state_that_a_client_kept_opens_nothing_twice_and_nothing_else(tmp_path: Path) -> None:
    """2026-07-28: the client holds our state between two rounds, and may send it as often and with what it likes."""
    able = {"elicitation": {"form": {}}}
    options = {"form": "destructive", "via": ["elicit", "cli"], "timeout": "200ms"}
    async with (
        asked_about(tmp_path, **options) as proxy,
        meeting(proxy, "http", era=MODERN, capabilities=able) as client,
    ):
        first = await client.result("tools/call", params(SMALL))
        yes = {"approval": {"action": "accept", "content": {"approve": True}}}
        kept = {"requestState": first["requestState"], "inputResponses": yes}
        edited = await refusal(await begin(client, LARGE, **kept))
        assert "has not answered yet" in edited
        assert executed(tmp_path) == []
        assert "isError" not in await client.result("tools/call", params(SMALL, **kept))
        for _ in range(3):
            assert "has not answered yet" in await refusal(await begin(client, SMALL, **kept))
        assert executed(tmp_path) == [SMALL]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("when", ["while it waits", "before the retry"])
async def test_a_definition_that_was_swapped_is_not_what_was_approved(when: str, era: str, tmp_path: Path) -> None:
    timeout = "20s" if when == "while it waits" else "200ms"
    async with asked_about(tmp_path, timeout=timeout) as proxy, meeting(proxy, "http", era=era) as client:
        await client.result("tools/list")
        held = await begin(client, SMALL)
        asked = await waiting(proxy)
        if when == "while it waits":
            await swapped(client, 2)
            await proxy.cli("approve", asked["id"])
        else:
            await refusal(held)
            await proxy.cli("approve", asked["id"])
            await swapped(client, 2)
            held = await begin(client, SMALL)
        other = await waiting(proxy)
        assert other["id"] != asked["id"]
        assert executed(tmp_path) == []
        await proxy.cli("reject", other["id"])
        await held.response(30)
        assert executed(tmp_path) == []


async def swapped(client: RawClient, version: int) -> None:
    """Returns once the client sees the new definition, and so the proxy has it."""
    await client.result("tools/call", {"name": "swap", "arguments": {"version": version}})
    with anyio.fail_after(20):
        while True:
            tools = (await client.result("tools/list"))["tools"]
            if any(tool.get("description") == f"version {version}" for tool in tools):
                return


@pytest.mark.parametrize("era", ERAS)
async def test_what_has_expired_is_neither_answered_nor_used(era: str, tmp_path: Path) -> None:
    async with (
        asked_about(tmp_path, timeout="100ms", expires="3s") as proxy,
        meeting(proxy, "http", era=era) as client,
    ):
        clerk = await Clerk.let_in(proxy)
        await refusal(await begin(client, SMALL))
        (id,) = await clerk.waiting()
        assert await clerk.decide(id, await clerk.look(id), "approve")
        await anyio.sleep(3.1)  # until what was approved is no longer good
        await refusal(await begin(client, SMALL))
        (id,) = await clerk.waiting()
        page = await clerk.look(id)
        await anyio.sleep(3.1)
        assert not await clerk.decide(id, page, "approve")
        assert executed(tmp_path) == []


@pytest.mark.parametrize("era", ERAS)
async def test_of_many_who_answer_at_once_one_is_heard(era: str, tmp_path: Path) -> None:
    """Two on the page, of whom one says no, and one on the command line."""
    async with asked_about(tmp_path, timeout="20s") as proxy, meeting(proxy, "http", era=era) as client:
        clerks = [await Clerk.let_in(proxy) for _ in range(2)]
        approvals = 0
        for number in range(4):
            text = {"text": str(number)}
            held = await begin(client, text)
            id = str((await waiting(proxy))["id"])
            heard: list[str] = []

            async def on_page(clerk: Clerk, decision: str, id: str = id, heard: list[str] = heard) -> None:
                if await clerk.decide(id, await clerk.look(id), decision):
                    heard.append(decision)

            async def on_terminal(id: str = id, heard: list[str] = heard) -> None:
                if await proxy.cli("approve", id, ok=False):
                    heard.append("approve")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(on_page, clerks[0], "approve")
                tasks.start_soon(on_page, clerks[1], "reject")
                tasks.start_soon(on_terminal)
            (decision,) = heard
            approvals += decision == "approve"
            assert (b"isError" not in await held.response()) == (decision == "approve")
            assert executed(tmp_path).count(text) == (decision == "approve")
        assert len(executed(tmp_path)) == approvals


@pytest.mark.parametrize("era", ERAS)
async def test_one_approval_lets_one_of_many_same_calls_through(era: str, tmp_path: Path) -> None:
    async with asked_about(tmp_path, timeout="2s") as proxy, meeting(proxy, "http", era=era) as client:
        calls = [await begin(client, SMALL) for _ in range(5)]
        await approved(proxy)
        results = [json.loads(await call.response(30))["result"] for call in calls]
        assert sum("isError" not in result for result in results) == 1
        assert executed(tmp_path) == [SMALL]


# Who can be asked, and who cannot.

NOBODY: Final = "no way to ask"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("elicitation", "form", "how"),
    [
        (None, "destructive", None),
        ({}, "destructive", "form"),
        ({}, "none", None),
        ({"form": {}}, "destructive", "form"),
        ({"form": {}}, "none", None),
        ({"url": {}}, "none", "url"),
        ({"form": {}, "url": {}}, "destructive", "url"),
    ],
)
async def test_a_client_is_asked_as_it_can_be(
    elicitation: dict[str, Any] | None, form: str, how: str | None, era: str, tmp_path: Path
) -> None:
    able = {} if elicitation is None else {"elicitation": elicitation}
    # Where the page is served, a person who looks there can answer as well; the client is only asked if it can be.
    async with (
        asked_about(tmp_path, form=form, via=["elicit", "web"], timeout="1500ms") as proxy,
        meeting(proxy, "http", era=era, capabilities=able) as client,
    ):
        assert await asks(client) == how
        assert executed(tmp_path) == ([SMALL] if how == "form" else [])


async def asks(client: RawClient) -> str | None:
    """How the client is asked about a call. It says yes to whatever it is asked."""
    yes = {"action": "accept", "content": {"approve": True}}
    held = await begin(client, SMALL)
    if client.era == MODERN:
        first = json.loads(await held.response(30))["result"]
        if first.get("resultType") != "input_required":
            return None
        state, question = first["requestState"], first["inputRequests"]["approval"]["params"]
        again = await begin(client, SMALL, requestState=state, inputResponses={"approval": yes})
        await again.response(30)
    else:
        question = None

        async def listen() -> None:
            nonlocal question
            frame = await client.next("elicitation/create", timeout_s=30)
            question = json.loads(frame)["params"]
            await client.reply(frame, yes)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await held.response(30)
            tasks.cancel_scope.cancel()
    return None if question is None else str(question.get("mode", "form"))


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("via", [["elicit"], ["web"], ["elicit", "web"]], ids=str)
async def test_where_nobody_can_be_asked_nothing_is_executed(via: list[str], era: str, tmp_path: Path) -> None:
    """Over stdio nothing serves the page, and this client cannot be asked."""
    async with raw_client("stdio", configuration(tmp_path, via=via), tmp_path, era=era) as client:
        assert NOBODY in await refusal(await begin(client, SMALL))
        assert executed(tmp_path) == []


@pytest.mark.parametrize("era", ERAS)
async def test_an_approval_outlives_the_proxy_and_is_still_good_once(era: str, tmp_path: Path) -> None:
    config = configuration(tmp_path, timeout="200ms")
    async with served(config, tmp_path) as proxy:
        path = json.loads(await proxy.cli("run", "new", "--json"))["path"]
        async with streamable(proxy.base + path, era=era) as client:
            await refusal(await begin(client, SMALL))
            await approved(proxy)
    async with served(config, tmp_path) as proxy, streamable(proxy.base + path, era=era) as client:
        assert executed(tmp_path) == []
        assert b"isError" not in await client.ask("tools/call", params(SMALL))
        await refusal(await begin(client, SMALL))
        assert executed(tmp_path) == [SMALL]
