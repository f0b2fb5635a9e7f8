"""Two agents behind one client, their calls interleaved: what the trace says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from support.evaders import call, field
from support.proxy import UNLIMITED
from support.raw_client import HANDSHAKE, MODERN

LIMIT_S: Final = 60

FIRST: Final = {"traceparent": f"00-{'a' * 32}-{'1' * 16}-01"}
SECOND: Final = {"fuseboard/run": "the second"}


@pytest.mark.parametrize(
    ("front", "era", "rest"),
    [
        ("http", HANDSHAKE, ("session", "connection")),
        ("http", MODERN, ("inferred", "inferred")),
        ("stdio", HANDSHAKE, ("process", "connection")),
        ("stdio", MODERN, ("process", "inferred")),
    ],
)
async def test_the_trace_tells_them_apart_and_says_how_surely(
    tmp_path: Path, front: str, era: str, rest: tuple[str, str]
) -> None:
    said: list[Any] = [FIRST, SECOND, None] * 2
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path, run=UNLIMITED["run"], principal={"calls": None}) as ground:
            async with ground.client(front, era) as client:
                for meta in said:
                    assert await call(client, meta) == "ok"
            records = await ground.proxy.trace()
            known = [(one["run_source"], one["confidence"]) for one in records]
            assert known == [("trace", "claimed"), ("meta", "claimed"), rest] * 2
            first, second, third = (one["run"] for one in records[:3])
            assert [one["run"] for one in records] == [first, second, third] * 2
            assert len({first, second, third}) == 3
            for run, (source, confidence) in zip((first, second, third), known, strict=False):
                assert f"run known by: {source}, {confidence}" in await ground.proxy.cli("trace", "show", run)
            assert f"known by {rest[0]}, {rest[1]}" in await ground.proxy.cli("trace", "why", records[2]["id"])
