"""Not one of our own secrets comes back, however it is written, and wherever it is split."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.cleaning.secrets import Secrets, View, seen
from support.leaks import SECRETS, leaks, message, ways

TEXTS = st.text(st.sampled_from("abs3cr%2fA0\\u0061=+/ \n"), max_size=60)


@pytest.mark.parametrize("way", ways(), ids=lambda way: way.__name__.strip("_"))
@pytest.mark.parametrize("secret", SECRETS)
def test_each_encoding_of_each_secret_is_found(secret: str, way) -> None:  # type: ignore[no-untyped-def]
    chance = random.Random(4711)
    find = Secrets([secret])
    for _ in range(30):
        text = f"before {way(secret, chance)} after".encode()
        assert find.spans(text), text


def test_nothing_leaks_in_random_encodings_and_splits() -> None:
    """A share of what ``tests/bench/leaks.py`` tries."""
    assert leaks(2000, seed=1) == []


def test_a_leak_would_be_seen() -> None:
    """The judge of the test above does find a secret that nobody took out."""
    chance = random.Random(1)
    made = [message(chance) for _ in range(500)]
    assert sum(one.leaks(one.raw) for one in made) > 450


@given(TEXTS)
def test_spans_are_in_order_and_apart(text: str) -> None:
    spans = Secrets(["s3cr/a", "abs3cr"]).spans(text.encode())
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert all(0 <= span.start < span.end <= len(text.encode()) for span in spans)


def test_short_texts_are_no_secrets() -> None:
    assert not Secrets(["abc", ""])
    assert Secrets(["abc"]).spans(b"abc") == []


def test_a_decoded_text_leads_back() -> None:
    import re

    decoded = seen(View(b"a%41b", ()), re.compile(b"%.."), lambda _: b"A")
    assert decoded.text == b"aAb"
    assert list(decoded.turns) == [(1, 2, 1, 4)]
