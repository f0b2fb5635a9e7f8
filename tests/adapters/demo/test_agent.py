from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from fuseboard.adapters.demo import agent
from fuseboard.adapters.demo.servers import ops
from fuseboard.adapters.demo.story import Answer, Back, Call, Look, Step, Verb
from fuseboard.events import Caller, CallProposed, Tool
from fuseboard.policies.schema import SchemaPolicy
from fuseboard.schemas.compiled import compile_schema
from fuseboard.state import EMPTY
from fuseboard.verdicts import Allow, Deny

OPS = [sys.executable, "-P", "-m", "fuseboard.adapters.demo.servers.ops"]
STEPS: tuple[Step, ...] = (Look("looks"), Call("asks", "status", {"service": "search"}))
SCHEMA = b"""{"type": "object", "required": ["title", "size", "kind"], "properties": {
    "title": {"type": "string"}, "size": {"type": "integer"}, "kind": {"enum": ["a", "b"]}}}"""
FIT = {"title": "t", "size": 1, "kind": "a"}


class Seen:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def begins(self, step: Step) -> None:
        self.seen.append(f"begins: {step.tells}")

    def ended(self, step: Step, answer: Answer) -> None:
        self.seen.append(f"ended: {answer.text or len(answer.tools)}")


async def play(
    command: list[str], folder: Path, *, limit_s: float = 30, steps: tuple[Step, ...] = STEPS
) -> tuple[list[Answer], list[str]]:
    watch = Seen()
    with (folder / "log").open("w") as log:
        return await agent.play(steps, command, log=log, watch=watch, limit_s=limit_s, act=nobody), watch.seen


async def nobody(verb: Verb, run: str) -> Answer:
    raise AssertionError(f"{verb.words} on {run}: no person is in this story")


async def test_the_steps_are_taken_in_order_and_told_as_they_happen(tmp_path: Path) -> None:
    answers, seen = await play(OPS, tmp_path)
    assert answers[0].tools == ("status", "roll_back", "drop_database")
    assert answers[1] == Answer("search 3.0.2: healthy", arguments={"service": "search"})
    assert seen == ["begins: looks", "ended: 3", "begins: asks", "ended: search 3.0.2: healthy"]


@pytest.mark.parametrize(
    ("program", "limit_s"),
    [
        pytest.param("raise SystemExit(3)", 30.0, id="it ends at once"),
        pytest.param("print('no protocol', flush=True)", 30.0, id="it says something else and ends"),
        pytest.param("import sys; sys.stdin.read()", 0.5, id="it never answers"),
    ],
)
async def test_a_proxy_that_does_not_serve_cuts_the_story_short(program: str, limit_s: float, tmp_path: Path) -> None:
    with pytest.raises(agent.StoryCutShort):
        await play([sys.executable, "-c", program], tmp_path, limit_s=limit_s)


async def test_a_person_acts_on_the_run_that_a_refusal_named_while_the_proxy_runs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Answer("no", decision={"run": "r-7", "verdict": "hold"}, failed=True)
    taken: list[Step] = []

    async def take(client: Client, step: Look | Call, before: Answer, told: str) -> Answer:
        taken.append(step)
        await client.list_tools()  # it still serves
        return refused

    async def act(verb: Verb, run: str) -> Answer:
        taken.append(verb)
        return Answer(f"{' '.join(verb.of(run))}")

    monkeypatch.setattr(agent, "take", take)
    steps = (STEPS[1], Verb("a person", ("resume", "{run}")), STEPS[1])
    with (tmp_path / "log").open("w") as log:
        answers = await agent.play(steps, OPS, log=log, watch=Seen(), limit_s=30, act=act)
    assert (tuple(taken), answers[1].text) == (steps, "resume r-7")


async def test_a_list_is_asked_for_again_until_slow_servers_are_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not for ever: what is missing then is told as it is."""
    monkeypatch.setattr(agent, "_START_S", 0.2)
    monkeypatch.setattr(agent, "_AGAIN_S", 0.05)
    server, asked = ops.server(), 0
    async with Client(server) as client:
        listing = client.list_tools

        async def listed(**options: Any) -> Any:
            nonlocal asked
            if (asked := asked + 1) == 2:
                server.add_tool(lambda: "late", name="late")
            return await listing(**options)

        monkeypatch.setattr(client, "list_tools", listed)
        answer = await agent.take(client, Look("looks", shown=("status", "late")), Answer())
        assert (asked, "late" in answer.tools) == (2, True)
        answer = await agent.take(client, Look("looks", shown=("never",)), Answer())
        assert asked > 3
        assert "status" in answer.tools


async def test_a_program_that_is_not_there_cuts_the_story_short(tmp_path: Path) -> None:
    with pytest.raises(agent.StoryCutShort, match="no-such-program"):
        await play([str(tmp_path / "no-such-program")], tmp_path)


async def test_what_a_tool_refuses_is_no_decision_of_ours() -> None:
    async with Client(ops.server()) as client:
        answer = await agent.take(client, Call("asks", "status", {"service": "nothing"}), Answer())
    assert answer.failed
    assert answer.decision is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('- /size: found "big" (string); expected integer', {"size": 1}, id="a value by its path"),
        pytest.param('- (the whole): found "size" is missing (it has nothing)', {"size": 1}, id="a missing one"),
        pytest.param("- /sizes: found 1; expected 2", {}, id="another of a longer name is none"),
        pytest.param("no", {}, id="a refusal that names nothing mends nothing"),
    ],
)
def test_only_what_the_refusal_names_is_mended(text: str, expected: dict[str, int]) -> None:
    before = Answer(text, arguments={"title": "kept"})
    assert agent.mended(before, {"size": 1, "title": "changed"}) == {"title": "kept", **expected}


@given(
    st.fixed_dictionaries(
        {}, optional={name: st.none() | st.integers() | st.just("x") | st.lists(st.just(1)) for name in FIT}
    )
)
def test_whatever_is_wrong_with_flat_arguments_one_refusal_is_enough_to_mend_it(arguments: dict[str, object]) -> None:
    tool = Tool("tickets", "open", "tickets__open", arguments=compile_schema(SCHEMA))
    event = CallProposed(0.0, "d-1", "r-1", "tools/call", Caller("local"), tool, arguments)
    verdict = SchemaPolicy().decide(event, EMPTY)
    if isinstance(verdict, Deny):
        mended = agent.mended(Answer(verdict.reason, arguments=arguments), FIT)
        again = CallProposed(0.0, "d-2", "r-1", "tools/call", Caller("local"), tool, mended)
        verdict = SchemaPolicy().decide(again, EMPTY)
    assert isinstance(verdict, Allow)


async def test_a_call_that_is_made_aside_is_waited_for_when_the_story_says_so(tmp_path: Path) -> None:
    aside = Call("asks aside", "status", {"service": "search"}, by="ana", aside=True)
    steps = (aside, Call("asks", "status", {"service": "billing"}), Back("waits"))
    answers, seen = await play(OPS, tmp_path, steps=steps)
    assert [answer.text for answer in answers] == ["search 3.0.2: healthy", "billing 1.9.0: healthy", ""]
    assert seen[0] == "begins: asks aside"
    assert seen.index("begins: waits") < seen.index("ended: 0")
    assert "ended: search 3.0.2: healthy" in seen
