"""Which strings of the protocol a model or a person gets to see, as one table. What it does not name is seen. Pure.

Held by a test that walks all types of both eras (MCP 2025-11-25 and 2026-07-28).
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Final


class Kind(Enum):
    """How a field is dealt with; of an object or array, how all within it is."""

    TEXT = "text"
    """Prose: cleaned of everything, cut if too long. Objects in it are the protocol's own."""
    VALUE = "value"
    """Anybody's JSON: every key and every string as prose."""
    META = "meta"
    """JSON for programs that some clients show: as ``VALUE``, but with its links, and never cut."""
    SCHEMA = "schema"
    """A JSON Schema: as ``META``, but names and references keep what they are, for they have to match."""
    ADDRESS = "address"
    """A URI or another word that is shown, and compared: characters and secrets, nothing else."""
    MEDIA = "media"
    """Base64: secrets alone, so that it stays Base64."""
    KEPT = "kept"
    """Words of the protocol and identifiers that go back to where they came from: never touched."""


class Root(Enum):
    """Where a value comes from, as far as fields mean different things there."""

    RESULT = "result"
    LIST = "list"
    ERROR = "error"
    NOTICE = "notice"
    """The parameters of a notification."""
    ARGUMENTS = "arguments"
    """The parameters of a request that carries a caller's own values."""
    ANSWER = "answer"
    """What a client answers to an elicitation."""


FIELDS: Final = MappingProxyType(
    {
        # prose
        **dict.fromkeys(
            (
                "text",
                "title",
                "description",
                "message",
                "instructions",
                "systemPrompt",
                "statusMessage",
                "displayName",
                "reason",
                "contents",
                "content",
                "messages",
                "values",
                "completion",
                "prompt",
                "resources",
                "tools",
                "prompts",
                "error",
                "icons",
                "reference",
                "inputRequests",
                "inputResponses",
                "roots",
            ),
            Kind.TEXT,
        ),
        # anybody's JSON
        **dict.fromkeys(("structuredContent", "arguments", "input", "toolInput", "context", "metadata"), Kind.VALUE),
        **dict.fromkeys(("_meta", "annotations", "capabilities", "experimental", "extensions", "settings"), Kind.META),
        **dict.fromkeys(("inputSchema", "outputSchema", "requestedSchema"), Kind.SCHEMA),
        # words that are shown and compared
        **dict.fromkeys(
            (
                "uri",
                "uriTemplate",
                "url",
                "src",
                "websiteUrl",
                "name",
                "logger",
                "mimeType",
                "value",
                "model",
                "stopReason",
                "version",
            ),
            Kind.ADDRESS,
        ),
        **dict.fromkeys(["data", "blob"], Kind.MEDIA),
        # the protocol's own
        **dict.fromkeys(
            (
                "type",
                "role",
                "resultType",
                "method",
                "jsonrpc",
                "action",
                "mode",
                "level",
                "ref",
                "status",
                "taskSupport",
                "theme",
                "sizes",
                "audience",
                "lastModified",
                "createdAt",
                "lastUpdatedAt",
                "cacheScope",
                "includeContext",
                "toolChoice",
                "protocolVersion",
                "supportedVersions",
                "supported",
                "requested",
                "cursor",
                "nextCursor",
                "taskId",
                "requestState",
                "progressToken",
                "requestId",
                "id",
                "toolUseId",
                "elicitationId",
                "subscriptionId",
                "stopSequences",
                "modelPreferences",
                "hints",
                "listChanged",
                "taskIds",
                "resourceSubscriptions",
                "requiredCapabilities",
            ),
            Kind.KEPT,
        ),
    }
)
"""By the name of the field, wherever in the protocol it stands."""

ELSEWHERE: Final = MappingProxyType(
    {
        (Root.ERROR, "data"): Kind.VALUE,
        (Root.NOTICE, "data"): Kind.VALUE,  # of a log message
        (Root.ANSWER, "content"): Kind.VALUE,
        (Root.ARGUMENTS, "content"): Kind.VALUE,  # of an answer that travels with a request
        (Root.LIST, "name"): Kind.KEPT,  # it is how the thing is called; pins refuse a hidden character in it
        (Root.LIST, "uri"): Kind.KEPT,
        (Root.LIST, "uriTemplate"): Kind.KEPT,
        (Root.LIST, "arguments"): Kind.TEXT,  # of a prompt: their names and descriptions
    }
)
"""Fields that are something else under some roots."""

SCHEMA_PROSE: Final = frozenset({"title", "description", "$comment", "markdownDescription"})
SCHEMA_KEPT: Final = frozenset({"pattern", "$ref", "$id", "$anchor", "$dynamicRef", "$schema", "required", "type"})
"""Words of a schema that have to match something else in it."""

_WITHIN: Final = (Kind.VALUE, Kind.META, Kind.SCHEMA, Kind.KEPT)

_ROOTS: Final = MappingProxyType(
    {
        "tools/list": Root.LIST,
        "prompts/list": Root.LIST,
        "resources/list": Root.LIST,
        "resources/templates/list": Root.LIST,
        "server/discover": Root.LIST,
        "initialize": Root.LIST,
        "notifications/message": Root.NOTICE,
        "elicitation/create": Root.ANSWER,
    }
)


def root_of(method: str) -> Root:
    """The root of what ``method`` is answered with, or of a notification's parameters."""
    return _ROOTS.get(method, Root.NOTICE if method.startswith("notifications/") else Root.RESULT)


def kind_of(root: Root, within: Kind, key: str) -> Kind:
    """The kind of the field ``key`` of an object that is itself of the kind ``within``."""
    if within is Kind.SCHEMA:
        return Kind.KEPT if key in SCHEMA_KEPT else Kind.TEXT if key in SCHEMA_PROSE else Kind.SCHEMA
    if within in _WITHIN:
        return within
    return ELSEWHERE.get((root, key)) or FIELDS.get(key, Kind.TEXT)


def kind_inside(within: Kind, kind: Kind) -> Kind:
    """What an object or array is inside, that stands in a field of ``kind`` of something ``within``."""
    if within is Kind.SCHEMA:
        return Kind.SCHEMA  # a property may well be called "title", or "type"
    return kind


def shows_keys(within: Kind) -> bool:
    return within in (Kind.VALUE, Kind.META)
