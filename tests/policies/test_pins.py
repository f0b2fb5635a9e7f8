"""Is the tool still what was accepted?"""

from __future__ import annotations

import pytest

from fuseboard.events import Caller, CallProposed, CallReturned, Event, Standing, Tool, ToolListed, Unpinned
from fuseboard.policies.pins import PinsPolicy
from fuseboard.state import EMPTY
from fuseboard.verdicts import Allow, Deny, Hold
from support.pinning import Settings

ANA = Caller("ana")
NEW, CHANGED, MISNAMED = Standing


def tool(standing: Standing | None) -> Tool:
    against = None if standing is None else Unpinned(standing, what="description changed", digest="d")
    return Tool("files", "read", "files__read", unpinned=against)


def call(standing: Standing | None) -> CallProposed:
    return CallProposed(1.0, "d1", "r1", "tools/call", ANA, tool(standing))


@pytest.mark.parametrize(
    ("standing", "on_change", "first_use", "verdict"),
    [
        pytest.param(None, "deny", "deny", Allow, id="accepted"),
        pytest.param(CHANGED, "deny", "accept", Deny, id="changed"),
        pytest.param(CHANGED, "ask", "accept", Hold, id="changed, and a person is asked"),
        pytest.param(CHANGED, "allow", "accept", Allow, id="changed, and nobody minds"),
        pytest.param(NEW, "deny", "deny", Deny, id="new"),
        pytest.param(NEW, "allow", "ask", Hold, id="new, and a person is asked"),
        pytest.param(NEW, "allow", "accept", Deny, id="more than can be accepted unseen"),
        pytest.param(MISNAMED, "allow", "accept", Deny, id="in disguise, whatever is configured"),
    ],
)
def test_what_is_listed_and_called(
    standing: Standing | None, on_change: str, first_use: str, verdict: type[Allow | Deny | Hold]
) -> None:
    policy = PinsPolicy(Settings(on_change, first_use))
    events: list[Event] = [call(standing), ToolListed(1.0, ANA, tool(standing))]
    assert [type(policy.decide(event, EMPTY)) for event in events] == [verdict, verdict]
    assert isinstance(policy.decide(CallReturned(2.0, call(standing), "ok"), EMPTY), Allow)


def test_the_refusal_says_what_changed_and_who_has_to_look_and_not_how() -> None:
    verdict = PinsPolicy(Settings()).decide(call(CHANGED), EMPTY)
    assert isinstance(verdict, Deny)
    assert verdict.reason == (
        "files__read was not called: the definition of this tool is not the one that was accepted "
        "(description changed). A person has to read it first. Use another tool, or tell the user."
    )
    assert verdict.rule == "pins.changed"
    assert verdict.facts == {
        "tool": "files__read",
        "standing": "changed",
        "changed": "description changed",
        "sha256": "d",
    }
    for standing in (NEW, MISNAMED):
        refused = PinsPolicy(Settings(first_use="deny")).decide(call(standing), EMPTY)
        assert isinstance(refused, Deny)
        assert "pins accept" not in refused.reason
        assert refused.rule == f"pins.{standing}"


def test_a_person_is_asked_for_this_one_call() -> None:
    for standing in (NEW, CHANGED):
        verdict = PinsPolicy(Settings("ask", "ask")).decide(call(standing), EMPTY)
        assert isinstance(verdict, Hold)
        assert verdict.reason.endswith("Use it this once?")


def test_no_state_is_needed() -> None:
    assert PinsPolicy(Settings()).keys(call(None)) == ()
