"""Is the tool shown at all?"""

from __future__ import annotations

import pytest

from fuseboard.events import Caller, CallProposed, CallReturned, Event, Tool, ToolListed
from fuseboard.policies.exposure import ExposurePolicy
from fuseboard.state import EMPTY
from fuseboard.verdicts import Allow, Deny

ANA = Caller("ana", ("admin",))
SHOWN = Tool("files", "read_file", "files__read_file")
HIDDEN = Tool("files", "secret", "files__secret", hidden=True)


def call(tool: Tool) -> CallProposed:
    return CallProposed(1.0, "d1", "r1", "tools/call", ANA, tool)


@pytest.mark.parametrize(
    ("event", "denied"),
    [
        pytest.param(ToolListed(1.0, ANA, SHOWN), False, id="a shown tool is listed"),
        pytest.param(ToolListed(1.0, ANA, HIDDEN), True, id="a hidden tool is not listed"),
        pytest.param(call(SHOWN), False, id="a shown tool is called"),
        pytest.param(call(HIDDEN), True, id="a hidden tool is not called either"),
        pytest.param(CallReturned(2.0, call(HIDDEN), "ok"), False, id="what came back is no question of exposure"),
    ],
)
def test_what_is_hidden_is_neither_listed_nor_called(event: Event, denied: bool) -> None:
    verdict = ExposurePolicy().decide(event, EMPTY)
    assert isinstance(verdict, Deny if denied else Allow)


def test_the_refusal_reads_as_if_there_were_no_such_tool() -> None:
    verdict = ExposurePolicy().decide(call(HIDDEN), EMPTY)
    assert isinstance(verdict, Deny)
    assert verdict.reason == "Unknown tool: files__secret. Use one of the tools in the list."
    assert (verdict.rule, verdict.facts) == ("exposure.hidden", {"tool": "files__secret"})
    assert "hidden" not in verdict.reason


def test_no_state_is_needed() -> None:
    assert ExposurePolicy().keys(call(HIDDEN)) == ()
