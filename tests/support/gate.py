"""A tool that says what it was asked and waits to be let on."""

from __future__ import annotations

from typing import Any

import anyio

from fuseboard.ports import Reply
from support.fake_server import Asked, FakeServer, FakeTool, result


class Gate:
    """The tool. ``on`` lets every call go on."""

    def __init__(self) -> None:
        self.on = anyio.Event()
        self.asked: list[Asked] = []

    async def __call__(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        await self.on.wait()
        return result({"content": []})

    def tokens(self) -> list[Any]:
        return [asked.value["_meta"]["progressToken"] for asked in self.asked]


def working(**options: Any) -> tuple[FakeServer, Gate]:
    gate = Gate()
    return FakeServer("u", FakeTool("work", gate), **options), gate


async def settle() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
