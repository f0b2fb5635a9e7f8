import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fuseboard.adapters.stores.reader import LedgerReader
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.cli.trace import follow, trace
from fuseboard.ports import Entry
from fuseboard.reviews import RunState
from fuseboard.spending import told
from fuseboard.state import EMPTY, Reserve, Settle
from support.ledger_entries import BEGAN, RUN, concluded, denied, proposed, record, story

OTHER = "r-6aaaaaaaaaaaaaaa"
TRACE = [sys.executable, "-c", "from fuseboard.cli.trace import trace; trace()"]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    other = proposed("d-6other", run=OTHER, at=BEGAN - 99, principal="ana")
    record(tmp_path / "ledger.db", other, *story())
    return tmp_path


def run(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(trace, [*arguments, "--state", str(state)])


def test_ls_lists_the_runs_newest_first(state: Path) -> None:
    listed = run(state, "ls")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["run", RUN, OTHER]
    assert OTHER not in run(state, "ls", "--limit", "1").stdout
    assert RUN not in run(state, "ls", "--principal", "ana").stdout


def test_ls_json_is_a_line_a_run(state: Path) -> None:
    lines = [json.loads(line) for line in run(state, "ls", "--json").stdout.splitlines()]
    assert [(line["run"], line["calls"], line["denied"]) for line in lines] == [(RUN, 7, 2), (OTHER, 1, 0)]


def test_ls_of_nothing_prints_nothing_to_pipes(tmp_path: Path) -> None:
    record(tmp_path / "ledger.db")
    listed = run(tmp_path, "ls", "--json")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert run(tmp_path, "ls").stderr == "no runs on record\n"


@pytest.mark.parametrize("name", [RUN, RUN[:5], "last"], ids=["in full", "its beginning", "last"])
def test_show_finds_a_run(state: Path, name: str) -> None:
    shown = run(state, "show", name)
    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"run {RUN}")


def test_show_json_is_one_document(state: Path) -> None:
    shown = json.loads(run(state, "show", "last", "--json").stdout)
    assert shown["run"]["run"] == RUN
    assert [call["seq"] for call in shown["calls"]] == [1, 2, 3, 4, 5, 6, 7]


def test_show_says_what_the_run_used_of_its_budgets(state: Path) -> None:
    async def use() -> None:
        store = SqliteStore.open(state / "ledger.db")
        at, key = time.time(), f"run/{RUN}"
        spent = Reserve(key, "d-1", {"calls": 7}, {}, 60, 600), Settle(key, "d-1", {"calls": 7}, 600)
        pause = RunState().paused(at=at, by="ana", why="odd").written(RUN)
        assert await store.commit((*told(proposed().config, {"calls": 200.0}), *spent, pause), EMPTY, None, at=at)
        await store.close()

    asyncio.run(use())
    text = run(state, "show", RUN).stdout
    assert "budgets  calls 7/200\n" in text
    assert "paused by ana: odd\n" in text
    shown = json.loads(run(state, "show", RUN, "--json").stdout)
    assert shown["state"] == "paused"
    assert shown["budgets"] == {"calls": {"used": 7, "held": 0, "limit": 200.0}}


@pytest.mark.parametrize(
    ("name", "seq"),
    [
        pytest.param("d-5kq0p2aab2", 2, id="in full"),
        pytest.param("d-5kq0p3", 3, id="its beginning"),
        pytest.param("last", 4, id="the newest refusal"),
        pytest.param(f"{RUN}#5", 5, id="its number in a run"),
        pytest.param("r-5#6", 6, id="its number in a run's beginning"),
        pytest.param("last#7", 7, id="its number in the last run"),
        pytest.param("#7", 7, id="its number alone"),
    ],
)
def test_why_finds_a_call(state: Path, name: str, seq: int) -> None:
    assert json.loads(run(state, "why", name, "--json").stdout)["seq"] == seq
    assert f"{RUN}#{seq} " in run(state, "why", name).stdout


