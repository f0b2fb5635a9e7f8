from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.config.source import parse


def tree(text: str, *, json: bool = False) -> Any:
    document, findings = parse(text, "f", json=json)
    assert findings == []
    return document.tree


def messages(text: str, *, json: bool = False) -> list[str]:
    return [f"{found.line}:{found.column} {found.path}: {found.message}" for found in parse(text, "f", json=json)[1]]


def test_scalars_follow_yaml_1_2() -> None:
    text = "{a: yes, b: on, c: true, d: 12:30, e: 012, f: 0x10, g: 1e3, h: ~, i: 2024-01-01, j: .inf, k: 1_000}"
    assert tree(text) == {
        "a": "yes",
        "b": "on",
        "c": True,
        "d": "12:30",
        "e": 12,
        "f": 16,
        "g": 1000.0,
        "h": None,
        "i": "2024-01-01",
        "j": float("inf"),
        "k": 1000,
    }


def test_where_a_server_wants_text_it_gets_what_was_written() -> None:
    text = "servers: {x: {command: x, args: [-p, 8080, 1.10], env: {A: true, B: 0x10, C: }, timeout: 5}}"
    assert tree(text)["servers"]["x"] == {
        "command": "x",
        "args": ["-p", "8080", "1.10"],
        "env": {"A": "true", "B": "0x10", "C": None},
        "timeout": 5,
    }


def test_anchors_and_merge_keys_work() -> None:
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [*a, {z: 4}]}\n"
    assert tree(text) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
        "d": {"x": 1, "y": 2, "z": 4},
    }


def test_an_empty_file_has_no_keys() -> None:
    assert tree("") == {}
    assert tree("# only a comment\n") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: [1,\nb: 2", "2:5 : cannot be read: while parsing a flow sequence", id="never closed"),
        pytest.param("a: 1\n  b: 2\n", "2:4 : cannot be read: mapping values are not allowed here", id="indentation"),
        pytest.param("a:\n\tb: 1", "2:1 : cannot be read: found a tab; YAML is indented with spaces", id="a tab"),
        pytest.param("a: 1\n---\nb: 2", "2:1 : cannot be read: expected a single document", id="two documents"),
        pytest.param("a: *b", "1:4 : cannot be read: found undefined alias", id="an unknown alias"),
        pytest.param("a: 1\nb: 2\na: 3", "3:1 a: the key stands twice, first in line 1", id="a duplicate"),
        pytest.param("servers: {}\nmcpServers: {}", "2:1 servers: the key stands twice", id="a key and its other name"),
        pytest.param("a: !!python/object:os.system x", "1:4 a: found the tag", id="a tag"),
        pytest.param("a: &a [*a]", "a[0]: found a value that contains itself", id="a circle"),
        pytest.param("a: {<<: 5}", "a: found '<<' before something that is not keys", id="a merge of nothing"),
        pytest.param("[" * 70 + "]" * 70, "nested too deep", id="too deep"),
        pytest.param("a: \x00", "cannot be read", id="a control character"),
    ],
)
def test_what_is_wrong_with_the_syntax_is_said_at_its_place(text: str, message: str) -> None:
    found = messages(text)
    assert any(message in line for line in found), found


def test_every_duplicate_is_found_at_once() -> None:
    assert len(messages("a: 1\na: 2\nb: {c: 1, c: 2}\n")) == 2


def test_json_of_an_editor_may_have_comments_tabs_and_trailing_commas() -> None:
    text = '{\n\t// "comment"\n\t"url": "https://x//y", /* more\n\t*/ "b": [1,\t2,],\n}'
    assert tree(text, json=True) == {"url": "https://x//y", "b": [1, 2]}


# YAML takes no control characters as they are, and no key of over 1,024; JSON does; nobody's configuration has them.
Words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"], exclude_characters="\ufeff"), max_size=80)
Json = st.recursive(
    st.none() | st.booleans() | st.integers() | Words,
    lambda inner: st.lists(inner) | st.dictionaries(Words, inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "run"]), Json), st.sampled_from([None, 2, "\t"]), st.booleans())
def test_any_json_reads_as_itself(value: Any, indent: Any, ascii_only: bool) -> None:
    assert tree(json.dumps(value, indent=indent, ensure_ascii=ascii_only), json=True) == value


@given(st.text())
def test_no_text_makes_the_reader_raise(text: str) -> None:
    parse(text, "f")
    parse(text, "f", json=True)


def test_literal_secrets_are_struck_out_of_the_lines_that_messages_show() -> None:
    text = (
        "servers:\n  x: {url: u, url: v, headers: {A: 'Bearer abcdef'}, heders: {B: geheim}, token: tok}\n"
        "auth: {bearer: {ana: aaaaaaaaaaaaaaaa, bo: {token: '${env:B}', roles: [admin]}}}\n"
    )
    document, findings = parse(text, "f")
    shown = "\n".join(document.lines) + "".join(map(str, findings))
    assert not any(secret in shown for secret in ("abcdef", "geheim", "tok}", "aaaa"))
    assert "${env:B}" in shown
    assert "[admin]" in shown
    assert [len(line) for line in document.lines] == [len(line) for line in text.splitlines()]


def test_a_file_that_cannot_be_parsed_still_shows_no_token() -> None:
    (finding,) = parse("auth: {bearer: [\ntoken: abcdef: x}", "f")[1]
    assert "abcdef" not in str(finding)
