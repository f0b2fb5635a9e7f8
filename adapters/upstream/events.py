"""An incremental parser of event streams (WHATWG HTML, "Server-sent events", 9.2.6), in linear time and bounded space.

It keeps data as bytes, because what a stream carries here is JSON that has to stay what it was.
"""

from __future__ import annotations

from typing import Final, NamedTuple

EVENT_BYTES: Final = 64 * 1024 * 1024
"""How large one event may grow, unless told otherwise."""

_BOM: Final = b"\xef\xbb\xbf"
_FIELDS: Final = frozenset({b"data", b"event", b"id", b"retry"})
_RETRY_DIGITS: Final = 9
_HEAD_BYTES: Final = 1024


class Event(NamedTuple):
    """One dispatched event. ``data`` may be empty: MCP primes a resumable stream with such an event."""

    type: str
    data: bytes


class EventTooLarge(Exception):
    """One event passed the limit. The stream cannot be read any further."""


class EventParser:
    """Feed it chunks as they come, cut anywhere; it gives back the events that they complete.

    ``last_event_id`` is the id to resume after (``None`` until the stream gave one), ``retry_ms`` the delay that the
    server asked for before a reconnection, ``dispatched`` the number of events so far.
    """

    def __init__(self, *, limit_bytes: int = EVENT_BYTES) -> None:
        self.last_event_id: str | None = None
        self.retry_ms: int | None = None
        self.dispatched = 0
        self._limit_bytes = limit_bytes
        self.restart()

    def restart(self) -> None:
        """Go on with a new connection: what the old one left unfinished is forgotten, ids and delays are kept."""
        self._partial = bytearray()
        self._after_cr = False
        self._first_line = True
        self._id = self.last_event_id
        self._type = ""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes of the stream.

        Raises:
            EventTooLarge: an event, finished or not, holds more than ``limit_bytes``.
        """
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        # For bytes, splitlines knows exactly the three line ends of the standard. Only the new chunk is searched.
        lines = chunk.splitlines()
        rest = b"" if chunk.endswith((b"\n", b"\r")) else lines.pop()
        events: list[Event] = []
        for line in lines:
            if self._partial:
                whole, self._partial = self._partial, bytearray()
                whole += line
                self._line(whole, events)
            else:
                self._line(line, events)
        self._partial += rest
        self._bound(len(self._partial))
        return events

    def head(self) -> bytes:
        """How the data of the event began that is not finished."""
        if self._data:
            return self._data[0][:_HEAD_BYTES]
        name, _, value = bytes(self._partial[:_HEAD_BYTES]).partition(b":")
        return value.removeprefix(b" ") if name == b"data" else b""

    def _line(self, line: bytes | bytearray, events: list[Event]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(events)
            return
        colon = line.find(b":")
        name_bytes = colon if colon >= 0 else len(line)
        field = bytes(line[:name_bytes])
        if field not in _FIELDS:
            return
        # A line may hold megabytes: its value is copied once.
        value = bytes(memoryview(line)[name_bytes + (2 if line[colon + 1 : colon + 2] == b" " else 1) :])
        if field == b"data":
            self._data.append(value)  # first, so that :meth:`head` has it
            self._bound(len(value) + 1)
            self._data_bytes += len(value) + 1
        elif field == b"event":
            self._bound(len(value))
            self._type = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            self._bound(len(value))
            self._id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit():
            self.retry_ms = int(value[:_RETRY_DIGITS])

    def _dispatch(self, events: list[Event]) -> None:
        if self._id is not None:
            self.last_event_id = self._id or None
        if self._data:
            events.append(Event(self._type or "message", b"\n".join(self._data)))
            self.dispatched += 1
            self._data = []
            self._data_bytes = 0
        self._type = ""

    def _bound(self, more_bytes: int) -> None:
        if self._data_bytes + more_bytes > self._limit_bytes:
            raise EventTooLarge