def test_why_last_is_the_newest_call_where_nothing_was_refused(tmp_path: Path) -> None:
    record(tmp_path / "ledger.db", proposed("d-1"), proposed("d-2"))
    assert json.loads(run(tmp_path, "why", "last", "--json").stdout)["id"] == "d-2"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        pytest.param(["show", "r-9"], 1, "no run 'r-9' on record", id="no such run"),
        pytest.param(["export", "r-9"], 1, "no run 'r-9' on record", id="nor to export"),
        pytest.param(["why", "d-9"], 1, "no call 'd-9' on record", id="no such call"),
        pytest.param(["why", "last#99"], 1, "no call 'last#99' on record", id="no such number"),
        pytest.param(["show", "r-"], 2, f"'r-': {RUN}, {OTHER}", id="more than one run"),
        pytest.param(["why", "d-5kq0p"], 2, "more than one call begins with", id="more than one call"),
    ],
)
def test_what_is_not_there_has_its_exit_code(state: Path, arguments: list[str], code: int, complaint: str) -> None:
    done = run(state, *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert complaint in done.stderr


def test_without_a_ledger_it_says_where_it_looked(tmp_path: Path) -> None:
    done = run(tmp_path, "ls", "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert str(tmp_path / "ledger.db") in done.stderr


def test_export_is_a_line_a_call(state: Path) -> None:
    everything = [json.loads(line) for line in run(state, "export").stdout.splitlines()]
    assert [call["id"] for call in everything][:2] == ["d-6other", "d-5kq0p1xza1"]
    one = run(state, "export", "r-5").stdout.splitlines()
    assert [json.loads(line) for line in one] == everything[1:]


def test_nothing_is_cut_where_nobody_watches(state: Path) -> None:
    assert "no recorded end: under way, or lost in a crash\n" in run(state, "show", "last").stdout


async def test_tail_gives_each_call_once_and_when_it_has_ended(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "ledger.db")

    async def write(*entries: Entry) -> None:
        for entry in entries:
            assert await store.commit((), EMPTY, entry, at=BEGAN, durable=True)

    await write(proposed("d-0"), concluded("d-0"), proposed("d-1"), concluded("d-1"), proposed("d-2"))
    with LedgerReader(tmp_path / "ledger.db") as ledger:
        calls = follow(ledger, 2, lambda: None)
        assert next(calls).id == "d-1"
        await write(proposed("d-3"), denied("d-4"))
        assert next(calls).id == "d-4"
        await write(concluded("d-2"), proposed("d-5"))
        assert next(calls).id == "d-2"
        await write(concluded("d-5"), concluded("d-3"))
        assert [next(calls).id, next(calls).id] == ["d-3", "d-5"]
    await store.close()


async def test_tail_tells_of_a_call_that_waits_and_of_what_came_of_it(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "ledger.db")

    async def write(*entries: Entry) -> None:
        for entry in entries:
            assert await store.commit((), EMPTY, entry, at=BEGAN, durable=True)

    await write(denied("d-0"), denied("d-1", verdict="hold"))
    with LedgerReader(tmp_path / "ledger.db") as ledger:
        calls = follow(ledger, 1, lambda: None)
        assert [(call := next(calls)).id, call.verdict] == ["d-1", "hold"]
        await write(proposed("d-1"), denied("d-2", verdict="hold"))
        assert [(call := next(calls)).id, call.verdict] == ["d-2", "hold"]
        await write(concluded("d-1"), denied("d-2"))
        assert [(call.id, call.verdict) for call in (next(calls), next(calls))] == [("d-1", "allow"), ("d-2", "deny")]
    await store.close()


def test_ctrl_c_leaves_quietly(state: Path) -> None:
    command = [*TRACE, "tail", "--json", "-n", "3", "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline())["seq"] for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert lines == [5, 6]
    assert (process.returncode, errors) == (130, "")


def test_a_reader_that_has_seen_enough_is_no_error(state: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [*TRACE, "export", "--state", str(state)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=30)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_reading_a_trace_never_loads_the_sdk(state: Path) -> None:
    code = "import sys\nfrom fuseboard.cli.trace import trace\ntry: trace()\nfinally: assert 'mcp' not in sys.modules"
    command = [sys.executable, "-c", code, "show", "last", "--state", str(state)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
