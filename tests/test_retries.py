"""Which calls are repeats, and what they may draw on."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard import buckets, retries
from fuseboard.config.guards import Retries
from fuseboard.config.units import Rate
from fuseboard.windows import Past

BAD, GOOD = 1.0, 0.0


def step(decision: str, at: float, truth: str, weight: float, fingerprint: str = "f") -> Past:
    whose = "upstream" if weight else ""
    return Past(decision, at, "up__act", fingerprint, "", "", truth, weight, whose, "read", 0, False, ())


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([], []),
        ([step("a", 1, "ok", GOOD)], []),
        ([step("a", 1, "error", BAD)], ["a"]),
        ([step("a", 1, "error", BAD), step("b", 2, "timeout", BAD)], ["b", "a"]),
        ([step("a", 1, "error", BAD), step("b", 2, "ok", GOOD), step("c", 3, "error", BAD)], ["c"]),
        ([step("a", 1, "error", BAD), step("b", 2, "empty", GOOD)], []),
        ([step("a", 1, "error", BAD), step("x", 2, "ok", GOOD, "other"), step("c", 3, "junk", 0.5)], ["c", "a"]),
        ([step("a", 1, "error", BAD), step("b", 2, "throttled", GOOD)], ["a"]),
        ([step("a", 1, "cancelled", GOOD)], ["a"]),
        ([step("a", 1, "error", BAD), step("a", 1, "error", BAD), step("b", 2, "error", BAD)], ["b", "a"]),
        ([step("a", -1, "error", BAD), step("b", 2, "error", BAD)], ["b"]),
    ],
    ids=[
        "nothing happened",
        "it worked",
        "it failed",
        "it failed twice",
        "what worked starts anew",
        "an empty result is a good one",
        "other calls say nothing",
        "throttled is neither",
        "given up",
        "several that joined one call",
        "too long ago",
    ],
)
@pytest.mark.parametrize("stored", [tuple, list], ids=["memory", "file"])
def test_the_failures_of_one_call(steps: list[Past], found: list[str], stored: Any) -> None:
    kept = [stored(each) for each in steps]
    assert [each[0] for each in retries.failures(kept, "f", since=0.0)] == found


def test_no_window_holds_no_failures() -> None:
    assert retries.failures(None, "f", since=0.0) == ()


def test_ten_first_attempts_pay_for_one_repeat_at_that_upstream() -> None:
    limits = Retries(floor=Rate(1, 1e9, 1))
    take, put = retries.withdrawal("up", limits), retries.deposit("up", limits)
    assert take.key == put.key == retries.bucket_key("up")
    bucket = buckets.drawn(None, take, at=0.0)
    for _ in range(9):
        bucket = buckets.drawn(bucket, put, at=0.0)
    assert buckets.drawn(bucket, take, at=0.0) is None
    assert buckets.drawn(buckets.drawn(bucket, put, at=0.0), take, at=0.0) is not None


def test_a_floor_above_what_deposits_may_fill_stays_the_floor() -> None:
    assert retries.withdrawal("up", Retries(floor=Rate(50, 1.0, 50))).most == 50
