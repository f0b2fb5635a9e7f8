"""Results and arguments as the texts that are compared: decoded, in one spelling, one blank between words. Pure."""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

SHORTEST: Final = 4
"""In characters. A shorter text is in every result."""

_FEW_DIGITS: Final = 6
_LEAVES: Final = 256
_CHARS: Final = 131_072
"""How much of a call's arguments is looked at, all together."""

_NESTED: Final = 4
_DIGITS: Final = re.compile(r"[\d\s.,:/+-]*")
_PIECE: Final = re.compile(r"[^\s\"'<>()\[\]{}|`]+")
_TOKEN: Final = 8
_MAIL: Final = re.compile(r"[^\s@:/]+@[^\s@/]+\.[^\s@/]+")
_IBAN: Final = re.compile(r"[a-z]{2}\d{2} ?[a-z0-9]{4}[a-z0-9 ]{7,30}")
_PATH: Final = re.compile(r"(?:[a-z]:)?[^\s@:?=&]*[/\\.][^\s@:?=&]*")
_WEB: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*://|www\.)([^/?#\s]+)")


class Leaf(NamedTuple):
    """One text or number of the arguments. ``path`` is a JSON Pointer, ``text`` as it is compared."""

    path: str
    said: str
    text: str

    @property
    def weak(self) -> bool:
        """Whether it is so short, or so plain a number, that meeting it elsewhere says little."""
        return len(self.text) < SHORTEST or is_plain_number(self.text)


def is_plain_number(text: str) -> bool:
    return _DIGITS.fullmatch(text) is not None and sum(map(str.isdigit, text)) < _FEW_DIGITS


def normalised(text: str) -> str:
    """In one spelling: compatibility forms, letter case and blanks tell nothing apart."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def is_address(text: str) -> bool:
    """Whether it says where something goes to: a mail address, an account."""
    return _MAIL.fullmatch(text) is not None or _IBAN.fullmatch(text) is not None


def is_path(text: str) -> bool:
    """Whether it names a file, a branch or a module, as far as its signs say; web and mail addresses do not."""
    return _PATH.fullmatch(text) is not None and _WEB.match(text) is None


def is_distinctive(text: str) -> bool:
    """Whether two people would hardly write it by chance: an address, an identifier, a path; not a word or two."""
    if is_address(text) or len(text) >= 24:
        return True
    return len(text) >= _TOKEN and any(not (sign.isalpha() or sign.isspace()) for sign in text)


def pieces(text: str, *, hosts: bool = False) -> Iterator[str]:
    """The addresses, identifiers and the like inside a longer text; with ``hosts`` those of web addresses too."""
    seen = set()
    for met in _PIECE.finditer(text):
        piece = met[0].strip(".,;:!?*_")
        if piece in seen or len(piece) < _TOKEN:
            continue
        seen.add(piece)
        web = _WEB.match(piece)
        telling = web is not None or "@" in piece or any(map(str.isdigit, piece))
        if telling and not is_plain_number(piece):
            yield piece
        if hosts and web is not None and len(web[1]) >= _TOKEN and web[1] != piece:
            yield web[1]


def leaves(arguments: Any) -> tuple[list[Leaf], bool]:
    """Texts and numbers at any depth, in order, and whether that is all of them: there is a bound to it."""
    found: list[Leaf] = []
    left = _CHARS
    pending: list[tuple[str, Any]] = [("", arguments)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            inner = [(f"{path}/{_escaped(str(name))}", one) for name, one in value.items()]
            pending += reversed(inner)
        elif isinstance(value, list):
            pending += reversed([(f"{path}/{number}", one) for number, one in enumerate(value)])
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            said = value if isinstance(value, str) else repr(value)
            if left <= 0 or len(found) >= _LEAVES:
                return found, False
            if text := normalised(said[:left]):
                found.append(Leaf(path, said[:200], text))
            left -= len(said)
    return found, left >= 0


def text_of(raw: bytes) -> str:
    """All that a result, an error or a prompt says, as one text to look into."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return normalised(raw.decode("utf-8", "replace"))
    return normalised("\n".join(_said(value)))


def text_of_value(value: Any) -> str:
    return normalised("\n".join(_said(value)))


def _said(value: Any) -> Iterator[str]:
    pending: list[tuple[Any, int]] = [(value, 0)]
    while pending:
        one, depth = pending.pop()
        if isinstance(one, str):
            yield one
            if depth < _NESTED and (inner := _inside(one)) is not None:
                pending.append((inner, depth + 1))
            elif "&" in one and (plain := html.unescape(one)) != one:
                yield plain
        elif isinstance(one, dict):
            for name, inner in reversed(one.items()):
                pending.append((inner, depth))
                if name == "blob" and isinstance(inner, str) and (text := _unpacked(inner)):
                    pending.append((text, depth))
                pending.append((name, _NESTED))
        elif isinstance(one, list):
            pending += ((inner, depth) for inner in reversed(one))
        elif isinstance(one, int | float) and not isinstance(one, bool):
            yield repr(one)


def _inside(text: str) -> Any:
    """A JSON document inside a text: what its own escapes hide is said, too."""
    if text[:1] not in ("{", "[") or "\\" not in text:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None


def _unpacked(blob: str) -> str:
    try:
        return base64.b64decode(blob, validate=True).decode()
    except ValueError:
        return ""


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
