"""Blocks that are not what they say, that nobody knows, or that link to where none may: text takes their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from fuseboard.cleaning import links
from fuseboard.cleaning.fields import Kind, Root
from fuseboard.cleaning.media import fits, kind_of
from fuseboard.cleaning.tokens import Document, Object, Text

BLOCKS: Final = frozenset({"text", "image", "audio", "resource", "resource_link", "tool_use", "tool_result"})
"""The content blocks of both eras."""

_NOTICE: Final = "[fuseboard: {}]"
_RELABELLED: Final = ("image/", "audio/")


class Told(Protocol):
    def __call__(self, what: str, where: Text | Object, offset: int = 0, count: int = 1) -> None: ...


def replaced(
    found: Document,
    told: Told,
    *,
    media: bool,
    drops: bool,
    allowed: Callable[[str], bool] | None,
) -> dict[Object, bytes]:
    """What takes the place of which object. A media type that is merely a wrong name is put right in its own text."""
    if not (media or drops or allowed is not None):
        return {}
    addresses = {(text.owner, text.name): text for text in found.texts if text.kind is Kind.ADDRESS}
    new = _unfitting(found, addresses, told) if media else {}
    for block in found.objects:
        if block.field != "content" or block.inside is not Kind.TEXT or block in new:
            continue
        uri = addresses.get((block.number, "uri"))
        if drops and block.type is not None and block.type not in BLOCKS:
            new[block] = _text(f"a block of the unknown type {block.type[:40]!a} was left out")
            told("unknown block", block)
        elif block.type == "resource_link" and uri is not None and _leads_astray(uri.now, allowed):
            new[block] = _text(f"a link to `{uri.now[:500]}` was left out")
            told("link", uri)
    return new


def _leads_astray(uri: str, allowed: Callable[[str], bool] | None) -> bool:
    return allowed is not None and not all(allowed(host) for host in links.hosts(uri))


def _unfitting(found: Document, addresses: dict[tuple[int, str], Text], told: Told) -> dict[Object, bytes]:
    new: dict[Object, bytes] = {}
    for text in found.texts:
        declared = addresses.get((text.owner, "mimeType"))
        if text.kind is not Kind.MEDIA or declared is None or fits(declared.now, text.now):
            continue
        kind, family = kind_of(text.now) or "", declared.now.partition("/")[0].lower() + "/"
        if family in _RELABELLED and kind.startswith(family):
            declared.now = kind
            told("media type", declared)
            continue
        block = found.objects[text.owner]
        reason = f"data was left out: it is said to be {declared.now[:60]!a}, and is not"
        uri = addresses.get((text.owner, "uri"))
        is_resource = text.name == "blob"
        new[block] = _resource(uri.now if uri is not None else "", reason) if is_resource else _text(reason)
        told("media", text)
    return new


def _text(reason: str) -> bytes:
    return msgspec.json.encode({"type": "text", "text": _NOTICE.format(reason)})


def _resource(uri: str, reason: str) -> bytes:
    return msgspec.json.encode({"uri": uri, "mimeType": "text/plain", "text": _NOTICE.format(reason)})


def withheld(method: str, root: Root, reason: str, raw: bytes = b"{}") -> bytes:
    """What takes the place of a whole result. A tool's is an error: nobody then looks for what its schema promises.

    ``raw`` is that result: in the stateless era one without a ``resultType`` is none (2026-07-28, results).
    """
    if root is Root.ERROR:
        return msgspec.json.encode({"code": -32603, "message": _NOTICE.format(reason)})
    block = {"type": "text", "text": _NOTICE.format(reason)}
    if method == "prompts/get":
        value: dict[str, Any] = {"messages": [{"role": "user", "content": block}]}
    elif method == "resources/read":
        value = {"contents": [{"uri": "fuseboard://withheld", "mimeType": "text/plain", "text": block["text"]}]}
    else:
        value = {"content": [block], "isError": True}
    return msgspec.json.encode({**value, **_of_its_era(raw)})


def _of_its_era(raw: bytes) -> dict[str, Any]:
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    said: dict[str, Any] = {"resultType": "complete"} if "resultType" in fields else {}
    said |= {"ttlMs": 0} if "ttlMs" in fields else {}  # nobody need keep what was not given
    return said | ({"cacheScope": fields["cacheScope"]} if "cacheScope" in fields else {})
