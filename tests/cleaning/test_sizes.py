"""What is too long loses its middle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fuseboard.cleaning.sizes import cut, level, withheld


@given(st.text(max_size=3000), st.integers(400, 2000))
def test_head_and_tail_stay_and_the_marker_says_what_went(text: str, keep: int) -> None:
    was = len(text.encode())
    shorter = cut(text, keep)
    if was <= keep:
        assert shorter == (text, was, 0)
        return
    head, _, rest = shorter.text.partition("\n[fuseboard: ")
    told, _, tail = rest.partition(" bytes were cut here; ask for less, or for a part]\n")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len((head + tail).encode()) == was - shorter.gone_bytes <= keep
    assert told == f"{shorter.gone_bytes:,} of {was:,}"


@given(st.lists(st.integers(1, 100_000), max_size=8), st.integers(1, 100_000))
def test_the_longest_give_first_and_enough_goes(lengths: list[int], excess: int) -> None:
    keep = level(lengths, excess)
    if keep is None:
        return
    longer = [length for length in lengths if length > keep]
    assert sum(length - keep - 120 for length in longer) >= excess


def test_what_cannot_give_enough_gives_nothing() -> None:
    assert level([300, 200], 10) is None
    assert level([1000, 1000], 5000) is None
    assert level([5000, 300], 1000) == 5000 - 1000 - 120


def test_the_marker_says_where_all_of_it_can_be_had() -> None:
    rest = "fuseboard://result/d-1"
    assert f"for all of it read the resource {rest}]" in cut("x" * 2000, 500, rest).text
    assert "ask for less" not in cut("x" * 2000, 500, rest).text
    assert withheld(2000, 500, rest).endswith(f"for all of it read the resource {rest}")
    assert withheld(2000, 500).endswith("ask for less, or for a part.")
