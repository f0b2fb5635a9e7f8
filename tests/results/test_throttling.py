"""How long an upstream asks to be left alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.results.throttling import LONGEST_S, asked_wait_s


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("Rate limited. Retry after 30 seconds", 30),
        ("Retry-After: 12", 12),
        ("retry_after=250ms", 0.25),
        ('{"retry_after_ms": 1500}', 1.5),
        ('"retryAfter":"3s"', 3),
        ("please try again in 2 minutes", 120),
        ("Try again in 1.5s.", 1.5),
        ("wait 10 s", 10),
        ("the limit resets in 1 hour", 3600),
        ("retry in 99999999 hours", LONGEST_S),
        ("asks to wait 7 s", 7),
    ],
)
def test_words_that_name_a_span(text: str, wait_s: float) -> None:
    assert asked_wait_s(text) == wait_s


@pytest.mark.parametrize("text", ["", "too many requests", "we waited 10 s", "retry after lunch", "12 s"])
def test_words_that_name_none(text: str) -> None:
    assert asked_wait_s(text) is None


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ({"retry_after": 3}, 3),
        ({"retryAfterMs": 1500}, 1.5),
        ({"error": {"retryDelay": "13s"}}, 13),
        ({"data": {"retry-after": "5"}}, 5),
        ({"retry_after": True}, None),
        ({"retry_after": -1}, None),
        ({"retry_after": 1e300}, None),
        ({"x": 1}, None),
    ],
)
def test_fields_that_name_a_span(value: Any, wait_s: float | None) -> None:
    assert asked_wait_s("", value) == wait_s


@given(st.text(max_size=100), st.dictionaries(st.sampled_from(["retry_after", "error"]), st.integers() | st.text()))
def test_no_wait_is_longer_than_a_day(text: str, value: dict[str, Any]) -> None:
    wait_s = asked_wait_s(text, value)
    assert wait_s is None or 0 <= wait_s <= LONGEST_S
