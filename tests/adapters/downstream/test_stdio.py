"""The stdio face as a process: what is on stdout, and how it ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from support.frame_log import FrameLog
from support.proxy import wrap_command
from support.servers import raw_command

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}


def lines(*messages: object) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def command(folder: Path) -> list[str]:
    return wrap_command(raw_command(FrameLog(folder / "log")), folder / "state")


async def test_requests_piped_in_are_answered_before_it_ends(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        done = await anyio.run_process(command(tmp_path), input=lines(INITIALIZE, PING))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(answer["id"] for answer in answers) == [1, 2]
    assert all("result" in answer for answer in answers)


async def test_regular_files_serve_as_stdin_and_stdout(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(lines(INITIALIZE, PING))
    with (tmp_path / "in").open("rb") as stdin, (tmp_path / "out").open("wb") as stdout, anyio.fail_after(30):
        await anyio.run_process(command(tmp_path), stdin=stdin, stdout=stdout)
    answers = [json.loads(line) for line in (tmp_path / "out").read_bytes().splitlines()]
    assert sorted(answer["id"] for answer in answers) == [1, 2]


async def test_what_a_server_prints_on_stderr_stays_off_stdout(tmp_path: Path) -> None:
    script = "import sys; print('noise', file=sys.stderr); sys.stdin.read()"
    argv = wrap_command([sys.executable, "-c", script], tmp_path / "state")
    with anyio.fail_after(30):
        done = await anyio.run_process(argv, input=lines(PING))
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    process = await anyio.open_process(command(tmp_path), stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    with anyio.fail_after(30):
        await process.stdin.send(lines(INITIALIZE))
        await process.stdout.receive()
        process.send_signal(number)
        assert await process.wait() == 0
    await process.aclose()
