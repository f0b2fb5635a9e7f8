"""Plays a labelled run through the real pipeline, with the default configuration, until somebody says something."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import anyio

from failures.scripts import Case, Step
from fuseboard import fuses
from fuseboard.config import Config
from fuseboard.ports import Reply
from fuseboard.wire import frames
from support.fake_server import Asked, FakeServer, FakeTool, result
from support.playbook import FakeClient, RpcError, playing
from support.virtual_time import VirtualTimeLoop

TOLD = ("nudge", "deny", "hold")


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one run. ``calls`` and ``looped`` are how many there were up to the first word, that one included;
    ``None`` where nobody said a word."""

    case: Case
    seed: int
    length: int
    calls: int | None = None
    looped: int | None = None
    verdict: str = ""
    policy: str = ""
    rule: str = ""

    @property
    def found(self) -> bool:
        return self.calls is not None

    @property
    def right(self) -> bool:
        """Whether it was found in time, or rightly let alone."""
        if self.case.bar is None:
            return not self.found
        return self.looped is not None and self.looped <= self.case.bar


def play_all(cases: Iterable[Case], seeds: Iterable[int]) -> list[Run]:
    """Each case with each seed, in virtual time."""
    wanted = [(case, seed) for case in cases for seed in seeds]
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return [runner.run(play(case, seed)) for case, seed in wanted]


async def play(case: Case, seed: int) -> Run:
    """One run from its beginning to the first word about it."""
    steps = list(case.script(random.Random(zlib.crc32(case.name.encode()) + seed)))
    names = dict.fromkeys(step.tool for step in steps)
    current: list[Step] = []

    async def act(asked: Asked) -> Reply:
        return _answer(current[-1])

    server = FakeServer("work", *(FakeTool(name, act) for name in names), tools=dict(case.facts))
    config = Config.model_validate({"servers": {"work": {"command": "x"}}})
    policies = fuses.policies(config, fuses.rules(config))
    async with playing(server, policies=policies) as running:
        client = await running.connect()
        await client.request("tools/list")
        for number, step in enumerate(steps, 1):
            current.append(step)
            if step.pause_s:
                await anyio.sleep(step.pause_s)
            said = await _said(client, step)
            if said.get("verdict") in TOLD:
                looped = sum(one.looped for one in steps[:number])
                told = {key: str(said[key]) for key in ("verdict", "policy", "rule")}
                return Run(case, seed, len(steps), number, looped, **told)
    return Run(case, seed, len(steps))


async def _said(client: FakeClient, step: Step) -> dict[str, Any]:
    """The decision beside an answer, where there is one."""
    try:
        answer = await client.call(step.tool, **step.arguments)
    except RpcError:
        return {}
    decision: dict[str, Any] = answer.get("_meta", {}).get("fuseboard/decision", {})
    return decision


def _answer(step: Step) -> Reply:
    if step.rpc_error is not None:
        return frames.failure(*step.rpc_error)
    content = [] if step.text is None else [{"type": "text", "text": step.text}]
    return result({"content": content, **({"isError": True} if step.is_error else {})})
