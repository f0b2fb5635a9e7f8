"""Lists are filtered, renamed and merged, and each item's other bytes are left alone."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard import listings
from fuseboard.listings import KINDS, PROMPTS, RESOURCES, TEMPLATES, TOOLS, Kind, Shown

ODD = rb'"x-v": [ 1.10, 1180591620717411303424, "\u00e9\/" ]'
PAGE = b'{ "tools" : [ {"name":"a", %b}, { "name" : "b" , %b } ], "nextCursor":"2", "x-page": 1E2 }' % (ODD, ODD)


def everything(name: str) -> bool:
    return True


def same(name: str) -> str:
    return name


def edit(
    page: bytes = PAGE,
    kind: Kind = TOOLS,
    *,
    shown: Callable[[str], bool] = everything,
    exposed: Callable[[str], str] = same,
    **told: bool,
) -> bytes:
    return listings.show(kind, page, shown=shown, exposed=exposed, **told).raw


def seen(page: bytes, kind: Kind = TOOLS) -> Shown:
    return listings.show(kind, page, shown=everything, exposed=same)


def test_where_nothing_changes_the_very_same_bytes_come_back() -> None:
    assert edit() is PAGE


def test_of_a_renamed_item_only_the_name_changes() -> None:
    edited = edit(exposed=lambda name: f"git__{name}" if name == "a" else name)
    assert edited == (
        rb'{"tools":[{"name":"git__a","x-v":[ 1.10, 1180591620717411303424, "\u00e9\/" ]},'
        rb'{ "name" : "b" , "x-v": [ 1.10, 1180591620717411303424, "\u00e9\/" ] }],"nextCursor":"2","x-page":1E2}'
    )


def test_an_item_that_is_not_shown_is_gone_and_the_others_keep_their_bytes() -> None:
    edited = edit(shown=lambda name: name != "a")
    assert edited == b'{"tools":[{ "name" : "b" , %b }],"nextCursor":"2","x-page":1E2}' % ODD


@pytest.mark.parametrize(
    ("filtered", "scope", "becomes"),
    [
        pytest.param(True, b'"public"', "private", id="filtered for one caller, it is no longer public"),
        pytest.param(True, b'"private"', "private", id="private it stays"),
        pytest.param(False, b'"public"', "public", id="renamed for all alike, it may be kept for all"),
        pytest.param(True, None, None, id="where none is said, none is"),
    ],
)
def test_the_cache_scope_of_an_edited_list(filtered: bool, scope: bytes | None, becomes: str | None) -> None:
    said = b',"cacheScope":%b' % scope if scope else b""
    page = b'{"tools":[{"name":"a"},{"name":"b"}]%b}' % said
    edited = edit(page, shown=lambda name: not filtered or name == "a", exposed=lambda name: f"u__{name}")
    assert json.loads(edited).get("cacheScope") == becomes


@pytest.mark.parametrize("kind", [RESOURCES, TEMPLATES], ids=lambda kind: kind.field)
def test_what_goes_by_its_uri_is_filtered_but_never_renamed(kind: Kind) -> None:
    page = b'{"%b":[{"%b":"x://a"},{"%b":"x://b"}]}' % (kind.field.encode(), kind.key.encode(), kind.key.encode())
    assert edit(page, kind, exposed=lambda name: "other") is page
    assert json.loads(edit(page, kind, shown=lambda name: name == "x://b")) == {kind.field: [{kind.key: "x://b"}]}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="an object without the field"),
        pytest.param(b'{"tools":null}', id="a field of null"),
        pytest.param(b'{"tools":{"name":"a"}}', id="a field that is an object"),
        pytest.param(b'{"tools":[7,null,"a",[]]}', id="items that are no objects"),
        pytest.param(b'{"tools":[{"title":"a"},{"name":7},{"name":null}]}', id="items without a name"),
        pytest.param(b'{"tools":[{"name":"\\ud800"}]}', id="a name that is no text"),
    ],
)
def test_what_is_no_list_goes_on_as_it_came(page: bytes) -> None:
    assert edit(page, shown=lambda name: False, exposed=lambda name: "other") is page
    assert listings.names(TOOLS, page) == []
    assert listings.next_cursor(page) is None
    listings.merge(TOOLS, [seen(page)], stateless=False)


def test_the_names_on_a_list_in_their_order() -> None:
    assert listings.names(TOOLS, PAGE) == ["a", "b"]
    assert listings.names(RESOURCES, b'{"resources":[{"uri":"x://b"},{},{"uri":"x://a"}]}') == ["x://b", "x://a"]


@pytest.mark.parametrize(
    ("page", "cursor"),
    [
        (PAGE, "2"),
        (b'{"nextCursor":""}', ""),
        (b'{"nextCursor":null}', None),
        (b'{"nextCursor":2}', None),
        (b"{}", None),
    ],
)
def test_the_cursor_of_a_page(page: bytes, cursor: str | None) -> None:
    assert listings.next_cursor(page) == cursor


def test_several_lists_become_one_in_the_order_given_and_each_item_keeps_its_bytes() -> None:
    merged = listings.merge(TOOLS, [seen(PAGE), seen(b'{"tools":[{"name":"c"}]}'), seen(b"{}")], stateless=False)
    assert merged == b'{"tools":[{"name":"a", %b},{ "name" : "b" , %b },{"name":"c"}]}' % (ODD, ODD)


HINTED = b'{"prompts":[],"ttlMs":%d,"cacheScope":"%b"}'


@pytest.mark.parametrize(
    ("pages", "whole", "ttl_ms", "scope"),
    [
        pytest.param([(500, b"public"), (300, b"public")], True, 300, "public", id="as long as the shortest"),
        pytest.param([(500, b"public"), (300, b"private")], True, 300, "private", id="private if one of them is"),
        pytest.param([(500, b"public"), (-1, b"public")], True, 0, "public", id="a time that makes no sense is none"),
        pytest.param([(500, b"public")], False, 0, "public", id="where one is missing it is asked for again"),
    ],
)
def test_how_long_and_by_whom_a_merged_list_may_be_kept(
    pages: list[tuple[int, bytes]], whole: bool, ttl_ms: int, scope: str
) -> None:
    each = [seen(HINTED % page, PROMPTS) for page in pages]
    merged = json.loads(listings.merge(PROMPTS, each, stateless=True, whole=whole))
    assert (merged["ttlMs"], merged["cacheScope"]) == (ttl_ms, scope)


def test_without_hints_a_merged_list_is_not_to_be_kept() -> None:
    merged = json.loads(listings.merge(PROMPTS, [seen(HINTED % (9, b"public"), PROMPTS), seen(b"{}")], stateless=True))
    assert (merged["ttlMs"], merged["cacheScope"]) == (0, "private")


def test_a_merged_page_has_the_cursor_of_the_next() -> None:
    assert listings.merge(TOOLS, [seen(b"{}")], stateless=False, cursor="x") == b'{"tools":[],"nextCursor":"x"}'


def test_a_personal_list_is_no_other_s_even_if_nothing_is_missing_from_it() -> None:
    page = b'{"tools":[{"name":"a"}],"cacheScope":"public"}'
    assert edit(page) is page
    assert json.loads(edit(page, personal=True))["cacheScope"] == "private"
    private = page.replace(b"public", b"private")
    assert edit(private, personal=True) is private


def test_a_filtered_list_of_the_stateless_era_says_that_it_is_private_where_nothing_was_said() -> None:
    assert json.loads(edit(PAGE, shown=lambda name: name == "a", stateless=True))["cacheScope"] == "private"
    assert edit(PAGE, personal=True, stateless=True) is PAGE


def test_a_digest_tells_of_the_items_and_of_nothing_else() -> None:
    one, hint = seen(b'{"tools":[{"name":"a"}]}'), seen(b'{"ttlMs":7,"tools":[{"name":"a"}]}')
    assert one.digest == hint.digest != seen(b'{"tools":[{"name":"a","x":1}]}').digest


def test_a_merged_list_of_the_stateless_era_is_one_caller_s_own_and_not_to_be_kept() -> None:
    assert json.loads(listings.merge(PROMPTS, [], stateless=True)) == {
        "prompts": [],
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
    }


def test_an_item_that_two_lists_hold_counts_once_and_the_first_one_counts() -> None:
    one, two = b'{"resources":[{"uri":"x://a","from":1}]}', b'{"resources":[{"uri":"x://a","from":2},{"uri":"x://b"}]}'
    pages = [seen(one, RESOURCES), seen(two, RESOURCES)]
    merged = json.loads(listings.merge(RESOURCES, pages, stateless=False))
    assert merged == {"resources": [{"uri": "x://a", "from": 1}, {"uri": "x://b"}]}


@given(st.lists(st.text(max_size=5), max_size=8), st.sets(st.text(max_size=5)))
def test_exactly_what_is_hidden_is_missing(names: list[str], hidden: set[str]) -> None:
    page = json.dumps({"tools": [{"name": name} for name in names]}).encode()
    edited = edit(page, shown=lambda name: name not in hidden, exposed=lambda name: f"u__{name}")
    assert listings.names(TOOLS, edited) == [f"u__{name}" for name in names if name not in hidden]


def test_each_kind_of_list_is_found_by_its_method() -> None:
    assert {method: kind.field for method, kind in KINDS.items()} == {
        "tools/list": "tools",
        "prompts/list": "prompts",
        "resources/list": "resources",
        "resources/templates/list": "resourceTemplates",
    }


def test_the_views_that_tools_name() -> None:
    tools = [
        {"name": "a", "_meta": {"ui": {"resourceUri": "ui://a", "x": 1}}},
        {"name": "b", "_meta": {"ui/resourceUri": "ui://b"}},
        {"name": "c", "_meta": {"ui": None}},
        {"name": "d", "_meta": "resourceUri"},
        {"name": "e"},
        7,
    ]
    page = listings.show(TOOLS, json.dumps({"tools": tools}).encode(), shown=lambda name: True, exposed=str)
    assert page.views == ("ui://a", "ui://b")
    resources = {"resources": [{"uri": "x", "_meta": {"ui/resourceUri": "ui://b"}}]}
    assert listings.show(RESOURCES, json.dumps(resources).encode(), shown=lambda name: True, exposed=str).views == ()


def test_items_of_our_own_stand_behind_the_others_and_take_the_place_of_one_with_their_name() -> None:
    own = seen(b'{"tools":[{"name":"b","ours":true},{"name":"z"}]}')
    joined = listings.joined(seen(PAGE), own)
    assert joined == (
        b'{"tools":[{"name":"a", %b},{"name":"b","ours":true},{"name":"z"}],"nextCursor":"2","x-page":1E2}' % ODD
    )


@pytest.mark.parametrize("odd", [b'{ "x" : 1 }', b"[7]", b"null"])
def test_what_holds_no_list_gets_nothing_of_ours(odd: bytes) -> None:
    assert listings.joined(seen(odd), seen(PAGE)) == odd


def test_a_tool_whose_results_are_handles_is_shown_without_what_its_schema_promises() -> None:
    raw = b'{"tools":[{"name":"a","outputSchema":{},"x":1.10},{"name":"b","outputSchema":{}}]}'
    page = listings.show(TOOLS, raw, shown=lambda name: True, exposed=str, veiled=lambda name: name == "a")
    assert page.raw == b'{"tools":[{"name":"a","x":1.10},{"name":"b","outputSchema":{}}]}'
