"""What a call is about, and whether what another one changed speaks to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard.events import Effect, Tool
from fuseboard.loops.bearings import MOST, names_things, of_call, relation
from support.judging import READ, WRITE


def tool(name: str, effect: Effect = Effect.DESTRUCTIVE, **more: Any) -> Tool:
    return replace(Tool("s", name, f"s__{name}", effect), **more)


def about(**arguments: Any) -> tuple[str, ...]:
    return of_call(tool("x"), arguments).names


@dataclass(frozen=True)
class Pair:
    changed: dict[str, Any]
    asked: dict[str, Any]
    weight: float


@pytest.mark.parametrize(
    "pair",
    [
        Pair({"path": "src/a.py"}, {"path": "./src//a.py"}, 1),
        Pair({"path": "/repo/src/a.py"}, {"file": "src/a.py"}, 1),
        Pair({"path": "/repo/src/a.py"}, {"directory": "/repo"}, 1),
        Pair({"path": "src/a.py"}, {"path": "."}, 1),
        Pair({"path": "/repo/src/a.py"}, {"path": "."}, 1),
        Pair({"directory": "/repo/src"}, {"path": "/repo/src/a/b.py"}, 1),
        Pair({"path": "src/a.py"}, {"path": "src/b.py"}, 0.5),
        Pair({"path": "src/a.py"}, {"path": "docs/b.md"}, 0),
        Pair({"url": "https://x.org/a/b"}, {"url": "https://x.org/a/b#top"}, 1),
        Pair({"url": "https://x.org/a/b"}, {"url": "https://y.org/a/b"}, 0),
        Pair({"issue_id": 5, "label": "x"}, {"id": 5}, 1),
        Pair({"id": 5}, {"id": 6}, 0),
        Pair({"repo": "r", "title": "t"}, {"repo": "r"}, 1),
        Pair({"repo": "r", "number": 5}, {"repo": "r"}, 1),
        Pair({"repo": "r", "number": 5}, {"repo": "r", "number": 6}, 0.5),
        Pair({"source": "/a/x", "destination": "/b/x"}, {"path": "/b"}, 1),
        Pair({"text": "nothing named"}, {"path": "/b"}, 0),
        Pair({"path": "/b"}, {"query": "words"}, 0),
    ],
    ids=str,
)
def test_how_much_a_change_says_about_a_question(pair: Pair) -> None:
    assert relation(about(**pair.changed), about(**pair.asked)) == pair.weight


def test_cursors_pages_and_amounts_name_nothing() -> None:
    assert not names_things(about(limit=5, page_number=2, cursor="abc", verbose=True, query="x y"))


def test_names_are_bounded() -> None:
    paths = [f"/a/b/c/d/e/f/g/h/i/{n}" for n in range(500)]
    assert len(about(paths=paths)) <= MOST


def test_deep_and_odd_arguments_are_read_without_a_fault() -> None:
    deep: Any = "/x/y"
    for _ in range(200):
        deep = {"a": [deep]}
    assert about(deep=deep, path="\ud800/x", url="://", file="/", empty="", nothing=None) is not None


@pytest.mark.parametrize(
    ("given", "arguments", "part"),
    [
        (READ, {"path": "a"}, "read"),
        (WRITE, {"path": "a"}, "change"),
        (tool("edit_file"), {"path": "a"}, "change"),
        (tool("edit_file", read_hint=True), {"path": "a"}, "read"),
        (tool("search"), {"query": "a", "path": "b"}, "read"),
        (tool("fs"), {"op": "write", "path": "a"}, "change"),
        (tool("fs"), {"op": "read", "path": "a"}, "read"),
        (tool("editor"), {"command": "str_replace", "path": "a"}, "change"),
        (tool("thing"), {"path": "a", "content": "b"}, "change"),
        (tool("thing"), {"path": "a"}, "act"),
        (tool("click"), {"selector": "#a"}, "change"),
        (tool("bash"), {"command": "pytest -q"}, "run"),
        (tool("bash"), {"command": "rm x"}, "change"),
        (tool("run_tests", Effect.READ), {}, "run"),
        (tool("todo_write"), {"todos": [{"id": "1"}]}, "note"),
    ],
)
def test_the_part_that_a_call_plays(given: Tool, arguments: dict[str, Any], part: str) -> None:
    assert of_call(given, arguments).part == part


def test_a_shell_line_that_changes_something_names_what_it_touches() -> None:
    changed = of_call(tool("bash"), {"command": "sed -i s/a/b/ src/x.py"}).names
    assert relation(changed, about(path="src/x.py")) == 1
    assert names_things(of_call(tool("bash"), {"command": "git commit -am wip"}).names)


def test_a_patch_bears_on_the_files_in_it_and_on_something_where_it_names_none() -> None:
    assert relation(about(patch="+++ b/src/x.py\n"), about(path="src/x.py")) == 1
    assert names_things(about(diff="no header at all"))


def test_a_statement_bears_on_its_tables() -> None:
    changed = of_call(tool("execute_sql"), {"query": "UPDATE users SET a = 1"})
    asked = of_call(tool("execute_sql"), {"query": "SELECT a FROM users"})
    assert (changed.part, asked.part) == ("change", "read")
    assert relation(changed.names, asked.names) == 1
