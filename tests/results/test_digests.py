"""By what results are told apart: never by the time of day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.results.digests import NORMALISED_BYTES, digests


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"at 2026-11-22T20:10:08.123Z", b"at 2026-11-23T07:00:00Z"),
        (b"2026-11-22 20:10", b"2026-11-22 20:11"),
        (b"2026-11-22T20:10:08+01:00", b"2026-11-22T20:10:08.5+0100"),
        (b"[20:10:08] up", b"[9:10:08,123] up"),
        (b"took 1.25s", b"took 13 s"),
        (b"12 ms", b"3 seconds"),
        (b'"requestId": "a-1"', b'"requestId": "b-2"'),
        (b'\\"trace_id\\":\\"aaaa\\"', b'\\"trace_id\\":\\"bbbb\\"'),
        (b"(request id: 00ff00ff)", b"(request id: ff00ff00)"),
        (b'"durationMs": 12,', b'"durationMs": 999,'),
        (b'"took":5}', b'"took":61}'),
        (b"ts=1732305008", b"ts=1732305999.25"),
        (b"1732305008123", b"1732305008999"),
        (b"6f1c2a34-1111-4222-8333-123456789abc", b"00000000-aaaa-4222-8333-ffffffffffff"),
    ],
)
def test_what_changes_each_time_is_left_out(one: bytes, other: bytes) -> None:
    assert digests(b"x " + one + b" y") == digests(b"x " + other + b" y")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"12 rows", b"13 rows"),
        (b"2026-11-22", b"2026-11-23"),
        (b"v1.2.3", b"v1.2.4"),
        (b"order 17", b"order 18"),
        (b"9 of 10", b"10 of 10"),
        (b"3.5 km", b"3.6 km"),
    ],
)
def test_other_numbers_tell_digests_apart_and_skeletons_not(one: bytes, other: bytes) -> None:
    (digest, skeleton), (others, other_skeleton) = digests(one), digests(other)
    assert digest != others
    assert skeleton == other_skeleton


@pytest.mark.parametrize(("one", "other"), [(b"sun", b"rain"), (b"a 1", b"b 1"), (b"abc", b"abd")])
def test_words_tell_both_apart(one: bytes, other: bytes) -> None:
    assert not {*digests(one)} & {*digests(other)}


def test_of_nothing_there_is_no_digest() -> None:
    assert digests(b"") == ("", "")


def test_the_end_of_a_long_result_counts_for_the_digest() -> None:
    head = b"x" * NORMALISED_BYTES
    (digest, skeleton), (other, other_skeleton) = digests(head + b"a"), digests(head + b"b")
    assert digest != other
    assert skeleton == other_skeleton


@given(st.binary(max_size=300))
def test_any_bytes_have_a_digest_and_always_the_same(said: bytes) -> None:
    assert digests(said) == digests(bytes(said))
    assert all(digests(said)) == bool(said)
