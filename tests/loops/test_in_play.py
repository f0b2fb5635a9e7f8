"""Loops through the whole board: what the model gets, and what reaches the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from fuseboard import fuses
from fuseboard.config import Config
from support.fake_server import FakeServer, FakeTool, result, says
from support.playbook import Play, playing
from support.virtual_time import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

DECISION = "fuseboard/decision"


@asynccontextmanager
async def board(*tools: FakeTool, facts: dict[str, Any] | None = None, **loops: Any) -> AsyncIterator[Play]:
    config = Config.model_validate({"servers": {"work": {"command": "x"}}, "loops": loops})
    server = FakeServer("work", *tools, tools=facts or {})
    async with playing(server, policies=fuses.policies(config, fuses.rules(config))) as play:
        yield play


async def asked(play: Play, times: int, who: str = "local") -> list[Any]:
    client = await play.connect(principal=who, transport="http")
    return [await client.call("look", path="a") for _ in range(times)]


def verdicts(answers: list[Any]) -> list[str | None]:
    return [answer.get("_meta", {}).get(DECISION, {}).get("verdict") for answer in answers]


async def test_a_loop_is_told_of_then_answered_from_what_is_known_then_cooled_then_shown_to_a_person() -> None:
    async with board(FakeTool("look", says("the same"))) as play:
        answers = await asked(play, 9)
        assert verdicts(answers) == [None, None, "nudge", "nudge", "deny", "deny", "deny", "deny", "hold"]
        assert len(play.server("work").calls) == 4
        told, again, cooled = answers[2], answers[4], answers[6]
        assert told["content"][0]["text"] == "the same"
        assert "3rd time" in told["content"][1]["text"]
        assert [block["text"] for block in again["content"][1:]] == ["the same"], "what was said beside it is over"
        assert "isError" not in again
        assert cooled["isError"] is True
        assert cooled["_meta"][DECISION]["retry_after_s"] == 10.0


async def test_the_ledger_names_the_calls_that_formed_it() -> None:
    async with board(FakeTool("look", says("the same"))) as play:
        await asked(play, 5)
        ids = [entry.id for entry in play.proposed]
        (check,) = [check for check in play.proposed[-1].checks if check["policy"] == "loops"]
        assert check["rule"] in ("loops.repeat", "loops.cycle")
        assert check["facts"]["calls"] == ids[:4]
        nudges = [
            entry
            for entry in play.concluded
            if any(check["rule"] for check in entry.checks if check["policy"] == "loops")
        ]
        assert len(nudges) == 2


async def test_a_call_that_waited_is_made_and_may_find_something_new() -> None:
    said = "the same"

    async def act(given: Any) -> Any:
        return await says(said)(given)

    async with board(FakeTool("look", act)) as play:
        client = await play.connect()
        for _ in range(7):
            await client.call("look", path="a")
        await anyio.sleep(10.0)
        said = "news"
        answers = [await client.call("look", path="a") for _ in range(2)]
        assert verdicts(answers) == [None, None]
        assert answers[0]["content"][0]["text"] == "news"


async def test_one_run_does_not_answer_for_another() -> None:
    async with board(FakeTool("look", says("the same"))) as play:
        for who in ("ana", "ben", "cem"):
            assert verdicts(await asked(play, 2, who)) == [None, None]


async def test_a_polled_tool_gives_its_last_answer_until_it_is_time() -> None:
    async with board(FakeTool("health", says("fine")), facts={"health": {"poll": "5s"}}) as play:
        client = await play.connect()
        answers = []
        for _ in range(3):
            answers += [await client.call("health"), await client.call("health")]
            await anyio.sleep(5.0)
        assert verdicts(answers) == [None, "deny"] * 3
        assert answers[1]["_meta"][DECISION]["retry_after_s"] == 5.0
        assert answers[1]["content"][1]["text"] == "fine"
        assert len(play.server("work").calls) == 3


async def test_volatile_arguments_are_set_aside_as_the_operator_says() -> None:
    async with board(FakeTool("look", says("the same")), facts={"look": {"volatile": ["seed"]}}) as play:
        client = await play.connect()
        answers = [await client.call("look", path="a", seed=number) for number in range(3)]
        assert verdicts(answers) == [None, None, "nudge"]


async def test_it_goes_no_further_than_a_word_where_the_operator_wants_that() -> None:
    async with board(FakeTool("look", says("the same")), then="nudge") as play:
        answers = await asked(play, 12)
        assert set(verdicts(answers)) == {None, "nudge"}
        assert len(play.server("work").calls) == 12


async def test_a_result_that_is_all_structure_gets_its_word_too() -> None:
    async def act(given: Any) -> Any:
        return result({"structuredContent": {"rows": [1, 2]}})

    async with board(FakeTool("look", act)) as play:
        answers = await asked(play, 3)
        assert verdicts(answers) == [None, None, "nudge"]
        assert answers[2]["structuredContent"] == {"rows": [1, 2]}
