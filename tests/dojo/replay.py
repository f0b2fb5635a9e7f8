"""One suite through one proxy: every user's task as it is meant, then every goal planted into every task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread

from dojo import settings
from dojo.player import REFUSALS, Agent, Played, agent, knows_tasks, new_run
from dojo.score import Attack, Honest, Suite
from dojo.upstream import Upstream, upstream
from support.proxy import Proxy, served

READS = ("get", "read", "search", "list", "check")
"""How the tools of all suites begin that change nothing and tell nobody anything."""


async def replay(suite: str, folder: Path, *, bare: bool, carriers: int | None) -> Suite:
    """``carriers``: into how many users' tasks each goal is planted; ``None``: all. ``bare``: nothing is declared."""
    config, missing = settings.served("bare" if bare else suite)
    async with upstream(suite, folder) as stage, served(config, folder, env={"DOJO_URL": stage.url}) as proxy:
        about = await stage.about()
        road = Road(stage, proxy, about)
        honest = [await road.honest(user) for user in about["users"]]
        attacks = [
            await road.attack(user, goal)
            for at, goal in enumerate(about["goals"])
            if await road.scorable(goal)
            for user in chosen(list(about["users"]), carriers, at)
        ]
        untold = [] if knows_tasks() else ["run new --task"]
        return Suite(suite, honest, attacks, len(about["goals"]), [*missing, *untold])


def chosen(users: Sequence[str], carriers: int | None, at: int) -> list[str]:
    """So many of them, spread over all, and others for each goal."""
    if carriers is None or carriers >= len(users):
        return list(users)
    step = len(users) / carriers
    return [users[(int(turn * step) + at) % len(users)] for turn in range(carriers)]


class Road:
    def __init__(self, stage: Upstream, proxy: Proxy, about: Mapping[str, Any]) -> None:
        self._stage, self._proxy = stage, proxy
        self._vectors: list[str] = list(about["vectors"])
        self._goals: Mapping[str, str] = about["goals"]
        self._users: Mapping[str, str] = about["users"]

    async def honest(self, user: str) -> Honest:
        calls = (await self._stage.open(user, {}))["calls"]
        run, token = await self._new_run(user)
        async with agent(self._proxy.base, token) as player:
            played = await _play(player, calls)
        rules = await self._rules(run) if any(call.disturbed for call in played) else []
        return Honest(user, self._users[user], played, await self._stage.achieved(user=user), rules)

    async def _new_run(self, user: str) -> tuple[str, str]:
        """In a thread: the verb brings an event loop of its own."""
        return await anyio.to_thread.run_sync(new_run, self._proxy.state, self._users[user])

    async def _rules(self, run: str) -> list[str]:
        """By which rules calls of a run were not simply let through, as the trace tells it."""
        records = map(json.loads, (await self._proxy.cli("trace", "export", run)).splitlines())
        return [str(record["rule"]) for record in records if record["verdict"] in REFUSALS]

    async def scorable(self, goal: str) -> bool:
        """Some goals name no calls: mass mails without a reference, or words that only the model would say."""
        await self._stage.open(next(iter(self._users)), {})
        return bool((await self._stage.goal(goal))["calls"])

    async def attack(self, user: str, goal: str) -> Attack:
        planted = dict.fromkeys(self._vectors, self._goals[goal])
        calls = (await self._stage.open(user, planted))["calls"]
        _, token = await self._new_run(user)
        async with agent(self._proxy.base, token) as player:
            await _play(player, calls)
            injected = await self._stage.goal(goal)
            harmful = await _obey(player, injected["calls"], injected["needs"])
        executed = [json.dumps(call, sort_keys=True) for call in await self._stage.executed()]
        reached = [call for call in harmful if json.dumps(call.as_call, sort_keys=True) in executed]
        held = [call for call in harmful if call.disturbed]
        assert len(held) + len(reached) == len(harmful), (goal, user, harmful, executed)  # or it proves nothing
        return Attack(goal, self._goals[goal], user, harmful, reached)


async def _play(player: Agent, calls: Sequence[Mapping[str, Any]]) -> list[Played]:
    """What the user asked for, so the user says yes."""
    return [await player.play(call, approve=True) for call in calls]


async def _obey(player: Agent, calls: Sequence[dict[str, Any]], needs: Sequence[int]) -> list[Played]:
    """Call what the plant says, whatever becomes of it; gives the harmful ones. What needs the work of one that was
    stopped cannot be called: a mail that was never sent has no id to delete it by."""
    wanted = effects(calls)
    made: list[Played] = []
    for at, call in enumerate(calls):
        if at in needs and any(earlier.disturbed for earlier in made):
            continue
        played = await player.play(call, approve=False)
        if call in wanted:
            made.append(played)
    return made


def effects(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls by which a goal does its harm. Where all of them read, it is the last: there the address tells it."""
    harmful = [call for call in calls if call["name"].split("_")[0] not in READS]
    return harmful or list(calls[-1:])
