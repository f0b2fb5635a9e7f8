"""A handshake server that asks in the middle of its call, and a stateless client that answers by sending it again."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any, Final

import pytest

from fuseboard.era import Era
from fuseboard.ports import Reply
from support.fake_server import Act, Asked, FakeServer, FakeTool, text
from support.playbook import FakeClient, Play, RpcError

WHO: Final[dict[str, Any]] = {"message": "Who is there?", "requestedSchema": {"type": "object", "properties": {}}}
ADA: Final = {"action": "accept", "content": {"name": "Ada"}}
ABLE: Final[dict[str, Any]] = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}


def asking(*questions: tuple[str, dict[str, Any] | None], seen: list[Any] | None = None) -> Act:
    """Asks one after the other and says what it was answered."""

    async def act(asked: Asked) -> Reply:
        heard = seen if seen is not None else []
        for method, params in questions:
            reply = await asked.scope.request(method, json.dumps(params).encode() if params is not None else None)
            heard.append(json.loads(reply.raw))
        return text(json.dumps(heard))

    return act


def server(act: Act, **options: Any) -> FakeServer:
    return FakeServer("u", FakeTool("work", act), eras=[Era.HANDSHAKE], scoped=True, **options)


def arrive(play: Play, principal: str = "ada", **capabilities: Any) -> FakeClient:
    return play.arrive(Era.STATELESS, principal=principal, **(capabilities or ABLE))


async def begin(client: FakeClient, **arguments: Any) -> tuple[dict[str, Any], str]:
    """The questions of a call's first round, and its token."""
    first = await client.call("work", **arguments)
    assert first["resultType"] == "input_required", first
    return first["inputRequests"], first["requestState"]


async def retry(client: FakeClient, state: Any, answers: Any, name: str = "work", **arguments: Any) -> Any:
    params = {"name": name, "arguments": arguments, "requestState": state, "inputResponses": answers}
    return await client.request("tools/call", params)


async def refused(call: Awaitable[Any]) -> RpcError:
    with pytest.raises(RpcError) as fault:
        await call
    return fault.value


def heard(result: Any) -> list[Any]:
    """What the server was answered."""
    assert result["resultType"] == "complete", result
    found: list[Any] = json.loads(result["content"][0]["text"])
    return found
