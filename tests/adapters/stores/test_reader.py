import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.errors import ConfigError
from fuseboard.ports import Entry
from fuseboard.state import EMPTY, Put
from support.ledger_entries import BEGAN, RUN, concluded, denied, proposed, record, story


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[LedgerReader]:
    record(path, *story())
    with LedgerReader(path) as reader:
        yield reader


def only(path: Path, *entries: Entry) -> dict[str, Any]:
    """What the export says of the one call of these entries."""
    record(path, *entries)
    with LedgerReader(path) as reader:
        (call,) = reader.calls()
    exported: dict[str, Any] = json.loads(call.to_json())
    return exported


def test_a_ledger_that_is_not_there_is_explained(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)no ledger at .*ledger\.db.*fuseboard demo.*--state"):
        LedgerReader(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"", "still empty", id="an empty file"),
        pytest.param(b"no database " * 400, "not a database", id="another file"),
    ],
)
def test_a_file_that_is_no_ledger_is_explained(path: Path, content: bytes, complaint: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        LedgerReader(path)


def test_a_run_in_short(ledger: LedgerReader) -> None:
    (run,) = ledger.runs()
    assert (run.run, run.calls, run.denied, run.failed) == (RUN, 7, 2, 3)
    assert (run.began_at, run.last_at) == (BEGAN, BEGAN + 17)
    assert ledger.run(RUN) == run
    assert ledger.run(RUN[:-1]) is None


def test_runs_come_newest_first_and_by_principal(path: Path) -> None:
    names = [("r-1", "ana"), ("r-2", "ben"), ("r-3", "ana")]
    record(path, *(proposed(f"d-{run}", run=run, principal=principal) for run, principal in names))
    with LedgerReader(path) as ledger:
        assert [run.run for run in ledger.runs()] == ["r-3", "r-2", "r-1"]
        assert [run.run for run in ledger.runs(principal="ana")] == ["r-3", "r-1"]
        assert [run.run for run in ledger.runs(1)] == ["r-3"]


def test_a_run_is_described_by_its_newest_call(path: Path) -> None:
    record(path, proposed("d-1", config="old"), proposed("d-2", config="new"))
    with LedgerReader(path) as ledger:
        assert ledger.runs()[0].config == "new"


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        pytest.param("d-1", ["d-1"], id="a whole name, though others begin with it"),
        pytest.param("d-2", ["d-20", "d-21"], id="a beginning"),
        pytest.param("d-9", [], id="nothing"),
        pytest.param("d_2", [], id="an underscore is no wildcard"),
        pytest.param("%", [], id="nor is a percent sign"),
    ],
)
def test_ids_by_their_beginning(path: Path, prefix: str, found: list[str]) -> None:
    record(path, *(proposed(id, run=id.replace("d", "r")) for id in ("d-1", "d-10", "d-20", "d-21")))
    with LedgerReader(path) as ledger:
        assert ledger.ids_like(prefix) == found
        assert ledger.runs_like(prefix.replace("d", "r")) == [id.replace("d", "r") for id in found]


def test_calls_by_id_by_number_and_the_newest(ledger: LedgerReader) -> None:
    assert [call.seq for call in ledger.calls(RUN)] == [1, 2, 3, 4, 5, 6, 7]
    by_number, newest, refused = ledger.call_of(RUN, 4), ledger.last(), ledger.last(refused=True)
    assert by_number is not None
    assert newest is not None
    assert (by_number, newest.seq) == (refused, 7)
    assert ledger.call(newest.id) == newest
    assert ledger.call("d-none") is ledger.call_of(RUN, 99) is None


def test_since_goes_on_where_it_left_off(ledger: LedgerReader) -> None:
    first = ledger.since(0)[:5]
    rest = ledger.since(first[-1].rowid)
    assert [call.seq for call in [*first, *rest]] == [1, 2, 3, 4, 5, 6, 7]
    assert ledger.at_rows([first[2].rowid, first[0].rowid]) == [first[0], first[2]]
    assert [call.seq for call in ledger.newest(2)] == [6, 7]


@pytest.mark.parametrize(
    ("arguments", "exported"),
    [
        pytest.param('{"n": 1.10,\r\n "big": 1180591620717411303424}', '{"n": 1.10,   "big": 1180591620717411303424}'),
        pytest.param("sha256:9f86", '"sha256:9f86"'),
        pytest.param(None, "null"),
    ],
    ids=["numbers digit by digit, on one line", "hashed", "left out"],
)
def test_arguments_are_exported_as_they_were(path: Path, arguments: str | None, exported: str) -> None:
    record(path, proposed(arguments=arguments))
    with LedgerReader(path) as ledger:
        (call,) = ledger.calls()
    line = call.to_json().decode()
    assert f'"arguments":{exported},' in line
    assert "\n" not in line
    json.loads(line)


