"""Results as they come back, and what is made of them: for everything that is about the truth of results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from fuseboard import truth
from fuseboard.breakers.tails import outcome, tool_key
from fuseboard.errors import UpstreamFault
from fuseboard.events import Caller, CallProposed, CallReturned, Effect, Finding, Tool
from fuseboard.ports import Failure, Reply, Result
from fuseboard.results import findings
from fuseboard.state import EMPTY, Snapshot

TOOL = Tool("lab", "look", "look", Effect.READ)


def call(tool: Tool = TOOL, **arguments: Any) -> CallProposed:
    return CallProposed(
        1.0, "d1", "r1", "tools/call", Caller("p"), tool, arguments, fingerprint=json.dumps(arguments, sort_keys=True)
    )


def text(said: str, *, error: bool = False) -> Result:
    body: dict[str, Any] = {"content": [{"type": "text", "text": said}]}
    return Result(json.dumps(body | ({"isError": True} if error else {})).encode())


def value(said: Any) -> Result:
    return Result(json.dumps({"content": [], "structuredContent": said}).encode())


def error(code: int, message: str, data: Any = None, **beside: Any) -> Failure:
    body = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return Failure(json.dumps(body).encode(), **beside)


def returned(reply: Reply, proposal: CallProposed | None = None) -> CallReturned:
    proposal = proposal or call()
    return CallReturned(2.0, proposal, truth.of_reply(proposal.method, reply), None, len(reply.raw))


def found(reply: Reply, proposal: CallProposed | None = None, state: Snapshot = EMPTY) -> Finding:
    return findings.found(returned(reply, proposal), reply, state)


def failed(fault: UpstreamFault) -> Finding:
    return findings.found(CallReturned(2.0, call(), truth.of_fault(fault)), None, EMPTY, fault)


def history(replies: Sequence[tuple[Reply, Mapping[str, Any]]], tool: Tool = TOOL) -> Snapshot:
    """The state after so many calls of a tool, each with its own arguments."""
    tail: list[Any] = []
    for reply, arguments in replies:
        state = Snapshot({tool_key(tool.qualified): list(tail)})
        event = returned(reply, call(tool, **arguments))
        tail.append(list(outcome(replace(event, finding=findings.found(event, reply, state)))))
    return Snapshot({tool_key(tool.qualified): tail[-32:]})
