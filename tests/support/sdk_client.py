"""The client's half of a conversation with the SDK's client: what it answers when asked, and what it heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import mcp.types as types

LIMIT_S = 15


class Ears:
    """Callbacks for the SDK's client (``**ears.callbacks``), which write down what comes."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        """Notifications, parsed, in order."""
        self._news = anyio.Event()

    @property
    def callbacks(self) -> dict[str, Any]:
        return {
            "message_handler": self._hear,
            "elicitation_callback": _elicit,
            "sampling_callback": _sample,
            "list_roots_callback": _roots,
            "log_level": "debug",
        }

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The first notification that is wanted, waited for."""
        with anyio.fail_after(LIMIT_S):
            while True:
                found = next((message for message in self.heard if wanted(message)), None)
                if found is not None:
                    return found
                self._news = anyio.Event()
                await self._news.wait()

    async def kind(self, kind: type) -> Any:
        return await self.until(lambda message: isinstance(message, kind))

    async def _hear(self, message: Any) -> None:
        self.heard.append(message)
        self._news.set()


async def _elicit(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def _sample(context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    text = types.TextContent(type="text", text="four")
    return types.CreateMessageResult(role="assistant", content=text, model="a-model")


async def _roots(context: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada")])  # type: ignore[arg-type]


def words(result: types.CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, types.TextContent), block
    return block.text
