"""The one HTTP client of the process: one set of connections, one TLS context, made when the first link needs them.

A client made per link or per call loads the certificate bundle each time, which costs more than the whole call
(20 ms against 0.1 ms, and it is what makes other proxies slow).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fuseboard import __version__

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT_S: Final = 10.0


class HttpPool:
    """Connections to every HTTP upstream. Make one anywhere; use it and close it on one event loop."""

    def __init__(self, *, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """The shared session. The first call imports aiohttp, which holds the TLS context that all links share."""
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                # Every open stream holds a connection, so a cap would be a deadlock: the pipeline bounds the calls.
                connector=aiohttp.TCPConnector(limit=0),
                # Cookies of one client's session must not travel with another's.
                cookie_jar=aiohttp.DummyCookieJar(),
                # Deadlines are the core's; a stream may be silent for hours.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
                # Compressed streams are held back by whoever compresses them, and may unfold without bound.
                headers={"User-Agent": f"fuseboard/{__version__}", "Accept-Encoding": "identity"},
                trust_env=False,
                read_bufsize=256 * 1024,
            )
        return self._session

    async def close(self) -> None:
        """Close every connection. Idempotent; a later use opens the pool anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
