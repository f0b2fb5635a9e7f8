"""Through the whole proxy: results, errors and late results come clean, the record says so, and so does the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fuseboard.cleaning.result import Cleaner
from support.fake_server import FakeServer, FakeTool, fails, says
from support.leaks import OPEN, SECRETS
from support.playbook import playing
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio
DECISION = "fuseboard/decision"


def lab(act: Any) -> FakeServer:
    return FakeServer("lab", FakeTool("look", act))


CLEANER = Cleaner(OPEN, SECRETS)


async def test_a_result_comes_clean_and_says_so() -> None:
    async with playing(lab(says("a\u202eb plainsecret0123456789")), cleaner=CLEANER) as play:
        result = await (await play.connect()).call("look")
        assert result["content"] == [{"type": "text", "text": "ab «secret»"}]
        said = result["_meta"][DECISION]
        assert (said["verdict"], said["policy"], said["rule"]) == ("rewrite", "output", "output.cleaned")
        assert said["id"] == play.concluded[0].id
        (check,) = [check for check in play.concluded[0].checks if check["policy"] == "output"]
        assert check["facts"]["counts"] == {"bidi": 1, "own secret": 1}
        assert "\u202e" not in (play.concluded[0].preview or "")


async def test_an_error_comes_clean_and_says_so() -> None:
    async with playing(lab(fails(-32000, "bad\x1b[31m plainsecret0123456789")), cleaner=CLEANER) as play:
        reply = await (await play.connect()).reply("tools/call", {"name": "look", "arguments": {}})
        error = json.loads(reply.raw)
        assert error["message"] == "bad «secret»"
        assert error["data"][DECISION]["verdict"] == "rewrite"


async def test_a_clean_result_carries_nothing_of_ours() -> None:
    async with playing(lab(says("fine ❤️")), cleaner=CLEANER) as play:
        result = await (await play.connect()).call("look")
        assert "_meta" not in result
        assert not [check for check in play.concluded[0].checks if check["policy"] == "output"]


async def test_when_observing_it_is_recorded_and_passed_on() -> None:
    async with playing(lab(says("a\u202eb")), mode="observe", cleaner=CLEANER) as play:
        result = await (await play.connect()).call("look")
        assert result["content"][0]["text"] == "a\u202eb"
        assert [check["verdict"] for check in play.concluded[0].checks if check["policy"] == "output"] == ["rewrite"]
