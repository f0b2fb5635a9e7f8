"""Agents and people at random, at once, and a judge who believes only what the upstream executed.

Six clients (both eras; without elicitation, with forms, with links) propose, edit, repeat, give up, and send again what
they kept. Two people at the page and one on the command line approve and reject, late and twice; questions expire;
the upstream swaps the tool's definition. In the end every execution was approved as executed, and no answer used twice.

FUSEBOARD_CAMPAIGN_S makes it longer, FUSEBOARD_CAMPAIGN_SEED another one.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio

from support.asking import Clerk, asked_about, frames, shown
from support.proxy import Proxy
from support.raw_client import Ask, RawClient
from support.raw_ways import meeting

LENGTH_S: Final = float(os.environ.get("FUSEBOARD_CAMPAIGN_S", "12"))
SEED: Final = int(os.environ.get("FUSEBOARD_CAMPAIGN_SEED", "4"))
ERAS: Final = ("2025-11-25", "2026-07-28")
ABLE: Final[tuple[dict[str, Any], ...]] = ({}, {"elicitation": {"form": {}}}, {"elicitation": {"url": {}}})
TEXTS: Final = ("a", "b", "c")
"""Few, so that the same call is made by many and again."""

EXPIRES_S: Final = 3
LATE_S: Final = 2.0
"""How long the proxy may take to learn that a definition was swapped."""


_log = logging.getLogger(__name__)


@dataclass
class Notes:
    """What the people and the clients know. ``yes`` are the times of the answers that were taken, by id and channel."""

    random: random.Random
    until: float
    yes: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    no: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)
    seen_at: dict[str, float] = field(default_factory=dict)
    swaps: list[tuple[float, float]] = field(default_factory=list)

    def saw(self, id: str, arguments: Any) -> None:
        """Whatever is shown of one id, on whatever channel, is always the same."""
        self.seen_at.setdefault(id, time.time())
        assert self.arguments.setdefault(id, arguments) == arguments

    def said_yes(self, id: str, channel: str, began_at: float) -> None:
        self.yes.setdefault((id, channel), []).append(began_at)

    @property
    def open(self) -> bool:
        return anyio.current_time() < self.until

    async def pause(self, most_s: float) -> None:
        await anyio.sleep(self.random.uniform(0, most_s))


class Agent:
    """A client that wants its calls to go through, by all means."""

    def __init__(self, client: RawClient, notes: Notes) -> None:
        self._client = client
        self._notes = notes
        self._kept: dict[str, Any] = {}

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            if self._client.era != ERAS[1]:
                tasks.start_soon(self._listen)
            while self._notes.open:
                tasks.start_soon(self._act)
                await self._notes.pause(0.6)
            await anyio.sleep(LATE_S)  # for what is under way: its answers are taken until then
            tasks.cancel_scope.cancel()

    async def _act(self) -> None:
        text = self._notes.random.choice(TEXTS)
        again = self._kept if self._kept and self._notes.random.random() < 0.5 else {}
        held = await self._client.begin("tools/call", {"name": "echo", "arguments": {"text": text}, **again})
        if self._notes.random.random() < 0.2:
            await self._notes.pause(0.5)
            await self._client.cancel(held)
            return
        await self._answered(held)

    async def _answered(self, held: Ask) -> None:
        message = json.loads(await held.response(30))
        result = message.get("result", {})
        if result.get("resultType") == "input_required":
            answer = self._answer(result["inputRequests"]["approval"]["params"])
            self._kept = {"requestState": result["requestState"], "inputResponses": {"approval": answer}}

    async def _listen(self) -> None:
        while True:
            frame = await self._client.next("elicitation/create", timeout_s=LENGTH_S * 10)
            answer = self._answer(json.loads(frame)["params"])
            await self._notes.pause(0.3)
            await self._client.reply(frame, answer)

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """A yes to a form may be sent many times; one of them may count for each time it was asked."""
        if question.get("mode") == "url":
            return {"action": "accept"}
        id = re.findall(r"\((a-\w+)\)", question["message"])[-1]
        told = question["message"].partition("Arguments:\n")[2].rpartition("\n(")[0]
        self._notes.saw(id, json.loads(told))
        if self._notes.random.random() < 0.3:
            return {"action": "decline"}
        self._notes.said_yes(id, "elicit", time.time())
        return {"action": "accept", "content": {"approve": True}}


async def at_the_page(clerk: Clerk, notes: Notes) -> None:
    while notes.open:
        waiting = await clerk.waiting()
        if waiting:
            id = notes.random.choice(waiting)
            page = await clerk.look(id)
            if 'name="mark"' not in page:  # another was faster; one that is used shows no arguments any more
                continue
            notes.saw(id, shown(page))
            await notes.pause(0.8)
            decision, began_at = notes.random.choice(("approve", "approve", "reject")), time.time()
            if await clerk.decide(id, page, decision):
                if decision == "approve":
                    notes.said_yes(id, "web", began_at)
                else:
                    notes.no += 1
        await notes.pause(0.2)


async def at_the_terminal(proxy: Proxy, notes: Notes) -> None:
    while notes.open:
        for one in json.loads(await proxy.cli("inbox", "--json"))["pending"][:2]:
            notes.saw(one["id"], json.loads(one["arguments"]))
            began_at = time.time()
            if await proxy.cli("approve", one["id"], ok=False):
                notes.said_yes(one["id"], "cli", began_at)


async def swapping(client: RawClient, notes: Notes) -> None:
    version = 1
    while notes.open:
        version += 1
        began_at = time.time()
        await client.result("tools/call", {"name": "swap", "arguments": {"version": version}})
        notes.swaps.append((began_at, time.time()))
        await anyio.sleep(LENGTH_S / 3)


@asynccontextmanager
async def clients(proxy: Proxy) -> AsyncIterator[list[RawClient]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(meeting(proxy, "http", era=era, capabilities=able))
            for era in ERAS
            for able in ABLE
        ]


async def test_every_execution_was_approved_as_executed_and_no_answer_was_used_twice(tmp_path: Path) -> None:
    options = {"timeout": "700ms", "expires": f"{EXPIRES_S}s", "form": "destructive"}
    async with asked_about(tmp_path, **options) as proxy, clients(proxy) as six:
        notes = Notes(random.Random(SEED), anyio.current_time() + LENGTH_S)
        clerks = [await Clerk.let_in(proxy) for _ in range(2)]
        async with anyio.create_task_group() as tasks, meeting(proxy, "http") as upstream_s_friend:
            for client in six:
                tasks.start_soon(Agent(client, notes).run)
            for clerk in clerks:
                tasks.start_soon(at_the_page, clerk, notes)
            tasks.start_soon(at_the_terminal, proxy, notes)
            await swapping(upstream_s_friend, notes)
        records = [one for one in await proxy.trace() if one["tool"] == "echo"]
        judge(records, frames(tmp_path).frames("tools/call"), notes)


def judge(records: list[dict[str, Any]], calls: list[bytes], notes: Notes) -> None:
    params = [json.loads(call)["params"] for call in calls]
    executed = [json.dumps(one["arguments"]) for one in params if one["name"] == "echo"]
    sent = [one for one in records if one["verdict"] == "allow"]
    assert Counter(json.dumps(one["arguments"]) for one in sent) == Counter(executed)
    used: Counter[tuple[str, str]] = Counter()
    for one in sent:
        (fact,) = (check["facts"] for check in one["checks"] if check["policy"] == "approvals")
        id, answer = fact["approval"], (fact["approval"], fact["through"])
        used[answer] += 1
        assert notes.arguments[id] == one["arguments"]
        assert any(at <= one["at"] <= at + EXPIRES_S for at in notes.yes.get(answer, ())), (one, notes.yes)
        for began_at, done_at in notes.swaps:
            assert not (notes.seen_at[id] < began_at and one["at"] > done_at + LATE_S), (one, began_at)
    assert all(times <= len(notes.yes[answer]) for answer, times in used.items()), (used, notes.yes)
    channels = Counter(channel for _, channel in used.elements())
    _log.info("%d proposed, %d executed (%s), %d rejected, seed %d", len(records), len(sent), channels, notes.no, SEED)
    assert len(channels) >= 2, "too little happened for this to show anything"
    assert len(records) > len(sent) >= 5
