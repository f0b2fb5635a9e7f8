"""An agent without a model: it makes the reference calls of a task through the proxy, whatever it is told on the way.

It is asked as a client is that can show a form. Its user says yes to what the task needs and no to all else.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.raw_client import MODERN, RawClient
from support.raw_transports import streamable

FORMS: Final[dict[str, Any]] = {"elicitation": {"form": {}}}
CALL_LIMIT_S: Final = 60
DECISION: Final = "fuseboard/decision"
REFUSALS: Final = ("deny", "hold")


@dataclass(frozen=True, slots=True)
class Played:
    """What became of one call. ``asked`` is the question that the user saw, empty where there was none."""

    tool: str
    arguments: Mapping[str, Any]
    asked: str
    refused: str
    """The rule by which the proxy itself answered in the end, empty where the upstream did."""

    @property
    def as_call(self) -> dict[str, Any]:
        return {"name": self.tool, "arguments": dict(self.arguments)}

    @property
    def disturbed(self) -> bool:
        return bool(self.asked or self.refused)


class Agent:
    def __init__(self, client: RawClient) -> None:
        self._client = client

    async def play(self, call: Mapping[str, Any], *, approve: bool) -> Played:
        params = {"name": call["name"], "arguments": call["arguments"]}
        result = await self._send(params)
        asked = ""
        if result.get("resultType") == "input_required":
            (key, question), *_ = result["inputRequests"].items()
            asked = question["params"]["message"]
            content = {"approve": approve, "reason": "" if approve else "I did not ask for this."}
            answers = {key: {"action": "accept", "content": content}}
            result = await self._send({**params, "requestState": result["requestState"], "inputResponses": answers})
        return Played(call["name"], call["arguments"], asked, _rule(result))

    async def _send(self, params: Mapping[str, Any]) -> dict[str, Any]:
        answer = json.loads(await self._client.ask("tools/call", params, timeout_s=CALL_LIMIT_S))
        if "error" in answer:
            decision = {"verdict": "deny", "rule": f"error {answer['error']['code']}"}
            return {"isError": True, "_meta": {DECISION: decision}}
        return dict(answer["result"])


def _rule(result: Mapping[str, Any]) -> str:
    """Who spoke in place of the upstream, empty where nobody did."""
    decision = result.get("_meta", {}).get(DECISION, {})
    if decision.get("verdict") not in REFUSALS:
        return ""
    return str(decision.get("rule") or decision.get("policy"))


@asynccontextmanager
async def agent(base: str, token: str) -> AsyncIterator[Agent]:
    """A client of its own, in the run that the token names."""
    url = f"{base}/run/{token}/mcp"
    async with streamable(url, era=MODERN, capabilities=FORMS, open_session=False) as client:
        yield Agent(client)


def new_run(state: Path, task: str) -> tuple[str, str]:
    """``fuseboard run new --task TASK``: a run whose task is known, and its token. In this process, for speed."""
    from typer.testing import CliRunner

    from fuseboard.cli.run import run

    words = ["new", "--json", "--state", str(state), *(["--task", task] if knows_tasks() else [])]
    done = CliRunner().invoke(run, words)
    assert done.exit_code == 0, (words, done.output, done.exception)
    signed = json.loads(done.stdout)
    return signed["run"], signed["token"]


def knows_tasks() -> bool:
    """Whether this Fuseboard can be told what a run is for."""
    from fuseboard.cli.run import new

    return "task" in inspect.signature(new).parameters
