"""By what calls and results are told apart: digests of their canonical form, what changes each time left out. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

_CANONICAL: Final = msgspec.json.Encoder(order="sorted").encode
_SIZE: Final = 10


def of_call(tool: str, arguments: Mapping[str, Any], volatile: Collection[str] = ()) -> str:
    """One for the same tool and equal arguments, ``volatile`` top-level fields set aside."""
    if volatile and not arguments.keys().isdisjoint(volatile):
        arguments = {name: value for name, value in arguments.items() if name not in volatile}
    return hashlib.blake2b(tool.encode() + b"\0" + _CANONICAL(arguments), digest_size=_SIZE).hexdigest()


def of_text(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=_SIZE).hexdigest()
