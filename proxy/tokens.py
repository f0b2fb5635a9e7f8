"""Run tokens: the operator's own word for which run a client belongs to, and what that run may use.

``fb1.<payload>.<mac>``: JSON and its HMAC-SHA256, both in URL-safe Base64, under a key that stays in the state folder.
A token is a URL path or an environment variable, so every client can carry one, and whoever holds it is in the run.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

import msgspec

from fuseboard.ports import SignedRun
from fuseboard.stated import Stated

VERSION: Final = "fb1"
LONGEST_TOKEN: Final = 4096
"""In characters. None of ours comes near it, and a client can send any."""

REMEDY: Final = "`fuseboard run new` on the machine of the proxy makes a new one"

EXPIRED: Final = f"this run token has expired; {REMEDY}"

_REMEMBERED: Final = 1024


class BadToken(Exception):
    """A run token that does not hold. The message is for whoever sent it, and repeats nothing of the token."""


class _Payload(msgspec.Struct, omit_defaults=True):
    run: str
    issued: float
    expires: float
    principal: str | None = None
    limits: dict[str, float] = msgspec.field(default_factory=dict)
    """The ceilings, by unit."""
    depth: int | None = None
    parallel: int | None = None
    pace: tuple[float, int] | None = None
    rate: str = ""
    pause_at: float | None = None


class Tokens:
    """Makes and reads tokens under one key."""

    def __init__(self, key: bytes) -> None:
        # A key for each purpose: ids of claimed runs are derived from the same secret, and everybody sees those.
        self._key = hmac.digest(key, b"fuseboard run token", hashlib.sha256)
        self._read: dict[str, SignedRun] = {}

    def make(self, signed: SignedRun) -> str:
        own = signed.limits
        payload = _Payload(
            signed.run,
            signed.issued_at,
            signed.expires_at,
            signed.principal,
            dict(own.ceilings),
            own.depth,
            own.parallel,
            own.pace,
            own.rate,
            own.pause_at,
        )
        head = f"{VERSION}.{_text(msgspec.json.encode(payload))}"
        return f"{head}.{_text(self._mac(head))}"

    def read(self, token: str, *, principal: str, at: float) -> SignedRun:
        """What the token says, for whoever authenticated as ``principal``, at ``at`` (Unix seconds).

        Raises:
            BadToken: it was made under another key or by nobody, has expired, or is another principal's.
        """
        if (signed := self._read.get(token)) is None:
            signed = self._opened(token)
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            self._read[token] = signed
        refuse_stale(signed, principal=principal, at=at)
        return signed

    def _opened(self, token: str) -> SignedRun:
        head, _, mac = token.rpartition(".")
        version, _, payload = head.partition(".")
        if len(token) > LONGEST_TOKEN or version != VERSION or not token.isascii():
            raise BadToken(f"this is no run token; {REMEDY}")
        if not hmac.compare_digest(_text(self._mac(head)), mac):
            raise BadToken(f"this run token was not signed by this proxy, or was altered since; {REMEDY}")
        try:
            said = msgspec.json.decode(_bytes(payload), type=_Payload)
        except (msgspec.MsgspecError, binascii.Error, ValueError):
            raise BadToken(f"this run token was signed by another version of the proxy; {REMEDY}") from None
        own = Stated(said.limits, said.depth, said.parallel, said.pace, said.rate, said.pause_at)
        return SignedRun(said.run, said.issued, said.expires, said.principal, own)

    def _mac(self, head: str) -> bytes:
        return hmac.digest(self._key, head.encode(), hashlib.sha256)


def refuse_stale(signed: SignedRun, *, principal: str, at: float) -> None:
    """Raises BadToken where the run is over, or is another's."""
    if at >= signed.expires_at:
        raise BadToken(EXPIRED)
    if signed.principal is not None and signed.principal != principal:
        raise BadToken(
            f"this run token is for another principal than {principal!r}; `fuseboard run new --principal {principal}` "
            "makes one for it"
        )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
