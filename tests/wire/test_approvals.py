"""A person answers a proxy that runs: from the command line, and on the page that the terminal led to."""

from __future__ import annotations

import json
import re
import urllib.error
from pathlib import Path
from typing import Any

import anyio
import mcp.types as types
import pytest
from mcp import Client

from support.asking import Clerk, configuration, link, waiting
from support.proxy import served
from support.raw_ways import meeting
from support.sdk_client import words


@pytest.fixture(params=["legacy", "auto"])
def sdk_era(request: pytest.FixtureRequest) -> str:
    """As the SDK's client calls the eras: ``auto`` takes the newer one wherever it is spoken."""
    return str(request.param)


@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
async def test_the_command_line_answers_a_call_that_waits(era: str, tmp_path: Path) -> None:
    async with served(configuration(tmp_path), tmp_path) as proxy, meeting(proxy, "http", era=era) as client:
        call = await client.begin("tools/call", {"name": "echo", "arguments": {"text": "hi"}})
        asked = await waiting(proxy)
        assert json.loads(asked["arguments"]) == {"text": "hi"}
        await proxy.cli("approve", asked["id"], "--say", "fine")
        assert b"isError" not in await call.response()
        record = (await proxy.trace())[-1]
        fact = next(check for check in record["checks"] if check["policy"] == "approvals")["facts"]
        assert (fact["through"], fact["say"]) == ("cli", "fine")


async def test_the_page_answers_a_call_that_waits(tmp_path: Path) -> None:
    async with (
        served(configuration(tmp_path, via=["web"]), tmp_path) as proxy,
        meeting(proxy, "http") as client,
    ):
        call = await client.begin("tools/call", {"name": "echo", "arguments": {"text": "<b>hi</b>"}})
        asked = await waiting(proxy)
        refused = await proxy.cli("approve", asked["id"], ok=False)
        assert refused == ""  # approvals.via leaves the command line out
        clerk = Clerk(proxy.base)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            await clerk.get(f"{proxy.base}/approvals")
        assert asked["id"] in await clerk.get(link(proxy))
        page = await clerk.look(asked["id"])
        assert "&lt;b&gt;hi&lt;/b&gt;" in page
        done = await clerk.send(f"/approvals/{asked['id']}", page, decision="approve", say="")
        assert "Approve once" not in done
        assert b"isError" not in await call.response()
        assert len(re.findall("asks people at", proxy.stderr)) == 2


class Asked:
    """What the SDK's client was asked; it answers a form by approving, and promises to look at a page."""

    def __init__(self) -> None:
        self.params: list[Any] = []

    async def __call__(self, context: Any, params: Any) -> types.ElicitResult:
        self.params.append(params)
        if isinstance(params, types.ElicitRequestURLParams):
            return types.ElicitResult(action="accept")
        return types.ElicitResult(action="accept", content={"approve": True})


async def test_an_sdk_client_is_sent_to_the_page(sdk_era: str, tmp_path: Path) -> None:
    """It declares links and forms, and links are better."""
    async with served(configuration(tmp_path), tmp_path) as proxy:
        asked, answers = Asked(), []
        async with Client(proxy.url, mode=sdk_era, elicitation_callback=asked) as client:

            async def call() -> None:
                answers.append(await client.call_tool("echo", {"text": "hi"}))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                waits = await waiting(proxy)
                clerk = await Clerk.let_in(proxy)
                assert await clerk.decide(waits["id"], await clerk.look(waits["id"]), "approve")
        assert not answers[0].is_error
        (params,) = asked.params
        assert params.url == f"{proxy.base}/approvals/{waits['id']}"


async def test_an_sdk_client_answers_a_form_where_the_operator_lets_it(sdk_era: str, tmp_path: Path) -> None:
    config = configuration(tmp_path, via=["elicit"], form="destructive")
    async with served(config, tmp_path) as proxy:
        asked = Asked()
        async with Client(proxy.url, mode=sdk_era, elicitation_callback=asked) as client:
            assert not (await client.call_tool("echo", {"text": "hi"})).is_error
        assert len(asked.params) == 1


async def test_an_sdk_client_that_cannot_be_asked_is_refused_at_once(sdk_era: str, tmp_path: Path) -> None:
    config = configuration(tmp_path, via=["elicit"], form="destructive")
    async with served(config, tmp_path) as proxy, Client(proxy.url, mode=sdk_era) as client:
        refused = await client.call_tool("echo", {"text": "hi"})
        assert refused.is_error
        assert "no way to ask" in words(refused)
