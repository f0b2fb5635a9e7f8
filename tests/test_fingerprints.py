"""The same call asked again has the same fingerprint; another has another."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.fingerprints import of_call


def test_the_order_of_the_arguments_does_not_matter() -> None:
    assert of_call("a__t", {"x": 1, "y": 2}) == of_call("a__t", {"y": 2, "x": 1})


def test_another_tool_or_another_argument_is_another_call() -> None:
    assert len({of_call("a__t", {"x": 1}), of_call("b__t", {"x": 1}), of_call("a__t", {"x": 2})}) == 3


def test_what_changes_each_time_is_set_aside() -> None:
    assert of_call("a__t", {"x": 1, "at": 5}, {"at"}) == of_call("a__t", {"x": 1, "at": 6}, {"at"})


@pytest.mark.parametrize(
    "name", ["timestamp", "request_id", "requestId", "X-Request-Id", "nonce", "trace_id", "correlationId", "_", "ts"]
)
def test_what_names_the_moment_is_set_aside_by_itself(name: str) -> None:
    assert of_call("a__t", {"x": 1, name: 5}) == of_call("a__t", {"x": 1, name: 6})


@pytest.mark.parametrize("name", ["cursor", "page", "offset", "id", "user_id", "path", "query", "limit"])
def test_what_the_call_is_about_stays(name: str) -> None:
    assert of_call("a__t", {"x": 1, name: "5"}) != of_call("a__t", {"x": 1, name: "6"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"path": "src//a/./b.py"}, {"path": "./src/a/b.py/"}),
        ({"url": "https://x.org/a/"}, {"url": "https://x.org/a"}),
        ({"query": " two  words"}, {"query": "Two words "}),
        ({"limit": 10}, {"limit": "10"}),
        ({"x": "caf\u00e9"}, {"x": "cafe\u0301"}),
        ({"x": 1, "limit": None}, {"x": 1}),
    ],
)
def test_another_spelling_is_the_same_call(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert of_call("a__t", one) == of_call("a__t", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"path": "/a"}, {"path": "a"}),
        ({"path": "/"}, {"path": "."}),
        ({"content": "a  b"}, {"content": "a b"}),
        ({"text": "a / b"}, {"text": "a  / b"}),
        ({"x": 7}, {"x": "007"}),
        ({"pattern": "A"}, {"pattern": "a"}),
        ({"x": ""}, {}),
    ],
)
def test_what_may_mean_something_is_kept(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert of_call("a__t", one) != of_call("a__t", other)
