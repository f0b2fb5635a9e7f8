"""Waiting for several without one of them holding up the others, in virtual time."""

from __future__ import annotations

import anyio
import pytest

from fuseboard.sessions.rollcall import GRACE_S, STRAGGLERS_S, RollCall
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


async def waited(comes: dict[str, float], goes: dict[str, float] | None = None, *, sure: tuple[str, ...] = ()) -> float:
    """How long the wait takes when each comes (or is known not to come) after so many seconds; 99 is never."""
    call = RollCall([*comes, *(goes or {})], sure)

    async def later(name: str, after_s: float, come: bool) -> None:
        await anyio.sleep(after_s)
        (call.present if come else call.absent)(name)

    async with anyio.create_task_group() as tasks:
        for name, after_s in comes.items():
            tasks.start_soon(later, name, after_s, True)
        for name, after_s in (goes or {}).items():
            tasks.start_soon(later, name, after_s, False)
        began = anyio.current_time()
        await call.wait()
        took = anyio.current_time() - began
        tasks.cancel_scope.cancel()
    return took


@pytest.mark.parametrize(
    ("comes", "goes", "takes"),
    [
        pytest.param({}, {}, 0.0, id="for nobody there is no wait"),
        pytest.param({"a": 0.2, "b": 0.5}, {}, 0.5, id="all come: until the last"),
        pytest.param({"a": 0.2}, {"b": 0.4}, 0.4, id="one is known not to come: until that is known"),
        pytest.param({"a": 0.2, "slow": 99}, {}, 0.2 + STRAGGLERS_S, id="one is slow: a little longer than the first"),
        pytest.param({"slow": 99, "slower": 99}, {}, GRACE_S, id="nobody comes: the whole grace"),
        pytest.param({"a": 0.2, "node": 3.0}, {}, 3.0, id="one takes its time to start: until it is there"),
        pytest.param({"a": 4.2, "slow": 99}, {}, GRACE_S, id="never longer than the grace"),
        pytest.param({}, {"a": 0.1, "b": 0.3}, 0.3, id="all are known not to come: no longer than that"),
    ],
)
async def test_how_long_one_waits(comes: dict[str, float], goes: dict[str, float], takes: float) -> None:
    assert await waited(comes, goes) == pytest.approx(takes, abs=0.05)


@pytest.mark.parametrize(
    ("comes", "takes"),
    [
        pytest.param({"a": 0.2, "known": 3.0}, 3.0, id="one that is known to be up is waited for"),
        pytest.param({"a": 0.2, "known": 99}, GRACE_S, id="but never longer than the grace"),
        pytest.param({"a": 0.2, "known": 4.0, "slow": 99}, 4.0, id="the unknown are not waited for with it"),
    ],
)
async def test_those_known_to_be_up_are_waited_for(comes: dict[str, float], takes: float) -> None:
    assert await waited(comes, sure=("known",)) == pytest.approx(takes, abs=0.05)
