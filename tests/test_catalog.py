"""What an upstream's tools are: its own definitions, read together with what the operator knows of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.catalog import Catalog, Definitions, effect_of
from fuseboard.config import StdioServer
from fuseboard.events import Effect, Sensitivity, Trust
from fuseboard.routing import Names

READ, WRITE, DESTRUCTIVE = Effect
HARM = list(Effect)


def catalog(*, prefixed: bool = True, **server: Any) -> Catalog:
    return Catalog(definitions(prefixed=prefixed, **server))


def definitions(*, prefixed: bool = True, **server: Any) -> Definitions:
    return Definitions("u", StdioServer.model_validate({"command": "fake", **server}), Names("u", prefixed=prefixed))


def page(*tools: dict[str, Any] | str, **more: Any) -> bytes:
    definitions = [{"name": tool} if isinstance(tool, str) else tool for tool in tools]
    return json.dumps({"tools": definitions, **more}).encode()


def learnt(*tools: Any, **server: Any) -> Catalog:
    known = definitions(**server)
    taught = Catalog(known)
    taught.replace(known.page(page(*tools)).tools, at=1.0)
    return taught


# What a tool does to the world.


@pytest.mark.parametrize(
    ("stated", "trust", "read_only", "destructive", "effect"),
    [
        pytest.param(None, Trust.UNTRUSTED, None, None, DESTRUCTIVE, id="nobody says anything"),
        pytest.param(None, Trust.UNTRUSTED, True, None, DESTRUCTIVE, id="a stranger's hint loosens nothing"),
        pytest.param(None, Trust.INTERNAL, True, False, DESTRUCTIVE, id="nor does that of a server of the house"),
        pytest.param(None, Trust.TRUSTED, True, None, READ, id="a trusted server's hint counts"),
        pytest.param(None, Trust.TRUSTED, True, True, READ, id="what only reads destroys nothing, whatever is said"),
        pytest.param(None, Trust.TRUSTED, False, False, WRITE, id="a trusted server writes without destroying"),
        pytest.param(None, Trust.TRUSTED, None, False, WRITE, id="it says only that it does not destroy"),
        pytest.param(None, Trust.TRUSTED, False, None, DESTRUCTIVE, id="what writes destroys, unless it is denied"),
        pytest.param(None, Trust.TRUSTED, None, True, DESTRUCTIVE, id="a trusted server destroys"),
        pytest.param(None, Trust.TRUSTED, None, None, DESTRUCTIVE, id="a trusted server says nothing"),
        pytest.param("read", Trust.UNTRUSTED, None, None, READ, id="the operator's word alone"),
        pytest.param("read", Trust.UNTRUSTED, True, None, READ, id="the operator and the hint agree"),
        pytest.param("read", Trust.UNTRUSTED, False, None, WRITE, id="a hint of writing tightens"),
        pytest.param("read", Trust.UNTRUSTED, None, False, WRITE, id="a hint of harmless writing tightens too"),
        pytest.param("read", Trust.TRUSTED, None, True, DESTRUCTIVE, id="a hint of destruction tightens most"),
        pytest.param("write", Trust.TRUSTED, True, None, WRITE, id="not even a trusted hint loosens the operator"),
        pytest.param("destructive", Trust.TRUSTED, True, False, DESTRUCTIVE, id="nor the strictest one"),
    ],
)
def test_effect(stated: str | None, trust: Trust, read_only: Any, destructive: Any, effect: Effect) -> None:
    assert effect_of(stated, trust, read_only=read_only, destructive=destructive) is effect


@pytest.mark.parametrize("stated", ["read", "write", "destructive"])
@pytest.mark.parametrize("trust", Trust)
@pytest.mark.parametrize("read_only", [None, True, False])
@pytest.mark.parametrize("destructive", [None, True, False])
def test_no_hint_whatever_loosens_what_the_operator_stated(
    stated: str, trust: Trust, read_only: bool | None, destructive: bool | None
) -> None:
    effect = effect_of(stated, trust, read_only=read_only, destructive=destructive)
    assert HARM.index(effect) >= HARM.index(Effect(stated))


# A definition, read.


def test_a_tool_is_what_its_upstream_and_its_operator_say() -> None:
    taught = learnt(
        {"name": "t", "annotations": {"readOnlyHint": True, "title": "T"}},
        tools={"t": {"effect": "read", "idempotent": True}},
        trust="internal",
    )
    (tool,) = taught.tools
    assert (tool.upstream, tool.name, tool.exposed, tool.qualified) == ("u", "t", "u__t", "u__t")
    assert (tool.effect, tool.idempotent, tool.trust) == (READ, True, Trust.INTERNAL)
    assert tool.known
    assert tool.arguments is tool.result is None
    assert taught.find("t") is tool


def test_its_schemas_judge_arguments_and_results() -> None:
    needs = {"type": "object", "required": ["city"]}
    (tool,) = learnt({"name": "t", "inputSchema": needs, "outputSchema": needs}).tools
    for schema in (tool.arguments, tool.result):
        assert schema is not None
        assert schema.refusal is None
        assert schema.mismatches({"city": 1}) == ()
        assert schema.mismatches({})


@pytest.mark.parametrize("schema", [{"inputSchema": None}, {"outputSchema": None}])
def test_a_schema_of_null_is_none(schema: dict[str, Any]) -> None:
    (tool,) = learnt({"name": "t", **schema}).tools
    assert tool.arguments is tool.result is None


def test_a_schema_that_is_none_is_kept_to_be_refused() -> None:
    (tool,) = learnt({"name": "t", "inputSchema": 7}).tools
    assert tool.arguments is not None
    assert tool.arguments.refusal is not None


@pytest.mark.parametrize(
    "annotations", [None, 7, [], "readOnly", {"readOnlyHint": "yes"}, {"readOnlyHint": None, "destructiveHint": None}]
)
def test_hints_of_another_shape_say_nothing(annotations: Any) -> None:
    (tool,) = learnt({"name": "t", "annotations": annotations}, trust="trusted").tools
    assert tool.effect is DESTRUCTIVE


@pytest.mark.parametrize(
    ("expose", "shown"),
    [
        pytest.param(["*"], {"read_file", "write_file", "Read"}, id="all"),
        pytest.param(["read_*"], {"read_file"}, id="a glob"),
        pytest.param(["read_*", "write_?ile"], {"read_file", "write_file"}, id="several"),
        pytest.param(["R*"], {"Read"}, id="letter case counts"),
        pytest.param(["read"], set(), id="the whole name counts"),
        pytest.param(["u__read_file"], set(), id="the upstream's own name counts"),
        pytest.param([], set(), id="none"),
    ],
)
def test_what_expose_leaves_out_is_hidden(expose: list[str], shown: set[str]) -> None:
    taught = learnt("read_file", "write_file", "Read", expose=expose)
    assert {tool.name for tool in taught.tools if not tool.hidden} == shown
    assert len(taught) == 3


def test_a_tool_that_no_listing_showed_is_taken_for_the_worst_unless_the_operator_knows_it() -> None:
    taught = catalog(tools={"t": {"effect": "read"}}, expose=["t"], trust="trusted")
    known, unknown = taught.unlisted("t"), taught.unlisted("x")
    assert (known.known, known.effect, known.hidden) == (False, READ, False)
    assert (unknown.known, unknown.effect, unknown.hidden) == (False, DESTRUCTIVE, True)
    assert taught.find("t") is None


# Listing.


def test_a_page_says_whether_another_follows() -> None:
    known = definitions()
    assert known.page(page("a")).last
    assert not known.page(page("a", nextCursor="2")).last


def test_the_same_bytes_give_the_same_tool_and_so_the_same_compiled_schemas() -> None:
    known = definitions()
    weather = {"name": "weather", "inputSchema": {"type": "object"}}
    before = known.page(page(weather, "other")).tools["weather"]
    assert known.page(page("new", weather)).tools["weather"] is before
    assert known.page(page({**weather, "description": "x"})).tools["weather"] is not before


def test_a_definition_has_a_digest_and_every_change_of_it_another() -> None:
    known = definitions()
    listed = [known.page(page({"name": "read", "description": text})).tools["read"].digest for text in ("a", "a", "A")]
    assert listed[0] == listed[1] != listed[2]
    assert known.unlisted("read").digest == ""


def test_so_they_do_however_many_tools_there_are() -> None:
    known = definitions()
    many = [f"t{number}" for number in range(2000)]
    before = known.page(page(*many)).tools
    after = known.page(page(*many, "one more")).tools
    assert all(before[name] is after[name] for name in many)


def test_definitions_that_change_for_ever_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseboard.catalog._DEFINITIONS_KEPT", 100)
    known = definitions()
    for number in range(2000):
        known.page(page({"name": "t", "description": str(number)}, "same"))
    assert len(known._built) == 100
    assert len(known._pages) <= 32


def test_the_same_page_is_kept_once_for_all_who_were_shown_it() -> None:
    known = definitions()
    assert known.page(page("a", "b")) is known.page(page("a", "b"))


def test_a_tool_whose_definition_cannot_be_read_is_known_and_cannot_be_called_unchecked() -> None:
    odd = definitions().page(b'{"tools":[{"name":"odd","inputSchema":7}]}').tools["odd"]
    assert odd.arguments is not None
    assert odd.arguments.refusal is not None


def test_a_definition_of_the_wrong_shape_is_refused_not_passed_over() -> None:
    odd = definitions().page(b'{"tools":[{"name":"odd","outputSchema":"x"}]}').tools["odd"]
    assert odd.result is not None
    assert odd.result.refusal is not None


@pytest.mark.parametrize(
    "listing",
    [
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"7", id="a number"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b'{"tools":{"name":"b"}}', id="tools in an object"),
    ],
)
def test_what_is_no_list_of_tools_is_not_read_as_an_empty_one(listing: bytes) -> None:
    assert definitions().readable(listing) is None


def test_of_a_list_with_odd_items_the_others_are_known() -> None:
    odd = b'{"tools":[7,{"name":null},{"title":"x"},{"name":"a","inputSchema":[]}]}'
    assert list(definitions().page(odd).tools) == ["a"]


# Knowing.


def test_a_catalog_knows_the_last_complete_list_until_it_is_said_to_have_changed() -> None:
    known = definitions()
    taught = Catalog(known)
    assert taught.learned_at is None
    taught.replace(known.page(page("a", "b")).tools, at=1.0)
    taught.replace(known.page(page("b", "c")).tools, at=2.0)
    assert [tool.name for tool in taught.tools] == ["b", "c"]
    assert taught.learned_at == 2.0
    taught.changed()
    assert taught.learned_at is None
    assert taught.find("b") is not None


@pytest.mark.parametrize(
    ("kind", "mirrors", "fault"),
    [("string", True, None), ("number", False, "'a' has an x-mcp-header but is no string, integer or boolean")],
    ids=["valid", "invalid"],
)
def test_what_is_wrong_with_the_headers_that_a_tool_declares(kind: str, mirrors: bool, fault: str | None) -> None:
    schema = {"properties": {"a": {"type": kind, "x-mcp-header": "A"}}}
    tool = definitions().page(page({"name": "t", "inputSchema": schema})).tools["t"]
    assert (tool.mirrored is not None, tool.misdeclared) == (mirrors, fault)


@pytest.mark.parametrize(("stated", "within"), [(False, ""), (True, "run"), ("principal", "principal")])
def test_within_what_the_handles_of_a_tool_are_good(stated: bool | str, within: str) -> None:
    tools = definitions(tools={"t": {"opaque": stated, "quarantine": ["(?i)ignore"]}}).page(page("t", "u")).tools
    assert tools["t"].opaque == within
    assert [pattern.source for pattern in tools["t"].quarantine] == ["(?i)ignore"]
    assert (tools["u"].opaque, tools["u"].quarantine) == ("", ())


def test_of_the_flow_of_data_a_tool_is_what_its_operator_says_and_its_upstream_warns_of() -> None:
    facts = {
        "send": {"effect": "write", "outward": True},
        "read_inbox": {"trust": "untrusted", "sensitivity": "secret"},
    }
    open_world = {"name": "post", "annotations": {"openWorldHint": True}}
    known = learnt("send", "read_inbox", "list_all", open_world, trust="internal", sensitivity="internal", tools=facts)
    send, inbox, other, post = (known.find(name) for name in ("send", "read_inbox", "list_all", "post"))
    assert send is not None
    assert inbox is not None
    assert other is not None
    assert post is not None
    assert (send.outward, send.sink, send.stated) == (True, True, {"effect", "outward"})
    assert (inbox.trust, inbox.sensitivity, inbox.sink) == (Trust.UNTRUSTED, Sensitivity.SECRET, False)
    assert (other.trust, other.sensitivity, other.stated) == (Trust.INTERNAL, Sensitivity.INTERNAL, frozenset())
    assert (post.outward, post.sink, post.stated) == (True, True, frozenset())
