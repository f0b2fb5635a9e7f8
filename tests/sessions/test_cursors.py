"""The cursor of a merged list comes back to whom it was given, for the same list, in time, or it is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from fuseboard.errors import INVALID_PARAMS, ProtocolFault
from fuseboard.sessions.cursors import EXPIRY_S, Cursors
from support.seal import HmacSeal
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

SEAL = HmacSeal()
CURSORS = Cursors(SEAL)


async def given() -> str:
    return await CURSORS.give("tools/list", "ada", {"one": "2", "two": ""}, page=1, at=1000.0)


async def test_what_was_given_comes_back() -> None:
    taken = await CURSORS.take(await given(), method="tools/list", principal="ada", at=1000.0 + EXPIRY_S - 1)
    assert (taken.upstreams, taken.page) == ({"one": "2", "two": ""}, 1)


async def other_purpose() -> str:
    return await SEAL.seal(
        b'{"method":"tools/list","principal":"ada","upstreams":{},"page":1,"expires_at":1e99,"purpose":"question"}'
    )


async def no_claims() -> str:
    return await SEAL.seal(b"[]")


async def foreign() -> str:
    return await Cursors(HmacSeal(b"of another")).give("tools/list", "ada", {}, page=1, at=1000.0)


async def forged() -> str:
    token = await given()
    return token[:-1] + ("A" if token[-1] != "A" else "B")


async def nonsense() -> str:
    return "2"


@pytest.mark.parametrize(
    ("make", "method", "principal", "at"),
    [
        pytest.param(given, "prompts/list", "ada", 1000.0, id="for another list"),
        pytest.param(given, "tools/list", "bob", 1000.0, id="of another caller"),
        pytest.param(given, "tools/list", "ada", 1000.0 + EXPIRY_S, id="too old"),
        pytest.param(forged, "tools/list", "ada", 1000.0, id="altered"),
        pytest.param(nonsense, "tools/list", "ada", 1000.0, id="an upstream's own, or made up"),
        pytest.param(foreign, "tools/list", "ada", 1000.0, id="of another process"),
        pytest.param(other_purpose, "tools/list", "ada", 1000.0, id="a token of ours, but no cursor"),
        pytest.param(no_claims, "tools/list", "ada", 1000.0, id="without claims"),
    ],
)
async def test_a_cursor_that_is_not_good_says_to_start_again(
    make: Callable[[], Awaitable[str]], method: str, principal: str, at: float
) -> None:
    with pytest.raises(ProtocolFault, match=f"Invalid cursor; call {method} again without one") as refused:
        await CURSORS.take(await make(), method=method, principal=principal, at=at)
    assert refused.value.code == INVALID_PARAMS
