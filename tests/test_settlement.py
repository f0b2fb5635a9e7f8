"""What a call took is settled, whatever became of it, and its record is closed."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from fuseboard.accounts import Standing, standing
from fuseboard.config.guards import Milestone, PrincipalLimits, RunLimits
from fuseboard.errors import UpstreamLost
from fuseboard.pipeline import Fuses
from fuseboard.ports import Reply, Result
from support.fake_server import Asked, FakeServer, FakeTool, answers, says
from support.playbook import Play, playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio


def fuses(*milestones: str, **run: Any) -> Fuses:
    limits = RunLimits.model_validate({"pause_at": None, **run})
    return Fuses(limits, PrincipalLimits(), tuple(Milestone(tool=tool) for tool in milestones))


def lab(*tools: FakeTool) -> FakeServer:
    return FakeServer("lab", *tools)


async def account(play: Play) -> Standing:
    (run,) = {entry.run for entry in play.proposed}
    at = play.board.now()
    return standing((await play.store.read([f"run/{run}"], at=at)).get(f"run/{run}"), at=at)


async def test_what_came_back_is_charged_by_its_bytes() -> None:
    async with playing(lab(FakeTool("look", says("x" * 1000))), fuses=fuses()) as play:
        client = await play.connect()
        await client.call("look")
        now = await account(play)
        assert now.used["calls"] == 1
        assert now.used["output_bytes"] == play.concluded[0].result_bytes > 1000
        assert now.used["tokens"] == now.used["output_bytes"] / 4
        assert set(now.held) == set()


async def test_a_call_that_nobody_waits_for_any_more_is_settled() -> None:
    begun = anyio.Event()

    async def hangs(asked: Asked) -> Reply:
        begun.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with playing(lab(FakeTool("hang", hangs)), fuses=fuses()) as play:
        client = await play.connect()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call, "hang")
            await begun.wait()
            assert (await account(play)).held["calls"] == 1
            tasks.cancel_scope.cancel()
        now = await account(play)
        assert (now.used["calls"], now.held, play.truths) == (1, {}, ["cancelled"])


async def test_a_call_whose_link_died_is_settled() -> None:
    async def dies(asked: Asked) -> Reply:
        raise UpstreamLost("lab", "lab fell over")

    async with playing(lab(FakeTool("die", dies)), fuses=fuses()) as play:
        client = await play.connect()
        reply = await client.reply("tools/call", {"name": "die", "arguments": {}})
        now = await account(play)
        assert (now.used["calls"], now.held, play.truths) == (1, {}, ["lost"])
        assert b"lab fell over; whether it took effect is unknown: find that out" in reply.raw


async def test_a_result_that_is_withheld_is_paid_for() -> None:
    wrong = Result(b'{"content":[],"structuredContent":{"sum":"three"}}')
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    async with playing(lab(FakeTool("add", answers(wrong), outputSchema=schema)), fuses=fuses()) as play:
        client = await play.connect()
        _, decision = await client.refusal("add")
        assert decision["rule"] == "schema.result"
        assert (await account(play)).used["output_bytes"] == len(wrong.raw)


async def test_the_limit_is_a_refusal_that_the_model_can_read() -> None:
    async with playing(lab(FakeTool("look", says("sun"))), fuses=fuses(calls=2)) as play:
        client = await play.connect()
        await client.call("look")
        await client.call("look")
        text, decision = await client.refusal("look")
        assert "2 of 2 calls" in text
        assert (decision["policy"], decision["rule"], decision["verdict"]) == ("budgets", "run.calls", "deny")
        assert len(play.server("lab").calls) == 2


async def test_parallel_calls_never_overspend() -> None:
    go_on = anyio.Event()

    async def waits(asked: Asked) -> Reply:
        await go_on.wait()
        return Result(b'{"content":[]}')

    async with playing(lab(FakeTool("wait", waits)), fuses=fuses(calls=10, parallel=None)) as play:
        client = await play.connect()
        results: list[Any] = []

        async def call() -> None:
            results.append(await client.call("wait"))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(call)
            await anyio.sleep(1)
            go_on.set()
        assert sum("isError" not in result for result in results) == 10
        assert len(play.server("lab").calls) == 10


async def test_half_of_a_budget_without_a_milestone_holds_the_next_call() -> None:
    async with playing(lab(FakeTool("look", says("sun"))), fuses=fuses(calls=4, pause_at="50%")) as play:
        client = await play.connect()
        await client.call("look")
        await client.call("look")
        _, decision = await client.refusal("look")
        assert (decision["rule"], decision["verdict"]) == ("run.paused", "hold")


async def test_a_milestone_spares_the_run_the_pause() -> None:
    limits = fuses("lab__save", calls=4, pause_at="50%")
    async with playing(lab(FakeTool("look", says("sun")), FakeTool("save", says("done"))), fuses=limits) as play:
        client = await play.connect()
        await client.call("save")
        for _ in range(3):
            await client.call("look")
        _, decision = await client.refusal("look")
        assert decision["rule"] == "run.calls"
