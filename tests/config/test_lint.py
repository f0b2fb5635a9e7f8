from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from fuseboard.config import Config, StdioServer, lint, placed
from fuseboard.config.lint import could_match, matches
from support.config_files import loaded

TWO = "servers: {files: {command: x}, github: {command: y}}\n"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        pytest.param("tools: fles__*", "found 'fles__*', which can match nothing", id="no such server"),
        pytest.param("tools: fles__read", "did you mean 'files__read'?", id="a near miss"),
        pytest.param("tools: read_file", "expected a glob over <server>__<name>", id="without the server"),
        pytest.param("prompts: [files__a, x__b]", "rules[0].prompts[1]: found 'x__b'", id="a prompt of no server"),
        pytest.param("upstream: gitub", "which matches none of the servers - did you mean 'github'?", id="upstream"),
    ],
)
def test_a_rule_that_speaks_of_no_server_is_found(tmp_path: Path, rule: str, message: str) -> None:
    (finding,) = lint(loaded(tmp_path, f"{TWO}rules:\n  - {{id: a, {rule}, decide: deny}}\n"))
    assert message in str(finding)
    assert finding.line == 3


@pytest.mark.parametrize(
    "rule", ["tools: '*'", "tools: '*_delete*'", "tools: f*", "tools: files__x", "tools: [gi*b__x]", "upstream: git*"]
)
def test_a_rule_that_may_match_is_left_alone(tmp_path: Path, rule: str) -> None:
    assert lint(loaded(tmp_path, f"{TWO}rules: [{{id: a, {rule}, decide: deny}}]")) == ()


def test_a_single_server_shows_its_tools_bare_so_any_glob_may_match(tmp_path: Path) -> None:
    assert lint(loaded(tmp_path, "servers: {x: {command: x}}\nrules: [{id: a, tools: read_*, decide: deny}]")) == ()


def test_a_milestone_of_no_server_is_found(tmp_path: Path) -> None:
    (finding,) = lint(loaded(tmp_path, TWO + "milestones: [{tool: gitub__create}]"))
    assert finding.path == "milestones[0].tool"


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("a*c", "abc", True),
        ("a*c", "ab", False),
        ("*", "", True),
        ("a?c", "abc", False),
        ("[ab]", "a", False),
        ("a.c", "abc", False),
    ],
)
def test_the_star_is_the_only_wildcard(glob: str, text: str, fits: bool) -> None:
    assert matches(glob, text) is fits


def test_could_match_never_denies_a_glob_that_matches() -> None:
    config = Config(servers={"a": StdioServer(command="x"), "b": StdioServer(command="x")})
    for glob in ("a__x", "a__*", "a*", "*x", "*", "a_*", "a__x*"):
        assert matches(glob, "a__x")
        assert could_match(config, glob, "a")


@dataclass
class Said:
    rule: str
    message: str = "m"
    line: int | None = None
    column: int | None = None


def test_what_the_compiler_says_is_placed_in_the_rule_or_the_cedar_file(tmp_path: Path) -> None:
    (tmp_path / "a.cedar").write_text("permit\nfobrid")
    config = loaded(
        tmp_path,
        TWO
        + """\
cedar: a.cedar
rules:
  - id: plain
    when: a && b
    decide: deny
  - {id: quoted, when: "a && b", decide: deny}
  - id: block
    when: |
      a && b
    decide: deny
""",
    )
    cedar = str(tmp_path / "a.cedar")
    spots = {
        (said.rule, said.column): (placed(config, said).line, placed(config, said).column)
        for said in (Said("plain"), Said("plain", column=6), Said("quoted", column=6), Said("block", column=3))
    }
    assert spots == {("plain", None): (4, 9), ("plain", 6): (5, 16), ("quoted", 6): (7, 30), ("block", 3): (9, 11)}
    assert str(placed(config, Said(cedar, "typo", line=2, column=1))).startswith(f"{cedar}:2:1: typo\n    2 | fobrid")
    assert placed(config, Said("policy-id")).message == "policy-id: m"


@pytest.mark.parametrize(("offered", "found"), [(True, ()), (False, ("rules[0].tools[0]", "rules[1].upstream[0]"))])
def test_a_rule_may_speak_of_our_own_tool_where_it_is_offered(
    tmp_path: Path, offered: bool, found: tuple[str, ...]
) -> None:
    rules = "rules: [{id: a, tools: fuseboard__checkpoint, decide: deny}, {id: b, upstream: fuseboard, decide: deny}]\n"
    config = loaded(tmp_path, f"{TWO}{rules}" + ("checkpoint: {offer: true}" if offered else ""))
    assert tuple(finding.path for finding in lint(config)) == found


def test_a_milestone_cannot_name_our_own_tool(tmp_path: Path) -> None:
    """That is for `checkpoint.counts` to say."""
    text = f"{TWO}checkpoint: {{offer: true}}\nmilestones: [{{tool: fuseboard__checkpoint}}]"
    (finding,) = lint(loaded(tmp_path, text))
    assert finding.path == "milestones[0].tool"
