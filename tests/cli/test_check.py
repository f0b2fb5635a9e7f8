from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from fuseboard.cli import check as module
from fuseboard.config.survey import Probe
from fuseboard.events import Effect, Tool
from fuseboard.upstreams.inspection import Probe as Answer
from support.config_files import SERVERS, written

GOOD = "servers: {files: {command: npx, args: [server]}, time: {command: uvx}}\n"
BAD_RULE = GOOD + "rules: [{id: a, when: 'context.args has', decide: deny}]\n"
IDLE_RULE = GOOD + "rules: [{id: a, tools: fles__x, decide: deny}]\n"


def run(folder: Path, text: str, *options: str, env: dict[str, str] | None = None) -> Result:
    verbs = typer.Typer()
    verbs.command()(module.check)
    return CliRunner().invoke(verbs, ["--config", str(written(folder, text)), *options], env=env)


def document(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("text", "code", "ok"),
    [
        pytest.param(GOOD, 0, True, id="all is well"),
        pytest.param(IDLE_RULE, 1, False, id="a finding"),
        pytest.param(GOOD + "mode: x", 2, False, id="a configuration that cannot be used"),
        pytest.param(BAD_RULE, 2, False, id="a rule that is not Cedar"),
    ],
)
def test_the_exit_code_and_the_document_agree(tmp_path: Path, text: str, code: int, ok: bool) -> None:
    result = run(tmp_path, text, "--json")
    assert (result.exit_code, document(result)["ok"], result.stderr) == (code, ok, "")
    assert run(tmp_path, text).exit_code == code


def test_the_document_says_what_was_loaded(tmp_path: Path) -> None:
    found = document(run(tmp_path, GOOD + "pins: {on_change: ask}\ndefault: ask\n", "--json"))
    assert found["servers"] == [
        {"alias": "files", "type": "stdio", "target": "npx server"},
        {"alias": "time", "type": "stdio", "target": "uvx"},
    ]
    assert found["unenforced"] == []
    (note,) = found["notes"]
    assert note.startswith("a person is asked about default: by ")
    assert note.endswith(", for 45 s at most; without an answer the call is denied")
    assert found["findings"] == []
    assert "cedar" not in found
    assert len(found["digest"]) == 12


def test_a_finding_has_its_place_in_text_and_in_json(tmp_path: Path) -> None:
    text = GOOD + "run: {time: 1 hoar}\n"
    (finding,) = document(run(tmp_path, text, "--json"))["findings"]
    assert (finding["line"], finding["column"], finding["path"]) == (2, 13, "run.time")
    shown = run(tmp_path, text).stdout
    assert "fuseboard.yaml:2:13: run.time: found '1 hoar', which is not a duration" in shown
    assert "    2 | run: {time: 1 hoar}\n      |             ^\n" in shown


def test_a_rule_that_is_not_cedar_is_placed_inside_its_condition(tmp_path: Path) -> None:
    (finding,) = document(run(tmp_path, BAD_RULE, "--json"))["findings"]
    assert (finding["line"], finding["path"]) == (2, "rules[0].when")


def test_show_cedar_prints_cedar_alone_on_stdout(tmp_path: Path) -> None:
    text = GOOD + "rules: [{id: no-x, tools: files__x, decide: deny}]\n"
    result = run(tmp_path, text, "--show-cedar")
    assert '@id("no-x")' in result.stdout
    assert "2 servers" not in result.stdout
    assert "2 servers" in result.stderr
    assert '@id("no-x")' in document(run(tmp_path, text, "--show-cedar", "--json"))["cedar"]


def test_no_secret_is_printed(tmp_path: Path) -> None:
    text = 'servers: {x: {url: "https://h/?k=${env:KEY}", headers: {A: "Bearer ${env:KEY}", X: lit-s3cret}}}'
    for options in ([], ["--json"], ["--show-cedar"]):
        result = run(tmp_path, text, *options, env={"KEY": "env-s3cret"})
        assert result.exit_code == 0
        assert "s3cret" not in result.output


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    verbs = typer.Typer()
    verbs.command()(module.check)
    result = CliRunner().invoke(verbs, ["--config", str(tmp_path / "none.yaml")])
    assert (result.exit_code, "no such file" in result.stdout) == (2, True)


ANSWERED = Answer(
    "files",
    era=None,
    server={"name": "srv", "version": "1.2"},
    tools=(Tool("files", "read", "files__read", effect=Effect.READ), Tool("files", "gone", "files__gone", hidden=True)),
)


@pytest.mark.parametrize(
    ("answers", "code", "line"),
    [
        pytest.param([ANSWERED, Answer("time")], 0, "srv 1.2, 2 tools", id="all answer"),
        pytest.param(
            [ANSWERED, Answer("time", error="it ended")], 3, "time: cannot be reached: it ended", id="one is dead"
        ),
    ],
)
def test_connect_asks_the_upstreams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: Sequence[Probe], code: int, line: str
) -> None:
    monkeypatch.setattr(module, "_probe", lambda config: answers)
    result = run(tmp_path, GOOD, "--connect")
    assert (result.exit_code, line in result.stdout) == (code, True), result.stdout
    assert "files__read  read" in result.stdout
    found = document(run(tmp_path, GOOD, "--connect", "--json"))
    assert [upstream["ok"] for upstream in found["upstreams"]] == [answer.ok for answer in answers]
    assert found["upstreams"][0]["tools"][1] == {
        "name": "gone",
        "exposed": "files__gone",
        "effect": "destructive",
        "hidden": True,
    }


def test_a_server_that_is_not_there_is_unreachable_indeed(tmp_path: Path) -> None:
    text = "servers: {gone: {command: fuseboard-no-such-program}}"
    result = run(tmp_path, text, "--connect", "--json")
    assert (result.exit_code, document(result)["upstreams"][0]["ok"]) == (3, False)


def test_check_never_loads_the_sdk(tmp_path: Path) -> None:
    path = written(tmp_path, SERVERS + "rules: [{id: a, when: context.args has x, decide: deny}]")
    program = (
        "import sys, typer; from fuseboard.cli.check import check; app = typer.Typer(); app.command()(check)\n"
        f"app(['--config', {str(path)!r}], standalone_mode=False)\n"
        "sys.exit(', '.join({'mcp', 'mcp_types'} & {name.partition('.')[0] for name in sys.modules}) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))
    assert (result.returncode, result.stderr) == (0, ""), result.stdout


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; import fuseboard.cli.check, fuseboard.cli.schema\n"
        "print({'pydantic', 'ruamel', 'cedarpy', 'mcp', 'anyio'} & {name.partition('.')[0] for name in sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"


def test_what_an_upstream_says_of_itself_is_shown_and_does_nothing() -> None:
    drawn = io.StringIO()
    tool = {"name": "x", "exposed": "x\x1b[2J\n[/oops]\u202e", "effect": "read", "hidden": False}
    upstream = {"ok": True, "era": "2026-07-28", "server": {"name": "\x1b]0;t\x07[/oops]"}, "tools": [tool]}
    module._print_upstream(Console(file=drawn), upstream)
    assert "\\x1b]0;t\\x07[/oops], 2026-07-28" in drawn.getvalue()
    assert "x\\x1b[2J\\n[/oops]\\u202e  read" in drawn.getvalue()
