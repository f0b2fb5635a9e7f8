"""Pauses of an upstream that throttles: how long, and how everybody comes back."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard import pauses
from fuseboard.config.guards import Retries
from fuseboard.pauses import Pause
from fuseboard.windows import Past

LIMITS = Retries(pause_s=5.0, longest_pause_s=100.0)
AT = 1000.0


def step(at: float, tool: str = "up__act") -> Past:
    return Past("d", at, tool, "f", "", "", "ok", 0.0, "", "read", 0, False, ())


@pytest.mark.parametrize(
    ("before", "asked_s", "until", "streak"),
    [
        (None, 30.0, AT + 30, 1),
        (None, None, AT + 5, 1),
        (None, 9999.0, AT + 100, 1),
        (Pause(AT - 6, AT - 1, 1, "d"), None, AT + 10, 2),
        (Pause(AT - 9, AT - 1, 3, "d"), None, AT + 40, 4),
        (Pause(AT - 9, AT - 1, 30, "d"), None, AT + 100, 31),
        (Pause(AT - 99, AT - 61, 3, "d"), None, AT + 5, 1),
        (Pause(AT - 1, AT + 4, 2, "d"), 30.0, AT + 30, 2),
        (Pause(AT - 1, AT + 4, 2, "d"), None, None, 0),
        (Pause(AT - 1, AT + 40, 2, "d"), 30.0, None, 0),
        (None, 0.0, None, 0),
    ],
    ids=[
        "as it asks",
        "it says nothing",
        "never longer than the longest",
        "once more: twice as long",
        "and on",
        "up to the longest",
        "long after the last one",
        "on its way when the pause began, and asks for more",
        "on its way when the pause began",
        "nothing new",
        "no time at all",
    ],
)
def test_how_long_a_pause_is(before: Pause | None, asked_s: float | None, until: float | None, streak: int) -> None:
    push = pauses.throttled("up", before, "d-1", asked_s, LIMITS, at=AT)
    if until is None:
        assert push is None
        return
    assert push is not None
    assert push.key == pauses.pause_key("up")
    assert push.item == [AT, until, streak, "d-1"]
    assert push.ttl_s > until - AT + pauses.SPREAD_S[1]


def test_the_pause_that_ends_last_counts() -> None:
    assert pauses.latest(None) is None
    assert pauses.latest([[1, 50, 1, "a"], [2, 9, 1, "b"]]) == Pause(1, 50, 1, "a")


def test_a_run_is_spread_over_as_long_as_it_takes_from_call_to_call() -> None:
    assert pauses.spread_s(None, "up") == pauses.UNKNOWN_SPREAD_S
    assert pauses.spread_s([step(1), step(2)], "up") == pauses.UNKNOWN_SPREAD_S
    assert pauses.spread_s([step(at) for at in (1, 5, 9, 13)], "up") == 4
    assert pauses.spread_s([step(at) for at in (1, 1, 1, 1)], "up") == pauses.SPREAD_S[0]
    assert pauses.spread_s([step(1, "upper__act"), *(step(at) for at in (2, 4, 6))], "up") == 2
    assert pauses.spread_s([step(at) for at in (0, 1000, 2000, 3000)], "up") == pauses.SPREAD_S[1]


@given(st.text(max_size=8), st.text(max_size=8))
def test_every_run_has_a_moment_of_its_own_that_does_not_move(run: str, decision: str) -> None:
    pause = Pause(AT, AT + 30, 1, decision)
    lets_in_at = pauses.lets_in_at(pause, run, None, "up")
    assert pause.until <= lets_in_at < pause.until + pauses.UNKNOWN_SPREAD_S
    assert lets_in_at == pauses.lets_in_at(pause, run, None, "up")


def test_a_thousand_runs_come_back_evenly() -> None:
    pause = Pause(AT, AT, 1, "d")
    seconds = Counter(int(pauses.lets_in_at(pause, f"r-{n}", None, "up") - AT) for n in range(1000))
    assert len(seconds) == pauses.UNKNOWN_SPREAD_S
    assert max(seconds.values()) < 150
