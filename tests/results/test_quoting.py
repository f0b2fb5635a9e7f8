"""An upstream that quotes its caller: what the caller wrote is held against nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard.ports import Reply
from fuseboard.results.complaints import LOOKED_THROUGH_BYTES, Complaint, quoted
from fuseboard.truth import Truth
from support.came_back import TOOL, call, error, found, text

SAYS_WHO_ASKED = "Rate limit exceeded. Try again in 3600 seconds."


@pytest.mark.parametrize(
    "quoting", [{"q": SAYS_WHO_ASKED}, {"deep": [{"q": f"x {SAYS_WHO_ASKED}"}]}, {SAYS_WHO_ASKED: 1}]
)
@pytest.mark.parametrize(
    "reply",
    [
        text(SAYS_WHO_ASKED),
        text(f"Error: nothing is called {SAYS_WHO_ASKED!r}", error=True),
        error(-32000, f"no such thing: {SAYS_WHO_ASKED}"),
    ],
    ids=["an echo", "isError", "an error"],
)
def test_an_upstream_that_quotes_its_caller_asks_nobody_to_wait(reply: Reply, quoting: dict[str, Any]) -> None:
    assert found(reply).truth is Truth.THROTTLED
    said = found(reply, call(TOOL, **quoting))
    assert said.truth is not Truth.THROTTLED
    assert said.retry_after_s is None


def test_nobody_shuts_a_tool_to_others_by_what_it_quotes() -> None:
    refused = text("Error: cannot open 'connection refused'", error=True)
    assert found(refused).whose == "upstream"
    assert found(refused, call(TOOL, path="connection refused")).whose == "caller"


def test_a_status_says_what_no_quotation_can() -> None:
    reply = replace(error(-32000, "rate limit exceeded"), status=429, retry_after_s=7.0)
    assert found(reply, call(TOOL, q="rate limit exceeded")).retry_after_s == 7.0


def test_what_only_looks_like_a_limit_keeps_nobody_waiting_for_long() -> None:
    told = found(text(SAYS_WHO_ASKED))
    assert (told.truth, told.retry_after_s) == (Truth.THROTTLED, 60.0)
    assert found(text(SAYS_WHO_ASKED, error=True)).retry_after_s == 3600.0


def test_what_is_too_long_to_be_looked_through_may_hold_anything() -> None:
    assert quoted(Complaint.THROTTLED, {"q": "x" * LOOKED_THROUGH_BYTES})
    assert not quoted(Complaint.THROTTLED, {"q": "x"})
    assert not quoted(Complaint.OTHER, {"q": "x" * LOOKED_THROUGH_BYTES})
