"""What the model did not get of a result, page by page: ``resources/read fuseboard://result/<decision>?from=BYTES``.

Pure. A page is plain text of at most half of ``output.max``, so that it is never cut. All in a row are the whole.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from fuseboard.cleaning import sizes
from fuseboard.vault import RESULT, Kept, uri_of
from fuseboard.wire import splice

TEXT: Final = "text/plain"
JSON: Final = "application/json"

_ROOM_BYTES: Final = 300
"""For what stands around a page's text."""
_LEAST_BYTES: Final = 200

_LISTS: Final = {"tools/call": "content", "prompts/get": "messages", "resources/read": "contents"}


class Document(NamedTuple):
    """What is paged through, as bytes of UTF-8."""

    mime: str
    raw: bytes


class Page(NamedTuple):
    text: str
    start: int
    end: int
    of: int


class Place(NamedTuple):
    """Where to go on: from which byte, of which block (``None``: of all text together)."""

    start: int = 0
    block: int | None = None


def place(query: str) -> Place | None:
    """``from=BYTES&block=N``, ``None`` for what means nothing."""
    try:
        said = dict(parse_qsl(query, strict_parsing=True, max_num_fields=4)) if query else {}
        start, block = said.pop("from", "0"), said.pop("block", None)
    except ValueError:
        return None
    numbers = [number for number in (start, block) if number is not None]
    if said or not all(number.isascii() and number.isdecimal() and len(number) <= 12 for number in numbers):
        return None
    return Place(int(start), int(block) if block is not None else None)


def document(raw: bytes, method: str, *, failure: bool = False, block: int | None = None) -> Document | None:
    """The text of a result where it holds nothing else, or else the whole of it as JSON; ``None``: no such block."""
    if failure:
        return Document(JSON, _utf_8(raw)) if block is None else None
    fields = splice.fields(raw)
    blocks = splice.items(fields.get(_LISTS[method]) or b"[]")
    if block is not None:
        return _of_block(blocks[block]) if block < len(blocks) else None
    texts = [_text_of(one) for one in blocks]
    if texts and all(text is not None for text in texts):
        return Document(TEXT, "\n".join(text for text in texts if text is not None).encode("utf-8", "replace"))
    return Document(JSON, _utf_8(raw))


def _utf_8(raw: bytes) -> bytes:
    """What is no UTF-8 inside a JSON text nobody has noticed so far, and no page could be made of it."""
    return raw.decode("utf-8", "replace").encode()


def page(whole: bytes, start: int, most_bytes: int) -> Page | None:
    """What stands from byte ``start`` on, ``None`` past the end. No character is cut in two."""
    if start > len(whole) or (start == len(whole) and start):
        return None
    while start < len(whole) and whole[start] & 0xC0 == 0x80:
        start -= 1  # whoever counted differently still gets all of it
    most = max(most_bytes - _ROOM_BYTES, _LEAST_BYTES)
    keep = most
    while True:
        text = whole[start : start + keep].decode("utf-8", "ignore")
        written = len(msgspec.json.encode(text))  # quotes and line breaks take two bytes each, some take six
        if written <= most + 2 or keep <= 8:
            return Page(text, start, start + len(text.encode()), len(whole))
        keep = max(8, min(keep - 1, keep * most // written))


def contents(uri: str, mime: str, shown: Page, *, block: int | None = None, before: str = "") -> bytes:
    """The result of ``resources/read``. What we say of the page stands apart from it."""
    said = f"bytes {shown.start:,} to {shown.end:,} of {shown.of:,}"
    told = f"[fuseboard: {before}{said}{_onward(uri, shown, block)}]"
    text = {"uri": uri, "mimeType": mime, "text": shown.text}
    whole = shown.start == 0 and shown.end == shown.of and not before
    about = [] if whole else [{"uri": uri, "mimeType": TEXT, "text": told}]
    return msgspec.json.encode({"contents": [text, *about]})


def _onward(uri: str, shown: Page, block: int | None) -> str:
    if shown.end >= shown.of:
        return ", the end"
    of = f"&block={block}" if block is not None else ""
    return f"; go on with {uri.partition('?')[0]}?from={shown.end}{of}"


def linked(raw: bytes, kept: Kept, mime: str) -> bytes:
    """A tool's result that was cut, with a link by which the rest can be had."""
    uri = uri_of(RESULT, kept.handle)
    link: dict[str, Any] = {"type": "resource_link", "uri": uri, "name": f"all of {kept.exposed}'s result"}
    link |= {"mimeType": mime, "size": kept.size_bytes}
    link["description"] = f"Read it page by page: {uri}?from=BYTES, and ?block=N for one content block alone."
    fields = splice.fields(raw)
    blocks = splice.items(fields.get("content") or b"[]")
    fields["content"] = msgspec.Raw(splice.join([*blocks, splice.raw(link)]))
    return splice.join(fields)


def unpromised(raw: bytes, uri: str) -> bytes:
    """What was cut without the word that the rest is there, since it is not. Nobody else knows the address yet."""
    return raw.replace(sizes.READ_ON.format(uri).encode(), sizes.ASK_LESS.encode())


class _Content(msgspec.Struct):
    type: str = "text"
    text: str | msgspec.UnsetType = msgspec.UNSET
    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _text_of(block: msgspec.Raw) -> str | None:
    """The text of a content block, of a message with one, or of a resource; ``None`` where it is none."""
    try:
        found = msgspec.json.decode(block, type=_Content)
        if found.content is not msgspec.UNSET:
            found = msgspec.json.decode(found.content, type=_Content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found.text if found.type == "text" and found.text is not msgspec.UNSET else None


def _of_block(block: msgspec.Raw) -> Document:
    text = _text_of(block)
    return Document(JSON, _utf_8(bytes(block))) if text is None else Document(TEXT, text.encode("utf-8", "replace"))
