"""Writes are operations, and a snapshot is what was read."""

from __future__ import annotations

from typing import get_args

import pytest

from fuseboard.state import (
    EMPTY,
    Add,
    Draw,
    Expire,
    Lock,
    Push,
    Put,
    Reserve,
    Settle,
    Snapshot,
    Throttle,
    Unlock,
    Write,
)

EACH = [
    Add("k", 1, 10, 60),
    Push("k", {"a": 1}, 5, 60),
    Put("k", None, 60),
    Reserve("k", "d-1", {"calls": 1}, {"calls": 3}, 30, 60),
    Settle("k", "d-1", {"calls": 1}, 60),
    Throttle("k", 1.0, 20, 60),
    Draw("k", 1, 1.0, 2, 10, 60),
    Lock("k", "d-1", "d-1", "r-1", "t", True, 1, 30, 60),
    Unlock("k", "d-1", 60),
    Expire("k", 60),
]


def test_the_union_of_writes_is_closed() -> None:
    assert set(get_args(Write)) == {type(write) for write in EACH}


@pytest.mark.parametrize("write", EACH, ids=lambda write: type(write).__name__)
def test_every_write_names_its_key_and_how_long_it_lasts_and_is_frozen(write: Write) -> None:
    assert (write.key, write.ttl_s) == ("k", 60)
    for field in type(write).__match_args__:
        with pytest.raises(AttributeError):
            setattr(write, field, None)


def test_a_snapshot_gives_what_was_read_and_a_default_for_the_rest() -> None:
    snapshot = Snapshot({"a": 0}, {"a": 3})
    assert snapshot.get("a", 7) == 0
    assert snapshot.get("b") is None
    assert snapshot.get("b", 7) == 7


def test_the_empty_snapshot_is_empty_and_stays_so() -> None:
    assert (dict(EMPTY.values), dict(EMPTY.versions)) == ({}, {})
    with pytest.raises(TypeError):
        EMPTY.values["a"] = 1  # type: ignore[index]
    with pytest.raises(AttributeError):
        EMPTY.values = {}  # type: ignore[misc]
