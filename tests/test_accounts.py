"""Reserve, settle, lapse and throttle: sums that any interleaving leaves right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.accounts import SLICES, reserve, settle, standing, stood, throttle, wait_s
from fuseboard.state import Reserve, Settle, Throttle

AT = 1_790_000_000.0
WINDOW_S = 900.0


def hold(call: str, calls: float = 1, *, ceiling: float = 3, hold_s: float = 60, **units: float) -> Reserve:
    return Reserve("run/r", call, {"calls": calls, **units}, {"calls": ceiling}, hold_s, 3600)


def took(call: str, **amounts: float) -> Settle:
    return Settle("run/r", call, amounts, 3600)


def after(*writes: Reserve | Settle, at: float = AT) -> Any:
    account: Any = None
    for write in writes:
        account = reserve(account, write, at=at) if isinstance(write, Reserve) else settle(account, write, at=at)
        assert account is not None
    return account


def test_what_is_held_counts_until_it_is_settled() -> None:
    held = after(hold("a", output_bytes=100))
    assert standing(held, at=AT) == ({}, {"calls": 1, "output_bytes": 100}, {})
    done = settle(held, took("a", calls=1, output_bytes=30), at=AT)
    assert standing(done, at=AT) == ({"calls": 1, "output_bytes": 30}, {}, {})


def test_a_ceiling_counts_used_and_held_together() -> None:
    account = after(hold("a"), took("a", calls=1), hold("b"), hold("c"))
    assert reserve(account, hold("d"), at=AT) is None
    assert standing(account, at=AT).taken("calls") == 3


def test_the_same_call_twice_holds_once_and_is_settled_once() -> None:
    account = after(hold("a"), hold("a"), took("a", calls=1), took("a", calls=1))
    assert standing(account, at=AT) == ({"calls": 1}, {}, {})


def test_a_hold_past_its_time_is_charged_in_full_and_marked() -> None:
    account = after(hold("a", output_bytes=100, hold_s=60))
    assert standing(account, at=AT + 59.9).lapsed == {}
    late = standing(account, at=AT + 60)
    assert late == ({"calls": 1, "output_bytes": 100}, {}, {"calls": 1, "output_bytes": 100})
    assert standing(settle(account, took("a", calls=1), at=AT + 61), at=AT + 61) == late


def test_a_slot_that_lapses_comes_back_too() -> None:
    account = after(hold("a", **{"slots:0": 1}))
    assert standing(account, at=AT + 60) == ({"calls": 1}, {}, {"calls": 1})


def test_a_slot_comes_back() -> None:
    account = after(hold("a", **{"slots:0": 1}))
    account = settle(account, took("a", calls=1, **{"slots:0": 0}), at=AT)
    assert standing(account, at=AT).taken("slots:0") == 0


def test_a_unit_without_a_ceiling_is_counted_and_never_refused() -> None:
    account = after(hold("a", tokens=1e9))
    assert standing(account, at=AT).held["tokens"] == 1e9


def test_in_a_window_the_past_is_forgotten_slice_by_slice_and_never_too_early() -> None:
    account: Any = None
    for n in range(3):
        at = AT + n
        account = reserve(account, windowed(str(n)), at=at)
        account = settle(account, Settle("p", str(n), {"calls": 1}, 3600, WINDOW_S), at=at)
    assert reserve(account, windowed("x"), at=AT + WINDOW_S - 1) is None
    assert reserve(account, windowed("x"), at=AT + WINDOW_S * (SLICES + 1) / SLICES + 3) is not None


def windowed(call: str) -> Reserve:
    return Reserve("p", call, {"calls": 1}, {"calls": 3}, 10_000, 3600, WINDOW_S)


@given(st.lists(st.tuples(st.floats(0, 300), st.integers(1, 5)), max_size=60), st.integers(1, 20))
def test_no_moment_of_any_window_holds_more_than_its_ceiling(steps: list[tuple[float, int]], ceiling: int) -> None:
    account: Any = None
    at, taken = AT, []
    for n, (pause_s, amount) in enumerate(steps):
        at += pause_s
        write = Reserve("p", str(n), {"calls": amount}, {"calls": ceiling}, 1e9, 1e9, WINDOW_S)
        if (held := reserve(account, write, at=at)) is not None:
            account = settle(held, Settle("p", str(n), {"calls": amount}, 1e9, WINDOW_S), at=at)
            taken.append((at, amount))
    for end, _ in taken:
        assert sum(amount for when, amount in taken if end - WINDOW_S < when <= end) <= ceiling


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "wait"]), st.integers(0, 8), st.integers(0, 4)), max_size=80
)


@given(OPERATIONS, st.integers(0, 12))
def test_no_interleaving_overspends_or_charges_twice(operations: list[tuple[str, int, int]], ceiling: int) -> None:
    account: Any = None
    at, open_, spent = AT, {}, 0.0
    for what, call, amount in operations:
        if what == "wait":
            at += amount * 20
        elif what == "reserve":
            held = reserve(account, Reserve("r", str(call), {"n": amount}, {"n": ceiling}, 60, 1e9), at=at)
            if held is not None and (open_.get(call, (0, 0))[0] <= at):
                open_[call] = (at + 60, amount)
            account = held if held is not None else account
        else:
            account = settle(
                account, Settle("r", str(call), {"n": min(amount, open_.get(call, (0, 0))[1])}, 1e9), at=at
            )
            open_.pop(call, None)
        now = standing(account, at=at)
        assert now.taken("n") <= ceiling
        assert now.used.get("n", 0) >= spent  # nothing that was charged comes back
        spent = now.used.get("n", 0)


def timed(call: str) -> Reserve:
    return Reserve("r", call, {"calls": 1}, {}, 600, 3600, idle_s=60)


def ended(call: str) -> Settle:
    return Settle("r", call, {"calls": 1}, 3600, idle_s=60)


def test_active_time_counts_calls_side_by_side_once_and_a_silence_in_part() -> None:
    account: Any = None
    for at, write in [(0, timed("a")), (100, timed("b")), (200, ended("a")), (250, ended("b")), (1000, timed("c"))]:
        account = reserve(account, write, at=at) if isinstance(write, Reserve) else settle(account, write, at=at)
    assert standing(account, at=1000).used["time_s"] == 250 + 60


@pytest.mark.parametrize(
    ("last", "since", "rested"),
    [
        pytest.param(90.0, 100.0, 690.0, id="what was thought before the pause still counts"),
        pytest.param(130.0, 100.0, 700.0, id="a call ended in the middle of it"),
        pytest.param(100.0, 710.0, 100.0, id="a clock that goes back"),
    ],
)
def test_the_clock_of_a_paused_run_stands(last: float, since: float, rested: float) -> None:
    account = {"used": {"time_s": 5.0}, "last": last}
    assert stood(account, since=since, at=700.0) == {**account, "last": rested}


@pytest.mark.parametrize("account", [None, {}, {"used": {"calls": 1}}, {"held": {"d": [1e9, {}]}, "last": 1.0}])
def test_without_a_clock_or_while_a_call_goes_on_nothing_stands(account: Any) -> None:
    assert stood(account, since=1.0, at=9.0) is None


def test_a_clock_that_goes_back_takes_no_time_back() -> None:
    account = reserve(reserve(None, timed("a"), at=100), timed("b"), at=40)
    account = settle(account, ended("a"), at=110)
    assert standing(account, at=110).used["time_s"] == 10


RATE = Throttle("rate", 1.0, 5, 60)


def test_a_burst_goes_through_and_then_one_an_interval() -> None:
    arrival = None
    for _ in range(5):
        arrival = throttle(arrival, RATE, at=AT)
        assert arrival is not None
    assert throttle(arrival, RATE, at=AT) is None
    assert wait_s(arrival, RATE, at=AT) == pytest.approx(1.0)
    assert throttle(arrival, RATE, at=AT + 1.0) is not None


@given(st.lists(st.floats(0, 5), max_size=100))
def test_whoever_waits_as_long_as_told_gets_through_and_not_a_moment_earlier(pauses: list[float]) -> None:
    arrival, at = None, AT
    for pause_s in pauses:
        at += pause_s
        if (early_s := wait_s(arrival, RATE, at=at)) > 1e-6:
            assert throttle(arrival, RATE, at=at) is None
            assert throttle(arrival, RATE, at=at + early_s / 2) is None
            at += early_s + 1e-6
        arrival = throttle(arrival, RATE, at=at)
        assert arrival is not None
