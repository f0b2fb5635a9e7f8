"""``fuseboard pins`` as processes: what it shows, what it writes, and by which exit code a CI knows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuseboard.pins.lock import NAME
from support.proxy import fuseboard

SERVER = """\
import json, pathlib, sys
listing = pathlib.Path(sys.argv[1])
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    answer = {"error": {"code": -32601, "message": "Method not found"}}
    if asked["method"] == "initialize":
        hello = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
        answer = {"result": {**hello, "serverInfo": {"name": "It", "version": "1"}}}
    elif asked["method"] == "tools/list":
        answer = {"result": {"tools": json.loads(listing.read_text())}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
"""
READ = {"name": "read", "description": "Reads.", "inputSchema": {"type": "object"}}


class Bench:
    """A server whose list a test writes, its configuration, and the commands about it."""

    def __init__(self, folder: Path, **pins: Any) -> None:
        self.folder = folder
        self.listing = folder / "listing.json"
        (folder / "server.py").write_text(SERVER)
        self.config = folder / "fuseboard.yaml"
        command = {"command": sys.executable, "args": [str(folder / "server.py"), str(self.listing)]}
        self.config.write_text(json.dumps({"servers": {"up": command}, "pins": pins}))
        self.lists(READ)

    def lists(self, *tools: dict[str, Any]) -> None:
        self.listing.write_text(json.dumps(tools))

    async def pins(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        options = ("--config", str(self.config))
        return await fuseboard("pins", *words, *options, state=self.folder / "state", ok=False)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, file=NAME)


async def test_what_was_accepted_and_did_not_change_is_no_difference(bench: Bench) -> None:
    first = await bench.pins("diff")
    assert (first.returncode, "new      tool read" in first.stdout.decode()) == (1, True)
    accepted = await bench.pins("accept")
    assert (accepted.returncode, "accepted 1 definition" in accepted.stdout.decode()) == (0, True)
    assert (await bench.pins("diff")).returncode == 0
    assert "nothing had changed" in (await bench.pins("accept")).stdout.decode()
    shown = (await bench.pins("ls")).stdout.decode()
    assert "It 1" in shown
    assert "tool              read" in shown
    lock = json.loads((bench.folder / NAME).read_text())
    assert lock["servers"]["up"]["tools"]["read"][0]["definition"] == READ


async def test_a_change_is_shown_as_what_it_means_and_ends_with_1(bench: Bench) -> None:
    await bench.pins("accept")
    bench.lists({**READ, "description": "Reads.\u200b", "inputSchema": {"type": "object", "properties": {"a": {}}}})
    done = await bench.pins("diff")
    text = done.stdout.decode()
    assert done.returncode == 1
    assert '    description changed\n      from "Reads."\n      to   "Reads.\\u200b"\n' in text
    assert "argument a added: {}" in text
    document = json.loads((await bench.pins("diff", "up__read", "--json")).stdout)
    (row,) = document["servers"][0]["definitions"]
    assert (row["state"], [change["where"] for change in row["changes"]]) == ("changed", ["description", "argument a"])


async def test_one_of_several_is_accepted_alone(bench: Bench) -> None:
    await bench.pins("accept")
    bench.lists({**READ, "title": "T"}, {"name": "other"})
    await bench.pins("accept", "up__other")
    document = json.loads((await bench.pins("diff", "--json")).stdout)
    states = {row["name"]: row["state"] for row in document["servers"][0]["definitions"]}
    assert states == {"read": "changed", "other": "accepted"}
    await bench.pins("accept", "up", "--also")
    assert (await bench.pins("diff")).returncode == 0
    bench.lists(READ, {"name": "other"})
    assert (await bench.pins("diff")).returncode == 0


async def test_what_is_dropped_is_new_again(bench: Bench) -> None:
    await bench.pins("accept")
    done = await bench.pins("drop", "up__read")
    assert (done.returncode, done.stdout) == (0, b"forgot 1 definition of up\n")
    again = await bench.pins("drop", "up")
    assert (again.returncode, "holds nothing of 'up'" in again.stderr.decode()) == (2, True)
    assert "Nothing was accepted yet" in (await bench.pins("ls")).stdout.decode()


async def test_a_server_that_does_not_answer_ends_with_3_and_keeps_its_pins(bench: Bench) -> None:
    await bench.pins("accept")
    before = (bench.folder / NAME).read_bytes()
    (bench.folder / "server.py").write_text("raise SystemExit(1)")
    for verb in ("diff", "accept"):
        done = await bench.pins(verb)
        assert (done.returncode, "cannot be reached" in done.stdout.decode()) == (3, True)
    assert (bench.folder / NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("diff", "nobody"), "there is no server 'nobody'; there are up"),
        (("accept", "up__nothing"), "up lists nothing called 'nothing'"),
    ],
)
async def test_what_cannot_be_meant_is_said(words: tuple[str, ...], said: str, bench: Bench) -> None:
    done = await bench.pins(*words)
    assert (done.returncode, said in done.stderr.decode()) == (2, True)


async def test_a_lock_file_that_is_none_is_left_alone(bench: Bench) -> None:
    (bench.folder / NAME).write_text("my notes")
    for words in (("ls",), ("diff",), ("accept",)):
        done = await bench.pins(*words)
        assert (done.returncode, "cannot be used" in done.stderr.decode()) == (2, True)
    assert (bench.folder / NAME).read_text() == "my notes"


async def test_without_a_configuration_the_state_folder_s_file_is_shown(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.pins("accept")
    shown = await fuseboard("pins", "ls", state=tmp_path / "state", env={"XDG_CONFIG_HOME": str(tmp_path / "none")})
    assert "tool              read" in shown.stdout.decode()
    dropped = await fuseboard("pins", "drop", "up", state=tmp_path / "state")
    assert dropped.stdout == b"forgot 1 definition of up\n"


async def test_check_names_what_hides_and_where(bench: Bench) -> None:
    bench.lists({**READ, "description": "x\u200b"}, {"name": "r\u0435ad"})
    done = await fuseboard("check", "--connect", "--json", "--config", str(bench.config), state=bench.folder, ok=False)
    found = [(one["path"], one["message"]) for one in json.loads(done.stdout)["findings"]]
    assert done.returncode == 1
    assert all(path == "servers.up" for path, _ in found)
    assert any("/description holds 1 characters that nobody sees" in message for _, message in found)
    assert any("written with letters that only look like plain ones" in message for _, message in found)
