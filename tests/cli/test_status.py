import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.approvals import PENDING, Approval, Binding, opened
from fuseboard.checkpoint import Note
from fuseboard.cli.status import lines, look
from fuseboard.reviews import RunState
from fuseboard.spending import told
from fuseboard.state import EMPTY, Reserve, Settle, Write
from support.frame_log import FrameLog
from support.ledger_entries import RUN, proposed, record
from support.proxy import PROGRAM, Proxy, fuseboard, served, wrapped
from support.raw_transports import streamable
from support.raw_ways import meeting
from support.servers import raw_command


async def shown(proxy: Proxy, state: str) -> dict[str, object]:
    """The one proxy's entry, as soon as all of its upstreams are known."""
    with anyio.fail_after(20):
        while True:
            done = await fuseboard("status", "--json", state=proxy.state, ok=False)
            proxies = json.loads(done.stdout)["proxies"]
            if proxies and state in [one["state"] for one in proxies[0]["upstreams"].values()]:
                return {"code": done.returncode, **proxies[0]}
            await anyio.sleep(0.1)


async def test_a_running_proxy_is_shown_with_its_upstream(tmp_path: Path) -> None:
    async with wrapped(raw_command(FrameLog(tmp_path / "log")), tmp_path, front="http", name="raw") as proxy:
        entry = await shown(proxy, "up")
        assert entry["code"] == 0
        assert entry["pid"] == proxy.child.process.pid
        assert str(proxy.port) in str(entry["serves"])
        text = await proxy.cli("status")
        assert "raw" in text
        assert "up" in text


async def test_a_dead_upstream_is_said_to_be_dead_and_why(tmp_path: Path) -> None:
    program, *arguments = raw_command(FrameLog(tmp_path / "log"))
    config = {"servers": {"alive": {"command": program, "args": arguments}, "dead": {"command": "/does/not/exist"}}}
    async with served(config, tmp_path, front="http") as proxy:
        entry = await shown(proxy, "down")
        assert entry["code"] == 3
        dead = entry["upstreams"]["dead"]  # type: ignore[index]
        assert "could not be started" in dead["error"]


async def test_a_proxy_that_ended_is_not_shown(tmp_path: Path) -> None:
    async with wrapped(raw_command(FrameLog(tmp_path / "log")), tmp_path, front="http") as proxy:
        await shown(proxy, "up")
    done = await fuseboard("status", state=tmp_path / "state")
    assert "No proxy runs" in done.stdout.decode()


HOSTILE = {
    "serves": "stdio",
    "since": 1_790_000_000.0,
    "upstreams": {
        "odd": {
            "state": "up",
            "error": "a\x1b[2J\u202e [/oops]",
            "server": {"name": "[/oops]\x1b]0;t\x07", "version": "[bold]1"},
        }
    },
}


async def test_what_an_upstream_says_of_itself_is_shown_and_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "proxies").mkdir()
    (tmp_path / "proxies" / f"{os.getpid()}.json").write_text(json.dumps({"pid": os.getpid(), **HOSTILE}))
    done = await fuseboard("status", state=tmp_path)
    text = done.stdout.decode()
    assert "[/oops]\\x1b]0;t\\x07 [bold]1" in text
    assert "a\\x1b[2J\\u202e [/oops]" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


CONFIG = proposed().config


def remember(folder: Path, *writes: Write, **entry: Any) -> None:
    """A ledger with one call, and state beside it, all in one commit."""

    async def main() -> None:
        store = SqliteStore.open(folder / "ledger.db")
        assert await store.commit(writes, EMPTY, None, at=time.time())
        await store.close()

    record(folder / "ledger.db", proposed(at=time.time(), **entry))
    asyncio.run(main())


def used(calls: int) -> Sequence[Write]:
    key = f"run/{RUN}"
    return Reserve(key, "d-0", {"calls": calls}, {}, 60, 600), Settle(key, "d-0", {"calls": calls}, 600)


def asked(**changes: Any) -> Sequence[Write]:
    at = time.time()
    fields: dict[str, Any] = {
        "id": "a-1",
        "binding": Binding(RUN, (("permissions", "ask"),), "ana", "tools/call", "ci", "deploy"),
        "status": PENDING,
        "serial": 1,
        "tool": "ci__deploy",
        "effect": "destructive",
        "why": "A person has to approve calling ci__deploy.",
        "arguments": "{}",
        "via": ("cli",),
        "created_at": at,
        "expires_at": at + 100,
    }
    return opened(Approval(**(fields | changes)), EMPTY, at=at)


def text(found: dict[str, Any]) -> str:
    return "\n".join(line.plain for line in lines(found))


def test_a_run_is_shown_with_what_it_used_of_what_it_may(tmp_path: Path) -> None:
    remember(tmp_path, *told(CONFIG, {"calls": 200.0}), *used(12))
    found = look(tmp_path, 10)
    (run,) = found["runs"]
    assert (run["run"], run["state"], run["run_source"]) == (RUN, "running", "process")
    assert run["budgets"] == {"calls": {"used": 12, "held": 0, "limit": 200.0}}
    assert "calls 12/200" in text(found)


def test_a_call_under_way_is_shown(tmp_path: Path) -> None:
    remember(tmp_path, Reserve(f"run/{RUN}", "d-0", {"calls": 1, "slots:0": 1}, {}, 60, 600))
    found = look(tmp_path, 10)
    assert found["runs"][0]["under_way"] == 1
    assert "calls 0 (+1)" in text(found)
    assert "1 under way" in text(found)


