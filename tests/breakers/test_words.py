"""What the model reads."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fuseboard.breakers.machine import OPEN, Breaker
from fuseboard.breakers.strikes import Strike
from fuseboard.breakers.words import RUN, TOOL, UPSTREAM, busy, last_chance, refusal
from support.judging import READ, call

EVENT = replace(call(READ), at=100.0)
STRIKES = tuple(Strike(f"d-{n}", 90.0 + n, "bad_arguments", 1.0) for n in range(5))
OFF = Breaker(OPEN, 1, 1, 95.0, 130.0, rule="row", strikes=STRIKES)


def test_a_refusal_in_one_run() -> None:
    assert refusal(RUN, EVENT, OFF, 30.0) == (
        "files__read_file was not called: it keeps failing in this run:\n"
        "- bad arguments, 8.0 s ago [d-2]\n"
        "- bad arguments, 7.0 s ago [d-3]\n"
        "- bad arguments, 6.0 s ago [d-4]\n"
        "Call it again in 30 s: then one call is let through to see whether it works again. "
        "This concerns files__read_file alone: go on without it, or tell the user."
    )


@pytest.mark.parametrize("scope", [TOOL, UPSTREAM])
def test_what_others_did_is_told_without_their_calls(scope: str) -> None:
    text = refusal(scope, EVENT, OFF, 30.0)
    assert "not in this run alone" in text
    assert "d-" not in text.replace("read-", "")


@pytest.mark.parametrize("scope", [RUN, TOOL, UPSTREAM])
def test_no_text_has_a_hole_in_it_or_says_how_to_lift_it(scope: str) -> None:
    by_hand = replace(OFF, by="ida", why="it leaks")
    for text in (refusal(scope, EVENT, OFF, 5.0), refusal(scope, EVENT, by_hand, 5.0), busy(scope, EVENT)):
        assert "{" not in text
        assert "  " not in text
        assert "reset" not in text


def test_an_operators_word_is_told_as_such() -> None:
    text = refusal(UPSTREAM, EVENT, replace(OFF, by="ida", why="it leaks"), 600.0)
    assert "an operator took files off the board (it leaks). Call it again in 600 s at the earliest." in text


def test_the_last_chance_says_where_it_stands() -> None:
    text = last_chance(EVENT, STRIKES[:2], 3)
    assert "it has 2 of 3 strikes in this run" in text
    assert text.count("\n- ") == 2
