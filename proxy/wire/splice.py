"""Change one field of a JSON object and leave the bytes of all the others alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

Fields: TypeAlias = dict[str, msgspec.Raw]
"""The fields of an object, each value still the bytes that it was. Assign ``None`` nowhere: delete instead."""

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODE: Final = msgspec.json.Encoder().encode


def fields(raw: bytes | msgspec.Raw | None) -> Fields:
    """The fields of an object, in order.

    Raises:
        msgspec.MsgspecError: it is not an object.
    """
    return _OBJECT.decode(raw) if raw else {}


def items(raw: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """The items of an array.

    Raises:
        msgspec.MsgspecError: it is not an array.
    """
    return _ARRAY.decode(raw)


def raw(value: Any) -> msgspec.Raw:
    """A value as JSON, ready to stand in :data:`Fields`."""
    return msgspec.Raw(_ENCODE(value))


def join(value: Mapping[str, msgspec.Raw] | list[msgspec.Raw]) -> bytes:
    return _ENCODE(value)


def may_hold_meta(params: bytes) -> bool:
    """Whether ``_meta`` can be among the keys of ``params``; no is certain. Saves the parse of nearly all that lack it.

    No letter of ``_meta`` has an escape but that by its code point.
    """
    return b"_meta" in params or b"\\u" in params


def with_fields(object_: bytes | None, **changed: Any) -> bytes:
    """The object with some fields set to new values."""
    changes = fields(object_)
    changes.update({name: raw(value) for name, value in changed.items()})
    return join(changes)


def unambiguous(object_: bytes) -> bytes:
    """The very same object where no key stands in it twice; else with the last of each, which is the one we read.

    A reader that takes the first would see what nobody judged (RFC 8259, 4). A value that was left out makes the
    joined object shorter: only then is it worth a parse.
    """
    joined = join(fields(object_))
    if len(joined) == len(object_):
        return object_
    keys = [key for key, _ in json.loads(object_, object_pairs_hook=list)]
    return joined if len(keys) != len(set(keys)) else object_
