"""What a result really was: a row for each outcome, and what holds for all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fuseboard.breakers.tails import tool_key
from fuseboard.errors import (
    UpstreamCutShort,
    UpstreamFault,
    UpstreamGarbled,
    UpstreamLost,
    UpstreamOversize,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from fuseboard.events import CallReturned, Effect
from fuseboard.ports import Failure, Reply, Result
from fuseboard.results import findings
from fuseboard.results.patterns import JunkPattern
from fuseboard.schemas.compiled import compile_schema
from fuseboard.state import EMPTY, Snapshot
from fuseboard.truth import Truth
from fuseboard.windows import window_key
from support.came_back import TOOL, call, error, failed, found, history, returned, text, value

TRACEBACK = (
    "Traceback (most recent call last):\n  File \"server.py\", line 3, in <module>\n    main()\nKeyError: 'user'"
)
LOGIN = (
    "<!DOCTYPE html><html><head><title>Sign in - Acme</title></head><body><form action=/login>"
    '<input name=user><input type="password" name=p></form></body></html>'
)
PAGE_500 = "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
DOCUMENTS = (
    "Errors and how to mend them\n\nRate limit exceeded is what the API says when you call too often.",
    "# Error: what it means\n\nAn error is ...\n\n## Causes\n" + "Many. " * 100,
    "HTTP 404 is the most famous status of them all, and this is its story. " * 8,
    "The service was unavailable on Monday, and Internal Server Error was all that people saw.",
    "0 errors, 0 warnings",
    "Error: 0, Warning: 3",
    "errors: 12\nwarnings: 3\nnotes: 1",
    json.dumps({"errors": [], "results": [1, 2]}),
    json.dumps({"errors": 3, "warnings": 1}),
    json.dumps({"error": None, "name": "x"}),
    json.dumps({"error": "see above", "name": "Anna", "age": 7}),
    json.dumps({"status": "ok", "message": "Saved"}),
    json.dumps({"status": 200, "message": "OK"}),
    json.dumps([{"error": "Timeout", "count": 5}, {"error": "Refused", "count": 2}]),
    "<html><head><title>My garden</title></head><body>How I sign in my roses</body></html>",
    "The build failed twice last week; the third attempt went through.\nSee the log for details of each failure.",
    "Here is the traceback that was reported:\n\n" + TRACEBACK + "\n\nIt was mended in 2.1.",
    "ok",
    "Failed login attempts: 3",
)


@pytest.mark.parametrize(
    ("reply", "said", "weight", "whose"),
    [
        pytest.param(text("sun"), Truth.OK, 0, "", id="ok"),
        pytest.param(value({"n": 1}), Truth.OK, 0, "", id="structured"),
        pytest.param(Result(b'{"content":[]}'), Truth.EMPTY, 0, "", id="no content"),
        pytest.param(text("  \n"), Truth.EMPTY, 0, "", id="white space"),
        pytest.param(text("[]"), Truth.EMPTY, 0, "", id="an empty list as text"),
        pytest.param(value({"result": []}), Truth.EMPTY, 0, "", id="an empty list"),
        pytest.param(text("No files found matching 'x/*'."), Truth.EMPTY, 0, "", id="a sentence that says so"),
        pytest.param(error(-32602, "bad"), Truth.BAD_ARGUMENTS, 1, "caller", id="invalid params"),
        pytest.param(
            error(-32603, "Invalid arguments for tool look: x is required"),
            Truth.BAD_ARGUMENTS,
            1,
            "caller",
            id="invalid arguments under another code",
        ),
        pytest.param(
            text("Input validation error: 'path' is a required property", error=True),
            Truth.BAD_ARGUMENTS,
            1,
            "caller",
            id="isError about the arguments",
        ),
        pytest.param(
            text('ERROR: column "nam" does not exist', error=True), Truth.BAD_ARGUMENTS, 1, "caller", id="SQL"
        ),
        pytest.param(text("No such issue: 12", error=True), Truth.BUSINESS_ERROR, 1, "caller", id="isError"),
        pytest.param(
            text("connect ECONNREFUSED 10.0.0.1:5432", error=True),
            Truth.BUSINESS_ERROR,
            1,
            "upstream",
            id="isError of what the tool stands on",
        ),
        pytest.param(text("401 Unauthorized", error=True), Truth.BUSINESS_ERROR, 1, "", id="isError of credentials"),
        pytest.param(
            text("The report is not ready yet", error=True), Truth.BUSINESS_ERROR, 0, "", id="isError of waiting"
        ),
        pytest.param(text("429 Too Many Requests", error=True), Truth.THROTTLED, 0, "", id="isError that throttles"),
        pytest.param(text("API rate limit exceeded for user 7"), Truth.THROTTLED, 0, "", id="throttled as a success"),
        pytest.param(
            value({"error": "rate limit exceeded", "retry_after": 3}), Truth.THROTTLED, 0, "", id="as an object"
        ),
        pytest.param(error(-32000, "Too many requests"), Truth.THROTTLED, 0, "", id="an error that throttles"),
        pytest.param(error(-32000, "no", status=429), Truth.THROTTLED, 0, "", id="an error under HTTP 429"),
        pytest.param(error(-32603, "boom"), Truth.ERROR, 1, "upstream", id="internal error"),
        pytest.param(error(-32601, "no such method"), Truth.ERROR, 1, "caller", id="no such method"),
        pytest.param(error(42, "no"), Truth.ERROR, 1, "", id="a code of the server's own"),
        pytest.param(error(5021, "junk"), Truth.MALFORMED, 1, "upstream", id="an answer that could not be read"),
        pytest.param(error(5022, "large"), Truth.OVERSIZE, 1, "upstream", id="an answer too large"),
        pytest.param(error(-32042, "open this"), Truth.INPUT_REQUIRED, 0, "", id="asks a person to open a page"),
        pytest.param(Result(b"{}"), Truth.MALFORMED, 1, "upstream", id="no result"),
        pytest.param(Result(b'{"content":[7]}'), Truth.MALFORMED, 1, "upstream", id="content that is none"),
        pytest.param(Result(b'{"content":[{"type":"text"}]}'), Truth.MALFORMED, 1, "upstream", id="text without text"),
        pytest.param(Result(b'{"content":[{"type":"text","text":7}]}'), Truth.MALFORMED, 1, "upstream", id="no text"),
        pytest.param(text(TRACEBACK), Truth.ERROR_SHAPED_SUCCESS, 0.5, "upstream", id="a traceback"),
        pytest.param(
            text("HTTP 500 Internal Server Error"), Truth.ERROR_SHAPED_SUCCESS, 0.5, "upstream", id="HTTP 500"
        ),
        pytest.param(text(PAGE_500), Truth.ERROR_SHAPED_SUCCESS, 0.5, "upstream", id="a page of HTTP 502"),
        pytest.param(text(LOGIN), Truth.ERROR_SHAPED_SUCCESS, 0.5, "", id="a login page"),
        pytest.param(value({"error": "boom"}), Truth.ERROR_SHAPED_SUCCESS, 0.5, "upstream", id="a lone error"),
        pytest.param(
            text('{"error":{"code":500,"message":"boom"}}'),
            Truth.ERROR_SHAPED_SUCCESS,
            0.5,
            "upstream",
            id="a lone error as text",
        ),
        pytest.param(
            text('{"success":false,"message":"no user id"}'),
            Truth.ERROR_SHAPED_SUCCESS,
            0.5,
            "upstream",
            id="success that is false",
        ),
        pytest.param(
            text("Error: missing required parameter 'x'"),
            Truth.ERROR_SHAPED_SUCCESS,
            0.5,
            "caller",
            id="a success that blames the arguments",
        ),
        pytest.param(text("Failed to connect to Chrome"), Truth.ERROR_SHAPED_SUCCESS, 0.5, "upstream", id="failed to"),
    ],
)
def test_what_came_back(reply: Reply, said: Truth, weight: float, whose: str) -> None:
    now = found(reply)
    assert (now.truth, now.weight, now.whose) == (said, weight, whose)
    assert weight == 0 or now.evidence or said is Truth.MALFORMED


@pytest.mark.parametrize(
    ("fault", "said", "weight", "whose"),
    [
        (UpstreamTimeout("u", "late"), Truth.TIMEOUT, 1, "upstream"),
        (UpstreamCutShort("u", "late"), Truth.TIMEOUT, 0, "caller"),
        (UpstreamLost("u", "gone"), Truth.LOST, 1, "upstream"),
        (UpstreamUnreachable("u", "down"), Truth.OUTAGE, 1, "upstream"),
        (UpstreamThrottled("u", "HTTP 429"), Truth.THROTTLED, 0, ""),
        (UpstreamGarbled("u", "html"), Truth.MALFORMED, 1, "upstream"),
        (UpstreamOversize("u", "large"), Truth.OVERSIZE, 1, "upstream"),
    ],
)
def test_what_did_not_come_back(fault: UpstreamFault, said: Truth, weight: float, whose: str) -> None:
    now = failed(fault)
    assert (now.truth, now.weight, now.whose, now.evidence) == (said, weight, whose, (fault.message,))
    assert (now.digest, now.skeleton) == ("", "")


def test_credentials_that_are_refused_are_nobody_s_failure_but_the_operator_s() -> None:
    fault = UpstreamUnreachable("u", "HTTP 401")
    fault.status = 401
    assert failed(fault).whose == ""


def test_what_a_throttling_upstream_asks_for_is_carried_on() -> None:
    fault = UpstreamThrottled("u", "HTTP 429")
    fault.retry_after_s = 30.0
    assert failed(fault).retry_after_s == 30.0
    assert found(error(-32000, "no", status=429, retry_after_s=7.0)).retry_after_s == 7.0
    assert found(text("Rate limit exceeded. Try again in 2 minutes.", error=True)).retry_after_s == 120.0


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_that_talks_about_errors_is_none(document: str) -> None:
    now = found(text(document))
    assert (now.truth, now.weight) == (Truth.OK, 0)


ERRORS = (TRACEBACK, LOGIN, PAGE_500, "Error: no", "429 Too Many Requests")


@given(st.sampled_from([*DOCUMENTS, *ERRORS]), st.integers(0, 3))
def test_an_error_within_another_text_is_that_text_s(said: str, way: int) -> None:
    wrapped = (
        text(f"Here is what I found in the archive:\n\n{said}"),
        text(json.dumps({"title": "Incident 7", "body": said})),
        value({"pages": [{"url": "x", "body": said}]}),
        text(f"Chapter 1. Of errors.\n{said}\nThe end."),
    )[way]
    assert found(wrapped).truth in (Truth.OK, Truth.EMPTY)


def test_a_result_with_an_output_schema_that_is_an_error_weighs_in_full() -> None:
    tool = replace(TOOL, result=compile_schema(b'{"type":"object"}'))
    assert found(text("Error: boom"), call(tool)).weight == 1


def test_a_program_that_failed_is_what_was_asked_for() -> None:
    shell = replace(TOOL, name="run_command")
    assert found(text(TRACEBACK), call(shell, command="python x.py")).truth is Truth.OK


def test_a_file_that_holds_an_error_is_a_file() -> None:
    assert found(text(TRACEBACK), call(path="logs/crash.log")).truth is Truth.OK
    missing = found(text("Error: ENOENT: no such file or directory, open 'crash.log'"), call(path="crash.log"))
    assert missing.truth is Truth.ERROR_SHAPED_SUCCESS


def test_a_login_page_that_was_asked_for_is_a_page() -> None:
    assert found(text(LOGIN), call(url="https://acme.example/login")).truth is Truth.OK
    assert found(text(PAGE_500), call(url="https://acme.example")).truth is Truth.ERROR_SHAPED_SUCCESS


# What is learnt of a tool


def test_the_same_long_answer_to_five_questions_is_junk() -> None:
    said = text("Our service desk will be happy to help you with any question that you may have about Acme products.")
    state = history([(said, {"q": n}) for n in range(4)])
    now = found(said, call(q=9), state)
    assert (now.truth, now.weight, now.whose) == (Truth.JUNK, 0.5, "upstream")
    assert "5 different calls" in now.evidence[0]


@pytest.mark.parametrize("again", [{"q": 0}, {"q": 1}])
def test_the_same_question_asked_again_is_answered_alike(again: dict[str, Any]) -> None:
    said = text("Our service desk will be happy to help you with any question that you may have about Acme products.")
    state = history([(said, {"q": n % 2}) for n in range(12)])
    assert found(said, call(**again), state).truth is Truth.OK


def test_a_receipt_is_as_good_the_fortieth_time() -> None:
    said = text("ok")
    assert found(said, call(q=9), history([(said, {"q": n}) for n in range(20)])).truth is Truth.OK
    saved = text("The file has been written successfully. Nothing else has been changed in the folder that it is in.")
    tool = replace(TOOL, effect=Effect.WRITE)
    assert found(saved, call(tool, q=9), history([(saved, {"q": n}) for n in range(20)], tool)).truth is Truth.OK


def test_an_empty_result_of_a_tool_that_is_hardly_ever_empty_is_a_suspicion() -> None:
    state = history([(text(f"row {n}"), {"q": n}) for n in range(20)])
    now = found(text("[]"), call(q=99), state)
    assert (now.truth, now.weight) == (Truth.EMPTY, 0.5)
    mixed = history([(text("[]" if n % 2 else f"row {n}"), {"q": n}) for n in range(20)])
    assert found(text("[]"), call(q=99), mixed).weight == 0


@pytest.mark.parametrize(("stated", "weight"), [(True, 0), (False, 0.5)])
def test_the_operator_s_word_on_empty_results_stands_above_the_history(stated: bool, weight: float) -> None:
    tool = replace(TOOL, empty_ok=stated)
    state = history([(text(f"row {n}"), {"q": n}) for n in range(20)]) if stated else EMPTY
    assert found(text("[]"), call(tool), state).weight == weight


def test_what_the_operator_calls_junk_is_junk() -> None:
    tool = replace(TOOL, junk=(JunkPattern("(?i)under maintenance"),))
    now = found(text("We are Under Maintenance until noon"), call(tool))
    assert (now.truth, now.weight) == (Truth.JUNK, 1)
    assert found(text("all is well"), call(tool)).truth is Truth.OK


def test_keys_that_changed_are_a_warning_once() -> None:
    before = [(value({"city": n, "temp": n + 0.5}), {"q": n}) for n in range(10)]
    drifted = value({"city": 1, "temperature": 2.5})
    now = found(drifted, call(q=11), history(before))
    assert (now.truth, now.weight) == (Truth.DRIFT, 0)
    assert now.evidence == ("another shape: without temp and with the new temperature",)
    assert found(drifted, call(q=12), history([*before, (drifted, {"q": 11})])).truth is Truth.OK


def test_a_cursor_that_comes_and_goes_is_no_drift() -> None:
    before = [(value({"rows_": [n], "nextCursor": "x"}), {"q": n}) for n in range(10)]
    assert found(value({"rows_": [11]}), call(q=11), history(before)).truth is Truth.OK


@pytest.mark.parametrize(
    "reply",
    [
        value({"id": "j1", "status": "running"}),
        text('{"state": "queued"}'),
        text("Job 17 is still running."),
        text("The export is not ready yet, check back later."),
        value({"ready": False}),
    ],
)
def test_a_result_that_is_not_there_yet_says_so(reply: Reply) -> None:
    now = found(reply)
    assert (now.pending, now.weight) == (True, 0)


@pytest.mark.parametrize("reply", [text("done"), value({"status": "completed"}), text("The queue holds 3 jobs")])
def test_a_result_that_is_there_is_not_pending(reply: Reply) -> None:
    assert not found(reply).pending


# Of all results


@given(st.binary(max_size=200), st.sampled_from([Result, Failure]), st.sampled_from(["tools/call", "prompts/get"]))
def test_whatever_the_bytes_are_something_is_found(raw: bytes, kind: type[Reply], method: str) -> None:
    reply = kind(raw)
    now = found(reply, replace(call(), method=method))
    assert Truth(now.truth)
    assert 0 <= now.weight <= 1
    assert found(reply, replace(call(), method=method)) == now


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(JSON, JSON, st.booleans())
def test_whatever_the_value_is_something_is_found(content: Any, structured: Any, is_error: bool) -> None:
    body = {"content": content, "structuredContent": structured, "isError": is_error}
    now = found(Result(json.dumps(body).encode()))
    assert len(now.evidence) <= 3
    assert all(len(line) <= findings.LINE_CHARS and "\n" not in line for line in now.evidence)


def test_a_result_of_any_depth_or_size_is_classified() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert found(Result(b'{"content":[{"type":"text","text":"x"}],"structuredContent":%b}' % deep)).weight == 1
    assert found(text("x" * 3_000_000)).truth is Truth.OK


def test_a_resource_is_a_document_whatever_is_in_it() -> None:
    reply = Result(json.dumps({"contents": [{"uri": "x:y", "text": TRACEBACK}]}).encode())
    assert found(reply, replace(call(), method="resources/read")).truth is Truth.OK


def test_what_changes_each_time_does_not_tell_results_apart() -> None:
    one, other = text("12 rows at 20:10:08 in 3 ms"), text("12 rows at 20:11:09 in 4 ms")
    more = text("13 rows at 20:12:00 in 5 ms")
    assert found(one).digest == found(other).digest != found(more).digest
    assert found(one).skeleton == found(more).skeleton
    with_meta = Result(one.raw[:-1] + b',"_meta":{"took":7}}')
    assert found(with_meta).digest == found(one).digest


# As the policies and the ledger see it


def test_what_the_schema_found_stands_in_the_finding() -> None:
    event = returned(text("x"))
    event = replace(event, finding=found(text("x")))
    judged = findings.as_judged(event, Truth.SCHEMA_VIOLATION)
    assert judged.finding is not None
    assert (judged.truth, judged.finding.weight, judged.finding.whose) == ("schema_violation", 1.0, "upstream")
    assert findings.as_judged(event, Truth.OK) is event


def test_a_result_is_a_step_of_its_run_and_one_of_its_tool() -> None:
    event = replace(returned(text("x")), finding=found(text("x")))
    assert [write.key for write in findings.learnt(event)] == [window_key("r1"), tool_key("lab__look")]
    assert [write.key for write in findings.learnt(replace(event, shared="d0"))] == [window_key("r1")]
    assert findings.learnt(replace(event, late=True)) == ()
    assert findings.learnt(CallReturned(2.0, replace(call(), method="prompts/get"), "ok")) == ()


def test_only_the_tail_of_the_tool_is_read() -> None:
    assert findings.keys(call()) == (tool_key("lab__look"),)
    assert findings.keys(replace(call(), method="resources/read")) == ()


def test_an_entry_that_an_older_version_left_is_passed_over() -> None:
    old = [1.0, "r", "f", "d", "ok", 0.0, "", False, None, "d1"]
    assert found(text("x"), call(), Snapshot({tool_key("lab__look"): [old]})).truth is Truth.OK


def test_the_ledger_gets_the_evidence() -> None:
    check = findings.check(found(text("429 Too Many Requests; retry after 5 s", error=True)))
    assert (check.policy, check.verdict, check.rule) == ("truth", "allow", "truth.throttled")
    assert check.facts["retry_after_s"] == 5.0
    assert check.facts["evidence"][0] == "isError: true"
