"""A child process as an upstream: real processes, ended and counted."""

import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from fuseboard.adapters.upstream.stdio import INHERITED, StdioLink, child_environment
from fuseboard.errors import UpstreamLost, UpstreamUnreachable
from fuseboard.ports import Reply, Request, Scope
from fuseboard.scopes import NOWHERE
from support.links import CallScope, params, value

ANSWERS = """
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method == "exit": os._exit(7)
    if method == "complain": print("it hurts", file=sys.stderr, flush=True); os._exit(9)
    if method == "noise": print("not json at all", flush=True)
    if method == "tell": print(json.dumps({"jsonrpc": "2.0", "method": "told", "params": {"n": 1}}), flush=True)
    if method == "silent": continue
    if method == "env": result = dict(os.environ)
    elif method == "cancelled": result = seen
    else: result = {"method": method, "pid": os.getpid()}
    if method == "notifications/cancelled": seen = message["params"]; continue
    if "id" in message: print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""

TELLS = 'print(\'{"jsonrpc":"2.0","method":"started","params":{}}\', flush=True)\n'


class Heard:
    def __init__(self) -> None:
        self.told = anyio.Event()
        self.methods: list[str] = []
        self.losses: list[str] = []

    async def request(self, request: Request, scope: Scope) -> Reply:
        raise AssertionError("nothing asks here")

    def notified(self, method: str, params: bytes | None) -> None:
        self.methods.append(method)
        self.told.set()

    def lost(self, reason: str) -> None:
        self.losses.append(reason)


@asynccontextmanager
async def started(
    script: str = ANSWERS,
    *,
    env: dict[str, str] | None = None,
    limit_bytes: int = 1_000_000,
    heard: Heard | None = None,
) -> AsyncIterator[StdioLink]:
    link = await start([sys.executable, "-c", script], env=env, limit_bytes=limit_bytes, heard=heard)
    try:
        with anyio.fail_after(20):
            yield link
    finally:
        await link.close()


async def start(
    argv: Sequence[str],
    *,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    limit_bytes: int = 1_000_000,
    heard: Heard | None = None,
) -> StdioLink:
    return await StdioLink.start(
        "child", argv, env=env or {}, cwd=cwd, inbound=heard or Heard(), limit_bytes=limit_bytes
    )


async def gone(pid: int) -> None:
    """Wait until the process has ended (a zombie of another parent counts as ended)."""
    with anyio.fail_after(10):
        while _runs(pid):  # noqa: ASYNC110 (a process that is not our child has no event)
            await anyio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_question_is_answered() -> None:
    async with started() as link:
        answer = value(await link.request("hello", params({"a": 1}), NOWHERE))
        assert answer == {"method": "hello", "pid": link.pid}


@pytest.mark.parametrize(
    ("argv", "cwd"),
    [
        pytest.param(["/does/not/exist"], None, id="a program that is not there"),
        pytest.param([os.devnull], None, id="a file that is no program"),
        pytest.param([sys.executable], Path("/does/not/exist"), id="a folder that is not there"),
    ],
)
async def test_what_cannot_be_started_is_unreachable(argv: list[str], cwd: Path | None) -> None:
    with pytest.raises(UpstreamUnreachable, match="child could not be started"):
        await start(argv, cwd=cwd)


async def test_the_child_gets_the_named_variables_and_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SECRET", "hunter2")
    async with started(env={"ITS_OWN": "1"}) as link:
        seen = value(await link.request("env", None, NOWHERE))
    assert seen["ITS_OWN"] == "1"
    assert "OUR_SECRET" not in seen
    assert set(seen) - {"LC_CTYPE"} <= {*INHERITED, "ITS_OWN"}


def test_a_shell_function_is_never_inherited() -> None:
    assert child_environment({"PATH": "/bin", "SHELL": "() { :; }"}, {}) == {"PATH": "/bin"}


async def test_a_child_that_ends_fails_what_was_asked_and_says_how_it_ended() -> None:
    async with started() as link:
        with pytest.raises(UpstreamLost, match="child"):
            await link.request("exit", None, NOWHERE)
        assert not link.open
        with pytest.raises(UpstreamUnreachable):
            await link.request("hello", None, NOWHERE)


async def test_its_last_words_are_in_our_log_and_not_in_the_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fuseboard.stderr")
    async with started() as link:
        with pytest.raises(UpstreamLost) as lost:
            await link.request("complain", None, NOWHERE)
        await gone(link.pid)
    assert "[child] it hurts" in caplog.messages
    assert "child" in lost.value.message
    assert "it hurts" not in lost.value.message


async def test_what_a_child_had_started_ends_with_it() -> None:
    script = ANSWERS.replace(
        'if method == "exit":',
        'if method == "spawn": import subprocess; subprocess.Popen(["sleep", "600"], stdout=2)\n'
        '    if method == "exit":',
    )
    async with started(script) as link:
        await link.request("spawn", None, NOWHERE)
        (grandchild,) = await anyio.to_thread.run_sync(_children, link.pid)
        with pytest.raises(UpstreamLost):
            await link.request("exit", None, NOWHERE)
        await gone(grandchild)


async def test_the_ladder_is_over_before_a_client_loses_its_patience() -> None:
    script = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + TELLS + "time.sleep(600)"
    heard = Heard()
    link = await start([sys.executable, "-c", script], heard=heard)
    await heard.told.wait()
    began = anyio.current_time()
    await link.close()
    assert anyio.current_time() - began < 1.8
    assert not link.runs


async def test_noise_on_stdout_is_answered_as_such_and_breaks_nothing() -> None:
    async with started() as link:
        assert value(await link.request("noise", None, NOWHERE))["method"] == "noise"


async def test_what_it_says_by_itself_reaches_the_session() -> None:
    heard = Heard()
    async with started(heard=heard) as link:
        await link.request("tell", None, NOWHERE)
        await heard.told.wait()
    assert heard.methods == ["told"]


async def test_giving_up_tells_the_child() -> None:
    async with started() as link:
        with anyio.move_on_after(0.2):
            await link.request("silent", None, CallScope())
        assert value(await link.request("cancelled", None, NOWHERE)) == {"requestId": 1}


async def test_an_overlong_frame_is_dropped_and_the_next_is_read() -> None:
    script = ANSWERS.replace(
        'if method == "noise"', 'if method == "big": print("x" * 5000, flush=True)\n    if method == "noise"'
    )
    async with started(script, limit_bytes=4000) as link:
        assert value(await link.request("big", None, NOWHERE))["method"] == "big"


async def test_a_large_answer_comes_whole() -> None:
    script = ANSWERS.replace('result = {"method": method, "pid": os.getpid()}', 'result = {"text": "x" * 3_000_000}')
    async with started(script, limit_bytes=10_000_000) as link:
        assert len(value(await link.request("big", None, NOWHERE))["text"]) == 3_000_000


async def test_closing_ends_the_child() -> None:
    async with started() as link:
        pid = link.pid
    await gone(pid)


async def test_closing_ends_a_child_that_ignores_everything_and_what_it_started() -> None:
    script = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"{TELLS}"
        "print(grandchild.pid, file=sys.stderr, flush=True)\n"
        "time.sleep(600)"
    )
    heard = Heard()
    async with started(script, heard=heard) as link:
        await heard.told.wait()
        grandchildren = await anyio.to_thread.run_sync(_children, link.pid)
        pid = link.pid
    assert len(grandchildren) == 1
    await gone(pid)
    await gone(grandchildren[0])


def _children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            if int(parent) == pid:
                found.append(int(folder.name))
    return found


async def test_whoever_holds_the_link_is_told_of_its_death_once_and_with_its_reason() -> None:
    heard = Heard()
    async with started(f"import sys\n{TELLS}sys.exit(3)", heard=heard) as link:
        with anyio.fail_after(10):
            while link.open:  # noqa: ASYNC110  what is waited for is the operating system
                await anyio.sleep(0.01)
        await link.close()
    assert len(heard.losses) == 1
    assert "ended with exit code 3" in heard.losses[0]


async def test_a_child_that_closes_its_output_and_goes_on_is_said_to_have_done_that() -> None:
    heard = Heard()
    async with started("import os, time\nos.close(1)\ntime.sleep(600)", heard=heard) as link:
        with anyio.fail_after(10):
            while link.open:  # noqa: ASYNC110  what is waited for is the operating system
                await anyio.sleep(0.01)
    assert "closed its output" in heard.losses[0]