def test_the_export_keeps_its_contract(path: Path) -> None:
    call = only(path, proposed(), concluded())
    assert call.keys() >= {
        *("id", "run", "seq", "at", "principal", "client", "upstream", "tool", "arguments"),
        *("verdict", "policy", "rule", "reason", "truth", "duration_ms", "checks"),
    }
    assert call["checks"][1] == {
        "policy": "permissions",
        "verdict": "allow",
        "rule": "default",
        "facts": {},
        "on": "call",
    }


def test_a_result_that_was_refused_has_the_last_word(path: Path) -> None:
    check = {"policy": "schema", "verdict": "deny", "rule": "result", "facts": {}}
    said = {"verdict": "deny", "policy": "schema", "rule": "result", "reason": "Not what it promised."}
    call = only(path, proposed(), concluded(truth="schema_violation", checks=[check], **said))
    assert {name: call[name] for name in said} == said
    assert [(c["policy"], c["on"]) for c in call["checks"]] == [
        ("schema", "call"),
        ("permissions", "call"),
        ("schema", "result"),
    ]


@pytest.mark.parametrize(
    ("entries", "truth"),
    [
        pytest.param([proposed()], "unknown", id="without an end"),
        pytest.param([denied()], "denied", id="nothing was sent"),
        pytest.param([proposed(), concluded(truth="empty")], "empty", id="as it was concluded"),
        pytest.param([proposed(), concluded(truth="task")], "task", id="a task was begun"),
        pytest.param([proposed(), concluded(truth="task"), concluded()], "ok", id="what came of the task"),
    ],
)
def test_truth(path: Path, entries: list[Entry], truth: str) -> None:
    assert (only(path, *entries))["truth"] == truth


def test_a_task_has_not_ended_and_not_failed(path: Path) -> None:
    record(path, proposed(), concluded(truth="task"))
    with LedgerReader(path) as ledger:
        (call,), (run,) = ledger.calls(), ledger.runs()
        assert (call.ended, run.failed) == (False, 0)


def test_what_came_of_a_task_replaces_all_that_stood_there(path: Path) -> None:
    check = {"policy": "task", "verdict": "allow", "rule": None, "facts": {"id": "t"}}
    record(path, proposed(), concluded(truth="task", checks=[check]))
    late = {"at": BEGAN + 60, "duration_ms": 60_000.0, "truth": "cancelled", "error": "the task was cancelled"}
    record(path, concluded(**late, result_bytes=0, result_sha256=None, preview=None, checks=[check]))
    with LedgerReader(path) as ledger:
        (call,) = ledger.calls()
        assert (call.truth, call.ended_at, call.duration_ms) == ("cancelled", BEGAN + 60, 60_000.0)
        assert (call.error, call.result_bytes, call.preview) == ("the task was cancelled", 0, None)
        assert call.ended


def test_a_later_round_names_the_first(path: Path) -> None:
    assert only(path, proposed(continues="d-0"))["continues"] == "d-0"


def test_reading_changes_nothing(ledger: LedgerReader, path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        ledger._connection.execute("DELETE FROM calls")


def test_the_ledger_is_legible_by_hand(path: Path) -> None:
    record(path, *story())
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT tool, rule FROM calls WHERE verdict = 'deny' ORDER BY at").fetchall()
    connection.close()
    assert rows == [("list_issues", "arguments"), ("read_file", "no-secret-files")]


def test_the_newest_runs_are_found_among_the_newest_calls(path: Path) -> None:
    record(path, *(proposed(f"d-{n}", run=f"r-{n}") for n in range(5)))
    with LedgerReader(path) as ledger:
        assert [run.run for run in ledger.recent_runs(2)] == ["r-4", "r-3"]
        assert [run.run for run in ledger.recent_runs(9, among=3)] == ["r-4", "r-3", "r-2"]


def test_state_is_read_as_it_is_on_file_while_it_is_alive(path: Path) -> None:
    async def write() -> None:
        store = SqliteStore.open(path)
        assert await store.commit((Put("a", {"x": 1}, 60.0),), EMPTY, None, at=BEGAN)
        await store.close()

    asyncio.run(write())
    with LedgerReader(path) as ledger:
        read = ledger.state(("a", "b"), at=BEGAN + 59)
        assert (dict(read.values), read.versions.keys()) == ({"a": {"x": 1}}, {"a"})
        assert ledger.state(("a",), at=BEGAN + 60) == EMPTY
