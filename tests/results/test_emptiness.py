"""Whether there is anything in an answer."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.results.emptiness import is_empty, says_nothing


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        [],
        {},
        {"result": None},
        {"items": [], "total": 0, "nextCursor": None},
        {"prefix": "a/", "files": []},
        {"query": "x", "took": 3, "hits": []},
        {"data": {}, "ok": False},
        {"name": "", "tags": []},
    ],
)
def test_a_frame_around_nothing_is_empty(value: Any) -> None:
    assert is_empty(value)


@pytest.mark.parametrize(
    "value",
    [
        0,
        False,
        7,
        "x",
        [0],
        {"a": 1},
        {"ok": True},
        {"deleted": False},
        {"count": 0},
        {"errors": 0},
        {"items": [], "facets": {"a": 1}},
        {"summary": "Sunny", "warnings": []},
    ],
)
def test_what_says_something_is_not(value: Any) -> None:
    assert not is_empty(value)


@pytest.mark.parametrize(
    "text",
    [
        "No results found",
        "No results found for 'weather in Atlantis'.",
        "no matches",
        "0 results",
        "Found 0 files",
        "No files matching *.x were found",
        "No such records found.",
        "Nothing found.",
        "(empty)",
        "null",
        "There are no messages available",
        "No files found",
    ],
)
def test_a_sentence_that_says_that_there_is_nothing(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize(
    "text",
    [
        "No errors found",
        "No issues found!",
        "No problem was found in 12 files",
        "Nothing ventured, nothing gained",
        "No man is an island",
        "12 results found",
        "No results found in the cache.\nFetched from the network instead: sun",
        "Not found",
        "",
        "No results found" + "!" * 300,
    ],
)
def test_other_sentences_say_something(text: str) -> None:
    assert not says_nothing(text)
