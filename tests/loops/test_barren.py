"""Nothing found, in ever other words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.loops.barren import TELLING_BYTES, barren, drought, is_fruitful, novelty, stale
from fuseboard.windows import KEPT, Past
from support.steps import step

EMPTY: dict[str, Any] = {"truth": "empty"}


def empties(count: int, **more: Any) -> list[Past]:
    return [step(f"q{n}", f"nothing for {n}", **{**EMPTY, **more}) for n in range(count)]


def test_different_questions_that_all_come_back_empty() -> None:
    assert barren(empties(7), "s__read", at=8) is None
    loop = barren(empties(8), "s__read", at=8)
    assert loop is not None
    assert (loop.kind, loop.times, len(loop.calls)) == ("barren", 8, 8)


def test_one_fruitful_answer_begins_anew() -> None:
    assert barren([*empties(7), step("q", "there"), *empties(7)], "s__read", at=8) is None


def test_other_tools_do_not_matter() -> None:
    steps = [
        one
        for pair in zip(empties(8), [step(f"r{n}", f"t{n}", tool="s__other") for n in range(8)], strict=True)
        for one in pair
    ]
    assert barren(steps, "s__read", at=8) is not None


def test_errors_that_are_not_alike_count_half() -> None:
    errors = [step(f"q{n}", f"e{n}", truth="business_error", weight=1.0) for n in range(16)]
    loop = barren(errors, "s__read", at=8)
    assert loop is not None
    assert loop.times == 8.5
    alike = [step(f"q{n}", f"e{n}", skeleton="k", truth="business_error", weight=1.0) for n in range(8)]
    assert barren(alike, "s__read", at=8) is not None


def test_one_question_is_no_barren_search() -> None:
    assert barren([step("q", "", **EMPTY) for _ in range(20)], "s__read", at=1) is None


@pytest.mark.parametrize("part", ["change", "note"])
def test_changes_that_return_nothing_have_done_their_work(part: str) -> None:
    assert barren(empties(40, part=part), "s__read", at=8) is None


def test_a_tool_of_which_nothing_is_known_counts_half() -> None:
    assert barren(empties(15, part="act"), "s__read", at=8) is None
    assert barren(empties(16, part="act"), "s__read", at=8) is not None
    assert barren(empties(8, part="act", names=['"']), "s__read", at=8) is not None


@given(st.integers(1, KEPT), st.sampled_from(["act", "read", "change", "run"]))
def test_a_batch_that_is_told_ok_is_never_barren(count: int, part: str) -> None:
    steps = [step(f"file {n}", "ok", part=part) for n in range(count)]
    assert barren(steps, "s__read", at=8) is None
    assert stale(steps, "s__read", at=8) is None
    assert drought(steps, "r", at=12) is None
    assert novelty(steps, "r", few=6, among=24) is None or count < 7


def test_one_long_text_whatever_is_asked() -> None:
    pages = [step(f"q{n}", "page", size_bytes=TELLING_BYTES) for n in range(8)]
    assert stale(pages, "s__read", at=8) is not None
    assert stale([*pages[:7], step("q", "other page", size_bytes=TELLING_BYTES), pages[7]], "s__read", at=8) is None
    assert (
        stale([step(f"q{n}", "page", size_bytes=TELLING_BYTES, part="act") for n in range(9)], "s__read", at=8) is None
    )


def test_one_short_text_whatever_is_looked_for() -> None:
    said = [step(f"q{n}", "I do not know", names=['"', "?"]) for n in range(8)]
    assert stale(said, "s__read", at=8) is not None
    assert stale([one._replace(names=('"',)) for one in said], "s__read", at=8) is None
    assert not is_fruitful(said[0])


def test_a_run_in_which_nothing_works() -> None:
    steps = [step(f"q{n}", "", tool=f"s__t{n % 3}", **EMPTY) for n in range(12)]
    assert drought(steps[:11], "r", at=12) is None
    assert drought(steps, "r", at=12) is not None
    assert drought([*steps[:6], step("q", "found"), *steps[6:]], "r", at=12) is None


def test_few_different_steps_among_many() -> None:
    walk = [step(f"a{n * 7 % 6}", "x") for n in range(24)]
    assert novelty(walk, "r", few=6, among=24) is not None
    assert novelty(walk, "r", few=5, among=24) is None
    assert novelty(walk[:23], "r", few=6, among=24) is None
    assert novelty([*walk, step("a", "x", pending=True)], "r", few=6, among=24) is not None
    assert novelty([step("a", "x", pending=True)] * 30, "r", few=6, among=24) is None


@pytest.mark.parametrize(
    ("past", "fruitful"),
    [(step(), True), (step(**EMPTY), False), (step(weight=0.5), False), (step(size_bytes=TELLING_BYTES), False)],
)
def test_what_nothing_goes_on_from(past: Past, fruitful: bool) -> None:
    assert is_fruitful(past) is fruitful
