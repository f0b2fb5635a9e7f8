"""A lock file against what is listed, and how a person's word changes it."""

from __future__ import annotations

import json
from typing import Any

from fuseboard.era import Era
from fuseboard.pins.compare import State, accept, changed, compare, drop
from fuseboard.pins.lock import Identity, Lock, read, written

OLD, NEW = Era.HANDSHAKE, Era.STATELESS
WHO = Identity("npx it", "It", "1")


def listed(*tools: dict[str, Any], prompts: tuple[str, ...] = ()) -> dict[str, list[tuple[str, bytes]]]:
    return {
        "tools": [(tool["name"], json.dumps(tool).encode()) for tool in tools],
        "prompts": [(name, json.dumps({"name": name}).encode()) for name in prompts],
    }


X, Y = {"name": "x", "description": "d"}, {"name": "y"}


def holding(*tools: dict[str, Any], prompts: tuple[str, ...] = (), era: Era = OLD) -> Lock:
    lock = Lock()
    accept(lock, "u", WHO, compare(None, listed(*tools, prompts=prompts), era))
    return read(written(lock))


def states(lock: Lock, now: dict[str, list[tuple[str, bytes]]], era: Era = OLD) -> dict[str, str]:
    return {row.name: str(row.state) for row in compare(lock.servers.get("u"), now, era)}


def test_each_definition_is_what_it_was_or_changed_or_new_or_gone() -> None:
    lock = holding(X, Y, prompts=("p",))
    assert states(lock, listed(Y, X, prompts=("p",))) == {"x": "accepted", "y": "accepted", "p": "accepted"}
    now = listed({**X, "description": "e"}, {"name": "z"}, prompts=("p",))
    assert states(lock, now) == {"x": "changed", "y": "gone", "z": "new", "p": "accepted"}
    assert changed(compare(lock.servers["u"], now, OLD))
    assert not changed(compare(lock.servers["u"], listed(X, Y, prompts=("p",)), OLD))


def test_accepting_makes_the_lock_say_what_is_listed() -> None:
    lock = holding(X, Y)
    now = listed({**X, "description": "e"}, {"name": "z"})
    accept(lock, "u", Identity("other", "It", "2"), compare(lock.servers["u"], now, OLD))
    assert set(states(lock, now).values()) == {"accepted"}
    assert states(lock, listed(X)) == {"x": "changed", "z": "gone"}
    assert lock.servers["u"].identity == Identity("other", "It", "2")


def test_what_was_accepted_before_may_stay_good_beside_it() -> None:
    lock = holding(X)
    now = listed({**X, "description": "e"})
    accept(lock, "u", WHO, compare(lock.servers["u"], now, OLD), also=True)
    assert states(lock, now) == states(lock, listed(X)) == {"x": "accepted"}


def test_the_same_as_another_era_writes_it_is_accepted() -> None:
    lock = holding({**X, "execution": {}})
    assert states(lock, listed(X), NEW) == {"x": "accepted"}
    assert states(lock, listed(X), OLD) == {"x": "changed"}


def test_of_two_of_one_name_the_worse_counts() -> None:
    lock = holding(X)
    for order in ([X, {**X, "title": "t"}], [{**X, "title": "t"}, X]):
        assert states(lock, listed(*order)) == {"x": "changed"}


def test_dropping_forgets_one_or_all() -> None:
    lock = holding(X, Y, prompts=("x",))
    assert list(drop(lock, ["u"], "x")) == [("u", "tool", "x"), ("u", "prompt", "x")]
    assert list(drop(lock, ["u", "nobody"], None)) == [("u", "tool", "y")]
    assert lock.servers == {}


def test_a_row_says_what_changed_as_a_document() -> None:
    (row,) = compare(holding(X).servers["u"], listed({**X, "description": "e"}), OLD)
    document = row.to_json()
    assert document["kind"] == "tool"
    assert document["state"] == "changed"
    assert document["changes"] == [{"where": "description", "was": '"d"', "now": '"e"'}]
    assert len(document["sha256"]) == 64
    assert document["accepted"] != [document["sha256"]]
    assert row.state is State.CHANGED
