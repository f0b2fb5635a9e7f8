"""Whether what looks like an error was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard.results.complaints import Complaint
from fuseboard.results.expected import is_expected
from fuseboard.results.shapes import Shape
from support.came_back import TOOL, call

PROGRAM = Shape("a traceback", Complaint.OTHER, program=True)
PAGE = Shape("a login page", Complaint.CREDENTIALS, page=True)
PAGE_500 = Shape("a page", Complaint.UPSTREAM, page=True, status=500)
LIMIT = Shape("a limit", Complaint.THROTTLED)


@pytest.mark.parametrize(
    ("shape", "name", "arguments", "expected"),
    [
        (PROGRAM, "run_tests", {}, True),
        (PROGRAM, "bash", {"command": "make"}, True),
        (PROGRAM, "read_file", {"path": "a/crash.log"}, True),
        (PROGRAM, "read_files", {"paths": ["a.py", "b.py"]}, True),
        (PROGRAM, "get_weather", {"city": "Ulm"}, False),
        (PROGRAM, "get_page", {"url": "https://acme.com"}, False),
        (PAGE, "get_weather", {"city": "Ulm"}, False),
        (PAGE, "fetch", {}, True),
        (PAGE, "look", {"at": "https://acme.com/login"}, True),
        (PAGE, "look", {"at": "templates/login.html"}, True),
        (PAGE_500, "fetch", {"url": "https://acme.com"}, False),
        (LIMIT, "bash", {"command": "curl x"}, False),
    ],
)
def test_by_the_call(shape: Shape, name: str, arguments: dict[str, Any], expected: bool) -> None:
    assert is_expected(shape, call(replace(TOOL, name=name), **arguments), "x", ()) is expected


def test_a_file_that_could_not_be_read_is_no_file() -> None:
    proposal = call(path="a/crash.log")
    assert not is_expected(PROGRAM, proposal, "Error: ENOENT: no such file or directory", ())


def test_a_tool_that_mostly_gives_pages_may_give_one_more() -> None:
    tail = [[1.0, "r", "f", "d", "ok", 0.0, "", False, None, "d1", "html"]] * 3
    assert is_expected(PAGE, call(), "x", tail)
    assert not is_expected(PAGE, call(), "x", tail[:2])
