"""Ways back to a client that lead nowhere, or almost: the base of every scope that answers for nobody."""

from __future__ import annotations

from typing import Final

from fuseboard.errors import METHOD_NOT_FOUND
from fuseboard.ports import Reply
from fuseboard.wire import frames


class Silent:
    """The scope of a request that no client waits for: what belongs to it is dropped, what it asks is refused."""

    def __init__(self, request_id: bytes | None = None) -> None:
        self.request_id = request_id

    def notify(self, method: str, params: bytes | None) -> None:
        return None

    def stream(self) -> None:
        return None

    def release(self) -> None:
        return None

    async def request(self, method: str, params: bytes | None) -> Reply:
        return frames.failure(METHOD_NOT_FOUND, f"no client is there to answer {method}")


NOWHERE: Final = Silent()
