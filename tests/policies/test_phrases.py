"""Did a result speak to the model like somebody who gives it orders?"""

from __future__ import annotations

import pytest

from fuseboard.events import Caller, CallProposed, CallReturned, Event, Tool
from fuseboard.policies.phrases import PhrasesPolicy
from fuseboard.state import EMPTY, Add
from fuseboard.verdicts import Allow

CALL = CallProposed(1.0, "d1", "r1", "tools/call", Caller("ana"), Tool("web", "get", "web__get"), kept_s=60.0)


@pytest.mark.parametrize(
    ("event", "verdict"),
    [
        pytest.param(CALL, Allow(), id="a call"),
        pytest.param(CallReturned(2.0, CALL, "ok"), Allow(), id="a result without any"),
        pytest.param(
            CallReturned(2.0, CALL, "ok", phrases=("another role",)),
            Allow("phrases.seen", {"phrases": ["another role"]}, (Add("phrases/r1", 1, None, 60.0),)),
            id="a result with one is counted for its run, and passes",
        ),
    ],
)
def test_results_with_orders_are_counted_and_nothing_else(event: Event, verdict: Allow) -> None:
    assert PhrasesPolicy().decide(event, EMPTY) == verdict
    assert PhrasesPolicy().keys(event) == ()
