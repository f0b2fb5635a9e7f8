"""A judged call on its way: its deadline, and the one repeat that the proxy makes of its own accord."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from fuseboard import pipeline
from fuseboard.config.guards import PrincipalLimits, Retries, RunLimits
from fuseboard.config.units import Rate
from fuseboard.era import Era
from fuseboard.errors import UpstreamGarbled, UpstreamLost, UpstreamThrottled
from fuseboard.sending import BACKOFF_S
from support.fake_server import Asked, FakeServer, FakeTool, text
from support.playbook import RpcError, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


class Flaky:
    """Loses the first ``times`` answers by raising ``fault``."""

    def __init__(self, times: int, fault: Exception | None = None) -> None:
        self.at: list[float] = []
        self._times = times
        self._fault = fault or UpstreamLost("up", "up closed the connection")

    async def act(self, asked: Asked) -> Any:
        self.at.append(anyio.current_time())
        if len(self.at) <= self._times:
            raise self._fault
        return text("done")

    def server(self, **facts: Any) -> FakeServer:
        return FakeServer("up", FakeTool("act", self.act), tools={"act": {"effect": "write", **facts}})


def fuses(**retries: Any) -> pipeline.Fuses:
    return pipeline.Fuses(RunLimits(), PrincipalLimits(), retries=Retries(**retries), process="p")


async def test_what_the_operator_calls_idempotent_is_tried_once_more_after_a_moment() -> None:
    flaky = Flaky(1)
    async with playing(flaky.server(idempotent=True), fuses=fuses()) as play:
        assert (await (await play.connect()).call("act"))["content"][0]["text"] == "done"
        first, second = flaky.at
        assert BACKOFF_S[0] <= second - first <= BACKOFF_S[1]
        assert play.truths == ["ok"]


async def test_it_is_tried_once_more_and_no_more() -> None:
    flaky = Flaky(9)
    async with playing(flaky.server(idempotent=True), fuses=fuses()) as play:
        with pytest.raises(RpcError):
            await (await play.connect()).call("act")
        assert len(flaky.at) == 2


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({}, UpstreamLost("up", "gone")),
        ({"idempotent": True}, UpstreamGarbled("up", "it spoke in tongues")),
        ({"idempotent": True}, UpstreamThrottled("up", "not now")),
    ],
    ids=["not idempotent", "something came back", "throttled"],
)
async def test_nothing_else_is_tried_again(facts: dict[str, Any], fault: Exception) -> None:
    flaky = Flaky(1, fault)
    async with playing(flaky.server(**facts), fuses=fuses()) as play:
        with pytest.raises(RpcError):
            await (await play.connect()).call("act")
        assert len(flaky.at) == 1


async def test_the_proxys_own_repeats_draw_on_the_budget_too() -> None:
    flaky = Flaky(99)
    scarce = fuses(floor=Rate(1, 3600.0, 1), budget=0.0)
    async with playing(flaky.server(idempotent=True), fuses=scarce) as play:
        client = await play.connect()
        for number in range(3):
            with pytest.raises(RpcError):
                await client.call("act", number=number)
        assert len(flaky.at) == 4


async def test_the_repeat_is_within_the_deadline_of_the_call() -> None:
    flaky = Flaky(1)
    async with playing(flaky.server(idempotent=True, timeout="100ms"), fuses=fuses()) as play:
        with pytest.raises(RpcError, match="did not answer"):
            await (await play.connect()).call("act")
        assert len(flaky.at) == 1
        assert play.truths == ["timeout"]


def _speaks(*at_s: float) -> Any:
    """An upstream that reports progress at these times and never answers."""

    async def act(asked: Asked) -> Any:
        began_s = anyio.current_time()
        for each_s in at_s:
            await anyio.sleep(each_s - (anyio.current_time() - began_s))
            asked.scope.notify("notifications/progress", b'{"progressToken":1,"progress":1}')
        await anyio.sleep_forever()

    return act


@pytest.mark.parametrize(
    ("facts", "spoke_at_s", "given_up_s", "says"),
    [
        ({"idle_timeout": "3s"}, (), 3.0, "said nothing about tools/call for 3 s"),
        ({"idle_timeout": "3s"}, (2.0, 4.0), 7.0, "said nothing about tools/call for 3 s"),
        ({"idle_timeout": "3s", "timeout": "5s"}, (2.0, 4.0), 5.0, "did not answer tools/call within 5 s"),
        ({"idle_timeout": "9s", "tools": {"act": {"idle_timeout": "2s"}}}, (), 2.0, "for 2 s"),
    ],
    ids=["silent", "silent after a while", "talks past the cap", "the tool's own"],
)
async def test_a_silent_upstream_is_given_up_and_told_so(
    facts: dict[str, Any], spoke_at_s: tuple[float, ...], given_up_s: float, says: str
) -> None:
    server = FakeServer("up", FakeTool("act", _speaks(*spoke_at_s)), **facts)
    async with playing(server, fuses=fuses()) as play:
        client = await play.connect()
        began_s = anyio.current_time()
        with pytest.raises(RpcError, match=says):
            await client.request("tools/call", {"name": "act", "_meta": {"progressToken": 1}})
        assert round(anyio.current_time() - began_s, 3) == given_up_s
        assert play.truths == ["timeout"]
        assert server.cancelled == ["tools/call"]


async def test_an_agent_is_not_silent_while_those_that_it_asked_are_heard() -> None:
    """And what stands on it has to speak sooner than it: the lowest is given up first."""

    async def asks_on(asked: Asked) -> Any:
        meta = {key: value for key, value in asked.value["_meta"].items() if key.startswith("trace")}
        meta["progressToken"] = 1
        with pytest.raises(RpcError) as failed:
            await stage[0].request("tools/call", {"name": "tool__act", "_meta": meta})
        ends.append((round(anyio.current_time() - began_s, 3), failed.value.message))
        await anyio.sleep(8.0)
        return text("in time")

    agent = FakeServer("agent", FakeTool("ask", asks_on), agent=True, idle_timeout="10s")
    tool = FakeServer("tool", FakeTool("act", _speaks(8.0, 16.0, 24.0)))
    stage: list[Any] = []
    ends: list[tuple[float, str]] = []
    async with playing(agent, tool, fuses=fuses()) as play:
        client = await play.connect(Era.STATELESS)
        stage.append(client)
        began_s = anyio.current_time()
        assert (await client.call("agent__ask"))["content"][0]["text"] == "in time"
        assert [(at_s, "for 9 s" in says) for at_s, says in ends] == [(33.0, True)]
        assert round(anyio.current_time() - began_s, 3) == 41.0


@pytest.mark.parametrize(
    ("allowed", "whose"), [("10m", "caller"), ("10s", "upstream")], ids=["its caller's", "nearly its own"]
)
async def test_whose_time_it_was_that_ran_out(allowed: str, whose: str) -> None:
    """An agent that has ten seconds asks a tool that may take ten minutes, or ten seconds as well."""

    async def asks_on(asked: Asked) -> Any:
        meta = {key: value for key, value in asked.value["_meta"].items() if key.startswith("trace")}
        with pytest.raises(RpcError, match=r"within 9 s"):
            await stage[0].request("tools/call", {"name": "tool__act", "_meta": meta})
        return text("in time")

    agent = FakeServer("agent", FakeTool("ask", asks_on), agent=True, timeout="10s")
    tool = FakeServer("tool", FakeTool("act", _speaks()), timeout=allowed)
    stage: list[Any] = []
    async with playing(agent, tool, fuses=fuses()) as play:
        stage.append(await play.connect(Era.STATELESS))
        assert (await stage[0].call("agent__ask"))["content"][0]["text"] == "in time"
        said = [check["facts"] for entry in play.concluded for check in entry.checks if check["policy"] == "truth"]
        assert [(one["whose"], one["weight"]) for one in said] == [(whose, 1.0 if whose == "upstream" else 0.0)]


async def test_a_call_that_waited_on_its_way_in_keeps_to_its_caller_s_time() -> None:
    """What is left of the caller's time is counted when the call is sent, not when it was proposed."""

    async def asks_on(asked: Asked) -> Any:
        meta = {key: value for key, value in asked.value["_meta"].items() if key.startswith("trace")}
        with pytest.raises(RpcError, match=r"within 5\.4 s"):
            await stage[0].request("tools/call", {"name": "tool__act", "_meta": meta})
        return text("in time")

    agent = FakeServer("agent", FakeTool("ask", asks_on), agent=True, timeout="10s")
    tool = FakeServer("tool", FakeTool("act", _speaks()), parallel=1, queue_wait="5s")
    stage: list[Any] = []
    async with playing(agent, tool, fuses=fuses()) as play:
        client, other = await play.connect(Era.STATELESS), await play.connect(transport="http")
        stage.append(client)
        async with anyio.create_task_group() as tasks:

            async def in_the_way() -> None:
                with anyio.move_on_after(4.0):
                    await other.call("tool__act", n=1)

            tasks.start_soon(in_the_way)
            await tool.reached("tools/call")
            assert (await client.call("agent__ask"))["content"][0]["text"] == "in time"
