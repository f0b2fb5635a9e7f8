"""Asking again: what counts as a repeat, what strewn steps do to it, and what begins the count anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.loops.found import Found
from fuseboard.loops.repeats import begins, counted, cycle, repeated
from fuseboard.windows import KEPT, Past
from support.steps import change, step


def found(steps: Sequence[Past], ask: str = "a", share: float = 1.0) -> Found | None:
    return repeated(steps, ask, same=3, polls=12, longest=8, share=share)


def same(steps: Sequence[Past], ask: str = "a") -> float:
    counts = counted(steps, ask)
    assert counts is not None
    return counts.same


@dataclass(frozen=True)
class Line:
    why: str
    steps: tuple[Past, ...]
    same: float
    polls: float = 0.0


FILE = ("=f", "/dir")
OTHER = ("=g", "/dir")
FAR = ("=h", "/away")
PENDING = {"pending": True}

TABLE = (
    Line("the same answer counts", (step(), step(), step()), 3),
    Line("what is strewn between does not matter", (step(), step("b", "y"), step(), step("c", "z"), step()), 3),
    Line("a new answer begins anew", (step(), step(), step("a", "y"), step("a", "y")), 2),
    Line("an answer that was there before does not", (step(), step("a", "y"), step(), step("a", "y"), step()), 2),
    Line("no answer is none", (step(), step(truth="cancelled"), step()), 2),
    Line(
        "an error is one by its skeleton",
        tuple(step("a", f"y{n}", skeleton="k", weight=1, truth="error") for n in range(3)),
        3,
    ),
    Line("a change of the very thing", (step(names=FILE), step(names=FILE), change("e", *FILE), step(names=FILE)), 1),
    Line("a change beside it counts half", (step(names=FILE), change("e", *OTHER), step(names=FILE)), 1.5),
    Line("a change elsewhere is nothing", (step(names=FILE), change("e", *FAR), step(names=FILE)), 2),
    Line(
        "the same change twice is no news",
        (change("e", *FILE), step(names=FILE), change("e", *FILE), step(names=FILE)),
        2,
    ),
    Line(
        "a change that failed is none",
        (step(names=FILE), change("e", *FILE, weight=1, truth="error"), step(names=FILE)),
        2,
    ),
    Line("a question about nothing", (step(), change("e", *FILE), step()), 1),
    Line("a question in words", (step(names=['"']), change("e", *FILE), step(names=['"'])), 1.5),
    Line(
        "tests ask about everything", (step(part="run", names=FAR), change("e", *FILE), step(part="run", names=FAR)), 1
    ),
    Line("a change of nothing named", (step(), change("e"), step()), 2),
    Line("a note bears on nothing else", (step(), change("e", *FILE, part="note"), step()), 2),
    Line("a note bears on itself", (step(names=FILE), change("e", *FILE, part="note"), step(names=FILE)), 1),
    Line("a reading bears on nothing", (step(), step("b", "y", names=FILE), step()), 2),
    Line("what is under way is polled", (step(**PENDING), step(**PENDING), step(**PENDING)), 0, 3),
    Line("a wait is polled", (step(part="wait"), step(part="wait")), 0, 2),
    Line("numbers move", tuple(step("a", f"y{n}", skeleton="k") for n in range(5)), 0, 3),
    Line(
        "what moved and stands still",
        (step("a", "1", skeleton="k"), step("a", "2", skeleton="k"), step("a", "2", skeleton="k")),
        0,
        2.5,
    ),
    Line("another skeleton is news", tuple(step("a", f"y{n}") for n in range(9)), 1),
)


@pytest.mark.parametrize("line", TABLE, ids=lambda line: line.why)
def test_the_table(line: Line) -> None:
    counts = counted(line.steps, "a")
    assert counts is not None
    assert (counts.same, counts.polls) == (line.same, line.polls)


def test_a_call_that_was_never_made_counts_nothing() -> None:
    assert counted([step("b")], "a") is None
    assert found([step("b")]) is None


def test_an_act_counts_anew_once_a_look_shows_that_it_had_an_effect() -> None:
    steps: list[Past] = []
    for page in range(6):
        steps += [step("a", "clicked", part="act"), step("look", f"page {page}")]
    assert found(steps) is None
    steps = [step("a", "clicked", part="act") if n % 2 else step("look", "page") for n in range(6)]
    assert found(steps) is not None


def test_coming_by_a_state_again_is_no_proof() -> None:
    """A debugger in a program's loop: the same line, and another one in between."""
    walk = [step("a", f"line {n % 4}", part="act") for n in range(24)]
    assert found(walk[:20]) is None


def test_the_calls_that_show_it_are_named() -> None:
    steps = [step(decision="d1"), step("b", "y"), step(decision="d2"), step(decision="d3")]
    assert found(steps) == Found("repeat", "a", 3, ("d1", "d2", "d3"), "x", 1)


@pytest.mark.parametrize("period", range(1, 9))
def test_the_period_of_a_cycle(period: int) -> None:
    steps = [step(f"a{n % period}", f"x{n % period}") for n in range(3 * period)]
    assert cycle(steps, 8) == period


def test_a_cycle_is_found_with_its_period() -> None:
    steps = [step(f"a{n % 3}", f"x{n % 3}") for n in range(9)]
    loop = found(steps, "a2")
    assert loop is not None
    assert (loop.kind, loop.period) == ("cycle", 3)


def test_repeats_of_a_polled_tool_count_a_tenth() -> None:
    assert found([step() for _ in range(20)], share=0.1) is None
    assert found([step() for _ in range(22)], share=0.1) is not None


def test_where_the_window_begins_for_a_call() -> None:
    steps = [step(names=FILE), change("e", *FILE), step(names=FILE), change("e2", *FAR)]
    assert begins(steps, "a") == 2
    assert begins(steps, "never") == 0


asks = st.sampled_from("abcd")
answers = st.sampled_from("xyz")
pairs = st.lists(st.tuples(asks, answers), max_size=40)
positions = st.lists(st.integers(0, 8), min_size=2, max_size=7)


@given(pairs, st.integers(3, 12))
def test_a_longer_repetition_never_undoes_what_was_found(before: list[tuple[str, str]], more: int) -> None:
    steps = [step(ask, answer) for ask, answer in before]
    was = False
    for _ in range(more):
        steps.append(step())
        now = found(steps[-KEPT:]) is not None
        assert now or not was
        was = now
    assert was or more < 12


@given(positions)
def test_strewing_never_hides_a_loop(gaps: list[int]) -> None:
    steps = [step()]
    for number, gap in enumerate(gaps):
        for n in range(gap):
            steps.append(step(f"other {number} {n}", f"new {number} {n}", tool=f"s__t{n}"))
        steps.append(step())
    assert same(steps[-KEPT:]) == sum(one.fingerprint == "a" for one in steps[-KEPT:])


@given(st.lists(st.integers(), min_size=3, max_size=KEPT, unique=True))
def test_a_wide_honest_batch_is_nothing(numbers: list[int]) -> None:
    steps = [step(f"file {n}", "ok", part="act") for n in numbers]
    assert found(steps, steps[-1].fingerprint) is None


def test_the_cost_is_that_of_the_window() -> None:
    """Twice the steps cost about twice as much, in the worst mixture of repeats and changes."""

    def seconds(length: int) -> float:
        steps = [step(names=FILE) if n % 2 else change(f"e{n}", "=z") for n in range(length)]
        times = []
        for _ in range(5):
            began = perf_counter()
            for _ in range(20):
                found(steps)
            times.append(perf_counter() - began)
        return min(times)

    assert seconds(800) < 40 * seconds(80)  # squared it would be a hundred
