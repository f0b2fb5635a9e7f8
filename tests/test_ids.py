"""Identifiers sort by time and can be read aloud."""

from __future__ import annotations

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from fuseboard.ids import Chance, Ids, derived, first_at

UNTIL_2039 = st.floats(1_700_000_000, 2_190_000_000)


def fixed(bits: int) -> int:
    return 0


def test_the_first_letter_tells_decisions_from_runs() -> None:
    ids = Ids(fixed)
    assert ids.decision(1_790_000_000.0).startswith("d-")
    assert ids.run(1_790_000_000.0).startswith("r-")


@given(UNTIL_2039, st.randoms(use_true_random=False))
def test_every_id_is_of_one_length_and_of_letters_that_nobody_mistakes(at: float, chance: random.Random) -> None:
    assert re.fullmatch(r"d-[0-9a-hjkmnp-tv-z]{16}", Ids(chance.getrandbits).decision(at))


@given(UNTIL_2039, UNTIL_2039)
def test_ids_sort_by_the_millisecond(one: float, other: float) -> None:
    ids = Ids(fixed)
    assert (ids.run(one) < ids.run(other)) == (int(one * 1000) < int(other * 1000))


def test_within_a_millisecond_chance_tells_them_apart() -> None:
    ids = Ids(random.Random(7).getrandbits)
    assert len({ids.decision(1_790_000_000.0) for _ in range(1000)}) == 1000


def test_forty_bits_of_chance_are_asked_for_and_all_are_used() -> None:
    asked: list[int] = []

    def ones(bits: int) -> int:
        asked.append(bits)
        return 2**bits - 1

    assert Ids(ones).run(0.0) == "r-00000000zzzzzzzz"
    assert asked == [40]


def test_chance_gives_the_bytes_of_its_source_once_each() -> None:
    asked: list[int] = []

    def source(count: int) -> bytes:
        asked.append(count)
        return bytes(n % 251 for n in range(count))

    chance = Chance(source)
    numbers = [chance(40) for _ in range(asked[0] // 5 if asked else 1)]
    numbers += [chance(40) for _ in range(asked[0] // 5 - 1)]
    assert len(asked) == 1
    assert b"".join(number.to_bytes(5, "big") for number in numbers) == bytes(n % 251 for n in range(asked[0]))
    assert chance(40) == numbers[0]
    assert len(asked) == 2


def test_what_is_derived_is_always_the_same_and_says_what_it_is() -> None:
    assert derived(b"0123456789") == derived(b"0123456789")
    assert derived(b"0123456789") != derived(b"0123456798")
    assert derived(b"0123456789", "a-") == "a-" + derived(b"0123456789").removeprefix("r-")


def test_the_first_id_of_a_moment_stands_between_what_was_before_and_all_from_then_on() -> None:
    ids = Ids(lambda bits: 0)
    assert ids.decision(1_790_000_000.004) < first_at(1_790_000_000.005) <= ids.decision(1_790_000_000.005)