def test_a_paused_run_says_who_paused_it_and_why(tmp_path: Path) -> None:
    remember(tmp_path, RunState().paused(at=time.time(), by="ana", why="odd").written(RUN))
    assert "paused by ana: odd" in text(look(tmp_path, 10))


def test_a_run_that_called_nothing_for_long_is_quiet(tmp_path: Path) -> None:
    remember(tmp_path)
    found = look(tmp_path, 10)
    assert "running" in text(found)
    assert "quiet" in text(found | {"at": found["at"] + 3600})


def test_what_waits_for_a_person_is_shown_until_it_expires(tmp_path: Path) -> None:
    remember(tmp_path, *asked())
    found = look(tmp_path, 10)
    (hold,) = found["holds"]
    assert (hold["id"], hold["run"], hold["tool"]) == ("a-1", RUN, "ci__deploy")
    assert "a-1  ci__deploy (destructive)" in text(found)


def test_a_run_that_waits_is_no_call_that_waits(tmp_path: Path) -> None:
    remember(tmp_path, *asked(binding=Binding(RUN, (("review", "run.paused"),))))
    assert "that the run goes on" in text(look(tmp_path, 10))


def test_as_many_runs_are_shown_as_are_wanted_the_newest_first(tmp_path: Path) -> None:
    record(tmp_path / "ledger.db", *(proposed(f"d-{n}", run=f"r-{n}") for n in range(5)))
    assert [run["run"] for run in look(tmp_path, 2)["runs"]] == ["r-4", "r-3"]


def test_a_folder_in_which_nothing_was_served_has_nothing_to_show(tmp_path: Path) -> None:
    found = look(tmp_path, 10)
    assert (found["proxies"], found["runs"], found["holds"]) == ([], [], [])
    assert text(found) == "No proxy runs with this state folder."
    assert list(tmp_path.iterdir()) == []


def test_what_an_agent_says_of_itself_is_shown_and_does_nothing(tmp_path: Path) -> None:
    hostile = "x\x1b[2J\u202e[/oops]"
    remember(tmp_path, *asked(tool=hostile, why=hostile), client=hostile)
    shown = text(look(tmp_path, 10))
    assert shown.count("x\\x1b[2J\\u202e[/oops]") == 3
    assert not {"\x1b", "\u202e"} & set(shown)


def test_watching_looks_again_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [PROGRAM, "status", "--watch", "--json", "--state", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["runs"] == []
        remember(tmp_path)
        documents = (json.loads(line) for line in watching.stdout)
        assert next(found for found in documents if found["runs"])["runs"][0]["run"] == RUN
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=20) == 130
        assert watching.stderr is not None
        assert watching.stderr.read() == ""


def test_a_terminal_is_drawn_anew(tmp_path: Path) -> None:
    remember(tmp_path, *used(3))
    command = [PROGRAM, "status", "--watch", "--state", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "FORCE_COLOR": "1"}
    ) as watching:
        assert watching.stdout is not None
        assert any("calls" in line for line in watching.stdout)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=20) == 130


async def test_the_limits_of_a_running_proxy_are_known_to_those_who_look_on(tmp_path: Path) -> None:
    program, *arguments = raw_command(FrameLog(tmp_path / "log"))
    config = {"servers": {"raw": {"command": program, "args": arguments}}, "run": {"calls": 77}}
    async with served(config, tmp_path, front="http") as proxy:
        await shown(proxy, "up")
        async with meeting(proxy, "http") as client:
            await client.call("echo", {"text": "hi"})
        found = json.loads(await proxy.cli("status", "--json"))
        assert found["runs"][0]["budgets"]["calls"] == {"used": 1, "held": 0, "limit": 77}
        assert "calls 1/77" in await proxy.cli("trace", "show", "last")


def test_a_run_is_shown_with_what_its_agent_said_last(tmp_path: Path) -> None:
    pause = RunState().paused(at=5.0, by="ana", why="too quick")
    remember(tmp_path, pause.written(RUN), Note(1.0, "half \x1b[2J way").written(RUN, ttl_s=600.0))
    found = look(tmp_path, 10)
    assert found["runs"][0]["checkpoint"]["summary"] == "half \x1b[2J way"
    assert "the agent said at" in text(found)
    assert "half \\x1b[2J way" in text(found)


async def test_the_limits_of_a_signed_run_are_those_of_its_token_and_of_the_configuration(tmp_path: Path) -> None:
    """A token is nobody's to keep, so what it states is written down when it is first seen, and outlives a restart."""
    program, *arguments = raw_command(FrameLog(tmp_path / "log"))
    limits = {"calls": 7, "money": 3.0, **dict.fromkeys(("time", "output", "tokens"))}
    config = {"servers": {"raw": {"command": program, "args": arguments}}, "run": limits}
    signed = json.loads(
        (await fuseboard("run", "new", "--budget", "calls=5", "--json", state=tmp_path / "state")).stdout
    )
    for _ in range(2):
        async with served(config, tmp_path) as proxy:
            async with streamable(proxy.base + signed["path"]) as client:
                await client.call("echo")
            (run,) = json.loads(await proxy.cli("status", "--json"))["runs"]
    assert run["run"] == signed["run"]
    assert {unit: of["limit"] for unit, of in run["budgets"].items()} == {
        "calls": 5,
        "money": 3,
        "output_bytes": None,
        "tokens": None,
        "time_s": None,
    }
    assert (run["budgets"]["calls"]["used"], run["calls"]) == (2, 2)
    assert "calls 2/5" in (await fuseboard("status", state=tmp_path / "state")).stdout.decode()
