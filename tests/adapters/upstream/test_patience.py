"""How long an upstream asks to be left alone, by its headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.adapters.upstream.patience import LONGEST_S, asked_wait_s

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Fri, 15 Jan 2027 08:01:00 GMT"}, 60),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "soon", "x-ratelimit-reset-after": "3"}, 3),
        ({"x-ratelimit-reset": "1800000012"}, 12),
        ({"x-ratelimit-reset": "1800000012500"}, 12.5),
        ({"ratelimit-reset": "9"}, 9),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"anthropic-ratelimit-requests-reset": "2027-01-15T08:00:05Z"}, 5),
        ({"ratelimit": '"default";r=0;t=17'}, 17),
        ({"retry-after": "999999999"}, LONGEST_S),
        ({"retry-after": ""}, None),
        ({"retry-after": "-5"}, None),
        ({}, None),
    ],
)
def test_what_the_headers_ask_for(headers: dict[str, str], wait_s: float | None) -> None:
    assert asked_wait_s(headers.get, now=NOW) == wait_s


@given(
    st.dictionaries(st.sampled_from(["retry-after", "date", "x-ratelimit-reset", "ratelimit"]), st.text(max_size=40))
)
def test_whatever_stands_there_no_wait_is_longer_than_a_day(headers: dict[str, str]) -> None:
    wait_s = asked_wait_s(headers.get, now=NOW)
    assert wait_s is None or 0 <= wait_s <= LONGEST_S
