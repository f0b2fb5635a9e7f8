"""Whole values, and passages that two texts share."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.copies.passages import PASSAGE, Samples, holds

WORDS = st.text("abcdefgh ", min_size=0, max_size=80)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("pay fred now", "fred", True),
        ("pay alfred now", "fred", False),
        ("pay freddy, fred.", "fred", True),
        ("fred", "fred", True),
        ("id 13, at 130", "13", True),
        ("at 130", "13", False),
        ("x@y.z!", "@y.z", True),
        ("anything", "", False),
    ],
)
def test_a_value_is_there_as_a_whole_or_not_at_all(text: str, value: str, expected: bool) -> None:
    assert holds(text, value) is expected


def _says_something(text: str) -> bool:
    """No sample of it comes twice. What is repeated without end is followed up a few times only."""
    samples = [text[at : at + 12] for at in range(len(text) - 11)]
    return len(set(samples)) == len(samples)


PASSAGES = st.text("ijklmnop qrst", min_size=PASSAGE, max_size=120).filter(_says_something)


@given(WORDS, WORDS, WORDS, WORDS, PASSAGES)
def test_a_passage_is_found_wherever_it_stands(before: str, after: str, left: str, right: str, passage: str) -> None:
    argument, result = before + passage + after, left + passage + right
    found = Samples([argument]).shared(result)
    assert any(one.end - one.begin >= PASSAGE for one in found)


@given(st.text("abc", max_size=200), st.text("abc", max_size=200))
def test_what_is_found_stands_in_both(argument: str, result: str) -> None:
    for one in Samples([argument]).shared(result):
        assert one.end - one.begin >= PASSAGE
        assert argument[one.begin : one.end] in result


def test_one_letter_less_than_a_passage_is_none() -> None:
    shared = "abcdefghijklmnopqrstuvwxyz"[: PASSAGE - 1]
    assert Samples([f"1{shared}1"]).shared(f"2{shared}2") == []


def test_the_texts_are_told_apart() -> None:
    one, other = "the first of two long passages", "and quite another one over here"
    found = Samples([one, other]).shared(f"xx {other} yy")
    assert {passage.of for passage in found} == {1}


def test_twice_as_much_takes_no_more_than_twice_the_time() -> None:
    def took_s(size: int) -> float:
        argument, result = "ab" * (size // 20), "ba" * (size // 2)
        began = time.process_time()
        Samples([argument]).shared(result)
        return time.process_time() - began

    took_s(100_000)
    assert took_s(1_600_000) < 8 * max(took_s(400_000), 0.005)
