"""What ``fuseboard revoke`` shows of what it found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.cli.revoked import covering, document, lines, listed
from fuseboard.influence import walked
from fuseboard.revocation import Revocation
from fuseboard.revoking import Found
from support.ledger_entries import concluded, proposed, record
from support.passing import passed, wrote

ACT = Revocation("v-1", "web", 10.0, "ida\x1b", "hacked", since=0.0)
CALLS = [
    passed("d-1", "a", 1.0, 2.0),
    wrote("d-2", "a", 3.0, 4.0, upstream="files", arguments='{"n":1.10}', sent="sha256:00"),
    wrote("d-3", "a", 5.0, 6.0, upstream="files", arguments=None),
    wrote("d-4", "a", 7.0, 8.0, upstream="mem", memory=True, arguments='{"key":"plan"}'),
    passed("d-5", "b", 9.0, 9.5, upstream="mem", memory=True, arguments='{"key":"plan"}'),
]


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    record(tmp_path / "ledger.db", proposed("d-1", run="a"), concluded("d-1"))
    with LedgerReader(tmp_path / "ledger.db") as ledger:
        return document(Found(ACT, walked(CALLS, ACT.covers), False), ledger)


def shown(found: dict[str, Any]) -> str:
    return "\n".join(line.plain for line in lines(found))


def test_a_document_holds_arguments_as_the_ledger_holds_them(found: dict[str, Any]) -> None:
    first, second, third = found["clean_up"]
    assert (bytes(first["arguments"]), first["sent"]) == (b'{"n":1.10}', "sha256:00")
    assert second["arguments"] is None
    assert third["tool"] == "mem__post"
    assert found["memory"][0]["keys"] == ["plan"]
    assert found["memory"][0]["read_by"] == ["d-5"]


def test_a_terminal_shows_everybody_and_everything(found: dict[str, Any]) -> None:
    text = shown(found)
    assert "1 result of it went to 2 runs" in text
    assert "took it in at " in text
    assert "read from memory what a run wrote that took it in at " in text
    assert "    sha256:00\n" in text
    assert "    arguments not on record\n" in text
    assert "d-4  mem__post  plan  read since by d-5" in text
    assert "\x1b" not in text


def test_where_nothing_was_changed_it_says_so(found: dict[str, Any]) -> None:
    assert "Nothing was changed under its influence" in shown({**found, "clean_up": [], "memory": []})
    assert "Nothing was changed" not in shown(found)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"asked_at": None, "state": "running"}, "is paused at its next call with effects"),
        ({"asked_at": 1.0, "state": "paused"}, "paused for it at "),
        (
            {"asked_at": 1.0, "state": "running", "by": "eve", "why": "fine"},
            "was paused for it, and let on by eve: fine",
        ),
    ],
)
def test_a_listing_says_what_became_of_each_run(run: dict[str, Any], said: str, found: dict[str, Any]) -> None:
    act = {**found["revocation"], "runs": [{"run": "a", "seen": "d-1", **run}]}
    assert said in "\n".join(line.plain for line in listed([act]))


def test_which_acts_mean_a_result() -> None:
    lifted = Revocation("v-2", "web", 10.0, "ida", lifted_at=11.0)
    other = Revocation("v-3", "d-1", 10.0, "ida")
    assert [one.id for one in covering([ACT, lifted, other], CALLS[0])] == ["v-1", "v-3"]
    assert covering([ACT, lifted, other], CALLS[4]) == ()
