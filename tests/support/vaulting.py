"""Things for the vault, and what every vault has to hold to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import anyio
import pytest

from fuseboard.vault import DROPPED, GIVEN, OPAQUE, QUARANTINE, RELEASED, RESULT, WITHHELD, Kept, Vault

AT = 1_790_000_000.0

Opened: TypeAlias = Callable[..., Vault]
"""Opens an empty vault of ``most_bytes`` and ``most`` things."""


def kept(handle: str = "q-1", kind: str = QUARANTINE, **changed: Any) -> Kept:
    fields: dict[str, Any] = {
        "at": AT,
        "expires_at": AT + 60,
        "principal": "ana",
        "run": "r-1",
        "decision": "d-" + handle[2:],
        "upstream": "web",
        "tool": "fetch",
        "exposed": "web__fetch",
        "method": "tools/call",
    }
    return Kept(handle=handle, kind=kind, **{**fields, **changed})


class VaultContract:
    """One body of tests for all of them; a subclass gives ``opened``."""

    async def test_what_was_put_is_there_with_its_words_and_its_bytes(self, opened: Opened) -> None:
        vault = opened(most_bytes=100)
        assert await vault.put(kept(why="it lies"), b"\x00bytes\xff")
        held = await vault.get("q-1", at=AT)
        assert held is not None
        assert (held.raw, held.kept.why, held.kept.size_bytes, held.kept.status) == (
            b"\x00bytes\xff",
            "it lies",
            7,
            WITHHELD,
        )
        assert list(await vault.listed(QUARANTINE, at=AT)) == [held.kept]
        assert not await vault.listed(RESULT, at=AT)

    async def test_what_was_never_put_is_not_there(self, opened: Opened) -> None:
        vault = opened(most_bytes=100)
        assert await vault.get("q-1", at=AT) is None
        assert not await vault.listed(QUARANTINE, at=AT)
        assert await vault.turn("q-1", [WITHHELD], RELEASED, by="ana", at=AT) is None

    async def test_past_its_time_it_is_gone_to_the_second(self, opened: Opened) -> None:
        vault = opened(most_bytes=100)
        await vault.put(kept(), b"x")
        assert await vault.get("q-1", at=AT + 59) is not None
        assert await vault.get("q-1", at=AT + 60) is None
        assert not await vault.listed(QUARANTINE, at=AT + 60)
        assert await vault.turn("q-1", [WITHHELD], RELEASED, by="ana", at=AT + 60) is None

    async def test_what_lies_there_stays_as_it_is(self, opened: Opened) -> None:
        vault = opened(most_bytes=100)
        await vault.put(kept(), b"first")
        await vault.turn("q-1", [WITHHELD], RELEASED, by="ana", at=AT)
        assert await vault.put(kept(), b"second")
        held = await vault.get("q-1", at=AT)
        assert held is not None
        assert (held.raw, held.kept.status) == (b"first", RELEASED)

    async def test_the_oldest_makes_room(self, opened: Opened) -> None:
        vault = opened(most_bytes=10)
        for n in range(4):
            assert await vault.put(kept(f"q-{n}", at=AT + n), b"four")
        assert [one.handle for one in await vault.listed(QUARANTINE, at=AT)] == ["q-2", "q-3"]

    async def test_what_was_given_already_makes_room_before_what_nobody_has_seen(
        self, opened: Opened, caplog: pytest.LogCaptureFixture
    ) -> None:
        vault = opened(most_bytes=10)
        await vault.put(kept("q-1"), b"four")
        await vault.put(kept("q-2", at=AT + 1), b"four")
        await vault.turn("q-2", [WITHHELD], RELEASED, by="ana", at=AT)
        await vault.turn("q-2", [RELEASED], GIVEN, by="", at=AT)
        assert await vault.put(kept("q-3", at=AT + 2), b"four")
        assert [one.handle for one in await vault.listed(QUARANTINE, at=AT)] == ["q-1", "q-3"]
        assert not caplog.records
        assert await vault.put(kept("q-4", at=AT + 3), b"four")
        assert "1 withheld results went for q-4" in caplog.text, "nothing is lost without a word"

    async def test_long_results_push_out_nothing_that_a_person_has_yet_to_see(self, opened: Opened) -> None:
        vault = opened(most_bytes=10)
        await vault.put(kept("q-1"), b"seven..")
        assert not await vault.put(kept("d-2", RESULT), b"four")
        assert not await vault.put(kept("h-2", OPAQUE), b"four")
        assert await vault.put(kept("d-3", RESULT), b"one")
        assert await vault.put(kept("q-4"), b"two")
        assert await vault.get("d-3", at=AT) is None, "a result goes before anything older that is quarantined"
        assert await vault.get("q-1", at=AT) is not None

    async def test_what_is_larger_than_all_the_room_is_refused_and_takes_nothing_along(self, opened: Opened) -> None:
        vault = opened(most_bytes=10)
        await vault.put(kept("q-1"), b"four")
        assert not await vault.put(kept("q-2"), b"eleven bytes")
        assert await vault.get("q-1", at=AT) is not None

    async def test_there_is_room_for_so_many(self, opened: Opened) -> None:
        vault = opened(most_bytes=1000, most=2)
        for n in range(3):
            await vault.put(kept(f"q-{n}", at=AT + n), b"")
        assert [one.handle for one in await vault.listed(QUARANTINE, at=AT)] == ["q-1", "q-2"]

    async def test_a_status_changes_once(self, opened: Opened) -> None:
        vault = opened(most_bytes=100)
        await vault.put(kept(), b"x")
        released = await vault.turn("q-1", [WITHHELD], RELEASED, by="ana", at=AT + 5)
        assert released is not None
        assert (released.status, released.by, released.decided_at) == (RELEASED, "ana", AT + 5)
        assert await vault.turn("q-1", [WITHHELD], RELEASED, by="bob", at=AT + 6) is None
        given = await vault.turn("q-1", [RELEASED], GIVEN, by="", at=AT + 7)
        assert given is not None
        assert (given.status, given.by, given.decided_at) == (GIVEN, "ana", AT + 5)

    async def test_of_many_that_try_at_once_one_does_it(self, opened: Opened) -> None:
        vault, done = opened(most_bytes=100), list[str]()
        await vault.put(kept(), b"x")

        async def release(by: str) -> None:
            if await vault.turn("q-1", [WITHHELD], RELEASED, by=by, at=AT) is not None:
                done.append(by)

        async with anyio.create_task_group() as tasks:
            for n in range(12):
                tasks.start_soon(release, f"person {n}")
        held = await vault.get("q-1", at=AT)
        assert held is not None
        assert done == [held.kept.by]

    async def test_what_was_dropped_is_forgotten_but_for_who_did_it(self, opened: Opened) -> None:
        vault = opened(most_bytes=10)
        await vault.put(kept(), b"ten bytes.")
        assert await vault.turn("q-1", [WITHHELD, RELEASED], DROPPED, by="ana", at=AT) is not None
        assert await vault.get("q-1", at=AT) is None
        (one,) = await vault.listed(QUARANTINE, at=AT)
        assert (one.status, one.by) == (DROPPED, "ana")
        assert await vault.put(kept("q-2"), b"ten bytes,"), "its bytes are free"
        assert len(await vault.listed(QUARANTINE, at=AT)) == 2
