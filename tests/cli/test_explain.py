"""What would be decided: by the configuration, on the state as it is, and with nothing called."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner, Result

from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.approvals import APPROVED, PENDING, Approval, of_call
from fuseboard.checkpoint import EXPOSED
from fuseboard.cli.explain import explain
from fuseboard.config import digest, load
from fuseboard.events import Caller, Tool
from fuseboard.reviews import RunState
from fuseboard.state import EMPTY, Reserve, Settle, Write
from support.config_files import written
from support.frame_log import FrameLog
from support.judging import call
from support.ledger_entries import RUN, proposed, record
from support.servers import raw_command

CONFIG = """\
servers: {files: {command: fuseboard-no-such-program}, ci: {command: fuseboard-no-such-program}}
run: {calls: 10, pause_at: null}
rules:
  - {id: no-rm, tools: files__rm, decide: deny, say: Never.}
  - {id: ask-deploy, tools: ci__deploy, decide: ask}
  - {id: paths, tools: files__write, when: context.args has path, decide: allow}
"""


def run(folder: Path, *arguments: str, text: str = CONFIG) -> Result:
    verbs = typer.Typer()
    verbs.command()(explain)
    config = written(folder, text)
    return CliRunner().invoke(verbs, [*arguments, "--config", str(config), "--state", str(folder / "state")])


def document(folder: Path, *arguments: str, text: str = CONFIG) -> dict[str, Any]:
    result = run(folder, *arguments, "--offline", "--json", text=text)
    found: dict[str, Any] = json.loads(result.stdout)
    assert {"sent": 0, "refused": 1, "asked": 5}[found["outcome"]] == result.exit_code
    return found


def remember(folder: Path, writes: Sequence[Write], **entry: Any) -> None:
    """A ledger with one call, and state beside it."""

    async def main() -> None:
        store = SqliteStore.open(path)
        for write in writes:
            assert await store.commit((write,), EMPTY, None, at=time.time())
        await store.close()

    path = folder / "state" / "ledger.db"
    record(path, proposed(at=time.time(), **entry))
    asyncio.run(main())


@pytest.mark.parametrize(
    ("tool", "outcome", "rule"),
    [
        pytest.param("files__read", "sent", "default", id="allowed"),
        pytest.param("files__rm", "refused", "no-rm", id="denied"),
        pytest.param("ci__deploy", "asked", "ask-deploy", id="asked"),
    ],
)
def test_it_says_what_the_rules_say(tmp_path: Path, tool: str, outcome: str, rule: str) -> None:
    found = document(tmp_path, tool)
    assert (found["outcome"], found["policy"], found["rule"]) == (outcome, "permissions", rule)
    assert (found["asked"] is not None) is (outcome == "asked")


def test_the_reason_is_what_the_model_would_read(tmp_path: Path) -> None:
    assert document(tmp_path, "files__rm")["reason"] == "Never."
    assert "Never." in run(tmp_path, "files__rm", "--offline").stdout


def test_what_would_be_sent_is_shown_where_it_is_not_what_was_given(tmp_path: Path) -> None:
    assert document(tmp_path, "files__write", '{"path": "/a/../b"}')["sent"] == {"path": "/b"}
    assert document(tmp_path, "files__write", '{"path": "/b"}')["sent"] is None


def test_the_score_has_its_terms_for_reads_too(tmp_path: Path) -> None:
    found = document(tmp_path, "ci__undo", '{"to": "ana", "files": "/srv/*"}')["ambiguity"]
    assert (found["score"], found["ask_above"]) == (67, 60)
    assert [term["points"] for term in found["terms"]] == [35, 20, 8, 4]
    reading = CONFIG.replace("ci: {", "ci: {tools: {undo: {effect: read}}, trust: trusted, ")
    assert document(tmp_path, "ci__undo", "{}", text=reading)["ambiguity"]["score"] == 16


def test_in_mode_observe_everything_would_be_sent(tmp_path: Path) -> None:
    found = document(tmp_path, "files__rm", text=CONFIG + "mode: observe\n")
    assert (found["outcome"], found["verdict"], found["enforced"]) == ("sent", "deny", False)


def test_the_caller_has_the_roles_of_its_token(tmp_path: Path) -> None:
    auth = "auth: {bearer: {ana: {token: 0123456789abcdef, roles: [editor]}}}\n"
    found = document(tmp_path, "files__read", "--principal", "ana", text=CONFIG + auth)
    assert (found["principal"], found["roles"]) == ("ana", ["editor"])
    assert document(tmp_path, "files__read")["principal"] == "local"


def test_a_run_is_judged_on_what_it_has_used(tmp_path: Path) -> None:
    spent = Reserve(f"run/{RUN}", "d-9", {"calls": 10}, {}, 60, 600), Settle(f"run/{RUN}", "d-9", {"calls": 10}, 600)
    remember(tmp_path, spent, principal="ana")
    found = document(tmp_path, "files__read", "--run", RUN[:6])
    assert (found["outcome"], found["rule"], found["run"], found["principal"]) == ("refused", "run.calls", RUN, "ana")
    assert document(tmp_path, "files__read")["outcome"] == "sent"  # a new run


def test_a_paused_run_asks_about_the_run(tmp_path: Path) -> None:
    pause = RunState().paused(at=time.time(), by="ana", why="odd").written(RUN)
    remember(tmp_path, (pause,))
    found = document(tmp_path, "files__read", "--run", "last")
    assert (found["outcome"], found["asked"]["about"]) == ("asked", "the run")


@pytest.mark.parametrize(("status", "outcome"), [(APPROVED, "sent"), (PENDING, "asked")])
def test_an_answer_to_the_very_same_call_is_found(tmp_path: Path, status: str, outcome: str) -> None:
    at = time.time()
    binding = of_call(
        msgspec.structs.replace(
            call(Tool("ci", "deploy", "ci__deploy"), {"id": 7}, caller=Caller("local")), run=RUN, at=at
        ),
        [("permissions", "ask-deploy")],
        digest(load(written(tmp_path, CONFIG))),
    )
    asked = Approval(
        binding.id, binding, status, 1, "ci__deploy", "destructive", "", "{}", ("cli",), at, at + 100, by="bo"
    )
    remember(tmp_path, (asked.written(at=at),))
    found = document(tmp_path, "ci__deploy", '{"id": 7}', "--run", "last")
    assert found["asked"]["approval"] == {"id": binding.id, "status": status, "by": "bo"}
    assert found["outcome"] == outcome
    assert document(tmp_path, "ci__deploy", '{"id": 8}', "--run", "last")["asked"]["approval"] is None


def test_nothing_is_written(tmp_path: Path) -> None:
    remember(tmp_path, ())
    before = (tmp_path / "state" / "ledger.db").read_bytes()
    document(tmp_path, "files__read", "--run", "last")
    assert (tmp_path / "state" / "ledger.db").read_bytes() == before


def test_without_a_ledger_it_says_so_and_makes_none(tmp_path: Path) -> None:
    assert "there is no ledger" in document(tmp_path, "files__read")["notes"][0]
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["read"], "which server's?", id="a tool of no server"),
        pytest.param(["files__read", "{"], "ARGS is no JSON", id="no JSON"),
        pytest.param(["files__read", "[]"], "expected one JSON object", id="no object"),
        pytest.param(["files__read", "--run", "r-x"], "there is no ledger", id="a run without a ledger"),
    ],
)
def test_a_question_that_cannot_be_answered(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run(tmp_path, *arguments, "--offline")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_server_that_is_not_there_cannot_be_asked(tmp_path: Path) -> None:
    result = run(tmp_path, "files__read")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "--offline" in result.stderr


def test_the_server_is_asked_what_the_tool_is_and_called_not_at_all(tmp_path: Path) -> None:
    program, *arguments = raw_command(log := FrameLog(tmp_path / "log"))
    text = json.dumps({"servers": {"raw": {"command": program, "args": arguments}, "gone": {"command": "/not/there"}}})
    result = run(tmp_path, "raw__echo", '{"text": 7}', "--json", text=text)
    found = json.loads(result.stdout)
    assert (found["tool"]["listed"], found["verdict"]) == (True, "deny"), found
    assert (found["policy"], result.exit_code) == ("schema", 1)
    assert log.frames("tools/list")
    assert not log.frames("tools/call")


def test_a_tool_that_is_not_listed_is_noted_with_the_one_that_was_probably_meant(tmp_path: Path) -> None:
    program, *arguments = raw_command(FrameLog(tmp_path / "log"))
    text = json.dumps({"servers": {"raw": {"command": program, "args": arguments}}})
    result = run(tmp_path, "eco", "--json", text=text)
    found = json.loads(result.stdout)
    assert (found["tool"]["listed"], found["outcome"], result.exit_code) == (False, "sent", 2)
    assert "raw lists no such tool - did you mean 'echo'?" in found["notes"]


@pytest.mark.parametrize(("arguments", "outcome"), [('{"summary": "half way"}', "sent"), ('{"summary": 7}', "refused")])
def test_our_own_tool_is_judged_by_its_definition_where_it_is_offered(
    tmp_path: Path, arguments: str, outcome: str
) -> None:
    found = document(tmp_path, EXPOSED, arguments, text=CONFIG + "checkpoint: {offer: true}\n")
    assert (found["outcome"], found["tool"]["effect"]) == (outcome, "read")
    assert run(tmp_path, EXPOSED, arguments, "--offline").exit_code == 2  # else it is no server's
