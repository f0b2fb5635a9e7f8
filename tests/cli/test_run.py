"""``fuseboard run new``."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fuseboard.adapters.keys import run_key
from fuseboard.stated import Stated
from fuseboard.tokens import Tokens
from support.proxy import fuseboard


async def test_a_token_with_all_that_a_client_needs(tmp_path: Path) -> None:
    budgets = ["calls=500", "tokens=1M", "time=1h", "output=20MB", "money=2.5"]
    budgets += ["depth=3", "parallel=2", "rate=30/min burst 5", "pause_at=80%"]
    options = [word for budget in budgets for word in ("--budget", budget)]
    done = await fuseboard("run", "new", "--json", "--principal", "ana", "--ttl", "2h", *options, state=tmp_path)
    said = json.loads(done.stdout)
    signed = Tokens(run_key(tmp_path)).read(said["token"], principal="ana", at=time.time())
    assert (signed.run, signed.principal) == (said["run"], "ana")
    ceilings = {"calls": 500, "tokens": 1_000_000, "time_s": 3600, "output_bytes": 20_000_000, "money": 2.5}
    assert signed.limits == Stated(ceilings, 3, 2, (2.0, 5), "30/min burst 5", 0.8)
    assert said["limits"] == {**ceilings, "depth": 3, "parallel": 2, "rate": "30/min burst 5", "pause_at": 0.8}
    assert signed.expires_at == said["expires"] == pytest.approx(time.time() + 7200, abs=60)
    assert said["path"] == f"/run/{said['token']}/mcp"
    assert said["env"] == {"FUSEBOARD_RUN": said["token"]}
    assert said["mcpServers"]["http"]["url"].endswith(said["path"])
    assert said["mcpServers"]["stdio"]["env"] == said["env"]


async def test_as_a_person_reads_it(tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    budgets = ["calls=5", "depth=2", "parallel=3", "rate=30/min", "pause_at=80%"]
    options = [word for budget in budgets for word in ("--budget", budget)]
    done = await fuseboard("run", "new", *options, "--state", str(place), state=tmp_path)
    text = done.stdout.decode()
    assert "5 calls, 3 calls at once, 30/min burst 30 calls, 2 calls on one another, paused at 80%" in text
    assert "FUSEBOARD_RUN=fb1." in text
    assert text.count('"mcpServers"') == 2
    assert f'"{place}"' in text
    assert (place / "run.key").exists()


async def test_without_limits_those_of_the_configuration_hold(tmp_path: Path) -> None:
    done = await fuseboard("run", "new", state=tmp_path)
    assert "those of the configuration" in done.stdout.decode()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--budget", "callz=5"), "the units are calls, time, output, tokens, money, depth, parallel, rate, pause_at"),
        (("--budget", "depth=0"), "--budget depth:"),
        (("--budget", "parallel=few"), "--budget parallel:"),
        (("--budget", "rate=fast"), "--budget rate: found 'fast'"),
        (("--budget", "pause_at=0.5"), "--budget pause_at: found '0.5'"),
        (("--budget", "calls"), "write it like calls=500"),
        (("--budget", "calls=many"), "--budget calls: found 'many'"),
        (("--budget", "calls=0"), "--budget calls:"),
        (("--budget", "money=-1"), "--budget money:"),
        (("--budget", "calls=1", "--budget", "calls=2"), "stands twice"),
        (("--ttl", "24"), "--ttl 24: found '24', which is not a duration"),
        (("--ttl", "0s"), "holds for no time"),
    ],
)
async def test_what_cannot_be_signed(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    done = await fuseboard("run", "new", *options, state=tmp_path, ok=False)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert done.stdout == b""
