from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fuseboard.config import HttpServer, StdioServer, ToolFacts
from fuseboard.config.servers import Alias, alias_of
from support.config_files import findings, loaded


def test_the_fields_of_any_mcp_servers_block_are_taken(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        """\
        mcpServers:
          a: {command: npx, args: [-y, x], env: {K: v}, cwd: sub, type: stdio, autoApprove: [x], alwaysAllow: []}
          b: {url: "https://h/mcp", headers: {A: b}, type: streamable-http}
          c: {url: "https://h/sse", transport: sse, description: old}
          d: {serverUrl: "https://h/mcp"}
          e: {httpUrl: "http://h:1/mcp", type: streamableHttp}
          f: {command: x, disabled: true, env: {K: "${env:UNSET}"}}
          g: {command: x, disabled: false}
        """,
    )
    a, b, c, d, e, g = config.servers.values()
    assert isinstance(a, StdioServer)
    assert (a.command, a.args, a.cwd, a.env["K"].reveal()) == ("npx", ("-y", "x"), tmp_path / "sub", "v")
    assert isinstance(b, HttpServer)
    assert (b.url, b.type, b.headers["A"].reveal()) == ("https://h/mcp", "http", "b")
    assert [server.type for server in (c, d, e, g)] == ["sse", "http", "http", "stdio"]
    assert config.notes == (
        "servers.a.autoApprove: read over: the rules decide",
        "servers.f: left out: it is disabled",
    )


def test_the_defaults_are_the_careful_ones() -> None:
    server = StdioServer(command="x")
    assert (server.expose, server.trust, server.tools, server.share, server.timeout_s) == (
        ("*",),
        "untrusted",
        {},
        None,
        None,
    )
    assert ToolFacts() == ToolFacts(effect=None, idempotent=False, timeout_s=None, lock=None, poll_s=None, cost=None)


def test_facts_of_tools(tmp_path: Path) -> None:
    facts = "{effect: write, idempotent: true, timeout: 20s, lock: 'f:{args.p}', poll: 5s, cost: 0.5, memory: true}"
    config = loaded(tmp_path, f"servers: {{x: {{command: x, share: all, timeout: 1m, tools: {{t: {facts}}}}}}}")
    server = config.servers["x"]
    assert (server.share, server.timeout_s) == ("all", 60.0)
    assert server.tools["t"] == ToolFacts(
        effect="write", idempotent=True, timeout_s=20.0, lock="f:{args.p}", poll_s=5.0, cost=0.5, memory=True
    )


@pytest.mark.parametrize(
    ("server", "message"),
    [
        pytest.param("{}", "servers.x: found neither `command` nor `url`", id="neither command nor url"),
        pytest.param("5", "servers.x: found neither `command` nor `url`", id="not keys and values"),
        pytest.param("{type: http}", "servers.x.url: nothing found; this key is needed", id="http without url"),
        pytest.param("{command: x, url: y}", "servers.x.url: found a `command` and a `url`", id="both"),
        pytest.param("{command: x, headers: {}}", "found 'headers', which goes with a `url`", id="headers of a child"),
        pytest.param("{url: 'http://h', args: []}", "found 'args', which goes with a `command`", id="args of a url"),
        pytest.param("{url: h/mcp}", "servers.x.url: found 'h/mcp', which is not a web address", id="no scheme"),
        pytest.param("{url: 'http://h:99999/'}", "which is not a web address", id="an impossible port"),
        pytest.param("{command: x, type: sse}", "servers.x.type: found 'sse'; expected 'stdio'", id="wrong type"),
        pytest.param("{command: ''}", "servers.x.command: found nothing in it", id="empty command"),
        pytest.param("{command: x, trust: none}", "expected 'untrusted', 'internal' or 'trusted'", id="trust"),
        pytest.param("{command: x, comand: y}", "unknown key 'comand'; expected one of", id="no near key is free"),
        pytest.param("{command: x, timeout: 60}", "found 60, which is not a duration", id="a timeout without unit"),
        pytest.param("{command: x, tools: {t: {effect: reed}}}", "did you mean 'read'?", id="effect"),
        pytest.param("{command: x, tools: [a]}", "servers.x.tools: found a list; expected keys", id="tools as list"),
        pytest.param("{command: x, share: some}", "servers.x.share: found 'some'; expected 'all'", id="share"),
    ],
)
def test_one_mistake_gives_one_finding(tmp_path: Path, server: str, message: str) -> None:
    (found,) = findings(tmp_path, f"servers: {{x: {server}}}")
    assert message in found


@pytest.mark.parametrize(
    ("alias", "suggestion"),
    [("a__b", "a_b"), ("my server", "my-server"), ("_x", "x"), ("x_", "x"), ("a.b", "a-b"), ("x" * 40, "x" * 32)],
)
def test_a_name_that_cannot_be_one_comes_with_one_that_can(tmp_path: Path, alias: str, suggestion: str) -> None:
    (found,) = findings(tmp_path, f"servers: {{'{alias}': {{command: x}}}}")
    assert found.startswith("1:11 ")
    assert found.endswith(f"how about '{suggestion}'?")


@given(st.text())
def test_whatever_a_name_was_made_from_it_can_be_one(text: str) -> None:
    alias = alias_of(text)
    assert TypeAdapter(Alias).validate_python(alias) == alias


def test_at_least_one_server_is_needed(tmp_path: Path) -> None:
    assert findings(tmp_path, "version: 1") == ["1:1 servers: nothing found; this key is needed"]
    assert findings(tmp_path, "servers: {}") == ["1:10 servers: found nothing in it; expected at least 1"]
    assert findings(tmp_path, "servers: {x: {command: x, disabled: true}}") == [
        "1:10 servers: found nothing in it; expected at least 1"
    ]


@pytest.mark.parametrize("pattern", ["(", "(?=a)", "", "a*"])
def test_a_pattern_that_would_send_all_or_nothing_to_a_person_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="found the pattern"):
        ToolFacts.model_validate({"quarantine": [pattern]})


@pytest.mark.parametrize(("opaque", "good"), [(True, True), (False, True), ("principal", True), ("run", False)])
def test_how_long_a_handle_is_good_has_three_answers(opaque: object, good: bool) -> None:
    if good:
        assert ToolFacts.model_validate({"opaque": opaque}).opaque == opaque
    else:
        with pytest.raises(ValueError, match="opaque"):
            ToolFacts.model_validate({"opaque": opaque})
