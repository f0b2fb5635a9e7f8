"""The one look at a message as it came: whether it could hold anything that has to go. Nearly none does.

It may err on the side of looking closer, never on the other: what it lets by is relayed byte for byte. A kilobyte takes
one or two passes of Aho-Corasick over the bytes and no parse, unless secrets could stand in pieces. Those of others are
put together of texts alone, which is how blocks are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import msgspec

from fuseboard.cleaning import known, links
from fuseboard.cleaning.fields import FIELDS, Kind
from fuseboard.cleaning.marks import LONG_BYTES, Marks
from fuseboard.cleaning.secrets import Secrets

_BESIDE: Final = rb'"(?:isError|resultType)"\s*+:\s*+(?:true|false|"complete")'
_ALONE: Final = re.compile(
    rb"\s*+\{\s*+(?:" + _BESIDE + rb'\s*+,\s*+)*"content"\s*+:\s*+\[\s*+\{\s*+"type"\s*+:\s*+"text"\s*+,\s*+"text"\s*+:'
    rb'\s*+"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+\}\s*+\]\s*+(?:,\s*+' + _BESIDE + rb"\s*+)*\}\s*+",
    re.DOTALL,
)
"""One text and nothing else, as most results are: nothing in it could be put together."""

_TEXT: Final = re.compile(rb'"text"\s*+:')
_SPACE: Final = b" \n\t\r"
_STRANGE: Final = re.compile(
    rb'"type"\s*+:\s*+"(?!(?:text|image|audio|resource|resource_link|tool_use|tool_result|object|string)")'
)
_KEPT: Final = frozenset(name for name, kind in FIELDS.items() if kind is Kind.KEPT)
_FREE: Final = frozenset(name for name, kind in FIELDS.items() if kind in (Kind.VALUE, Kind.META))
_DECODE: Final = msgspec.json.Decoder().decode

_HIDDEN: Final = (
    *range(0x7F, 0xA0),
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF0, 0xFFFC),
    *range(0xFDD0, 0xFDF0),
    *(plane | last for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)),
    *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
)
_PLANE_14: Final = b"\xf3\xa0"
_SURROGATES: Final = tuple(bytes((0xED, second)) for second in range(0xA0, 0xC0))  # no UTF-8, and some write it
_ESCAPES: Final = (b"\\u", b"\\b", b"\\f", b"\\r")
_PERCENT: Final = tuple(f"%{digit}".encode() for digit in "234567CDEcde")


class Quick:
    """``characters``, ``formats``, ``media`` and ``strange`` say what is looked for besides ``secrets``; ``addresses``
    whether links matter, ``alone`` that no secret is put together of several strings."""

    def __init__(
        self,
        secrets: Secrets,
        *,
        characters: bool,
        formats: bool,
        addresses: bool,
        media: bool,
        strange: bool,
        alone: bool = False,
    ) -> None:
        self._secrets = secrets
        self._alone = alone
        self._strange, self._formats = strange, formats
        marks: list[Iterable[bytes]] = [_ESCAPES]  # an escape could spell anything
        if characters:
            marks.append((*(chr(point).encode() for point in _HIDDEN), _PLANE_14, *_SURROGATES))
            marks.append(bytes((control,)) for control in range(32) if control not in (9, 10, 13))
        if formats:
            marks.append(mark.encode() for mark in known.MARKS)
        if addresses:
            marks.append(mark.encode() for mark in links.MARKS)
        if media:
            marks.append((b'"image"', b'"audio"'))
        if media or characters or formats or addresses:
            marks.append((b'"blob"',))  # which may be a text
        if secrets:
            marks += [secrets.forms, _PERCENT, (b"\\/", b"\\\\")]
        self._marks = Marks(chain.from_iterable(marks))

    def passes(self, raw: bytes) -> bool:
        """Whether there is certainly nothing to clean."""
        if self._marks.any_in(raw) or (self._strange and _STRANGE.search(raw) is not None):
            return False
        if self._secrets and self._in_lines(raw):
            return False
        if self._alone:
            return True
        several = self._formats and len(_TEXT.findall(raw)) > 1
        return not (self._secrets or several) or not self._in_pieces(raw, several)

    def _in_lines(self, raw: bytes) -> bool:
        """Whether a secret of ours may be spread over lines."""
        dense = raw.translate(None, _SPACE)
        if b"\\" in raw:
            dense = dense.replace(b"\\n", b"").replace(b"\\t", b"")
        return self._secrets.may_be_in(dense)

    def _in_pieces(self, raw: bytes, several: bool) -> bool:
        """Whether a secret may be spread over several strings. ``several``: among them several texts."""
        # of what is long, to decode it is cheaper
        if not several and len(raw) <= LONG_BYTES and _ALONE.fullmatch(raw) is not None:
            return False
        try:
            value = _DECODE(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return True
        if several and known.spans(next(pieces(value), b"").decode("utf-8", "replace")):
            return True
        return any(self._secrets.may_be_in(joined) for joined in pieces(value)) if self._secrets else False


def pieces(value: Any) -> Iterator[bytes]:
    """What the strings of a value say in a row: texts alone, all values, keys too; with and without white space."""
    texts: list[str] = []
    values: list[str] = []
    everything: list[str] = []
    stack: list[tuple[Any, str, bool]] = [(value, "", False)]
    while stack:
        item, name, free = stack.pop()
        if type(item) is str:
            values.append(item)
            everything.append(item)
            if name == "text":
                texts.append(item)
        elif type(item) is list:
            stack += [(inner, name, free) for inner in reversed(item)]
        elif type(item) is dict:
            for key in reversed(item):
                if free or key not in _KEPT:
                    stack.append((item[key], key, free or key in _FREE))
                    if free:
                        stack.append((_Key(key), "", True))
        elif type(item) is _Key:
            everything.append(item)
    for joined in (texts, values, everything):
        if len(joined) > 1:
            row = "".join(joined).encode("utf-8", "replace")
            yield row
            yield row.translate(None, _SPACE)


class _Key(str):
    __slots__ = ()
