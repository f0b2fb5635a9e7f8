"""The MCP Inspector's command line gets the same answer through the proxy as it gets directly, over stdio and HTTP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.matrix import sdk_server
from support.proxy import wrap_command, wrapped
from support.servers import inspector_command

CALLS = [
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "prompts/list",
    "tools/call --tool-name echo --tool-arg text=hi",
    "tools/call --tool-name add --tool-arg a=1 b=2",
    "tools/call --tool-name count --tool-arg to=3",
    "tools/call --tool-name fail",
    "tools/call --tool-name nobody",
    "resources/read --uri note://one",
    "resources/read --uri note://numbered/7",
    "resources/read --uri note://nowhere",
    "prompts/get --prompt-name hello --prompt-args who=Ada",
    "prompts/get --prompt-name nobody",
    "logging/setLevel --log-level debug",
]
OVER_STDIO = CALLS[:1] + CALLS[4:6] + CALLS[9:10] + CALLS[12:13]
"""One of each kind: over stdio every call starts a proxy of its own."""

AT_ONCE = 3


async def inspect(target: Sequence[str], call: str) -> tuple[int, Any]:
    """Exit code and answer; where there is none, the error."""
    command = inspector_command("--cli", *target, "--method", *call.split())
    with anyio.fail_after(60):
        done = await anyio.run_process(command, check=False)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        errors = [line for line in done.stderr.decode().splitlines() if '"error":' in line]
        return done.returncode, errors[:1]


@pytest.mark.node
async def test_every_answer_is_the_same(tmp_path: Path) -> None:
    answers: dict[tuple[str, str], tuple[int, Any]] = {}
    limit = anyio.CapacityLimiter(AT_ONCE)

    async def ask(way: str, target: Sequence[str], call: str) -> None:
        async with limit:
            answers[way, call] = await inspect(target, call)

    await anyio.to_thread.run_sync(inspector_command)
    async with sdk_server("http", tmp_path) as server, wrapped(server["url"], tmp_path) as proxy:
        ways = {
            "direct": [server["url"], "--transport", "http"],
            "http": [proxy.url, "--transport", "http"],
            "stdio": wrap_command(server["url"], tmp_path / "state"),
        }
        async with anyio.create_task_group() as tasks:
            for way, target in ways.items():
                for call in OVER_STDIO if way == "stdio" else CALLS:
                    tasks.start_soon(ask, way, target, call)
    for (way, call), answer in answers.items():
        assert answer == answers["direct", call], (way, call)
    assert [answers["direct", call][0] for call in CALLS[:7]] == [0] * 7
