"""A run that took in what a person took back is paused once, at its next call with effects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fuseboard.adapters.stores.table import Table
from fuseboard.events import CallProposed, CallReturned, Tool, ToolListed
from fuseboard.policies.revoked import RevokedPolicy
from fuseboard.reviews import RunState, state_key
from fuseboard.revocation import GATE, Mark, Revocation, gate, mark_key, marked, marks
from fuseboard.state import EMPTY, Put, Snapshot
from fuseboard.verdicts import Allow, Deny, Hold, Verdict, name_of
from support.judging import ANA, DEPLOY, READ, WRITE, call

AT = 50.0
MARK = Mark("v-1", "ida", "what web__fetch returned, revoked at noon by ida (a poisoned page)", "d-7", 12.0)
ASKED = replace(MARK, asked_at=20.0)
RUNNING, PAUSED = RunState(), RunState().paused(at=1.0, by="bob", why="looks odd")
STOPPED, RESUMED = RunState().stopped(at=1.0, by="bob", why=""), RunState(at=30.0, by="eve", why="harmless")


def knowing(run: str, *seen: Mark, state: RunState | None = None) -> dict[str, Any]:
    there: dict[str, Any] = {mark_key(run): marked(run, {mark.id: mark for mark in seen}).value} if seen else {}
    if state is not None:
        there[state_key(run)] = state.written(run).value
    return there


def judge(event: CallProposed | CallReturned, values: dict[str, Any], *standing: Revocation) -> Verdict:
    written = gate(standing)
    assert isinstance(written, Put)
    return RevokedPolicy().decide(event, Snapshot({**values, **({GATE: written.value} if standing else {})}))


def asks(tool: Tool = WRITE, *, root: str | None = None, method: str = "tools/call") -> CallProposed:
    return replace(call(tool, method=method), at=AT, root=root)


@pytest.mark.parametrize(
    ("tool", "method", "seen", "state", "verdict"),
    [
        pytest.param(WRITE, "tools/call", (), None, "allow", id="a run that saw nothing goes on"),
        pytest.param(WRITE, "tools/call", (MARK,), None, "hold", id="one that saw it is paused at its next write"),
        pytest.param(DEPLOY, "tools/call", (MARK,), None, "hold", id="or at its next destructive call"),
        pytest.param(READ, "tools/call", (MARK,), None, "allow", id="its reads go on"),
        pytest.param(DEPLOY, "prompts/get", (MARK,), None, "allow", id="and so do its prompts"),
        pytest.param(
            WRITE, "tools/call", (MARK,), RESUMED, "hold", id="let on for another reason it is asked for this"
        ),
        pytest.param(WRITE, "tools/call", (ASKED,), RESUMED, "allow", id="let on for this one it goes on"),
        pytest.param(WRITE, "tools/call", (MARK,), PAUSED, "allow", id="of what is paused the review says so"),
        pytest.param(WRITE, "tools/call", (ASKED,), PAUSED, "allow", id="for this one, too"),
        pytest.param(WRITE, "tools/call", (MARK,), STOPPED, "allow", id="of what is stopped as well"),
        pytest.param(
            WRITE, "tools/call", (ASKED, replace(MARK, id="v-2")), RESUMED, "hold", id="a second revocation asks anew"
        ),
    ],
)
def test_who_saw_it_is_paused_once(
    tool: Tool, method: str, seen: tuple[Mark, ...], state: RunState | None, verdict: str
) -> None:
    assert name_of(judge(asks(tool, method=method), knowing("r1", *seen, state=state))) == verdict


def test_the_refusal_names_what_was_revoked_by_whom_when_and_which_result_it_was() -> None:
    held = judge(asks(), knowing("r1", MARK))
    assert isinstance(held, Hold)
    assert held.rule == "run.paused"
    assert held.reason == (
        "This run is paused, for it took in what web__fetch returned, revoked at noon by ida (a poisoned page) [d-7]; "
        "a person reviews what it does from here."
    )
    assert "resume" not in held.reason
    assert held.facts["revocations"] == ["v-1"]
    assert held.facts["seen"] == [{"revocation": "v-1", "result": "d-7", "since": 12.0}]


def test_the_pause_is_the_review_s_and_is_written_with_the_question() -> None:
    held = judge(asks(), knowing("r1", MARK, replace(ASKED, id="v-0")))
    assert isinstance(held, Hold)
    pause, told = held.writes
    assert isinstance(pause, Put)
    assert isinstance(told, Put)
    now = RunState.of(pause.value)
    assert (pause.key, now.state, now.by, now.at) == (state_key("r1"), "paused", "ida", AT)
    assert now.why.startswith("it took in what web__fetch returned")
    assert {id: mark.asked_at for id, mark in marks(told.value).items()} == {"v-0": 20.0, "v-1": AT}


def test_who_let_it_on_stands_with_every_call_from_there() -> None:
    said = judge(asks(), knowing("r1", ASKED, state=RESUMED))
    assert isinstance(said, Allow)
    assert said.rule == "revoked.known"
    assert said.facts == {"revocations": ["v-1"], "by": "eve", "at": 30.0, "why": "harmless"}


@pytest.mark.parametrize(
    ("below", "own", "verdict"),
    [
        pytest.param(knowing("r0", MARK), {}, "hold", id="the run at the bottom saw it"),
        pytest.param(knowing("r0", ASKED, state=PAUSED), {}, "hold", id="and waits for a person because of it"),
        pytest.param(knowing("r0", ASKED, state=RESUMED), {}, "allow", id="and was let on"),
        pytest.param(
            knowing("r0", MARK), knowing("r1", ASKED, state=RESUMED), "allow", id="this one was let on itself"
        ),
        pytest.param({}, {}, "allow", id="nobody saw it"),
    ],
)
def test_what_a_run_calls_does_not_act_for_it(below: dict[str, Any], own: dict[str, Any], verdict: str) -> None:
    assert name_of(judge(asks(root="r0"), {**below, **own})) == verdict


def test_of_a_pause_for_the_run_at_the_bottom_the_run_keeps_a_mark_of_its_own() -> None:
    held = judge(asks(root="r0"), knowing("r0", ASKED, state=PAUSED))
    assert isinstance(held, Hold)
    told = held.writes[1]
    assert isinstance(told, Put)
    assert (told.key, marks(told.value)["v-1"].asked_at) == (mark_key("r1"), AT)


WEB = Revocation("v-3", "files", 10.0, "ida", "they were hacked")
ONE_TOOL = replace(WEB, what="files__read_file")


@pytest.mark.parametrize(
    ("standing", "tool", "withheld"),
    [
        pytest.param(WEB, READ, True, id="of a server"),
        pytest.param(ONE_TOOL, READ, True, id="of a tool"),
        pytest.param(ONE_TOOL, WRITE, False, id="of another tool of the same server"),
        pytest.param(WEB, replace(DEPLOY, origin="files__read_file"), True, id="of a server, out of our own vault"),
        pytest.param(ONE_TOOL, replace(DEPLOY, origin="files__read_file"), True, id="of a tool, out of our own vault"),
        pytest.param(
            ONE_TOOL, replace(DEPLOY, origin="files__write"), False, id="of another tool, out of our own vault"
        ),
        pytest.param(WEB, DEPLOY, False, id="of another server"),
        pytest.param(replace(WEB, until=20.0), READ, False, id="of a time that is over"),
        pytest.param(replace(WEB, lifted_at=20.0), READ, False, id="that was lifted"),
        pytest.param(replace(WEB, what="d-1"), READ, False, id="of one result"),
    ],
)
def test_later_results_of_what_is_revoked_until_further_notice_are_withheld(
    standing: Revocation, tool: Tool, withheld: bool
) -> None:
    verdict = judge(CallReturned(AT, call(tool), "ok"), {}, standing)
    assert isinstance(verdict, Deny) is withheld
    if isinstance(verdict, Deny):
        assert verdict.rule == "revoked.result"
        assert "revoked at 1970-01-01 00:00:10 UTC by ida (they were hacked)" in verdict.reason
        assert "lift" not in verdict.reason


def test_a_call_with_effects_is_not_made_where_nobody_would_learn_what_it_did() -> None:
    verdict = judge(asks(WRITE), {}, WEB)
    assert isinstance(verdict, Deny)
    assert verdict.rule == "revoked.upstream"
    assert isinstance(judge(asks(READ), {}, WEB), Allow)
    assert isinstance(judge(asks(DEPLOY), {}, WEB), Allow)


def test_of_a_memory_the_record_says_that_it_is_one() -> None:
    for tool in (READ, WRITE):
        said = judge(asks(replace(tool, memory=True)), {})
        assert isinstance(said, Allow)
        assert (said.rule, said.facts) == (None, {"memory": True})
        assert judge(asks(tool), {}) == Allow()


@given(st.lists(st.sampled_from(["revoke", "write", "read", "pause", "resume"]), max_size=30))
def test_whatever_happens_in_between_a_run_is_paused_once_for_each_revocation(steps: list[str]) -> None:
    policy, table, known, asked = RevokedPolicy(), Table(), 0, []
    for at, step in enumerate(steps):
        key, now = state_key("r1"), RunState.of(table.read((state_key("r1"),), at=at).get(state_key("r1")))
        match step:
            case "revoke":
                read = table.read((mark_key("r1"),), at=at)
                seen = {**marks(read.get(mark_key("r1"))), f"v-{known}": replace(MARK, id=f"v-{known}")}
                assert table.apply([marked("r1", seen)], read, at=at) is not None
                known += 1
            case "pause" | "resume":
                turned = replace(now, state="paused" if step == "pause" else "running", at=float(at))
                assert table.apply([turned.written("r1")], table.read((key,), at=at), at=at) is not None
            case _:
                event = replace(asks(WRITE if step == "write" else READ), at=float(at))
                read = table.read(policy.keys(event), at=at)
                verdict = policy.decide(event, read)
                due = step == "write" and now.state == "running" and known > len(asked)
                assert isinstance(verdict, Hold) is due
                if isinstance(verdict, Hold):
                    asked += verdict.facts["revocations"]
                    assert table.apply(verdict.writes, read, at=at) is not None
    assert len(asked) == len(set(asked)) <= known


def test_a_read_asks_for_no_state_and_a_result_for_one_key() -> None:
    policy = RevokedPolicy()
    assert policy.keys(asks(READ)) == ()
    assert policy.keys(CallReturned(AT, call(WRITE), "ok")) == ("poisoned",)
    assert policy.keys(asks(WRITE)) == ("poisoned", "poisoned/run/r1", "runstate/r1")
    assert policy.keys(asks(WRITE, root="r0"))[3:] == ("poisoned/run/r0", "runstate/r0")
    assert policy.keys(ToolListed(AT, ANA, READ)) == ()
    assert policy.decide(ToolListed(AT, ANA, READ), EMPTY) == Allow()
