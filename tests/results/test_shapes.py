"""Errors that come as successes."""

from __future__ import annotations

import json

import pytest

from fuseboard.ports import Result
from fuseboard.results.complaints import Complaint
from fuseboard.results.examine import examined
from fuseboard.results.shapes import disguised
from support.came_back import text, value

JAVA = 'Exception in thread "main" java.lang.NullPointerException: x\n\tat a.b.C(D.java:1)\n\tat e.f(G.java:2)'
NODE = "TypeError: Cannot read properties of undefined\n    at look (server.js:1:2)\n    at main (server.js:9:1)"


@pytest.mark.parametrize(
    ("reply", "of"),
    [
        (text("500 Internal Server Error"), Complaint.UPSTREAM),
        (text("HTTP/1.1 503 Service Unavailable"), Complaint.UPSTREAM),
        (text("Request failed with status code 404"), Complaint.OTHER),
        (text("Error 422: Unprocessable Entity"), Complaint.ARGUMENTS),
        (text("Internal server error"), Complaint.UPSTREAM),
        (text("Service temporarily unavailable, please come back"), Complaint.UPSTREAM),
        (text("Error: it broke"), Complaint.OTHER),
        (text("ValueError: bad"), Complaint.OTHER),
        (text("❌ Error: it broke"), Complaint.OTHER),
        (text("Unable to fetch the page"), Complaint.OTHER),
        (text("An error occurred while processing"), Complaint.OTHER),
        (text("Something went wrong."), Complaint.OTHER),
        (text(JAVA), Complaint.OTHER),
        (text(NODE), Complaint.OTHER),
        (text("Rate limit exceeded"), Complaint.THROTTLED),
        (text("Too many requests, slow down"), Complaint.THROTTLED),
        (text("<html><title>Error</title></html>"), Complaint.OTHER),
        (text("<html><title>403 Forbidden</title></html>"), Complaint.CREDENTIALS),
        (value({"error": "boom"}), Complaint.OTHER),
        (value({"errors": [{"message": "boom"}], "data": None}), Complaint.OTHER),
        (value({"type": "about:blank", "title": "x", "status": 503, "detail": "y"}), Complaint.UPSTREAM),
        (value({"statusCode": 429, "message": "later"}), Complaint.THROTTLED),
        (value({"message": "Bad credentials", "documentation_url": "x", "status": "401"}), Complaint.CREDENTIALS),
        (value({"ok": False, "error": "invalid_auth"}), Complaint.OTHER),
    ],
)
def test_the_whole_answer_is_an_error(reply: Result, of: Complaint) -> None:
    shape = disguised(examined(reply))
    assert shape is not None
    assert shape.complaint is of


@pytest.mark.parametrize(
    "reply",
    [
        text("Error handling in Go is explicit."),
        text("Error: a play in three acts\n\nAct one. " + "A room. " * 80),
        text("500 people came"),
        text("404 pages were crawled"),
        text("Exception list: none"),
        text("error: none"),
        text("Failed logins: 3"),
        text("Cannot be beaten: our prices"),
        text("The API rate limit is 60 calls a minute. When it is exceeded, you get 429.\n\nSee also: quotas."),
        text("Rate limit exceeded\n\nThis page tells what to do when you see that message. " + "Wait. " * 60),
        text("Traceback (most recent call last):\n  File x\nKeyError: y\n\nIt is how a missing key looks.\nSo."),
        value({"error": {"rate": 0.5}, "value": 7}),
        value({"error": ""}),
        value({"status": "ok"}),
        value({"success": True, "message": "saved"}),
        value({"message": "hello"}),
        value({"code": 200, "data": {"x": 1}}),
        value({"errors": 5}),
        value({"data": {"x": 1}, "errors": [{"message": "partial"}]}),
        value([{"error": "boom"}]),
        text("<html><title>Our garden in May</title></html>"),
    ],
)
def test_what_only_looks_a_little_like_one(reply: Result) -> None:
    assert disguised(examined(reply)) is None


def test_a_long_document_is_never_looked_at() -> None:
    assert disguised(examined(text("Error: " + "x" * 5000))) is None
    assert disguised(examined(text(json.dumps({"error": "x" * 20_000})))) is None
