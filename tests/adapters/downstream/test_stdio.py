"""The stdio face as a process: what is on stdout, and how it ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from fuseboard.adapters.downstream.stdio import is_modern
from fuseboard.ports import Request
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
        assert await process.wait() == (130 if number == signal.SIGINT else 0)
    await process.aclose()


MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


def asked(params: bytes | None, *, method: str = "tools/list") -> Request:
    return Request(b"1", method, params, json.loads(params or b"{}") if method == "tools/call" else None)


@pytest.mark.parametrize("method", ["tools/list", "tools/call"])
@pytest.mark.parametrize(
    ("params", "modern"),
    [
        pytest.param(json.dumps({"_meta": MODERN}).encode(), True, id="the key in _meta"),
        pytest.param(rb'{"_meta":{"io.modelcontextprotocol\/protocolVersion":"x"}}', True, id="an escaped slash"),
        pytest.param(
            rb'{"\u005fmeta":{"io.modelcontextprotocol/\u0070rotocolVersion":"x"}}', True, id="escaped letters"
        ),
        pytest.param(json.dumps({"arguments": {"text": next(iter(MODERN))}}).encode(), False, id="a text about it"),
        pytest.param(json.dumps({"_meta": {"x": next(iter(MODERN))}}).encode(), False, id="a text in _meta about it"),
        pytest.param(json.dumps({"arguments": {"_meta": MODERN}}).encode(), False, id="an argument's _meta"),
        pytest.param(json.dumps({"_meta": [next(iter(MODERN))]}).encode(), False, id="a _meta of another shape"),
        pytest.param(b'{"_meta":null}', False, id="a _meta of null"),
        pytest.param(b"{}", False, id="no _meta"),
        pytest.param(None, False, id="no params"),
    ],
)
def test_the_era_of_a_request_is_what_its_own_meta_says(method: str, params: bytes | None, modern: bool) -> None:
    assert is_modern(asked(params, method=method)) is modern
