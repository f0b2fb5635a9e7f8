"""What every HTTP request must pass, whatever its path: Host, Origin, size, media type, and who is asking."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from fuseboard.adapters.downstream.asgi import MEASURED, Caller, Head, Message, Refusal, too_large
from fuseboard.adapters.downstream.limits import Limits

Auth: TypeAlias = Mapping[str, tuple[str, Sequence[str]]]
"""Bearer token -> (principal, roles)."""

LOCAL: Final = Caller("local")
"""Whoever reaches a listener that asks for no token: it is bound to loopback."""

_LOOPBACK: Final = (b"127.0.0.1", b"localhost", b"[::1]")
_SCHEMES: Final = (b"http://", b"https://")
_SINGLE: Final = frozenset(
    {b"host", b"origin", b"authorization", b"content-type", b"content-length", b"mcp-session-id", b"last-event-id"}
)
"""Headers that two readers of one request must not read differently."""


class Guard:
    """The checks. The first that fails is the answer. ``allowed_hosts`` are ``name``, ``name:port`` or ``name:*``.

    ``any_address`` accepts every IP address as Host too: rebinding takes a name, and an address is none.
    """

    def __init__(
        self, limits: Limits, *, auth: Auth | None, allowed_hosts: Iterable[str] = (), any_address: bool = False
    ) -> None:
        self._limits = limits
        self._any_address = any_address
        self._bearer = None if auth is None else Bearer(auth)
        hosts = [host.lower().encode() for host in allowed_hosts]
        self._exact = frozenset(hosts)
        self._any_port = frozenset(host[:-2] for host in hosts if host.endswith(b":*"))
        self._by_port: dict[int, frozenset[bytes]] = {}

    def size(self, scope: Message) -> Refusal | None:
        """Is the head small enough to be looked at?"""
        if MEASURED in scope.get("extensions", ()):
            return None
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if len(headers) > self._limits.headers:
            return Refusal(431, f"{len(headers)} headers; at most {self._limits.headers} are read")
        head_bytes = sum([len(name) + len(value) for name, value in headers], len(scope["path"]))
        if head_bytes + len(scope["query_string"]) > self._limits.head_bytes:
            return Refusal(431, f"the headers are over {self._limits.head_bytes} bytes")
        return None

    def place(self, scope: Message, head: Head) -> Refusal | None:
        """Is the request whole and meant for us? A page of some other site in the user's browser is not."""
        if head.repeated and (twice := head.repeated & _SINGLE):
            return Refusal(400, f"the header {min(twice).decode('latin-1')} stands twice; send it once")
        if not self._host_allowed(head.get(b"host"), scope["server"][1]):
            return Refusal(421, "this Host is not served here; if it should be, the operator names it under `hosts:`")
        origin = head.get(b"origin")
        if origin is not None and not self._origin_allowed(origin):
            return Refusal(403, "requests from this Origin are not accepted")
        return None

    def post(self, head: Head) -> Refusal | None:
        """Is the announced body one that we read?"""
        kind = head.get(b"content-type") or b""
        if kind != b"application/json" and kind.split(b";")[0].strip().lower() != b"application/json":
            return Refusal(415, "Content-Type must be application/json")
        length = head.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length[:20]) > self._limits.body_bytes):
            return too_large(self._limits.body_bytes)
        return None

    def who(self, head: Head) -> Caller | Refusal:
        if self._bearer is None:
            return LOCAL
        caller = self._bearer.identify(head.get(b"authorization"))
        return caller or Refusal(401, "a bearer token is needed", headers=((b"www-authenticate", b"Bearer"),))

    def _host_allowed(self, host: bytes | None, port: int) -> bool:
        if host is None:
            return False
        allowed = self._by_port.get(port)
        if allowed is None:
            allowed = self._by_port[port] = self._exact | _loopback(port)
        if host in allowed or (host := host.lower()) in allowed or (name := _name(host)) in self._any_port:
            return True
        return self._any_address and _is_address(name)

    def _origin_allowed(self, origin: bytes) -> bool:
        origin = origin.lower()
        for scheme in _SCHEMES:
            if origin.startswith(scheme):
                place = origin[len(scheme) :]
                name = _name(place)
                return name in _LOOPBACK or name in self._any_port or place in self._exact or name in self._exact
        return False


class Bearer:
    """Finds the caller by the token, in a time that tells nothing about the tokens that are known."""

    def __init__(self, auth: Auth) -> None:
        self._known = [
            (token.encode(), Caller(principal, tuple(roles), number))
            for number, (token, (principal, roles)) in enumerate(auth.items(), start=1)
        ]

    def identify(self, authorization: bytes | None) -> Caller | None:
        scheme, _, token = (authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        token = token.strip()
        found: Caller | None = None
        for known, caller in self._known:
            if hmac.compare_digest(known, token):
                found = caller
        return found


def _loopback(port: int) -> frozenset[bytes]:
    """How a client on this machine may name us; port 80 goes without saying."""
    names = {b"%b:%d" % (name, port) for name in _LOOPBACK}
    return frozenset(names.union(_LOOPBACK) if port == 80 else names)


def _is_address(name: bytes) -> bool:
    try:
        ipaddress.ip_address(name.strip(b"[]").decode("ascii"))
    except ValueError:
        return False
    return True


def _name(place: bytes) -> bytes:
    """``name:port`` without the port; the colons of ``[::1]`` are no port."""
    name, colon, port = place.rpartition(b":")
    return name if colon and port.isdigit() else place
