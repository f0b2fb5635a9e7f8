"""What arguments show of a call: guesses by names and looks, each with the cases that it must not be fooled by."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.readings import LOOKED_THROUGH, MANY, MUCH, read


def found(arguments: dict[str, Any]) -> set[str]:
    """The kinds of signs that a reading holds."""
    reading = read(arguments)
    kinds = ("identities", "wildcards", "switches", "batches", "amounts", "vague")
    return {kind for kind in kinds if getattr(reading, kind)} | (set() if reading.whole else {"cut"})


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        pytest.param({}, set(), id="nothing"),
        pytest.param({"text": "see *this*, and ask why?"}, set(), id="a text may hold any mark"),
        pytest.param({"query": "select * from t"}, set(), id="so may a query"),
        pytest.param({"path": "/srv/*"}, {"wildcards"}, id="a glob in a path"),
        pytest.param({"files": ["/a", "/b/?.txt"]}, {"wildcards"}, id="a glob in one of many paths"),
        pytest.param({"glob": "src/**"}, {"wildcards"}, id="a glob by its name"),
        pytest.param({"ids": "*"}, {"wildcards"}, id="a lone star is everything"),
        pytest.param({"what": "*.log"}, {"wildcards"}, id="a star before an ending"),
        pytest.param({"path": "/app/[id]/page.tsx"}, set(), id="brackets are common in file names"),
        pytest.param({"url": "https://h/a?b=*"}, {"identities"}, id="a query is no glob"),
        pytest.param({"url": "https://h/*"}, {"identities", "wildcards"}, id="a star before the query is"),
        pytest.param({"recursive": True}, {"switches"}, id="a switch"),
        pytest.param({"forcePush": "true"}, {"switches"}, id="a switch as text, in another spelling"),
        pytest.param({"options": {"delete_all": 1}}, {"switches"}, id="a switch further in"),
        pytest.param({"recursive": False, "force": "no"}, set(), id="switches that are off"),
        pytest.param({"no_force": True, "dont-overwrite": True}, set(), id="switches that hold back"),
        pytest.param({"call": True, "allowed": True, "small": True}, set(), id="words that hold a word"),
        pytest.param({"rows": [0] * (MANY + 1)}, {"batches"}, id="a batch"),
        pytest.param({"rows": [0] * MANY}, set(), id="not quite a batch"),
        pytest.param({"amount": MUCH + 1}, {"amounts"}, id="a large amount"),
        pytest.param({"total_price": "12,500.00"}, {"amounts"}, id="a large amount as text"),
        pytest.param({"amount": -5000}, {"amounts"}, id="a large amount the other way"),
        pytest.param({"amount": MUCH, "limit": 10**9, "amounts": "lots"}, set(), id="no large amount"),
        pytest.param({"amount": 10**400}, {"amounts"}, id="an amount beyond all numbers"),
        pytest.param({"path": "notes.md"}, {"vague"}, id="a path from nowhere"),
        pytest.param({"path": ""}, {"vague"}, id="no path at all"),
        pytest.param(
            {"path": "/a", "dir": "~/b", "root": "C:\\x", "file": "file:///a"}, set(), id="paths from somewhere"
        ),
        pytest.param({"to": "", "host": None}, set(), id="nobody is named"),
        pytest.param({"message": {"to": [{"name": "ana"}]}}, {"identities"}, id="whoever is named, however deep"),
        pytest.param({"x": [0] * (LOOKED_THROUGH + 1)}, {"batches", "cut"}, id="more than is looked through"),
    ],
)
def test_each_sign_is_seen_and_no_other(arguments: dict[str, Any], kinds: set[str]) -> None:
    assert found(arguments) == kinds


def test_what_hides_behind_too_many_arguments_is_not_taken_for_absent() -> None:
    hidden = {"pad": {str(number): number for number in range(LOOKED_THROUGH)}, "force": True}
    assert not read(hidden).whole
    assert not read({"pad": [[number] for number in range(LOOKED_THROUGH)], "force": True}).whole


def test_the_shape_is_of_names_and_not_of_values_or_their_order() -> None:
    assert read({"a": 1, "b": 2}).shape == read({"b": "x", "a": None}).shape
    assert read({"a": 1}).shape != read({"a": 1, "b": 2}).shape
    assert read({"ab": 1}).shape != read({"a": 1, "b": 1}).shape


def test_one_value_in_two_arguments_is_two_identities() -> None:
    assert set(read({"repo": "x"}).identities) != set(read({"recipient": "x"}).identities)
    assert set(read({"repo_id": 1, "user_id": 1}).identities) == set(read({"userId": 1}).identities)


def test_what_no_utf_8_can_say_is_read_all_the_same() -> None:
    assert read({"to": "\ud800", "\udfff": 1}).identities
