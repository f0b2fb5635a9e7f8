"""Stdout of a stdio server carries protocol and nothing else, whatever happens around it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
import pytest

from support.matrix import program
from support.processes import child
from support.proxy import serve_command, wrap_command
from support.raw_client import HANDSHAKE, MODERN
from support.raw_transports import PipeClient, pipe
from support.system import eventually

ODD = str(Path(__file__).parents[1] / "support/odd_upstream.py")
CHATTY = [sys.executable, ODD, "--chatty"]

WARNS = {
    "version": 1,
    "servers": {"odd": {**program(CHATTY), "autoApprove": ["x"]}},
    "output": {"max": "64KB"},
    "breaker": {"strikes": 5},
    "rules": [
        {"id": "never-matches", "tools": "nobody__*", "decide": "deny"},
        {
            "id": "breaks",
            "tools": "*",
            "when": 'context.args has n && context.args.n > 3 && context.args.s == "x"',
            "decide": "deny",
        },
    ],
}
"""A configuration that has a lot to say: keys that are not enforced yet, a key of other clients, odd rules."""

NOISY = {"PYTHONWARNINGS": "always", "PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONVERBOSE": ""}


def assert_protocol_only(client: PipeClient) -> None:
    for frame in client.frames:
        message = json.loads(frame)
        assert message["jsonrpc"] == "2.0", frame


@pytest.mark.parametrize("era", [HANDSHAKE, MODERN])
@pytest.mark.parametrize("command", ["serve", "wrap --verbose"])
async def test_nothing_but_protocol_however_much_there_is_to_say(command: str, era: str, tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    started = (
        serve_command(json.dumps(WARNS), tmp_path)
        if command == "serve"
        else wrap_command(CHATTY, tmp_path / "state", options=["--verbose"])
    )
    async with pipe(started, log, era=HANDSHAKE, env=NOISY) as client:
        client.era = era
        for tool in ("good", "nan", "gone", "good", "no_json", "asks_nonsense", "good"):
            await client.call(tool, {"n": 4, "s": 1})
        for junk in (b"hello", b"[]", b'{"jsonrpc":"2.0","id":1.0,"method":"ping"}', b"\x00" * 100):
            await client.send(junk)
        await client.ask("ping") if era == HANDSHAKE else await client.call("good")
        await client.close_stdin()
        with anyio.fail_after(15):
            await client.child.process.wait()
        assert_protocol_only(client)
        assert len(client.frames) >= 10
    said = log.read_text(errors="replace")
    assert "on stderr" in said


@pytest.mark.parametrize(
    "config",
    ["servers: {}", "nonsense: [", "servers: {a: {command: x}}\nrules: [{id: a, when: '((', decide: deny}]\n"],
    ids=["no servers", "no YAML", "a bad rule"],
)
async def test_a_configuration_that_cannot_be_used_says_so_on_stderr(config: str, tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    async with child(serve_command(config, tmp_path), log, piped=True) as started:
        assert started.process.stdout is not None
        with pytest.raises(anyio.EndOfStream):
            await started.process.stdout.receive()
        with anyio.fail_after(10):
            assert await started.process.wait() == 2
    assert log.read_text().strip()
    assert "Traceback" not in log.read_text()


async def test_requests_that_are_piped_in_get_their_answers_before_the_end(tmp_path: Path) -> None:
    """``printf … | fuseboard wrap -- …``: all of stdin is there at once, and then it ends."""
    command = wrap_command([sys.executable, ODD], tmp_path / "state")
    async with pipe(command, tmp_path / "proxy.log", open_session=False) as client:
        hello = client.frame("initialize", client.opening(), id=1)
        asks = [client.frame("tools/call", {"name": "good"}, id=n) for n in (2, 3)]
        await client.send_bytes(b"\n".join([hello, client.frame("notifications/initialized"), *asks]) + b"\n")
        await client.close_stdin()
        with anyio.fail_after(15):
            assert await client.child.process.wait() == 0
        await eventually(lambda: len(client.frames) >= 3)
        assert sorted(json.loads(frame)["id"] for frame in client.frames) == [1, 2, 3]
        assert all("result" in json.loads(frame) for frame in client.frames)
