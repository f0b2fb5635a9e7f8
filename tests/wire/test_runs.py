"""Runs over real connections: a signed token in the URL or the environment, and an agent that is called as a tool."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError

from support.matrix import SDK_SERVER, Mode, program
from support.proxy import Proxy, fuseboard, serve_command, served

AGENT_SERVER = Path(__file__).parent.parent / "support" / "agent_server.py"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SERVER = program([sys.executable, str(SDK_SERVER), "stdio"])
AGENT = program([sys.executable, str(AGENT_SERVER)]) | {"agent": True}
LIMIT_S = 60

MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])


async def signed(state: Path, *options: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((await fuseboard("run", "new", "--json", *options, state=state)).stdout)
    return said


@asynccontextmanager
async def board(folder: Path, **servers: Any) -> AsyncIterator[Proxy]:
    with anyio.fail_after(LIMIT_S):
        async with served({"servers": servers}, folder) as proxy:
            yield proxy


@MODES
async def test_a_token_in_the_url_is_the_run_over_reconnects_and_its_limits_hold(tmp_path: Path, mode: Mode) -> None:
    token = await signed(tmp_path / "state", "--budget", "calls=3")
    async with board(tmp_path, one=SERVER) as proxy:
        answers = []
        for _ in range(2):
            async with Client(proxy.base + token["path"], mode=mode) as client:
                answers += [await client.call_tool("echo", {"text": "hi"}) for _ in range(2)]
        records = await proxy.trace()
    assert [answer.is_error for answer in answers] == [False, False, False, True]
    assert {(one["run"], one["run_source"], one["confidence"]) for one in records} == {
        (token["run"], "token", "signed")
    }
    assert [one["seq"] for one in records] == [1, 2, 3, 4]
    assert records[-1]["rule"] == "run.calls"


async def test_a_token_before_sse(tmp_path: Path) -> None:
    token = await signed(tmp_path / "state")
    async with board(tmp_path, one=SERVER) as proxy:
        async with Client(sse_client(f"{proxy.base}/run/{token['token']}/sse"), mode="legacy") as client:
            await client.call_tool("echo", {"text": "hi"})
        (record,) = await proxy.trace()
    assert (record["run"], record["transport"]) == (token["run"], "sse")


@MODES
async def test_a_token_in_the_environment_is_the_run_of_a_pipe(tmp_path: Path, mode: Mode) -> None:
    token = await signed(tmp_path / "state")
    for _ in range(2):
        command, *arguments = serve_command({"servers": {"one": SERVER}}, tmp_path)
        parameters = StdioServerParameters(command=command, args=arguments, env=token["env"])
        with anyio.fail_after(LIMIT_S):
            async with Client(parameters, mode=mode) as client:
                await client.call_tool("echo", {"text": "hi"})
    done = await fuseboard("trace", "export", state=tmp_path / "state")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["run"], one["seq"], one["confidence"]) for one in records] == [
        (token["run"], 1, "signed"),
        (token["run"], 2, "signed"),
    ]
    shown = (await fuseboard("trace", "show", token["run"], state=tmp_path / "state")).stdout.decode()
    assert "run known by: token, signed" in shown


@pytest.mark.parametrize("bad", ["forged", "another folder's", "expired", "another's"])
async def test_a_pipe_does_not_start_with_a_token_that_does_not_hold(tmp_path: Path, bad: str) -> None:
    state = tmp_path / "state"
    match bad:
        case "forged":
            token, said = (await signed(state))["token"][:-4], "was not signed by this proxy"
        case "another folder's":
            token, said = (await signed(tmp_path / "other"))["token"], "was not signed by this proxy"
        case "expired":
            token, said = (await signed(state, "--ttl", "1ms"))["token"], "has expired"
        case _:
            token, said = (await signed(state, "--principal", "ana"))["token"], "is for another principal"
    _, *arguments = serve_command({"servers": {"one": SERVER}}, tmp_path)
    done = await fuseboard(*arguments, state=state, ok=False, env={"FUSEBOARD_RUN": token})
    assert done.returncode == 2
    assert f"FUSEBOARD_RUN: this run token {said}" in done.stderr.decode()
    assert "fuseboard run new" in done.stderr.decode()
    assert done.stdout == b""


@MODES
async def test_a_client_is_told_what_is_wrong_with_its_token(tmp_path: Path, mode: Mode) -> None:
    token = await signed(tmp_path / "state")
    async with board(tmp_path, one=SERVER) as proxy:
        url = f"{proxy.base}/run/{token['token'][:-4]}/mcp"
        with pytest.raises(BaseException) as refused:  # noqa: PT011 - what the SDK makes of it is its own affair
            async with Client(url, mode=mode) as client:
                await client.call_tool("echo", {"text": "hi"})
        assert "not signed by this proxy" in _all_words(refused.value)
        assert await proxy.trace() == []


def _all_words(error: BaseException) -> str:
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return " ".join([str(error), *map(_all_words, inner)])


@MODES
@pytest.mark.parametrize("traced", [True, False], ids=["traced", "untraced"])
async def test_an_agent_that_is_called_as_a_tool_draws_on_its_caller_s_run(
    tmp_path: Path, mode: Mode, traced: bool
) -> None:
    """The agent is the SDK's server and client as they are: nothing in it knows of traces, or of us."""
    async with board(tmp_path, one=SERVER, agent=AGENT) as proxy:
        call = {"board": proxy.url, "mode": mode, "tool": "one__echo", "arguments": {"text": "hi"}}
        meta: Any = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"} if traced else None
        async with Client(proxy.url, mode=mode) as client:
            answer = await client.call_tool("agent__ask", call, meta=meta)
        outer, inner = await proxy.trace()
        shown = await proxy.cli("trace", "show", outer["run"])
        why = await proxy.cli("trace", "why", inner["id"])
    assert "hi" in answer.content[0].text  # type: ignore[union-attr]
    assert (inner["tool"], inner["depth"], inner["parent"], inner["root"]) == ("echo", 1, outer["id"], None)
    assert (outer["depth"], outer["parent"]) == (0, None)
    assert inner["run"] == outer["run"]
    assert (outer["seq"], inner["seq"]) == (1, 2)
    plain = "session" if mode == "legacy" else "inferred"
    assert outer["run_source"] == inner["run_source"] == ("trace" if traced else plain)
    assert f"depth 1, under {outer['id']}" in shown
    assert f"called by {outer['id']}, depth 1" in why


async def test_the_deadline_of_a_descendant_is_its_caller_s(tmp_path: Path) -> None:
    timeout_s = 5
    async with board(tmp_path, one=SERVER, agent={**AGENT, "timeout": f"{timeout_s}s"}) as proxy:
        call = {"board": proxy.url, "mode": "auto", "tool": "one__hang", "arguments": {"label": "x"}}
        async with Client(proxy.url, mode="auto") as client:
            with suppress(MCPError):  # whether a slow machine's agent still says so in time is not the matter
                await client.call_tool("agent__ask", call)
        outer, inner = await proxy.trace()
    left_s = timeout_s - (inner["at"] - outer["at"])
    assert (inner["parent"], inner["truth"]) == (outer["id"], "timeout")
    assert inner["duration_ms"] / 1000 == pytest.approx(0.9 * left_s, abs=0.2)
