"""Patterns for junk: linear in time, refused where they cannot be."""

from __future__ import annotations

import time

import pytest

from fuseboard.results.patterns import HEAD_CHARS, JunkPattern, Unusable


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("(?i)under maintenance", "We are Under Maintenance", True),
        ("^<html", "<html>", True),
        ("^<html", "see <html>", False),
        (r"\d{3} records", "about 120 records", True),
    ],
)
def test_a_pattern_is_looked_for_in_the_head(source: str, text: str, found: bool) -> None:
    assert JunkPattern(source).found(text) is found


def test_only_the_head_is_looked_at() -> None:
    assert not JunkPattern("junk").found("x" * HEAD_CHARS + "junk")


@pytest.mark.parametrize("source", ["", "(", "(?=x)y", r"(a)\1", "x" * 501, "a*", "(a|)"])
def test_a_pattern_that_cannot_be_used_is_refused_when_it_is_read(source: str) -> None:
    with pytest.raises(Unusable):
        JunkPattern(source)


def test_a_pattern_that_would_backtrack_for_ever_does_not() -> None:
    pattern = JunkPattern("(a+)+$")
    begin = time.perf_counter()
    assert not pattern.found("a" * (HEAD_CHARS - 1) + "b")
    assert time.perf_counter() - begin < 1.0


def test_equal_sources_are_equal_patterns() -> None:
    assert JunkPattern("a") == JunkPattern("a") != JunkPattern("b")
    assert len({JunkPattern("a"), JunkPattern("a")}) == 1
