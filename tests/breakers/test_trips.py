"""What trips a closed breaker. The tables of what came back stand in ``policies/test_breaker.py``."""

from __future__ import annotations

import pytest

from fuseboard.breakers.machine import CLOSED_EVER, OPEN, UPSTREAM, Breaker, Pace
from fuseboard.breakers.strikes import Strike
from fuseboard.breakers.tails import Outcome, Sign
from fuseboard.breakers.trips import Trip, of_its_tools, of_run, of_tool, of_upstream, opened
from fuseboard.config.guards import Health

OFF = Breaker(OPEN, 1, 1, 50.0, 500.0, strikes=(Strike("d-1", 50.0, "error", 1.0),))
NEITHER = Health(row=None, share=None, tools=None)


def outcomes(count: int, retry_after_s: float | None = None) -> list[Outcome]:
    return [
        Outcome(float(n), f"r{n % 2}", "f", "x", "error", 1.0, "upstream", False, retry_after_s, f"d-{n}")
        for n in range(count)
    ]


def test_of_a_run_it_is_the_weight() -> None:
    struck = tuple(Strike(f"d-{n}", float(n), "junk", 0.5) for n in range(6))
    assert of_run(struck[:5], 3) is None
    assert of_run(struck, 3) == Trip("strikes", struck, 5.0)


def test_of_a_tool_it_is_a_row_and_the_latest_time_that_it_asked_for() -> None:
    trip = of_tool(outcomes(5, 100.0), Health())
    assert trip is not None
    assert (trip.rule, trip.at, trip.retry_at, len(trip.strikes)) == ("row", 4.0, 104.0, 5)
    assert of_tool(outcomes(5), Health(), "d-1") is None
    assert of_tool(outcomes(30), NEITHER) is None


def test_of_a_tool_it_is_a_share_where_no_row_is_asked_for() -> None:
    trip = of_tool(outcomes(10), Health(row=None))
    assert trip is not None
    assert trip.rule == "share"


def test_of_an_upstream_it_is_silence() -> None:
    signs = [Sign(float(n), f"r{n % 2}", f"t{n}", f"d-{n}", "outage") for n in range(5)]
    trip = of_upstream(signs, Health())
    assert trip is not None
    assert (trip.rule, trip.at) == ("row", 4.0)
    assert of_upstream([*signs[:2], signs[2]._replace(truth="error"), *signs[3:]], Health()) is None
    assert of_upstream(signs, NEITHER) is None


@pytest.mark.parametrize(
    ("cell", "active", "trips"),
    [
        pytest.param({"a": OFF, "b": OFF}, {"a", "b", "c", "d"}, True, id="half of four"),
        pytest.param({"a": OFF, "b": OFF}, {"a", "b", "c", "d", "e"}, False, id="two of five"),
        pytest.param({"a": OFF}, {"a"}, False, id="one is no half of anything"),
        pytest.param({"a": OFF, UPSTREAM: OFF}, {"a", "b"}, False, id="the upstream is none of its tools"),
        pytest.param({"a": OFF, "b": CLOSED_EVER}, {"a", "b"}, False, id="the other is closed"),
        pytest.param(
            {"a": OFF, "b": Breaker(OPEN, until=500.0, since=50.0, by="ida")}, {"a", "b"}, False, id="by hand"
        ),
        pytest.param({"a": OFF, "b": Breaker(OPEN, since=5.0, until=500.0)}, {"a", "b"}, False, id="counted before"),
    ],
)
def test_of_an_upstream_it_is_half_of_its_tools(cell: dict[str, Breaker], active: set[str], trips: bool) -> None:
    trip = of_its_tools(cell, active, Health(), at=60.0, since=10.0)
    assert (trip is not None) is trips
    assert of_its_tools(cell, active, NEITHER, at=60.0, since=10.0) is None


def test_what_trips_is_what_it_opens_with() -> None:
    one = opened(CLOSED_EVER, "t", Pace(30.0, 300.0), Trip("tools", OFF.strikes, 60.0, 0.0, "2 of 3"))
    assert (one.rule, one.why, one.since, one.until, one.strikes) == ("tools", "2 of 3", 60.0, 90.0, OFF.strikes)
