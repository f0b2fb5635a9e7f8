"""Whatever stands in a message is found, in a short one as in a long one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.cleaning.marks import Marks

LETTERS = st.sampled_from([b"a", b"b", b"c", b"(", b"\\", b"\x00", b"\xe2\x80\x8b", b"\n", b"]"])
WORDS = st.lists(LETTERS, min_size=1, max_size=9).map(b"".join)


@given(st.lists(WORDS, max_size=6), st.lists(LETTERS, max_size=60).map(b"".join), st.sampled_from([0, 1000, 40_000]))
def test_a_mark_is_found_exactly_where_it_stands(marks: list[bytes], said: bytes, longer: int) -> None:
    said += b" " * longer
    assert Marks(marks).any_in(said) is any(mark in said for mark in marks)


@pytest.mark.parametrize("mark", [b"ghp_", b"\\u", b"\xc2\xad", b"\x7f", b"x", b'"image"', b"a.very.long.mark"])
@pytest.mark.parametrize("longer", [0, 1000, 40_000])
def test_a_mark_is_found_wherever_it_stands(mark: bytes, longer: int) -> None:
    marks = Marks([mark, b"another"])
    filler = b"-" * longer
    assert marks.any_in(mark + filler)
    assert marks.any_in(filler + mark)
    assert marks.any_in(b"said: " + mark + b" and more" + filler)
    assert not marks.any_in(b"said: nothing of it!" + filler)


def test_of_many_marks_each_is_found_in_a_long_message() -> None:
    """They are looked for in groups: none may be left out of all of them."""
    marks = [*(f"mark{at:03}".encode() for at in range(150)), b"\x01", "é\u200b".encode(), b"\xed\xa0"]
    found = Marks(marks)
    filler = b"-" * 40_000
    assert not found.any_in(filler)
    assert all(found.any_in(filler + mark + filler) for mark in marks)


def test_where_nothing_is_looked_for_nothing_is_found() -> None:
    assert not Marks([]).any_in(b"\x00 anything")
