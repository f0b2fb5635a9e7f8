"""The part that a call plays, by the words of its tool and of its shell line."""

from __future__ import annotations

import pytest

from fuseboard.loops.verbs import is_asked_after, part_of_name, part_of_word, patched, says_change, statement


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("read_file", "read"),
        ("listDirectory", "read"),
        ("search", "read"),
        ("browser_snapshot", "read"),
        ("memory_search", "read"),
        ("write_file", "change"),
        ("str_replace_editor", "change"),
        ("github_create_issue", "change"),
        ("run_tests", "run"),
        ("bash", "run"),
        ("npm", "run"),
        ("todo_write", "note"),
        ("think", "note"),
        ("add_note", "note"),
        ("click", "change"),
        ("wait_for", "wait"),
        ("hop", ""),
        ("frobnicate", ""),
    ],
)
def test_the_part_by_the_first_word_that_says_so(name: str, part: str) -> None:
    assert part_of_name(name) == part


def test_one_word_says_the_same_however_it_is_written() -> None:
    assert part_of_word(" View ") == "read"


@pytest.mark.parametrize(
    "line",
    [
        "sed -i 's/a/b/' x.py",
        "echo hi > a.txt",
        "cat <<'EOF' | tee x",
        "cd src && rm -r old",
        "git commit -am wip",
        "pip install requests",
        "sudo mkdir /srv/x",
    ],
)
def test_a_line_that_changes_something(line: str) -> None:
    assert says_change(line)


@pytest.mark.parametrize(
    "line", ["pytest -q", "git status", "ls -la /tmp", "npm test 2>&1", "grep rm a.txt", "make 2>/dev/null", "git diff"]
)
def test_a_line_that_only_asks(line: str) -> None:
    assert not says_change(line)


@pytest.mark.parametrize(("name", "asked"), [("get_job_status", True), ("healthCheck", True), ("read_file", False)])
def test_what_is_asked_after(name: str, asked: bool) -> None:
    assert is_asked_after(name) is asked


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT a FROM Users u JOIN orders o ON 1=1", (False, ("users", "orders"))),
        ("update users set x = 1", (True, ("users",))),
        ('INSERT INTO "logs" VALUES (1)', (True, ("logs",))),
        ("how do I update users", None),
        ("select a good restaurant", None),
    ],
)
def test_a_statement_and_its_tables(text: str, said: tuple[bool, tuple[str, ...]] | None) -> None:
    assert statement(text) == said


def test_a_patch_names_its_files() -> None:
    assert patched("--- a/x.py\n+++ b/x.py\n@@\n") == ("x.py",)
    assert patched("*** Begin Patch\n*** Update File: src/y.py\n@@\n") == ("src/y.py",)
    assert patched("nothing of that kind") == ()
