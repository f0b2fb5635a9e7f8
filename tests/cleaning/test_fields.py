"""Every string of the protocol's types, in both eras, is either cleaned or kept for a reason that the table names."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal

import mcp_types._v2025_11_25 as handshake
import mcp_types._v2026_07_28 as stateless
import msgspec
import pytest
from pydantic import AnyUrl, BaseModel, RootModel

from fuseboard.cleaning.fields import ELSEWHERE, FIELDS, Kind, Root, kind_of, root_of
from fuseboard.cleaning.outgoing import Outgoing
from fuseboard.cleaning.result import Cleaner
from fuseboard.events import Caller, CallProposed, Tool
from fuseboard.ports import Request, Result
from fuseboard.upstreams.cleaned import Bath
from support.leaks import OPEN

HIDDEN = "\u202e"
MODELS = sorted(
    {
        model
        for era in (handshake, stateless)
        for model in vars(era).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__.startswith("mcp_types")
    },
    key=lambda model: (model.__module__, model.__name__),
)


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, info in model.model_fields.items():
        yield info.alias or name, info.annotation


def _holds_text(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a string that is not one of a few fixed words can stand there, or in an array or map of its own."""
    if annotation in seen:
        return False
    seen |= {annotation}
    if isinstance(annotation, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        return _holds_text(annotation.__value__, seen)
    if hasattr(annotation, "__value__"):
        return _holds_text(annotation.__value__, seen)
    if annotation in (str, AnyUrl, Any, object):
        return True
    if typing.get_origin(annotation) is Literal:
        return False
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _holds_text(annotation.model_fields["root"].annotation, seen)
    return any(_holds_text(inner, seen) for inner in typing.get_args(annotation))


NAMES = sorted({alias for model in MODELS for alias, annotation in _fields(model) if _holds_text(annotation)})


def test_the_types_are_really_looked_at() -> None:
    assert len(MODELS) > 150
    assert {"text", "structuredContent", "description", "statusMessage", "uri", "data", "message"} <= set(NAMES)


SCHEMAS = {
    "default",
    "enum",
    "const",
    "pattern",
    "format",
    "enumNames",
    "properties",
    "required",
    "$schema",
    "items",
    "oneOf",
    "anyOf",
}
"""Words of schemas, which stand under a field that is one."""
ENVELOPE = {"params", "result", "error"}
CAPABILITIES = {"call", "cancel", "completions", "create", "createMessage", "form", "list", "logging"}
"""Words under ``capabilities``, which are all cleaned alike, as everything under ``_meta`` is."""


@pytest.mark.parametrize("name", NAMES)
def test_every_string_of_the_protocol_is_in_the_table(name: str) -> None:
    if name in SCHEMAS | ENVELOPE | CAPABILITIES or name.startswith("io.modelcontextprotocol/"):
        return
    assert name in FIELDS, f"{name}: say in fields.py whether anybody gets to see it"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("root", Root)
def test_what_is_seen_is_cleaned_and_what_is_kept_is_kept(name: str, root: Root) -> None:
    """Through the whole machine, by the name of each field and under each root."""
    kind = kind_of(root, Kind.TEXT, name)
    raw = json.dumps({name: f"a{HIDDEN}b"}, ensure_ascii=False).encode()
    clean = json.loads(Cleaner(OPEN).clean("x", raw, root).raw)
    # Base64 has no hidden characters: what has is no media, and another test's business
    assert clean[name] == (f"a{HIDDEN}b" if kind in (Kind.KEPT, Kind.MEDIA) else "ab")


KEPT = {name for name, kind in FIELDS.items() if kind is Kind.KEPT} | {
    name for (_, name), kind in ELSEWHERE.items() if kind is Kind.KEPT
}


def _sample(annotation: Any, depth: int = 0) -> Any:
    """A value with hidden characters wherever a string may stand."""
    if hasattr(annotation, "__value__"):
        return _sample(annotation.__value__, depth)
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return inner[0]
    if origin is typing.Annotated:
        return _sample(inner[0], depth)
    if origin in (typing.Union, types.UnionType):
        picked = [one for one in inner if one is not type(None)]
        return _sample(picked[depth % len(picked)], depth)
    if origin in (list, tuple, set):
        return [_sample(inner[0], depth + 1)] if depth < 8 else []
    if origin is dict:
        return {f"k{HIDDEN}": _sample(inner[1], depth + 1)} if depth < 8 else {}
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _sample(annotation.model_fields["root"].annotation, depth)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {alias: _sample(inside, depth + 1) for alias, inside in _fields(annotation)} if depth < 8 else {}
    return {bool: True, int: 1, float: 1.5, type(None): None}.get(annotation, f"a{HIDDEN}b")


def _dirty(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, str) and HIDDEN in value:
        yield path
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from _dirty(inner, (*path, key))
    for inner in value if isinstance(value, list) else ():
        yield from _dirty(inner, path)


SCHEMA_NAMES = {"pattern", "$schema", "$ref", "$id", "required"}
SEEN = [
    "CallToolResult",
    "GetPromptResult",
    "ReadResourceResult",
    "ListToolsResult",
    "ListPromptsResult",
    "ListResourcesResult",
    "ListResourceTemplatesResult",
    "InitializeResult",
    "DiscoverResult",
    "CompleteResult",
    "GetTaskResult",
    "CreateTaskResult",
    "InputRequiredResult",
    "LoggingMessageNotificationParams",
    "ProgressNotificationParams",
    "CancelledNotificationParams",
    "TaskStatusNotificationParams",
    "CreateMessageRequestParams",
    "ElicitRequestFormParams",
    "ElicitRequestURLParams",
    "Error",
    "CallToolRequestParams",
    "GetPromptRequestParams",
    "ToolResultContent",
    "ToolUseContent",
]


@pytest.mark.parametrize(
    "model", [model for model in MODELS if model.__name__ in SEEN], ids=lambda m: f"{m.__module__[-10:]}.{m.__name__}"
)
def test_a_whole_message_comes_out_clean_but_for_what_is_kept(model: type[BaseModel]) -> None:
    roots = {"Error": Root.ERROR, "LoggingMessageNotificationParams": Root.NOTICE}
    listing = model.__name__.startswith("List") or model.__name__ in ("InitializeResult", "DiscoverResult")
    root = roots.get(model.__name__, Root.LIST if listing else Root.RESULT)
    raw = json.dumps(_sample(model), ensure_ascii=False).encode()
    assert HIDDEN.encode() in raw
    clean = json.loads(Cleaner(OPEN).clean("x", raw, root).raw)
    left = [path for path in _dirty(clean) if not set(path) & (KEPT | SCHEMA_NAMES | {"data", "blob"})]
    assert left == []


def test_methods_have_their_roots() -> None:
    assert root_of("tools/call") is Root.RESULT
    assert root_of("tools/list") is Root.LIST
    assert root_of("notifications/message") is Root.NOTICE


ROADS = {
    # what a client asks: of governed calls the arguments, and the answers that travel with them
    "CallToolRequestParams": ("call", "tools/call"),
    "GetPromptRequestParams": ("call", "prompts/get"),
    "InputResponseRequestParams": ("call", "tools/call"),
    "TaskAugmentedRequestParams": ("call", "tools/call"),
    # a URI is an address that has to match, and no policy of ours may change whom it means
    "ReadResourceRequestParams": ("call", "resources/read"),
    "CompleteRequestParams": ("sent", "completion/complete"),
    "InitializeRequestParams": ("sent", "initialize"),
    "SetLevelRequestParams": ("sent", "logging/setLevel"),
    "SubscribeRequestParams": ("sent", "resources/subscribe"),
    "UnsubscribeRequestParams": ("sent", "resources/unsubscribe"),
    "SubscriptionsListenRequestParams": ("sent", "subscriptions/listen"),
    # what a client answers
    "CreateMessageResult": ("answered", "sampling/createMessage"),
    "ElicitResult": ("answered", "elicitation/create"),
    "ListRootsResult": ("answered", "roots/list"),
    # what an upstream asks, tells and answers beside its results
    "CreateMessageRequestParams": ("asked", "sampling/createMessage"),
    "ElicitRequestFormParams": ("asked", "elicitation/create"),
    "ElicitRequestURLParams": ("asked", "elicitation/create"),
    "LoggingMessageNotificationParams": ("heard", "notifications/message"),
    "ProgressNotificationParams": ("heard", "notifications/progress"),
    "CancelledNotificationParams": ("heard", "notifications/cancelled"),
    "ResourceUpdatedNotificationParams": ("heard", "notifications/resources/updated"),
    "SubscriptionsAcknowledgedNotificationParams": ("heard", "notifications/subscriptions/acknowledged"),
    "TaskStatusNotificationParams": ("heard", "notifications/tasks/status"),
    "CompleteResult": ("answer", "completion/complete"),
    "InitializeResult": ("answer", "initialize"),
    "DiscoverResult": ("answer", "server/discover"),
    "GetTaskResult": ("answer", "tasks/get"),
    "CancelTaskResult": ("answer", "tasks/cancel"),
    "ListTasksResult": ("answer", "tasks/list"),
    # results that are judged, and cleaned where they are
    "CallToolResult": ("settled", "tools/call"),
    "CreateTaskResult": ("settled", "tools/call"),
    "InputRequiredResult": ("settled", "tools/call"),
    "GetTaskPayloadResult": ("settled", "tasks/result"),
    "GetPromptResult": ("settled", "prompts/get"),
    "ReadResourceResult": ("settled", "resources/read"),
}
"""By which way each message of the protocol comes past a cleaner."""

PINNED = {"ListToolsResult", "ListPromptsResult", "ListResourcesResult", "ListResourceTemplatesResult"}
"""Their hidden text is the pins' affair."""
EMPTY = {
    *("NotificationParams", "PaginatedRequestParams", "PaginatedResult", "RequestParams", "ResourceRequestParams"),
    *("Params", "Result", "CacheableResult", "SubscriptionsListenResult"),
}
"""Those that others are made of, and those with nothing of their own in them."""
WAYS = [(model, *ROADS[model.__name__]) for model in MODELS if model.__name__ in ROADS]


def test_every_message_of_the_protocol_has_its_way_past_a_cleaner() -> None:
    ends = ("Params", "Result")
    named = {model.__name__ for model in MODELS if model.__name__.endswith(ends)}
    assert named - ROADS.keys() - PINNED - EMPTY == set(), "say in ROADS which way it takes"
    assert (ROADS.keys() | PINNED | EMPTY) - named == set()


def _past(way: str, method: str, raw: bytes) -> bytes:
    """What is left of a message that goes this way."""
    cleaner = Cleaner(OPEN)
    bath = Bath("lab", cleaner)
    if way == "call":
        value = json.loads(raw)
        request = Request(b"1", method, raw, value)
        call = CallProposed(1.0, "d", "r", method, Caller("a"), Tool("l", "t", "t"), value.get("arguments") or {})
        judged, ask = Outgoing(cleaner).taken(call, Asking(request))
        sent = dict(ask.request.value or {})
        return json.dumps(sent if judged.clean is None else {**sent, "arguments": judged.clean.arguments}).encode()
    if way in ("answer", "answered"):
        return bytes(getattr(bath, way)(method, Result(raw)).raw)
    if way == "settled":
        return cleaner.clean(method, raw).raw
    passed: bytes = getattr(bath, way)(method, raw)
    return passed


class Asking(msgspec.Struct, frozen=True):
    request: Request


UNSEEN = {"result", "error"}
"""Of a task: cleaned where they are judged."""
THE_CALLERS_OWN = {"name", "uri", "_meta", "task"}
"""Of a governed request: what it means and how, none of which is an argument."""


@pytest.mark.parametrize(
    ("model", "way", "method"), WAYS, ids=lambda one: one.__module__[-10:] + one.__name__ if callable(one) else one
)
def test_each_message_is_clean_once_it_has_gone_its_way(model: type[BaseModel], way: str, method: str) -> None:
    raw = json.dumps(_sample(model), ensure_ascii=False).encode()
    left = [
        path for path in _dirty(json.loads(_past(way, method, raw))) if way != "call" or path[0] not in THE_CALLERS_OWN
    ]
    kept = KEPT | SCHEMA_NAMES | {"data", "blob"} | UNSEEN
    assert [path for path in left if not set(path) & kept] == []
