"""What is waited for, and when it is enough."""

from __future__ import annotations

import pytest

from fuseboard.upstreams.healing import COOL_DOWN_S, PATIENCE_S, SHORT_LIFE_S, SHORT_LIVES, Lives


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lived(lives: Lives, clock: Clock, *spans_s: float) -> None:
    for span_s in spans_s:
        clock.now += lives.wait_s
        lives.began()
        clock.now += span_s
        lives.ended("exit code 3")


def test_the_first_death_costs_no_time_and_each_next_one_twice_as_much() -> None:
    clock = Clock()
    lives = Lives(clock)
    waits = []
    for _ in range(SHORT_LIVES):
        lived(lives, clock, 1)
        waits.append(lives.wait_s)
    assert waits == [0, 0.5, 1, 2, COOL_DOWN_S]
    assert lives.spent
    assert lives.last_words == "exit code 3"


def test_a_long_life_makes_up_for_the_short_ones() -> None:
    clock = Clock()
    lives = Lives(clock)
    lived(lives, clock, 1, 1, 1, 1, SHORT_LIFE_S)
    assert (lives.wait_s, lives.short, lives.spent) == (0, 0, False)


def test_after_the_cool_down_there_is_one_try_and_then_the_next_cool_down() -> None:
    clock = Clock()
    lives = Lives(clock)
    lived(lives, clock, *[1] * SHORT_LIVES)
    clock.now += COOL_DOWN_S
    assert not lives.spent
    lived(lives, clock, 1)
    assert lives.wait_s == COOL_DOWN_S


def test_an_end_on_purpose_or_twice_said_is_no_death() -> None:
    clock = Clock()
    lives = Lives(clock)
    lives.began()
    lives.over()
    lives.ended("closed")
    assert lives.short == 0
    lives.began()
    lives.ended("once")
    lives.ended("twice")
    assert (lives.short, lives.last_words) == (1, "once")


@pytest.mark.parametrize(("later_s", "left_s"), [(0, PATIENCE_S), (1, PATIENCE_S - 1), (100, 0)])
def test_patience_is_for_those_who_were_there_a_moment_ago(later_s: float, left_s: float) -> None:
    clock = Clock()
    lives = Lives(clock)
    assert lives.patience_s == 0
    lived(lives, clock, 60)
    clock.now += later_s
    assert lives.patience_s == left_s


def test_a_clock_that_is_put_back_makes_no_wait_longer() -> None:
    clock = Clock()
    lives = Lives(clock)
    lived(lives, clock, 1, 1)
    clock.now -= 3600
    assert lives.wait_s == 0.5
    assert lives.patience_s == PATIENCE_S
