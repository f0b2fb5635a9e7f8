"""What is known of a tool by what came back before."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.breakers.tails import Outcome
from fuseboard.results import profile


def entry(n: int = 0, *, digest: str = "d", truth: str = "ok", empty: bool = False, shape: str = "text") -> list[Any]:
    return list(Outcome(float(n), "r", f"f{n}", digest, truth, 0.0, "", empty, None, f"c{n}", shape))


@pytest.mark.parametrize(
    ("full", "empty", "odd"),
    [(20, 0, True), (16, 4, True), (15, 5, False), (10, 0, True), (9, 0, False), (0, 0, False)],
)
def test_an_empty_result_is_odd_where_hardly_any_was(full: int, empty: int, odd: bool) -> None:
    tail = [entry(n) for n in range(full)] + [entry(n, truth="empty", empty=True) for n in range(empty)]
    assert profile.hardly_ever_empty(tail) is odd


def test_failures_say_nothing_of_emptiness() -> None:
    assert profile.hardly_ever_empty([entry(n) for n in range(12)] + [entry(n, truth="timeout") for n in range(9)])


def test_the_same_answer_to_enough_questions_names_the_calls() -> None:
    tail = [entry(n) for n in range(4)]
    assert profile.constant(tail, "d", "f9") == ("c3", "c2", "c1", "c0")
    assert profile.constant(tail, "d", "f0") == ()
    assert profile.constant(tail[1:], "d", "f9") == ()
    assert profile.constant([*tail, entry(5, digest="other")], "d", "f9") == ()


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ("json:a,b", "json:a,b", ""),
        ("json:a,b", "json:a", "without b"),
        ("json:a", "json:a,b", "with the new b"),
        ("json:a,b", "json:a,c", "without b and with the new c"),
        ("json:a,cursor", "json:a", ""),
        ("json:a,nextPageToken", "json:a,note", ""),
        ("json:a", "text", "text instead of json"),
        ("list", "json:a", "json instead of list"),
        ("text", "json:a", ""),
        ("json:a", "", ""),
    ],
)
def test_a_shape_that_was_always_the_same_is_pinned(before: str, now: str, said: str) -> None:
    tail = [entry(n, shape=before) for n in range(profile.PINNED)]
    assert profile.drifted(tail, now) == said
    assert profile.drifted(tail[1:], now) == ""
    assert profile.drifted([*tail, entry(9, shape="json:z")], now) == ""


@pytest.mark.parametrize(("shapes", "mostly"), [("hhh", True), ("hhjj", False), ("hhhjj", True), ("hh", False)])
def test_what_it_mostly_gives(shapes: str, mostly: bool) -> None:
    tail = [entry(shape="html" if shape == "h" else "json:a") for shape in shapes]
    assert profile.mostly(tail, "html") is mostly
