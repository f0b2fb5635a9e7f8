"""What a caller may see is judged once for each page, and remembered for no other caller."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard import pipeline
from fuseboard.cedar.rules import compile_rules
from fuseboard.config import Rule
from fuseboard.era import Era
from fuseboard.events import Caller, Tool, ToolListed
from fuseboard.ports import Result
from fuseboard.sessions.sight import KEPT_BYTES
from fuseboard.state import EMPTY
from support.fake_server import FakeServer, FakeTool, answers
from support.playbook import playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

FOR_GUESTS = [{"id": "r", "tools": "*__wipe", "principals": "guest", "decide": "deny"}]
BY_ROLE = [{"id": "r", "tools": "*__wipe", "principals": "role:junior", "decide": "deny"}]


def judged(play: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tools that were judged, in order."""
    names: list[str] = []
    descend = pipeline.descend

    def counting(policies: Any, event: Any, *rest: Any, **more: Any) -> Any:
        names.append(event.tool.name)
        return descend(policies, event, *rest, **more)

    monkeypatch.setattr(pipeline, "descend", counting)
    return names


def server() -> FakeServer:
    return FakeServer("one", FakeTool("look"), FakeTool("wipe"))


async def test_the_same_page_is_judged_once_for_all_where_no_rule_tells_callers_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with playing(server()) as play:
        names = judged(play, monkeypatch)
        for principal in ("ada", "bob", "ada"):
            assert await (await play.connect(principal=principal)).listed() == ["look", "wipe"]
        assert names == ["look", "wipe"]


async def test_where_one_does_each_caller_has_a_view_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing(server(), rules=FOR_GUESTS) as play:
        names = judged(play, monkeypatch)
        views = [await (await play.connect(principal=who)).listed() for who in ("ops", "guest", "ops", "guest")]
        assert views == 2 * [["look", "wipe"], ["look"]]
        assert names == 2 * ["look", "wipe"]


async def test_roles_tell_callers_apart_as_well() -> None:
    async with playing(server(), rules=BY_ROLE) as play:
        assert await (await play.connect(roles=("senior",))).listed() == ["look", "wipe"]
        assert await (await play.connect(roles=("junior",))).listed() == ["look"]


async def test_each_era_has_its_own_hints() -> None:
    one = FakeServer("one", expose=["look"])
    one.acts["tools/list"] = answers(Result(b'{"tools":[{"name":"look"},{"name":"wipe"}]}'))
    async with playing(one) as play:
        assert "cacheScope" not in await (await play.connect()).request("tools/list")
        assert (await (await play.connect(Era.STATELESS)).request("tools/list"))["cacheScope"] == "private"


async def test_a_list_that_changed_is_judged_anew() -> None:
    one = server()
    async with playing(one, rules=FOR_GUESTS) as play:
        client = await play.connect(principal="guest")
        assert await client.listed() == ["look"]
        one.tools["listen"] = FakeTool("listen")
        assert await client.listed() == ["look", "listen"]


async def test_what_is_kept_stays_bounded() -> None:
    one = server()
    async with playing(one, rules=FOR_GUESTS) as play:
        for number in range(60):
            one.tools["look"].definition["description"] = f"{number}" + "x" * 200_000
            await (await play.connect()).listed()
        sight = play.board.sight
        assert 0 < sight._kept_bytes <= KEPT_BYTES
        assert sum(len(key.page) for key in sight._kept) < KEPT_BYTES


async def test_a_thousand_tools_are_shown_again_in_next_to_no_time() -> None:
    """The bar of the benchmark is a list filtered in 0.15 of what the SDK's plain proxy needs: some 10 ms."""
    one = FakeServer("one", *(FakeTool(f"t{n}", description="x" * 150) for n in range(1000)))
    async with playing(one, rules=[{"id": "r", "tools": "*__t*7", "decide": "deny"}]) as play:
        client = await play.connect()
        first = await client.reply("tools/list")
        raw = one.acts["tools/list"] = answers(await one.links[0].request("tools/list", None, client.heard))
        assert raw is not None
        began = time.process_time()
        for _ in range(20):
            assert await client.reply("tools/list") == first
        assert (time.process_time() - began) / 20 < 0.005


STANDARD = pipeline.standard(
    compile_rules(
        [Rule.model_validate({**FOR_GUESTS[0], "when": 'context.args has a && context.args.a == "x"'})], "ask"
    )
)


@given(st.floats(0, 1e12), st.floats(0, 1e12), st.sampled_from(["look", "wipe"]), st.sampled_from(["guest", "ops"]))
def test_no_policy_shows_a_tool_by_the_time_of_day(one: float, other: float, name: str, who: str) -> None:
    def shown(at: float) -> Any:
        event = ToolListed(at, Caller(who), Tool("one", name, name))
        return pipeline.descend(STANDARD, event, EMPTY).verdict

    assert shown(one) == shown(other)
