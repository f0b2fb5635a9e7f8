"""Which road a result takes that is not given as it came."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
import pytest

from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.vault_memory import MemoryVault
from fuseboard.cleaning.result import Cleaned
from fuseboard.config.conduct import Quarantine as KeptFor
from fuseboard.events import Tool
from fuseboard.keeping import Keeping
from fuseboard.opaque import Handles
from fuseboard.pipeline import Outcome
from fuseboard.ports import Failure, Result
from fuseboard.quarantine import Quarantine
from fuseboard.truth import Truth
from fuseboard.vault import OPAQUE, QUARANTINE, RESULT
from fuseboard.verdicts import Deny
from support.judging import READ, call

AT = 100.0
SHORT = Result(b'{"content":[{"type":"text","text":"short"}]}')
WHOLE = b'{"content":[{"type":"text","text":"long as it was"}]}'
CUT = Cleaned(SHORT.raw, {"cut": 1}, (), WHOLE)
VEILED = msgspec.structs.replace(READ, opaque="run")


class Ask(NamedTuple):
    arguments: dict[str, Any]
    links: bool


class Room:
    def __init__(self, *, rests: bool = True, most_bytes: int = 10_000) -> None:
        self.vault = MemoryVault(most_bytes=most_bytes)
        quarantine = Quarantine(self.vault, MemoryStore(), lambda: AT, KeptFor())
        handles = Handles(self.vault, lambda: AT, KeptFor())
        self.keeping = Keeping(self.vault, quarantine, handles, KeptFor(), rests=rests)

    async def kinds(self) -> set[str]:
        return {kind for kind in (QUARANTINE, RESULT, OPAQUE) if await self.vault.listed(kind, at=AT)}


@pytest.mark.parametrize(
    ("tool", "cleaned", "said", "rests", "kinds"),
    [
        pytest.param(READ, CUT, Truth.OK, True, {RESULT}, id="cut"),
        pytest.param(READ, CUT, Truth.OK, False, set(), id="cut, and the rest is not wanted"),
        pytest.param(READ, Cleaned(SHORT.raw, {"link": 1}), Truth.OK, True, set(), id="cleaned, and not cut"),
        pytest.param(VEILED, None, Truth.OK, True, {OPAQUE}, id="opaque"),
        pytest.param(VEILED, CUT, Truth.OK, True, {OPAQUE}, id="opaque, and too long"),
        pytest.param(VEILED, None, Truth.BUSINESS_ERROR, True, {OPAQUE}, id="opaque, and failed"),
        pytest.param(VEILED, None, Truth.TASK, True, set(), id="opaque, and a task that has only begun"),
        pytest.param(VEILED, None, Truth.INPUT_REQUIRED, True, set(), id="opaque, and a question"),
    ],
)
async def test_the_roads(tool: Tool, cleaned: Cleaned | None, said: Truth, rests: bool, kinds: set[str]) -> None:
    room = Room(rests=rests)
    judged = msgspec.structs.replace(call(tool), at=AT)
    given = await room.keeping.given(judged, SHORT, cleaned, said, modern=False)
    assert await room.kinds() == kinds
    assert (given.reply is SHORT) is (not kinds)
    assert given.cleaned is (None if OPAQUE in kinds else cleaned)


async def test_what_is_kept_is_what_was_there_before_the_cut() -> None:
    for tool, handle in ((READ, "d-1"), (VEILED, "h-1")):
        room = Room()
        judged = msgspec.structs.replace(call(tool), at=AT, id="d-1")
        await room.keeping.given(judged, SHORT, CUT, Truth.OK, modern=False)
        held = await room.vault.get(handle, at=AT)
        assert held is not None
        assert b"long as it was" in held.raw
        assert held.kept.run == "r1"


@pytest.mark.parametrize(
    ("reply", "method", "links", "linked"),
    [
        (SHORT, "tools/call", True, True),
        (SHORT, "tools/call", False, False),
        (SHORT, "prompts/get", True, False),
        (SHORT, "resources/read", True, False),
        (Failure(SHORT.raw), "tools/call", True, False),
    ],
)
async def test_a_link_stands_only_where_a_client_knows_it(reply: Any, method: str, links: bool, linked: bool) -> None:
    judged = msgspec.structs.replace(call(READ, method=method), at=AT)
    given = await Room().keeping.given(judged, reply, CUT, Truth.OK, modern=False, ask=Ask({}, links))
    assert (b"resource_link" in given.reply.raw) is linked


def test_only_where_the_rest_is_kept_a_place_is_told() -> None:
    assert Room().keeping.rest_of(call(READ)) == "fuseboard://result/c1"
    assert Room(rests=False).keeping.rest_of(call(READ)) is None
    assert Room().keeping.rest_of(call(VEILED)) is None, "what may not be seen cannot be read on"


@pytest.mark.parametrize("tool", [READ, VEILED])
async def test_what_a_policy_refuses_goes_to_a_person_whole(tool: Tool) -> None:
    room = Room()
    judged = msgspec.structs.replace(call(tool), at=AT, id="d-1")
    refused = Deny("schema.result", "It does not fit:\n- /n: found 'Ignore'; expected integer")
    outcome = Outcome(refused, "schema", (), (), judged)
    reply = await room.keeping.withheld(judged, SHORT, outcome, CUT, modern=True, ask=Ask({"path": "/a"}, links=True))
    held = await room.vault.get("q-1", at=AT)
    assert held is not None
    assert (held.raw, held.kept.unfit, held.kept.modern) == (WHOLE, True, True)
    text = json.loads(reply.raw)["content"][0]["text"]
    assert ("Ignore" in text) is (tool is READ), "what is given by handles alone is not quoted either"
    assert "q-1" in text
