"""What could not be carried across, counted."""

from __future__ import annotations

import pytest

from fuseboard.bridges.losses import LONGEST, OTHERS, Losses


def test_each_kind_is_counted() -> None:
    losses = Losses()
    assert losses.counts == {}
    for what in ("a", "b", "a"):
        losses.count(what)
    assert losses.counts == {"a": 2, "b": 1}


def test_the_counts_are_for_reading() -> None:
    with pytest.raises(TypeError):
        Losses().counts["a"] = 1  # type: ignore[index]


def test_a_server_that_invents_words_fills_no_memory() -> None:
    losses = Losses()
    for n in range(3 * LONGEST):
        losses.count(f"{n} " + "x" * 1000)
    assert len(losses.counts) == LONGEST + 1
    assert losses.counts[OTHERS] == 2 * LONGEST
    assert max(map(len, losses.counts)) <= LONGEST
