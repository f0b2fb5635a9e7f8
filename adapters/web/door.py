"""Who may look at the pages: whoever reads the operator's terminal, where a link is printed that opens the door once.

Under one operating-system user this is a speed bump and no wall: an agent that can read that terminal can open it too.
Cookies know no ports: whatever else serves pages on the same host name could be sent this one (RFC 6265, 8.5).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Final, NamedTuple

SESSION_S: Final = 12 * 3600.0
SESSIONS: Final = 16
COOKIE: Final = "fuseboard_operator"


class Visitor(NamedTuple):
    """Whoever opened the door. ``secret`` never leaves the process."""

    secret: bytes
    until: float

    def mark(self, what: str) -> str:
        """Stands in the form about ``what``, so that no other page can send it (CSRF)."""
        return hmac.new(self.secret, what.encode(), hashlib.sha256).hexdigest()

    def marked(self, what: str, mark: str) -> bool:
        return hmac.compare_digest(self.mark(what).encode(), mark.encode(errors="replace"))


class Door:
    """``invite`` is told each new token, for the operator alone. ``now`` gives Unix seconds."""

    def __init__(self, invite: Callable[[str], None], now: Callable[[], float]) -> None:
        self._invite = invite
        self._now = now
        self._token: bytes | None = None
        self._visitors: dict[bytes, Visitor] = {}

    def open(self) -> None:
        """Make a token that is good once, and tell the operator."""
        token = secrets.token_urlsafe(32)
        self._token = _digest(token)
        self._invite(token)

    def enter(self, token: str) -> str | None:
        """The ``Set-Cookie`` of a session in exchange for the token, ``None`` for any other. The next one is told."""
        if self._token is None or not hmac.compare_digest(self._token, _digest(token)):
            return None
        self.open()
        id = secrets.token_urlsafe(32)
        while len(self._visitors) >= SESSIONS:
            del self._visitors[next(iter(self._visitors))]
        self._visitors[_digest(id)] = Visitor(secrets.token_bytes(32), self._now() + SESSION_S)
        return f"{COOKIE}={id}; HttpOnly; SameSite=Strict; Path=/approvals; Max-Age={SESSION_S:.0f}"

    def visitor(self, cookie: str | None) -> Visitor | None:
        """Whose request it is, by its ``Cookie`` header."""
        try:
            morsel = SimpleCookie(cookie or "").get(COOKIE)
        except CookieError:
            return None
        visitor = self._visitors.get(_digest(morsel.value)) if morsel is not None else None
        return visitor if visitor is not None and self._now() < visitor.until else None


def _digest(token: str) -> bytes:
    """What is kept in place of a token, and looked up: the time that takes tells nothing of the token."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
