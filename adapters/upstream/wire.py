"""HTTP as the links need it: the one border at which statuses and aiohttp's exceptions become faults of an upstream."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from fuseboard.adapters.upstream.pool import HttpPool
from fuseboard.errors import UpstreamFault, UpstreamLost, UpstreamUnreachable

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"

BODY_BYTES: Final = 64 * 1024 * 1024
"""How large one message of an upstream may be, unless told otherwise."""

_REDIRECTS: Final = 3
_AT_ONCE_BYTES: Final = 1 << 20
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
        self.headers: CIMultiDict[str] = CIMultiDict(headers)
        self.limit_bytes = limit_bytes
        self._pool = pool

    async def send(self, verb: str, headers: Mapping[str, str], body: bytes | None = None) -> aiohttp.ClientResponse:
        """Send one request and wait for the head of its response.

        Raises:
            UpstreamUnreachable: nothing was sent, or it was sent elsewhere (a redirect).
            UpstreamLost: the connection went before the response began.
        """
        session = self._pool.session()
        for _ in range(_REDIRECTS):
            try:
                # aiohttp writes bytes at one go, and warns where they are many; a file it sends piece by piece.
                data = io.BytesIO(body) if body is not None and len(body) > _AT_ONCE_BYTES else body
                response = await session.request(verb, self.url, data=data, headers=headers, allow_redirects=False)
            except (aiohttp.ClientError, OSError, ValueError) as fault:
                raise self._unsent(fault) from fault
            if not 300 <= response.status < 400:
                return response
            # One slash too few is the usual reason. The new place is kept, or each call would cost two.
            self.url = self._redirected(response)
        raise UpstreamUnreachable(self.name, f"{self.name} redirects in circles")

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """The whole body, no larger than the limit."""
        length = response.content_length
        try:
            if length is not None and length <= self.limit_bytes and "Content-Encoding" not in response.headers:
                return await response.read()
            if length is None or length <= self.limit_bytes:
                body = bytearray()
                while chunk := await response.content.readany():
                    body += chunk
                    if len(body) > self.limit_bytes:
                        break
                else:
                    return bytes(body)
        except (aiohttp.ClientError, OSError) as fault:
            raise self._dropped(fault) from fault
        response.close()
        raise self.too_large()

    async def chunk(self, response: aiohttp.ClientResponse) -> bytes:
        """The next bytes of a stream, ``b""`` at its end, orderly or not."""
        try:
            return await response.content.readany()
        except (aiohttp.ClientError, OSError) as fault:
            _log.debug("%s: a stream broke off: %r", self.name, fault)
            response.close()
            return b""

    def let_go(self, response: aiohttp.ClientResponse) -> None:
        """Leave a stream whose answer is here. It mostly ends at once, and then its connection is used again."""
        if not response.content.is_eof():
            late = asyncio.get_running_loop().call_later(_LINGER_S, response.close)
            response.content.on_eof(late.cancel)

    def refused(self, response: aiohttp.ClientResponse) -> UpstreamFault:
        """What a response that holds no JSON-RPC message means. The upstream's own words go to the log alone."""
        status = response.status
        said = f"{self.name} answered HTTP {status}{_phrase(status)}"
        if status in (401, 403):
            return UpstreamUnreachable(self.name, f"{said}: it refuses the credentials that are configured for it")
        if 400 <= status < 500:
            return UpstreamUnreachable(self.name, said, answered=True)
        if status < 300:
            kind = content_type(response) or "nothing"
            return UpstreamLost(self.name, f"{said} with {kind[:80]} where a JSON-RPC response was due")
        return UpstreamLost(self.name, said)

    def too_large(self) -> UpstreamLost:
        return UpstreamLost(self.name, f"{self.name} sent a message of more than {self.limit_bytes:,} bytes")

    def _unsent(self, fault: Exception) -> UpstreamFault:
        if isinstance(fault, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return UpstreamUnreachable(self.name, f"{self.name} cannot be reached: {_reason(fault)}")
        if isinstance(fault, ValueError | aiohttp.NonHttpUrlClientError):
            return UpstreamUnreachable(self.name, f"the URL or the headers for {self.name} cannot be sent")
        return self._dropped(fault)

    def _redirected(self, response: aiohttp.ClientResponse) -> URL:
        response.close()
        try:
            target = self.url.join(URL(response.headers.get("Location", "")))
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


def content_type(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


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


def _reason(fault: Exception) -> str:
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        return "its TLS certificate is not trusted"
    if isinstance(fault, aiohttp.ClientSSLError):
        return "the TLS handshake failed"
    if isinstance(fault, aiohttp.ClientConnectorDNSError):
        return "its host name cannot be resolved"
    if isinstance(fault, ConnectionRefusedError) or isinstance(
        getattr(fault, "os_error", None), ConnectionRefusedError
    ):
        return "the connection was refused"
    return "no connection could be made in time" if isinstance(fault, TimeoutError) else "no connection could be made"
