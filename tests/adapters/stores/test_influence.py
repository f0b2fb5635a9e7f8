"""The ledger as the walk for poisoned data reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fuseboard.adapters.stores.influence import Walkway
from fuseboard.errors import StoreUnavailable
from support.ledger_entries import BEGAN, concluded, denied, proposed, record

REMEMBERS = [{"policy": "revoked", "verdict": "allow", "rule": None, "facts": {"memory": True}}]
ANOTHER_S = [{"policy": "other", "verdict": "allow", "rule": None, "facts": {"memory": True}}]
QUOTED = [{"policy": "revoked", "verdict": "allow", "rule": None, "facts": {"said": '"memory":true'}}]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Walkway]:
    record(
        tmp_path / "ledger.db",
        proposed("d-old", at=BEGAN - 100),
        concluded("d-old", at=BEGAN - 99),
        proposed("d-long", at=BEGAN - 90),
        concluded("d-long", at=BEGAN + 90),
        proposed("d-open", at=BEGAN - 80),
        proposed("d-child", at=BEGAN - 70, parent="d-old", root="r-0"),
        concluded("d-child", at=BEGAN - 69),
        proposed("d-1", at=BEGAN, effect="write", arguments='{"n":1.10}', sent='{"n":2}', checks=REMEMBERS),
        concluded("d-1", at=BEGAN + 2),
        denied("d-2", at=BEGAN + 1, checks=ANOTHER_S),
        proposed("d-3", at=BEGAN + 3, tool="other", checks=QUOTED),
        concluded("d-3", at=BEGAN + 4, truth="denied", verdict="deny", policy="schema", rule="result"),
    )
    with Walkway(tmp_path / "ledger.db") as opened:
        yield opened


def test_what_may_matter_since_then_comes_in_the_order_in_which_it_began(ledger: Walkway) -> None:
    assert [call.id for call in ledger.since(BEGAN)] == ["d-long", "d-open", "d-child", "d-1", "d-2", "d-3"]
    assert next(call.id for call in ledger.since(0)) == "d-old"


def test_a_call_comes_as_the_ledger_holds_it(ledger: Walkway) -> None:
    call = ledger.call("d-1")
    assert call is not None
    assert (call.arguments, call.sent, call.memory, call.acted) == ('{"n":1.10}', '{"n":2}', True, True)
    assert (call.at, call.ended_at, call.truth, call.delivered) == (BEGAN, BEGAN + 2, "ok", True)
    child = ledger.call("d-child")
    assert child is not None
    assert (child.parent, child.root) == ("d-old", "r-0")
    assert ledger.call("d-none") is None


@pytest.mark.parametrize(
    ("id", "delivered", "truth"),
    [("d-open", False, "unknown"), ("d-2", False, "denied"), ("d-3", False, "denied"), ("d-long", True, "ok")],
)
def test_what_was_delivered_is_told_from_what_was_not(ledger: Walkway, id: str, delivered: bool, truth: str) -> None:
    call = ledger.call(id)
    assert call is not None
    assert (call.delivered, call.truth, call.memory) == (delivered, truth, False)


@pytest.mark.parametrize(
    ("name", "of"),
    [("fuseboard://result/d-1?from=900", "d-1"), ("fuseboard://quarantine/q-3", "d-3"), ("quarantine/q-3", "d-3")],
)
def test_what_came_out_of_the_vault_is_whose_words_it_is(ledger: Walkway, tmp_path: Path, name: str, of: str) -> None:
    record(
        tmp_path / "ledger.db",
        proposed("d-7", at=BEGAN + 9, upstream="fuseboard", tool=name),
        concluded("d-7", at=BEGAN + 10),
        proposed("d-8", at=BEGAN + 9, upstream="fuseboard", tool="fuseboard__checkpoint"),
    )
    read, source, own = ledger.call("d-7"), ledger.call(of), ledger.call("d-8")
    assert read is not None
    assert source is not None
    assert own is not None
    assert (read.of, read.upstream, read.tool, read.delivered) == (of, "github", source.tool, True)
    assert (own.of, own.upstream) == ("", "fuseboard")


def test_the_same_result_is_found_where_it_came_first(ledger: Walkway) -> None:
    call = ledger.call("d-1")
    assert call is not None
    assert ledger.first(call) == BEGAN - 99


@pytest.mark.parametrize(
    ("upstream", "tool", "known"),
    [("github", None, True), ("github", "other", True), ("github", "none", False), ("files", None, False)],
)
def test_where_anything_was_ever_called_is_known(ledger: Walkway, upstream: str, tool: str | None, known: bool) -> None:
    assert ledger.knows(upstream, tool) is known


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        Walkway(tmp_path / "nothing.db")
