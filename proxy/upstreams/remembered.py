"""What a client of the handshake era has set up on its link upstream, so that another link can be set up alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

SET_LEVEL: Final = "logging/setLevel"
SUBSCRIBE: Final = "resources/subscribe"
UNSUBSCRIBE: Final = "resources/unsubscribe"

SUBSCRIPTIONS: Final = 1000
"""How many are remembered; the oldest are forgotten first."""


class _Uri(msgspec.Struct):
    uri: str


class Remembered:
    """The log level and the subscriptions, as the client's own requests, in their order."""

    methods: Final = frozenset({SET_LEVEL, SUBSCRIBE, UNSUBSCRIBE})

    def __init__(self) -> None:
        self._level: bytes | None = None
        self._subscribed: dict[str, bytes] = {}

    @property
    def waits(self) -> bool:
        """Whether the client waits for what the upstream says of its own accord."""
        return bool(self._subscribed)

    def take(self, method: str, params: bytes | None) -> None:
        """Such a request has succeeded."""
        if params is None:
            return
        if method == SET_LEVEL:
            self._level = params
            return
        try:
            uri = msgspec.json.decode(params, type=_Uri).uri
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        self._subscribed.pop(uri, None)
        if method == SUBSCRIBE:
            if len(self._subscribed) >= SUBSCRIPTIONS:
                del self._subscribed[next(iter(self._subscribed))]
            self._subscribed[uri] = params

    def requests(self) -> Iterator[tuple[str, bytes]]:
        """What has to be asked of another link."""
        if self._level is not None:
            yield SET_LEVEL, self._level
        yield from ((SUBSCRIBE, params) for params in list(self._subscribed.values()))
