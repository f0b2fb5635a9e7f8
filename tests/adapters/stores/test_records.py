import json
import sqlite3
from collections.abc import Iterator
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest

from fuseboard.adapters.stores import records
from fuseboard.adapters.stores.table import Cell
from fuseboard.ports import Concluded, Proposed
from support.ledger_entries import concluded, proposed


class _Word(StrEnum):
    READ = "read"


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(records.DDL)
    yield connection
    connection.close()


def test_every_field_of_an_entry_has_its_column(database: sqlite3.Connection) -> None:
    columns = {row[1] for row in database.execute("PRAGMA table_info(calls)")}
    assert {*records.BEGINNING, *records.ENDING, "rowid"} == columns
    assert {*Proposed.__struct_fields__, "held_until", "held"} == set(records.BEGINNING)
    assert len(Concluded.__struct_fields__) - 1 == len(records.ENDING)


def test_a_call_of_one_batch_is_one_row() -> None:
    batch = records.Batch()
    batch.add(proposed("d-1"), None)
    batch.add(concluded("d-1"), None)
    assert len(batch.inserts()) == 1
    assert batch.updates() == []


def test_an_ending_alone_is_an_update() -> None:
    batch = records.Batch()
    batch.add(concluded("d-1"), None)
    assert batch.inserts() == []
    assert [row[0] for row in batch.updates()] == ["d-1"]


def test_the_last_state_of_a_cell_wins_in_a_batch() -> None:
    batch = records.Batch()
    batch.add(None, {"k": Cell([1], 1, 60.0)})
    batch.add(None, {"k": Cell([1, 2], 2, 61.0)})
    assert batch.upserts() == [("k", "[1,2]", 2, 61.0)]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_rows_read_back_as_they_were_written(database: sqlite3.Connection, rows: int) -> None:
    written = [
        (*records.beginning(proposed(f"d-{n}", seq=n)), *records.ending(concluded(f"d-{n}"))) for n in range(rows)
    ]
    width = len(written[0])
    database.execute(records.insert_calls(rows, width), [value for row in written for value in row])
    columns = ", ".join((*records.BEGINNING, *records.ENDING)[:width])
    assert database.execute(f"SELECT {columns} FROM calls").fetchall() == written


@pytest.mark.parametrize(
    "changes", [{}, {"verdict": "deny", "policy": "schema", "rule": "result"}, {"error": "no answer"}], ids=str
)
def test_an_ending_finds_its_beginning(database: sqlite3.Connection, changes: dict[str, Any]) -> None:
    for id in ("d-1", "d-2"):
        row = records.beginning(proposed(id))
        database.execute(records.insert_calls(1, len(row)), row)
    end = records.ending(concluded("d-2", **changes))
    assert database.execute(records.update_calls(1, 1 + len(end)), ("d-2", *end)).rowcount == 1
    columns = "id, truth, result_verdict, result_policy, result_rule, error"
    one, two = database.execute(f"SELECT {columns} FROM calls ORDER BY id").fetchall()
    assert one == ("d-1", None, None, None, None, None)
    said = tuple(changes.get(name) for name in ("verdict", "policy", "rule", "error"))
    assert two == ("d-2", "ok", *said)


def test_a_row_written_twice_is_there_once(database: sqlite3.Connection) -> None:
    bare = records.beginning(proposed())
    whole = (*bare, *records.ending(concluded()))
    for row in (bare, bare, whole):
        database.execute(records.insert_calls(1, len(row)), row)
    assert database.execute("SELECT id, truth FROM calls").fetchall() == [("d-1", "ok")]


def test_words_of_an_enumeration_are_bound_as_plain_text() -> None:
    row = records.beginning(proposed(effect=_Word.READ))
    assert {type(value) for value in row} <= {str, int, float, type(None)}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None]}, '{"a":[1,2.5,null]}'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        ({"n": 2**70}, '{"n":1180591620717411303424}'),
        ({"who": object}, '{"who":"<class \'object\'>"}'),
    ],
    ids=["plain", "a frozen mapping", "beyond 64 bits", "not of JSON"],
)
def test_to_json(value: object, text: str) -> None:
    assert records.to_json(value) == text


def test_a_lone_surrogate_costs_no_record() -> None:
    assert json.loads(records.to_json({"a": "\ud800"})) == {"a": "\ud800"}
    assert list(records.scrubbed([("x\ud800", 1, None)])) == [("x\\ud800", 1, None)]
