"""The names of what calls work upon."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.lock_names import LONGEST, MOST, Missing, Rule, fault_of, rules_of, wanted


def rule(template: str, **fields: Any) -> Rule:
    return Rule(template, **{"exclusive": True, "by_run": False, "hold_s": 60.0, "wait_s": 5.0, **fields})


def names(template: str, arguments: dict[str, Any], **fields: Any) -> list[str]:
    return [one.name for one in wanted([rule(template, **fields)], arguments, principal="ana", run="r-1")]


@pytest.mark.parametrize(
    ("template", "arguments", "name"),
    [
        ("file:{args.path}", {"path": "/a/b"}, "file:/a/b"),
        ("file:{args.path}", {"path": "/a/./x/../b/"}, "file:/a/b"),
        ("file:{args.path}", {"path": "/a/%62"}, "file:/a/b"),
        ("file:{args.x}", {"x": "a//b"}, "file:a/b"),
        ("{args.path}", {"path": "HTTPS://Host/a/../b"}, "https://host/b"),
        ("row:{args.table}/{args.id}", {"table": "t", "id": 7}, "row:t/7"),
        ("row:{args.id}", {"id": 7.0}, "row:7"),
        ("row:{args.id}", {"id": 0.5}, "row:0.5"),
        ("flag:{args.on}", {"on": True}, "flag:true"),
        ("{args.to.repo}", {"to": {"repo": "x/y"}}, "x/y"),
        ("deploy", {}, "deploy"),
        ("desk:{principal}", {}, "desk:ana"),
        ("desk:{run}", {}, "desk:r-1"),
        ("t:{args.t}", {"t": "e\u0301"}, "t:\u00e9"),
    ],
)
def test_a_template_is_filled_in_one_spelling(template: str, arguments: dict[str, Any], name: str) -> None:
    assert names(template, arguments) == [name]


def test_letter_case_means_nothing_where_the_operator_says_so() -> None:
    assert names("file:{args.path}", {"path": "/A/Ö"}, ignore_case=True) == ["file:/a/ö"]
    assert names("file:{args.path}", {"path": "/A"}) == ["file:/A"]


def test_a_list_names_each_of_its_things_once() -> None:
    assert names("file:{args.paths}", {"paths": ["/b", "/a", "/x/../b"]}) == ["file:/a", "file:/b"]
    assert names("{args.a}-{args.b}", {"a": [1, 2], "b": [3, 4]}) == ["1-3", "1-4", "2-3", "2-4"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "'path' has to say on what"),
        ({"path": None}, "'path' has to say on what"),
        ({"path": ""}, "'path' has to say on what"),
        ({"path": {"a": 1}}, "'path' has to say on what"),
        ({"path": []}, "'path' is empty"),
        ({"path": ["/a", None]}, "'path' has to say on what"),
        ({"path": [str(n) for n in range(MOST + 1)]}, f"more than {MOST}"),
    ],
)
def test_what_is_missing_is_said(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(Missing, match=says):
        names("file:{args.path}", arguments)


def test_a_name_that_reads_otherwise_to_a_parser_is_none() -> None:
    with pytest.raises(Missing, match="no name has"):
        names("{args.url}", {"url": "file:///data/.\n./etc"})


def test_too_many_things_by_several_rules_are_too_many() -> None:
    rules = [rule("a:{args.a}"), rule("b:{args.b}")]
    each = [str(n) for n in range(MOST)]
    with pytest.raises(Missing, match="is the most"):
        wanted(rules, {"a": each, "b": each}, principal="", run="")


def test_of_two_rules_for_one_thing_the_stricter_counts() -> None:
    reads = rule("{args.a}", exclusive=False, wait_s=1.0)
    keeps = rule("{args.b}", by_run=True, hold_s=90.0)
    (one,) = wanted([reads, keeps], {"a": "x", "b": "x"}, principal="", run="")
    assert one.rule[1:5] == (True, True, 90.0, 1.0)


def test_a_long_name_is_told_from_others_by_its_end() -> None:
    (one,), (other,) = (names("{args.id}", {"id": "x" * 300 + end}) for end in "ab")
    assert one != other
    assert max(len(one), len(other)) <= LONGEST + 10


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("file:{args.path}", None),
        ("{args.a.b}/{principal}/{run}", None),
        ("plain", None),
        ("{path}", "the field {path}"),
        ("{args.}", "the field {args.}"),
        ("{args.a", "a brace"),
        ("a}", "a brace"),
    ],
)
def test_a_template_that_cannot_be_filled_is_known_beforehand(template: str, fault: str | None) -> None:
    found = fault_of(template)
    assert found is None if fault is None else found is not None and fault in found


def test_what_a_tool_leaves_out_is_filled_in() -> None:
    class Entry:
        name, mode, hold, ttl_s, wait_s, ignore_case = "x", "shared", "run", None, 2.0, True

    (one,) = rules_of([Entry()], ttl_s=60.0, wait_s=5.0)
    assert one == Rule("x", exclusive=False, by_run=True, hold_s=60.0, wait_s=2.0, ignore_case=True)


@given(st.lists(st.sampled_from(["a", "b", ".", "..", "", "c%2F", "%2e"]), min_size=1, max_size=6))
def test_a_name_filled_in_again_is_the_same(segments: list[str]) -> None:
    (once,) = names("file:{args.path}", {"path": "/" + "/".join(segments)})
    assert names("file:{args.path}", {"path": once.removeprefix("file:")}) == [once]
