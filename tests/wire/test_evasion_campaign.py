"""Evaders that mix everything at random: the count of the upstream stands against what two principals may use."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from fuseboard.adapters.keys import run_key
from fuseboard.ports import SignedRun
from fuseboard.stated import Stated
from fuseboard.tokens import Tokens
from support.evaders import INFO, OF_A_PRINCIPAL, Field, field
from support.raw_client import HANDSHAKE, MODERN

LIMIT_S: Final = 120
STEPS: Final = 30
OF_A_TOKEN: Final = 4
WHO: Final = ("ana", "bob")
AUTH: Final = {"bearer": {name: {"token": f"{name}-{'x' * 20}"} for name in WHO}}


class Campaign:
    """One random evader. What it does follows from the seed alone."""

    def __init__(self, ground: Field, seed: int) -> None:
        self.ground = ground
        self.dice = random.Random(seed)
        self.shift_s = 0.0
        tokens = Tokens(run_key(ground.state))
        self.tokens = {
            name: tokens.make(SignedRun(f"r-{name}", 0.0, 4e9, name, Stated({"calls": OF_A_TOKEN}))) for name in WHO
        }

    async def step(self) -> None:
        dice = self.dice
        match dice.choices(("call", "burst", "pipe", "restart", "back"), (60, 15, 10, 8, 7))[0]:
            case "call":
                await self.call()
            case "burst":
                async with anyio.create_task_group() as tasks:
                    for _ in range(dice.randrange(2, 12)):
                        tasks.start_soon(self.call)
            case "pipe":
                await self.ground.once("stdio", dice.choice((HANDSHAKE, MODERN)), meta=self.meta())
            case "restart":
                await self.ground.restart(kill=dice.random() < 0.5)
            case "back":
                self.shift_s -= 3600 * dice.random()  # never forth: a window that is over gives anew, as it should
                self.ground.shift(self.shift_s)

    async def call(self) -> None:
        dice = self.dice
        who = dice.choice(WHO)
        front, era = dice.choice((("http", HANDSHAKE), ("http", MODERN)))
        headers = {"authorization": f"Bearer {who}-{'x' * 20}"}
        path, meta = "", self.meta()
        if dice.random() < 0.4:
            token = self.token(who)
            place = dice.choice(("path", "header", "meta"))
            if place == "path":
                path = f"/run/{token}"
            elif place == "header":
                headers["fuseboard-run"] = token
            else:
                meta["fuseboard/run"] = token
        if dice.random() < 0.3:
            headers["baggage"] = f"run={dice.randrange(4)}"
        await self.ground.once(front, era, path=path, headers=headers, meta=meta, name=f"c-{dice.randrange(5)}")

    def token(self, who: str) -> str:
        """Its own, another's, or none that holds."""
        dice, token = self.dice, self.tokens[who]
        cut = dice.randrange(len(token))
        other = self.tokens[WHO[1 - WHO.index(who)]]
        return dice.choices((token, other, token[:cut], token[:cut] + "A" + token[cut + 1 :]), (6, 2, 1, 1))[0]

    def meta(self) -> dict[str, Any]:
        dice = self.dice
        meta: dict[str, Any] = {}
        if dice.random() < 0.4:
            n = dice.randrange(1, 6)
            meta["traceparent"] = f"00-{n:032x}-{dice.randrange(1, 9):016x}-01"
            meta["tracestate"] = f"fuseboard={dice.randrange(1, 9):016x}"
        if dice.random() < 0.4:
            meta["fuseboard/run"] = dice.choice(("a", "b", "r-ana", "r-bob", "", "x" * 300, 7, None, "🚀"))
        if dice.random() < 0.3:
            meta["baggage"] = f"run={dice.choice(('a', 'b', '%00', 'r-ana'))}"
        if dice.random() < 0.3:
            meta[INFO] = {"name": f"m-{dice.randrange(9)}", "version": f"{dice.randrange(3)}"}
        return meta


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_mixed_nobody_gets_more(tmp_path: Path, seed: int) -> None:
    with anyio.fail_after(LIMIT_S):
        async with field(tmp_path, auth=AUTH) as ground:
            campaign = Campaign(ground, seed)
            for _ in range(STEPS):
                await campaign.step()
            records = await ground.proxy.trace()
            executed = ground.executed
    allowed = [one for one in records if one["verdict"] == "allow"]
    assert executed == len(allowed)
    unsigned = Counter(one["principal"] for one in allowed if one["confidence"] != "signed")
    assert max(unsigned.values()) <= OF_A_PRINCIPAL, unsigned
    for who in WHO:
        calls = [one for one in allowed if one["run"] == f"r-{who}"]
        assert len(calls) <= OF_A_TOKEN
        assert {one["principal"] for one in calls} <= {who}
    assert executed > OF_A_PRINCIPAL + OF_A_TOKEN, "the campaign was too tame to show anything"
    owners: dict[str, str] = {}
    for one in records:
        assert owners.setdefault(one["run"], one["principal"]) == one["principal"], "a run of two principals"
