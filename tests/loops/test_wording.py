"""What the model reads about a loop."""

from __future__ import annotations

import pytest

from fuseboard.loops.found import Found
from fuseboard.loops.wording import denied, nudged, ordinal
from support.judging import READ, call

KINDS = ("repeat", "cycle", "poll", "barren", "stale", "drought", "novelty")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_was_seen_and_what_to_do_instead(kind: str) -> None:
    loop = Found(kind, "f", 4.0, ("d1",), "empty", 3)
    said = nudged(call(READ), loop)
    assert said.startswith("Note: ")
    assert said.endswith(".")
    assert "4" in said
    refusal = denied(call(READ), loop, 5, 12.0)
    again = "" if kind in ("barren", "stale") else " again"
    assert refusal.startswith(f"files__read_file was not called{again}: ")
    assert "(stopped at 5)" in refusal
    assert refusal.endswith("It may be tried again in 12 s.")
    assert "limit" not in refusal


@pytest.mark.parametrize(
    ("alike", "said"),
    [("empty", "in a row came back empty"), ("business_error 1f3a", "in a row failed alike (business error)")],
)
def test_what_came_back_of_barren_calls_is_said_as_it_was(alike: str, said: str) -> None:
    assert said in nudged(call(READ), Found("barren", "f", 8.0, ("d1",), alike))


@pytest.mark.parametrize(
    ("number", "said"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (113, "113th")]
)
def test_ordinals(number: int, said: str) -> None:
    assert ordinal(number) == said
