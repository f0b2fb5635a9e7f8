from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuseboard.config.survey import survey
from fuseboard.events import Mismatch, Tool
from support.config_files import loaded


@dataclass(frozen=True)
class Probe:
    alias: str
    tools: Sequence[Tool] = ()
    error: str | None = None
    era: str | None = None
    server: Mapping[str, Any] | None = field(default=None)

    definitions: Mapping[str, Sequence[tuple[str, bytes]]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.error is None


class Broken:
    refusal = "a network $ref"

    def mismatches(self, value: Any) -> tuple[Mismatch, ...]:
        return ()


TEXT = """\
servers:
  files: {command: x, expose: ["read_*", "nothing_*"], tools: {wrte: {effect: write}}}
  other: {command: y}
rules:
  - {id: fits, tools: files__read_x, decide: deny}
  - {id: idle, tools: [files__x, "*delete*"], decide: deny}
  - {id: dark, tools: other__x, decide: deny}
"""


def tool(name: str, exposed: str | None = None, **more: Any) -> Tool:
    return Tool("files", name, exposed or f"files__{name}", **more)


def said(folder: Path, *probes: Probe) -> list[str]:
    return [
        f"{found.line}:{found.column} {found.path}: {found.message}" for found in survey(loaded(folder, TEXT), probes)
    ]


def test_what_the_answers_say_of_the_configuration(tmp_path: Path) -> None:
    tools = [tool("read_x"), tool("write"), tool("odd.name", "files__odd_name_1f"), tool("t", arguments=Broken())]
    assert said(tmp_path, Probe("files", tools), Probe("other", error="it ended with code 1")) == [
        "2:42 servers.files.expose[1]: found 'nothing_*', which matches none of the 4 tools of files",
        "2:64 servers.files.tools.wrte: files has no such tool - did you mean 'write'?",
        "2:3 servers.files: the name files__odd.name is too long or not portable; it is shown as files__odd_name_1f",
        "2:3 servers.files: the input schema of t cannot be used: a network $ref",
        "3:3 servers.other: cannot be reached: it ended with code 1",
        "6:24 rules[1].tools[0]: found 'files__x', which matches no tool; rule idle does nothing by it",
    ]


def test_once_all_are_reached_every_idle_glob_is_found(tmp_path: Path) -> None:
    tools = [tool("read_x"), tool("nothing_1"), tool("wrte")]
    found = survey(loaded(tmp_path, TEXT), [Probe("files", tools), Probe("other")])
    assert [finding.path for finding in found] == ["rules[1].tools[0]", "rules[1].tools[1]", "rules[2].tools[0]"]


def test_nothing_is_said_where_all_is_well(tmp_path: Path) -> None:
    config = loaded(tmp_path, "servers: {files: {command: x}}\nrules: [{id: a, tools: read_*, decide: deny}]")
    assert survey(config, [Probe("files", [tool("read_x", "read_x")])]) == []
