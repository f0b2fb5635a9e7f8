"""HTTP as the links need it: the one border at which statuses and lost connections become faults of an upstream."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from yarl import URL

from fuseboard.adapters.upstream import patience
from fuseboard.adapters.upstream.connection import Dropped, Response
from fuseboard.adapters.upstream.pool import HttpPool, Target, Unreachable
from fuseboard.errors import (
    Undelivered,
    UpstreamFault,
    UpstreamGarbled,
    UpstreamLost,
    UpstreamOversize,
    UpstreamThrottled,
    UpstreamUnreachable,
)

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"

BODY_BYTES: Final = 64 * 1024 * 1024
"""How large one message of an upstream may be, unless told otherwise."""

_REDIRECTS: Final = 3
_KEEPS_METHOD: Final = frozenset({307, 308})
_LINGER_S: Final = 1.0

_log = logging.getLogger("fuseboard.upstream")


class Wire:
    """Requests to one endpoint. ``headers`` go with each of them; ``name`` stands in error texts."""

    def __init__(
        self, name: str, url: str, headers: Mapping[str, str], pool: HttpPool, *, limit_bytes: int = BODY_BYTES
    ) -> None:
        self.name = name
        self.url = URL(url)
        self.headers = headers
        self.limit_bytes = limit_bytes
        self._pool = pool
        self._aimed: Target | None = None

    async def send(self, verb: str, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        """Send one request and wait for the head of its response.

        Raises:
            UpstreamUnreachable: nothing was sent, or it was sent elsewhere (a redirect).
            UpstreamLost: the connection went before the response began.
        """
        for _ in range(_REDIRECTS):
            try:
                response = await self._pool.ask(self._target(), verb, headers, body)
            except Unreachable as fault:
                said = f"{self.name} cannot be reached: {fault}"
                raise (Undelivered if fault.refused else UpstreamUnreachable)(self.name, said) from fault
            except ValueError as fault:
                said = f"the URL or the headers for {self.name} cannot be sent"
                raise UpstreamUnreachable(self.name, said) from fault
            except Dropped as fault:
                raise self._dropped(fault) from fault
            if not 300 <= response.status < 400:
                return response
            # One slash too few is the usual reason. The new place is kept, or each call would cost two.
            self.url = self._redirected(response)
        raise UpstreamUnreachable(self.name, f"{self.name} redirects in circles")

    async def read(self, response: Response) -> bytes:
        """The whole body, no larger than the limit."""
        length = response.content_length
        try:
            if length is not None and length <= self.limit_bytes and not response.encoded:
                return await response.read()
            if length is None or length <= self.limit_bytes:
                body = bytearray()
                while chunk := await response.readany():
                    body += chunk
                    if len(body) > self.limit_bytes:
                        break
                else:
                    return bytes(body)
        except Dropped as fault:
            raise self._dropped(fault) from fault
        response.close()
        raise self.too_large()

    async def chunk(self, response: Response) -> bytes:
        """The next bytes of a stream, ``b""`` at its end, orderly or not."""
        try:
            return await response.readany()
        except Dropped as fault:
            _log.debug("%s: a stream broke off: %r", self.name, fault)
            response.close()
            return b""

    def let_go(self, response: Response) -> None:
        """Leave a stream whose answer is here. It mostly ends at once, and then its connection is used again."""
        response.let_go(_LINGER_S)

    def refused(self, response: Response) -> UpstreamFault:
        """What a response that holds no JSON-RPC message means. The upstream's own words go to the log alone."""
        wait_s = asked_wait_s(response)
        fault = self._refused(response, "" if wait_s is None else f" and asks to wait {wait_s:g} s")
        fault.status, fault.retry_after_s = response.status, wait_s
        return fault

    def _refused(self, response: Response, asking: str) -> UpstreamFault:
        status = response.status
        said = f"{self.name} answered HTTP {status}{_phrase(status)}{asking}"
        if status in (401, 403):
            return UpstreamUnreachable(self.name, f"{said}: it refuses the credentials that are configured for it")
        if status == 429:
            return UpstreamThrottled(self.name, said, answered=True)
        if 400 <= status < 500:
            return UpstreamUnreachable(self.name, said, answered=True)
        if status < 300:
            kind = content_type(response) or "nothing"
            return UpstreamGarbled(self.name, f"{said} with {kind[:80]} where a JSON-RPC response was due")
        return UpstreamLost(self.name, said)

    def too_large(self) -> UpstreamOversize:
        return UpstreamOversize(self.name, f"{self.name} sent a message of more than {self.limit_bytes:,} bytes")

    def _target(self) -> Target:
        if self._aimed is None or self._aimed.url is not self.url:
            self._aimed = Target(self.url, self.headers)
        return self._aimed

    def _redirected(self, response: Response) -> URL:
        response.close()
        try:
            target = self.url.join(URL(response.headers.get("location") or ""))
        except ValueError:
            target = URL()
        if response.status in _KEEPS_METHOD and same_origin(self.url, target):
            return target
        place = str(target.with_query(None).with_user(None))[:200] if target.absolute else "nowhere"
        raise UpstreamUnreachable(
            self.name, f"{self.name} redirects to {place}, which is not followed: configure that URL if it is right"
        )

    def _dropped(self, fault: Exception) -> UpstreamLost:
        _log.debug("%s: %r", self.name, fault)
        return UpstreamLost(self.name, f"the connection to {self.name} was lost before it answered")


def asked_wait_s(response: Response) -> float | None:
    """How long the upstream asks to be left alone, where it refused: a limit that still has room asks for nothing."""
    return patience.asked_wait_s(response.headers.get, now=time.time()) if response.status in (429, 503) else None


def content_type(response: Response) -> str:
    return (response.headers.get("content-type") or "").partition(";")[0].strip().lower()


def same_origin(one: URL, other: URL) -> bool:
    """Equal scheme, host and port, and no credentials of its own in the second (RFC 6454)."""
    return _origin(one) == _origin(other) and other.user in (None, one.user)


def _origin(url: URL) -> tuple[str, str, int | None]:
    return url.scheme, (url.raw_host or "").lower(), url.port


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
