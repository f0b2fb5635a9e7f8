"""The vault: results, or parts of them, that the model did not get, kept for whoever may have them later.

Three kinds lie there. ``quarantine``: what violates policy, until a person has looked. ``result``: the whole of what
was too long. ``opaque``: what the model holds a handle of, and never saw. All was cleaned of secrets before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

QUARANTINE: Final = "quarantine"
RESULT: Final = "result"
OPAQUE: Final = "opaque"

RANKS: Final = {RESULT: 0, OPAQUE: 1, QUARANTINE: 2}
"""What makes room for what, the lowest first. Long results must not push out what a person has yet to see."""

WITHHELD: Final = "withheld"
RELEASED: Final = "released"
GIVEN: Final = "given"
"""The call that it was withheld from was made again, and got it."""
DROPPED: Final = "dropped"

SCHEME: Final = "fuseboard://"
_PLACES: Final = {QUARANTINE: "quarantine/", RESULT: "result/"}
_PREFIXES: Final = {QUARANTINE: "q-", RESULT: "d-", OPAQUE: "h-"}


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one thing in the vault, beside its bytes.

    ``arguments`` is the digest of the call's arguments as its client sent them. ``failure`` says that the bytes are a
    JSON-RPC error and no result, ``modern`` that they are of the stateless era.
    """

    handle: str
    kind: str
    at: float
    expires_at: float
    principal: str
    run: str
    decision: str
    upstream: str
    tool: str
    exposed: str
    method: str
    arguments: str = ""
    trust: str = "untrusted"
    sensitivity: str = "public"
    policy: str | None = None
    rule: str = ""
    why: str = ""
    size_bytes: int = 0
    failure: bool = False
    modern: bool = False
    unfit: bool = False
    """Whether it breaks the schema that its tool declares."""
    veiled: bool = False
    """Whether the tool's results are given by handles alone."""
    shared: bool = False
    """Whether all runs of the principal may use it, and not only its own."""
    status: str = WITHHELD
    by: str = ""
    """Who released or dropped it."""
    decided_at: float | None = None

    @property
    def qualified(self) -> str:
        return f"{self.upstream}__{self.tool}"


class Held(msgspec.Struct, frozen=True):
    """One thing with its bytes."""

    kept: Kept
    raw: bytes


class Vault(Protocol):
    """Holds so many bytes at most. Every method may raise :class:`fuseboard.errors.StoreUnavailable`."""

    async def put(self, kept: Kept, raw: bytes) -> bool:
        """Keep it, past the death of this process. What lies there under the handle already stays as it is.

        ``False``: there is no room for it, and nothing that would go for it.
        """
        ...

    async def get(self, handle: str, *, at: float) -> Held | None:
        """``None`` for what was never there, is past its time, or was dropped."""
        ...

    async def listed(self, kind: str, *, at: float) -> Sequence[Kept]:
        """The oldest first, dropped ones with the rest: who dropped them stays known until their time is over."""
        ...

    async def turn(self, handle: str, froms: Sequence[str], to: str, *, by: str, at: float) -> Kept | None:
        """Change the status, where it is one of ``froms``. Of several that try at once, one does; ``None`` for others.

        ``DROPPED`` forgets the bytes. ``by`` that is empty leaves who decided as it was.
        """
        ...

    async def close(self) -> None:
        """Let go of the files. Idempotent."""
        ...


def handle_of(kind: str, decision: str) -> str:
    """One for each kind and decision: what is fetched twice is kept once."""
    return _PREFIXES[kind] + decision.partition("-")[2]


def uri_of(kind: str, handle: str) -> str:
    return SCHEME + _PLACES[kind] + handle


def named(uri: str) -> tuple[str, str] | None:
    """Kind and handle of such a URI without its query, ``None`` where it is none of ours."""
    for kind, place in _PLACES.items():
        if (handle := uri.removeprefix(SCHEME + place)) != uri and handle.startswith(_PREFIXES[kind]):
            return kind, handle
    return None


def source_of(name: str) -> str | None:
    """The call whose result is read by such a URI, or given by such a name; ``None`` where it is none of ours."""
    uri = name.partition("?")[0]
    found = named(uri) or named(SCHEME + uri)
    return "d-" + found[1].partition("-")[2] if found is not None else None
