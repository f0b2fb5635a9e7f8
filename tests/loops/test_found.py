"""What a detector hands on, and which steps say anything."""

from __future__ import annotations

import pytest

from fuseboard.loops.found import SHOWN, Found, answer_of, good, shown, told, under_way
from support.steps import step


def test_the_evidence_is_bounded_and_keeps_the_latest() -> None:
    assert shown([f"d{n}" for n in range(99)]) == tuple(f"d{n}" for n in range(99 - SHOWN, 99))


def test_the_facts_are_json_values() -> None:
    facts = Found("cycle", "f", 2.98765, ("a", "b"), "x", 3).facts()
    assert facts == {"loop": "cycle", "count": 2.99, "period": 3, "alike": "x", "calls": ["a", "b"]}


@pytest.mark.parametrize("truth", ["input_required", "task", "cancelled", "denied"])
def test_what_has_no_answer_yet_says_nothing(truth: str) -> None:
    assert not told(step(truth=truth))


def test_errors_that_differ_by_their_numbers_are_the_same_error() -> None:
    first = step("a", "d1", skeleton="k", truth="error", weight=1.0)
    second = step("a", "d2", skeleton="k", truth="error", weight=1.0)
    assert answer_of(first) == answer_of(second)
    assert answer_of(step("a", "d1", skeleton="k")) != answer_of(step("a", "d2", skeleton="k"))


@pytest.mark.parametrize(
    ("truth", "weight", "is_good"), [("ok", 0, True), ("empty", 0, True), ("ok", 0.5, False), ("error", 1, False)]
)
def test_what_did_as_it_was_asked(truth: str, weight: float, is_good: bool) -> None:
    assert good(step(truth=truth, weight=weight)) is is_good


def test_what_says_not_yet_and_what_waits_is_under_way() -> None:
    assert under_way(step(pending=True))
    assert under_way(step(part="wait"))
    assert not under_way(step())
