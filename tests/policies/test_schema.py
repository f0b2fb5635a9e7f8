from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fuseboard.events import CallReturned, Mirrored, ToolListed
from fuseboard.policies.schema import SchemaPolicy
from fuseboard.schemas.compiled import compile_schema
from fuseboard.state import EMPTY
from fuseboard.verdicts import Allow, Deny, Verdict
from support.judging import READ, call

PATH = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "Where to read"}, "lines": {"type": "integer"}},
    "required": ["path"],
}
ROWS = {"type": "object", "properties": {"rows": {"type": "array"}}, "required": ["rows"]}
TOOL = replace(READ, arguments=compile_schema(PATH), result=compile_schema(ROWS))
BAD = compile_schema({"$ref": "https://evil.example/x"})


def _propose(arguments: dict[str, Any], /, **facts: Any) -> Verdict:
    return SchemaPolicy().decide(call(replace(TOOL, **facts), arguments), EMPTY)


def _return(result: dict[str, Any] | None, /, *, method: str = "tools/call", **facts: Any) -> Verdict:
    proposal = call(replace(TOOL, **facts), {"path": "x"}, method=method)
    return SchemaPolicy().decide(CallReturned(1.0, proposal, "ok", result), EMPTY)


def test_a_call_that_fits_goes_on() -> None:
    assert _propose({"path": "/x"}) == Allow()


def test_a_key_in_other_letters_is_told_its_exact_name() -> None:
    verdict = _propose({"path": "/ok", "Path": "/home/u/.ssh/id_rsa"})
    assert isinstance(verdict, Deny)
    assert verdict.rule == "schema.arguments"
    assert 'found the property "Path", which some readers take for "path"' in verdict.reason


def test_a_tool_without_a_schema_is_not_judged() -> None:
    assert _propose({"anything": 1}, arguments=None) == Allow()


def test_of_a_tool_that_was_not_listed_the_record_says_so() -> None:
    assert _propose({"anything": 1}, arguments=None, result=None, known=False) == Allow(facts={"listed": False})


@pytest.mark.parametrize(
    ("arguments", "goes_on"),
    [
        ({"path": "/x", "lines": None}, True),
        ({"path": "/x", "deep": {"on": None}}, True),
        ({"path": None, "lines": None}, False),
        ({"path": "/x", "lines": None, "deep": {"on": "yes"}}, False),
        ({"path": "/x", "other": None}, False),
        ({"path": "/x", "deep": None}, False),
    ],
)
def test_null_where_a_header_mirrors_the_argument_means_not_provided(arguments: dict[str, Any], goes_on: bool) -> None:
    boolean = {"type": "object", "properties": {"on": {"type": "boolean"}}}
    schema = {**PATH, "properties": {**PATH["properties"], "deep": boolean, "other": {"type": "string"}}}
    paths = {("path",): "string", ("lines",): "integer", ("deep", "on"): "boolean"}
    mirrored = {path: Mirrored("-".join(path), kind) for path, kind in paths.items()}
    verdict = _propose(arguments, arguments=compile_schema(schema), mirrored=mirrored)
    assert isinstance(verdict, Allow) is goes_on


def test_a_call_that_does_not_fit_is_told_how_to() -> None:
    verdict = _propose({"lines": "3"})
    assert verdict == Deny(
        "schema.arguments",
        "The arguments of files__read_file do not fit its schema, so the call was not sent:\n"
        '- (the whole): found "path" is missing (it has only "lines"); '
        'expected the required property "path": string (Where to read)\n'
        '- /lines: found "3" (string); expected integer\n'
        "Mend each of these and call it again.",
        facts={
            "mismatches": [
                {
                    "path": "",
                    "found": '"path" is missing (it has only "lines")',
                    "expected": 'the required property "path": string (Where to read)',
                    "keyword": "required",
                },
                {"path": "/lines", "found": '"3" (string)', "expected": "integer", "keyword": "type"},
            ]
        },
    )


@pytest.mark.parametrize("part", ["arguments", "result"])
def test_a_tool_whose_schema_cannot_be_used_is_not_called(part: str) -> None:
    verdict = _propose({"path": "/x"}, **{part: BAD})
    assert isinstance(verdict, Deny)
    assert verdict.rule == "schema.unusable"
    assert "never fetched" in verdict.reason
    assert "no arguments mend it" in verdict.reason
    assert verdict.facts["schema"] == {"arguments": "inputSchema", "result": "outputSchema"}[part]


@pytest.mark.parametrize(
    ("result", "facts"),
    [
        pytest.param({"content": [], "structuredContent": {"rows": []}}, {}, id="structured content that fits"),
        pytest.param({"content": [], "isError": True}, {}, id="an error owes no structure"),
        pytest.param({"content": []}, {"result": None}, id="a tool that promises nothing"),
        pytest.param(None, {}, id="a protocol error"),
        pytest.param({"resultType": "input_required"}, {}, id="a question to the client is no result yet"),
        pytest.param({"task": {"taskId": "t"}}, {}, id="nor is a task"),
        pytest.param({"messages": []}, {"method": "prompts/get"}, id="a prompt"),
    ],
)
def test_results_that_go_on(result: dict[str, Any] | None, facts: dict[str, Any]) -> None:
    assert _return(result, **facts) == Allow()


@pytest.mark.parametrize(
    ("result", "found"),
    [
        pytest.param({"content": []}, "no structuredContent", id="promised and missing"),
        pytest.param({"structuredContent": {}}, '"rows" is missing', id="promised otherwise"),
        pytest.param({"structuredContent": None}, "null", id="null is no object"),
        pytest.param({"structuredContent": {}, "isError": False}, '"rows" is missing', id="no error, and says so"),
        pytest.param({"resultType": "complete"}, "no structuredContent", id="complete, and without"),
        pytest.param({"task": {}, "structuredContent": {}}, '"rows" is missing', id="a task that brings its result"),
    ],
)
def test_results_that_break_the_promise_are_withheld(result: dict[str, Any], found: str) -> None:
    verdict = _return(result)
    assert isinstance(verdict, Deny)
    assert verdict.rule == "schema.result"
    assert found in verdict.reason
    assert "was carried out" in verdict.reason


def test_listings_are_no_question_of_schemas() -> None:
    event = ToolListed(0.0, call().caller, replace(TOOL, arguments=BAD))
    assert SchemaPolicy().decide(event, EMPTY) == Allow()
    assert SchemaPolicy().keys(event) == ()


@given(st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3), max_size=3))
def test_every_refusal_can_be_read_and_kept(arguments: dict[str, Any]) -> None:
    verdict = _propose(arguments)
    if isinstance(verdict, Deny):
        assert len(verdict.reason) < 5_000
        assert all(set(m) == {"path", "found", "expected", "keyword"} for m in verdict.facts["mismatches"])
