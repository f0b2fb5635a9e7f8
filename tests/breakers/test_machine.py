"""The state machine alone: what each turn makes of a breaker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.breakers.machine import (
    CLOSED,
    CLOSED_EVER,
    HALF_OPEN,
    MOST,
    OPEN,
    Breaker,
    Pace,
    forced_open,
    leased,
    opened,
    read,
    recovered,
    released,
    reset,
    written,
)
from fuseboard.breakers.strikes import Strike
from fuseboard.ids import first_at

PACE = Pace(30.0, 300.0, 0.2, good=2)
STRIKES = (Strike("d-1", 1.0, "timeout", 1.0),)


def off(now: Breaker = CLOSED_EVER, *, at: float = 0.0, pace: Pace = PACE, retry_at: float = 0.0) -> Breaker:
    return opened(now, "tool", pace, at=at, rule="row", strikes=STRIKES, retry_at=retry_at)


@pytest.mark.parametrize(
    ("one", "at", "phase"),
    [
        (CLOSED_EVER, 5.0, CLOSED),
        (Breaker(OPEN, until=10.0), 9.9, OPEN),
        (Breaker(OPEN, until=10.0), 10.0, HALF_OPEN),
        (Breaker(OPEN, until=10.0, by="ida"), 9.9, OPEN),
        (Breaker(OPEN, until=10.0, by="ida"), 10.0, CLOSED),
        (Breaker(HALF_OPEN), 1e9, HALF_OPEN),
        (Breaker(CLOSED, until=10.0, by="ida"), 5.0, CLOSED),
    ],
)
def test_its_phase(one: Breaker, at: float, phase: str) -> None:
    assert one.phase(at) == phase


@given(times=st.integers(0, 60), generation=st.integers(0, 1000), name=st.text(max_size=9))
def test_it_opens_within_its_jitter_and_always_for_the_same_time(times: int, generation: int, name: str) -> None:
    before = Breaker(HALF_OPEN, generation, times)
    one = opened(before, name, PACE, at=100.0, rule="probe", strikes=STRIKES)
    usual_s = min(30.0 * 2**times, 300.0)
    assert 0.8 * usual_s <= one.until - 100.0 <= 1.2 * usual_s
    assert one == opened(before, name, PACE, at=100.0, rule="probe", strikes=STRIKES)
    assert (one.generation, one.times, one.lease) == (generation + 1, times + 1, None)


def test_breakers_do_not_all_come_back_at_once() -> None:
    ends = {opened(CLOSED_EVER, f"tool{n}", PACE, at=0.0, rule="row", strikes=()).until for n in range(50)}
    assert len(ends) == 50
    assert max(ends) - min(ends) > 9


@pytest.mark.parametrize(("retry_at", "until"), [(10.0, 30.0), (200.0, 200.0), (1e9, 3600.0)])
def test_retry_after_is_kept_within_reason(retry_at: float, until: float) -> None:
    assert off(pace=Pace(30.0, 300.0), retry_at=retry_at).until == until


def test_each_probe_is_the_only_one_of_its_generation() -> None:
    one = off(at=0.0)
    generations = [one.generation]
    for n in range(3):
        one = leased(one, f"d-{n}", at=100.0 + n, timeout_s=10.0)
        generations.append(one.generation)
        one = released(one, at=100.5 + n)
    assert sorted(set(generations)) == generations
    first = leased(one, "d-8", at=200.0, timeout_s=10.0)
    assert first.taken(214.9)
    second = leased(first, "d-9", at=215.1, timeout_s=10.0)
    assert second.generation > first.generation
    assert second.leased_to("d-9")


def test_it_closes_after_as_many_good_ones_as_it_needs() -> None:
    one = leased(off(), "d-1", at=50.0, timeout_s=10.0)
    one = recovered(one, PACE, "d-1", at=51.0)
    assert (one.state, one.good) == (HALF_OPEN, 1)
    one = recovered(leased(one, "d-2", at=52.0, timeout_s=10.0), PACE, "d-2", at=53.0)
    assert (one.state, one.times, one.first, one.lease) == (CLOSED, 0, "d-2", None)


def test_an_operators_word_has_an_author_and_an_end() -> None:
    one = forced_open(CLOSED_EVER, by="ida", why="leaks", at=10.0, for_s=60.0)
    assert (one.state, one.by, one.why, one.until, one.first) == (OPEN, "ida", "leaks", 70.0, first_at(70.0))
    back = reset(one, by="ida", why="", at=20.0, for_s=30.0)
    assert (back.state, back.generation, back.first) == (CLOSED, 2, first_at(20.0))
    assert back.held_closed(49.0)
    assert not back.held_closed(50.0)


def test_a_cell_keeps_the_others_and_forgets_the_oldest_closed_ones() -> None:
    cell = None
    for n in range(MOST + 5):
        one = off(at=0.0) if n == 0 else reset(CLOSED_EVER, by="", why="", at=float(n))
        cell = written("k", cell, {f"t{n}": one}).value
    assert cell is not None
    assert len(cell) == MOST
    assert read(cell, "t0").state == OPEN
    assert read(cell, "t1") == CLOSED_EVER
    assert read(cell, f"t{MOST + 4}").since == MOST + 4
