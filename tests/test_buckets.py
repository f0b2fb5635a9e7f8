"""Buckets of tokens: how they fill, what may be taken out, and that nobody takes more than went in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard import buckets
from fuseboard.state import Draw


def take(amount: float = 1.0, *, rate_per_s: float = 1.0, floor: float = 2.0, most: float = 10.0) -> Draw:
    return Draw("b", amount, rate_per_s, floor, most, 60.0)


@pytest.mark.parametrize(
    ("bucket", "at", "holds"),
    [
        (None, 0.0, 2.0),
        ([0.0, 10.0, 10.0], 10.0, 0.0),
        ([0.0, 10.0, 10.0], 11.5, 1.5),
        ([0.0, 10.0, 10.0], 99.0, 2.0),
        ([7.0, 10.0, 10.0], 99.0, 7.0),
        ([70.0, 10.0, 10.0], 10.0, 10.0),
        ([1.0, 10.0, 10.0], 3.0, 1.0),
    ],
    ids=[
        "nobody drew yet",
        "spent",
        "fills by itself",
        "up to the floor",
        "what was put in stays",
        "most",
        "clock back",
    ],
)
def test_what_is_in_it(bucket: list[float] | None, at: float, holds: float) -> None:
    assert buckets.tokens(bucket, take(), at=at) == holds


def test_what_was_taken_is_gone_and_too_little_refuses() -> None:
    first = buckets.drawn(None, take(), at=5.0)
    assert first == [1.0, 5.0, 5.0]
    second = buckets.drawn(first, take(), at=5.0)
    assert buckets.drawn(second, take(), at=5.0) is None
    assert buckets.wait_s(second, take(), at=5.25) == 0.75
    assert buckets.drawn(second, take(), at=6.0) is not None


def test_ten_tenths_are_one_token_and_a_deposit_is_no_withdrawal() -> None:
    bucket: list[float] | None = [0.0, 5.0, 5.0]
    for _ in range(10):
        bucket = buckets.drawn(bucket, take(-0.1, rate_per_s=0.0), at=6.0)
    assert bucket is not None
    assert bucket[2] == 5.0
    assert buckets.quiet_s(bucket, at=8.0) == 3.0
    assert buckets.drawn(bucket, take(rate_per_s=0.0), at=6.0) is not None


def test_one_that_does_not_fill_by_itself_is_waited_for_in_vain() -> None:
    assert buckets.wait_s([0.0, 0.0, 0.0], take(rate_per_s=0.0), at=1.0) == float("inf")
    assert buckets.quiet_s(None, at=1.0) == float("inf")


@given(st.lists(st.tuples(st.sampled_from([1.0, -0.1]), st.floats(0, 3)), max_size=200))
def test_nobody_takes_more_than_went_in(steps: list[tuple[float, float]]) -> None:
    bucket, at, taken, put = None, 0.0, 0, 0
    for amount, later_s in steps:
        at += later_s
        after = buckets.drawn(bucket, take(amount), at=at)
        if after is not None:
            bucket = json.loads(json.dumps(after))
            taken, put = taken + (amount > 0), put + (amount < 0)
            assert 0 <= after[0] <= 10
    assert taken <= 2 + at + 0.1 * put + 1e-6
