"""Are arguments judged as they are sent, without what nobody sees?"""

from __future__ import annotations

import pytest

from fuseboard.events import Caller, CallProposed, CallReturned, CleanArguments, Event, Tool, ToolListed
from fuseboard.policies.output import OutputPolicy
from fuseboard.state import EMPTY
from fuseboard.verdicts import Allow, Rewrite

ANA = Caller("ana")
TOOL = Tool("files", "read", "files__read")
FACTS = {"counts": {"bidi": 1200}, "places": [{"what": "bidi", "at": "/arguments/path", "offset": 0}]}
CLEAN = CleanArguments({"path": "a"}, None, FACTS)


def call(clean: CleanArguments | None) -> CallProposed:
    return CallProposed(1.0, "d1", "r1", "tools/call", ANA, TOOL, {"path": "\u202ea"}, clean=clean)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(ToolListed(1.0, ANA, TOOL), id="a listing"),
        pytest.param(call(None), id="a call with nothing to clean"),
        pytest.param(CallReturned(2.0, call(CLEAN), "ok"), id="a result"),
    ],
)
def test_where_nothing_is_to_be_cleaned_nothing_is_changed(event: Event) -> None:
    assert OutputPolicy().decide(event, EMPTY) == Allow()
    assert OutputPolicy().keys(event) == ()


def test_what_is_left_of_the_arguments_takes_their_place_and_the_record_says_what_went() -> None:
    verdict = OutputPolicy().decide(call(CLEAN), EMPTY)
    assert isinstance(verdict, Rewrite)
    assert verdict.rule == "output.cleaned"
    assert verdict.replacement == {"path": "a"}
    assert verdict.facts == FACTS
    assert verdict.reason == "Cleaned before it was judged: bidi × 1,200"
