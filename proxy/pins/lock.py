"""The lock file: what was accepted of each upstream, as a person reads it and as a diff shows it best. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fuseboard.errors import FuseboardError
from fuseboard.pins.canonical import NotCanonical, digest, form

FORMAT: Final = 1
NAME: Final = "fuseboard.lock"

FIELDS: Final = ("tools", "prompts", "resourceTemplates")
"""What is pinned, by the field of its list."""

WORDS: Final = {"tools": "tool", "prompts": "prompt", "resourceTemplates": "resource template"}


class Unreadable(FuseboardError):
    """The file is no lock file of ours; the message says what is wrong."""


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True):
    """One definition as it was accepted. An upstream may define a thing otherwise in each ``era``."""

    sha256: str
    definition: msgspec.Raw
    era: str = ""


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom it was accepted of. ``name`` and ``version`` are its own claims, ``target`` is the operator's word."""

    target: str = ""
    name: str = ""
    version: str = ""


class Server(msgspec.Struct, omit_defaults=True):
    """What was accepted of one upstream, by name; several entries of a name are good alike."""

    identity: Identity = msgspec.field(default_factory=Identity)
    tools: dict[str, tuple[Accepted, ...]] = msgspec.field(default_factory=dict)
    prompts: dict[str, tuple[Accepted, ...]] = msgspec.field(default_factory=dict)
    resourceTemplates: dict[str, tuple[Accepted, ...]] = msgspec.field(default_factory=dict)

    def of(self, field: str) -> dict[str, tuple[Accepted, ...]]:
        """By the field of the list."""
        found: dict[str, tuple[Accepted, ...]] = getattr(self, field)
        return found

    @property
    def count(self) -> int:
        return sum(len(self.of(field)) for field in FIELDS)


class Lock(msgspec.Struct):
    """``servers`` are by their key: the alias, and in a file that many configurations share the target as well."""

    lock: int = FORMAT
    servers: dict[str, Server] = msgspec.field(default_factory=dict)


DEEPEST: Final = 100
"""Levels of a definition that is kept as JSON; a deeper one is kept as a text, which can be written out at no risk."""

_BRACKETS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]', re.DOTALL)
_DECODER: Final = msgspec.json.Decoder(Lock)


def read(raw: bytes | None) -> Lock:
    """The content of a lock file; ``None`` is a file that is not there.

    Raises:
        Unreadable: it is something else.
    """
    if raw is None or is_blank(raw):
        return Lock()
    try:
        raw.decode()  # nobody looks into the definitions here, and what is no text could not be written again
        lock = _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise Unreadable(f"it cannot be read: {fault}") from None
    if lock.lock != FORMAT:
        raise Unreadable(f"found format {lock.lock}; this version reads {FORMAT}")
    return lock


def is_blank(raw: bytes | None) -> bool:
    """Whether there is no file, or nothing in it."""
    return raw is None or not raw.strip()


def copied(server: Server) -> Server:
    """To be changed by somebody else."""
    return Server(server.identity, *(dict(server.of(field)) for field in FIELDS))


def accepted(raw: bytes, era: str) -> Accepted:
    """What is kept of a definition: itself, in canonical form; as a text where it has none or is deep."""
    try:
        kept = form(raw)
    except NotCanonical:
        return Accepted(digest(raw), _as_text(raw), era)
    is_deep = kept.count(b"{") + kept.count(b"[") > DEEPEST and _depth(kept) > DEEPEST
    return Accepted(hashlib.sha256(kept).hexdigest(), _as_text(kept) if is_deep else msgspec.Raw(kept), era)


def _as_text(raw: bytes) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(raw.decode(errors="replace")).encode())


def _depth(raw: bytes) -> int:
    deepest = depth = 0
    for match in _BRACKETS.finditer(raw):
        depth += 1 if match[0] in b"{[" else -1 if match[0] in b"}]" else 0
        deepest = max(deepest, depth)
    return deepest


def written(lock: Lock) -> bytes:
    """Sorted and indented; what nobody would see in a diff is escaped.

    Raises:
        Unreadable: somebody wrote a definition into it that nobody could read again.
    """
    try:
        return _written(lock)
    except RecursionError as fault:
        raise Unreadable(f"a definition in it cannot be written: {fault}") from None


def _written(lock: Lock) -> bytes:
    value: dict[str, Any] = {"lock": lock.lock, "servers": {}}
    for key, server in lock.servers.items():
        one = value["servers"][key] = {"identity": msgspec.to_builtins(server.identity)}
        for field in FIELDS:
            if server.of(field):
                one[field] = {name: [_shown(entry) for entry in entries] for name, entries in server.of(field).items()}
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    return (text if text.isascii() else _visible(text)).encode() + b"\n"


def _shown(entry: Accepted) -> Mapping[str, Any]:
    era = {"era": entry.era} if entry.era else {}
    return {"definition": json.loads(bytes(entry.definition)), "sha256": entry.sha256, **era}


def _visible(text: str) -> str:
    return "".join(one if one == "\n" or one.isprintable() else json.dumps(one)[1:-1] for one in text)
