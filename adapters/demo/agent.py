"""The scripted agent: a real MCP client that takes the steps of a story, and mends a call from what a refusal says."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TextIO, TypeAlias, cast

import anyio
import anyio.abc
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import Implementation, RequestParamsMeta, TextContent

from fuseboard import __version__
from fuseboard.adapters.demo.outcome import run_of
from fuseboard.adapters.demo.story import Answer, Back, Call, Look, Step, Verb
from fuseboard.claims import META_KEY
from fuseboard.errors import FuseboardError
from fuseboard.refusals import DECISION

_BROKEN: Final = (MCPError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


_START_S: Final = 20.0
"""How long the servers of the story may take to start."""

_AGAIN_S: Final = 0.2
_AHEAD_S: Final = 0.2
"""How long a call made aside has the pipe for itself, which keeps the order of what is written to it."""

Act: TypeAlias = Callable[[Verb, str], Awaitable[Answer]]
"""What the person does, on the run of that name."""


class StoryCutShort(FuseboardError):
    """The proxy could not be started, went away, or did not answer in time."""


class Watch(Protocol):
    """Whoever follows the story as it happens."""

    def begins(self, step: Step) -> None: ...
    def ended(self, step: Step, answer: Answer) -> None: ...


async def play(
    steps: Sequence[Step], command: Sequence[str], *, log: TextIO, watch: Watch, limit_s: float, act: Act
) -> list[Answer]:
    """Start the proxy by ``command`` and take the steps through it. Its stderr goes to ``log``, a real file.

    The proxy runs on while a person acts.

    Raises:
        StoryCutShort: no answer to each step within ``limit_s`` seconds in all.
    """
    try:
        with anyio.fail_after(limit_s):
            return await _played(steps, command, log, watch, act)
    except TimeoutError as fault:
        raise StoryCutShort(f"the proxy did not get through the story in {limit_s:g} s") from fault
    except _BROKEN as fault:
        raise StoryCutShort(f"the proxy is gone: {fault}") from fault
    except BaseExceptionGroup as group:
        expected, rest = group.split(_BROKEN)
        if expected is None or rest is not None:
            raise
        raise StoryCutShort(f"the proxy is gone: {_first(expected)}") from group


async def _played(steps: Sequence[Step], command: Sequence[str], log: TextIO, watch: Watch, act: Act) -> list[Answer]:
    parameters = StdioServerParameters(command=command[0], args=list(command[1:]))
    who = Implementation(name="demo-agent", version=__version__)
    answers: list[Answer] = []
    async with (
        Client(stdio_client(parameters, errlog=log), client_info=who) as client,
        anyio.create_task_group() as tasks,
    ):
        answers += await _Tale(client, watch, act, tasks).told(steps)
    return answers


class _Tale:
    """A story as it goes on. ``_answers`` has one for each step; that of a call made aside is put there later."""

    def __init__(self, client: Client, watch: Watch, act: Act, tasks: anyio.abc.TaskGroup) -> None:
        self._client = client
        self._watch = watch
        self._act = act
        self._tasks = tasks
        self._told = secrets.token_hex(4)  # what an earlier telling left behind is none of its other agents' business
        self._answers: list[Answer] = []
        self._aside: tuple[Call, anyio.Event] | None = None

    async def told(self, steps: Sequence[Step]) -> list[Answer]:
        for step in steps:
            self._watch.begins(step)
            if isinstance(step, Call) and step.aside:
                self._aside = step, anyio.Event()
                self._tasks.start_soon(self._later, step, len(self._answers), self._aside[1])
                self._answers.append(Answer())
                await anyio.sleep(_AHEAD_S)
                continue
            self._answers.append(await self._taken(step))
            self._watch.ended(step, self._answers[-1])
        return self._answers

    async def _taken(self, step: Step) -> Answer:
        if isinstance(step, Verb):
            return await self._act(step, run_of(self._answers) or "")
        if isinstance(step, Back):
            if self._aside is not None:
                await self._aside[1].wait()
            return Answer()
        return await take(self._client, step, self._answers[-1] if self._answers else Answer(), self._told)

    async def _later(self, step: Call, place: int, came: anyio.Event) -> None:
        self._answers[place] = await take(self._client, step, Answer(), self._told)
        self._watch.ended(step, self._answers[place])
        came.set()


async def take(client: Client, step: Look | Call, before: Answer, told: str = "") -> Answer:
    """Take one step. ``before`` is the answer to the step before it, which a mending call reads.

    Another agent's run is named by it and by what tells this telling from others, ``told``.
    """
    if not isinstance(step, Call):
        return Answer(tools=await _looked(client, step))
    arguments = mended(before, step.arguments) if step.mends else step.arguments
    try:
        meta = {META_KEY: f"{step.by}-{told}"} if step.by else None
        # keys of others are open to it, which its type does not say
        result = await client.call_tool(step.tool, dict(arguments), meta=cast("RequestParamsMeta | None", meta))
    except MCPError as error:
        data = error.data if isinstance(error.data, dict) else {}
        return Answer(error.message, arguments=arguments, decision=data.get(DECISION), failed=True)
    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    decision = (result.meta or {}).get(DECISION)
    return Answer(text, arguments=arguments, decision=decision, failed=bool(result.is_error))


async def _looked(client: Client, look: Look) -> tuple[str, ...]:
    """The list of tools. A server that takes long to start is left out of it at first, and comes later."""
    until = anyio.current_time() + _START_S
    while True:
        tools = tuple(tool.name for tool in (await client.list_tools()).tools)
        if set(look.shown) <= set(tools) or anyio.current_time() >= until:
            return tools
        await anyio.sleep(_AGAIN_S)


def mended(before: Answer, known: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the call before, with those of ``known`` that its refusal names."""
    return {**before.arguments, **{name: value for name, value in known.items() if _named(name, before.text)}}


def _named(name: str, refusal: str) -> bool:
    """By its path, or as missing."""
    return f"/{name}:" in refusal or f"{json.dumps(name)} is missing" in refusal


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
