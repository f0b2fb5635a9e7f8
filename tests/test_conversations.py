"""Conversations that share a connection are told apart where anything tells them apart, and else it is said so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from fuseboard.era import Era
from fuseboard.ports import Proposed, SignedRun
from support.fake_server import FakeServer, FakeTool, says
from support.playbook import BEGAN, TOKENS, FakeClient, playing
from support.virtual_time import VirtualTimeLoop

CLAIMED = {"meta": "meta", "baggage": "meta", "trace": "trace"}
"""What names the run, by what a conversation says."""


@dataclass(frozen=True)
class Conversation:
    """``says`` is what its requests bear, ``name`` which of its kind it is. ``plain`` ones bear nothing."""

    says: str
    name: int = 0

    def meta(self, n: int) -> dict[str, Any]:
        match self.says:
            case "token":
                return {"fuseboard/run": TOKENS.make(SignedRun(f"r-{self.name}", BEGAN, BEGAN + 1e6))}
            case "meta":
                return {"fuseboard/run": f"conversation {self.name}"}
            case "baggage":  # another member each time: only ours counts
                return {"baggage": f"run=baggage{self.name},n={n}"}
            case "trace":  # an agent gives each of its calls a span of its own; those of a play count from 1
                return {"traceparent": f"00-{self.name + 1:032x}-a{n:015x}-01"}
        return {}


kinds = st.sampled_from(["token", "meta", "baggage", "trace"])
conversations = st.builds(Conversation, kinds, st.integers(0, 2)) | st.just(Conversation("plain"))
scripts = st.lists(conversations, min_size=1, max_size=14)


def one_at_a_time(era: Era, transport: str, script: list[Conversation], *, at_once: bool) -> list[Proposed]:
    """What is on record of a client that holds all of them over one connection, in the order of the script."""

    async def play() -> list[Proposed]:
        async with playing(FakeServer("s", FakeTool("t", says("ok")))) as board:
            client = await board.connect(era, transport=transport)
            if at_once:
                async with anyio.create_task_group() as tasks:
                    for n, conversation in enumerate(script):
                        tasks.start_soon(call, client, conversation, n)
            else:
                for n, conversation in enumerate(script):
                    await call(client, conversation, n)
            return sorted(board.proposed, key=lambda entry: json.loads(entry.arguments or "{}")["n"])

    return anyio.run(play, backend_options={"loop_factory": VirtualTimeLoop})


async def call(client: FakeClient, conversation: Conversation, n: int) -> None:
    params = {"name": "t", "arguments": {"n": n}, "_meta": conversation.meta(n)}
    await client.request("tools/call", params)


@given(st.sampled_from(Era), st.sampled_from(["stdio", "http"]), scripts, st.booleans())
@settings(max_examples=60, deadline=None)
def test_each_is_a_run_of_its_own_where_it_says_anything(
    era: Era, transport: str, script: list[Conversation], at_once: bool
) -> None:
    records = one_at_a_time(era, transport, script, at_once=at_once)
    assert len(records) == len(script)
    runs: dict[Conversation, set[str]] = {}
    for conversation, record in zip(script, records, strict=True):
        runs.setdefault(conversation, set()).add(record.run)
        if conversation.says == "token":
            assert (record.run_source, record.confidence) == ("token", "signed")
        elif conversation.says != "plain":
            assert (record.run_source, record.confidence) == (CLAIMED[conversation.says], "claimed")
    assert all(len(names) == 1 for names in runs.values()), "a conversation of two runs"
    assert len(set.union(*runs.values())) == len(runs), "a run of two conversations"


@given(st.sampled_from(Era), st.sampled_from(["stdio", "http"]), scripts)
@settings(max_examples=60, deadline=None)
def test_what_says_nothing_is_taken_together_and_called_a_guess_where_a_connection_is_no_conversation(
    era: Era, transport: str, script: list[Conversation]
) -> None:
    records = one_at_a_time(era, transport, script, at_once=False)
    plain = [record for said, record in zip(script, records, strict=True) if said.says == "plain"]
    assert len({record.run for record in plain}) <= 1
    source = "process" if transport == "stdio" else "session" if era is Era.HANDSHAKE else "inferred"
    sure = "connection" if era is Era.HANDSHAKE else "inferred"
    assert {(record.run_source, record.confidence) for record in plain} <= {(source, sure)}


@given(scripts)
@settings(max_examples=30, deadline=None)
def test_the_calls_of_each_are_counted_by_themselves(script: list[Conversation]) -> None:
    records = one_at_a_time(Era.STATELESS, "http", script, at_once=False)
    counted: dict[str, int] = {}
    for record in records:
        counted[record.run] = counted.get(record.run, 0) + 1
        assert record.seq == counted[record.run]
