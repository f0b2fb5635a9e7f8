"""What an error complains of, by its own words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.results.complaints import Complaint, complaint

SAID = {
    Complaint.THROTTLED: (
        "429 Too Many Requests",
        "API rate limit exceeded for user",
        "You have exceeded your request quota per minute: rate limited",
        "ThrottlingException: Rate exceeded",
        "status code 429",
        "You hit the rate limit",
        "RESOURCE_EXHAUSTED",
    ),
    Complaint.ARGUMENTS: (
        "1 validation error for lookArguments\npath\n  Field required",
        "Invalid arguments for tool look",
        "MCP error -32602: bad",
        "Missing required parameter: path",
        "'x' is a required property",
        "limit must be between 1 and 100",
        "expected string, received number",
        "syntax error at or near SELEC",
        'relation "users" does not exist',
        "400 Bad Request",
        "unknown option '--rate-limit'",
    ),
    Complaint.UPSTREAM: (
        "500 Internal Server Error",
        "connect ECONNREFUSED 127.0.0.1:1",
        "Service temporarily unavailable",
        "Request failed with status code 503",
        "read timed out: connection timed out",
    ),
    Complaint.CREDENTIALS: ("401 Unauthorized", "Bad credentials", "HTTP 403: no", "invalid api key"),
    Complaint.OTHER: (
        "No such file: x",
        "Element not found",
        "division by zero",
        "",
        "1 failed, 11 passed",
        "disk full",
    ),
}


@pytest.mark.parametrize(("text", "kind"), [(text, kind) for kind, texts in SAID.items() for text in texts])
def test_errors_by_their_words(text: str, kind: Complaint) -> None:
    assert complaint(text) is kind


@given(st.text(max_size=300))
def test_every_text_complains_of_something(text: str) -> None:
    assert isinstance(complaint(text), Complaint)


def test_only_the_head_is_read() -> None:
    assert complaint("x" * 3000 + " 429 Too Many Requests") is Complaint.OTHER
