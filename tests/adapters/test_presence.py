import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel

from fuseboard.adapters.presence import FOLDER, announced, running


async def appeared(state: Path, wanted: object) -> None:
    with anyio.fail_after(5):
        while [one.get("upstreams") for one in running(state)] != [wanted]:  # noqa: ASYNC110 (a file has no event)
            await anyio.sleep(0.01)


async def test_a_proxy_is_listed_while_it_runs_and_gone_afterwards(tmp_path: Path) -> None:
    async with announced(tmp_path, lambda: {"upstreams": {"a": "up"}}):
        await appeared(tmp_path, {"a": "up"})
        assert running(tmp_path)[0]["pid"] == os.getpid()
    assert running(tmp_path) == []


async def test_what_changes_is_written_again(tmp_path: Path) -> None:
    says = {"upstreams": "unknown"}
    async with announced(tmp_path, lambda: dict(says)):
        await appeared(tmp_path, "unknown")
        says["upstreams"] = "up"
        await appeared(tmp_path, "up")


def test_the_file_of_a_dead_process_is_cleared_away(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    file = tmp_path / FOLDER / f"{dead.pid}.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"pid": dead.pid}))
    assert running(tmp_path) == []
    assert not file.exists()


def test_a_file_that_is_no_entry_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / f"{os.getpid()}.json").write_text("{")
    assert running(tmp_path) == []


async def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    async with announced(blocked, lambda: {"upstreams": {}}):
        await anyio.lowlevel.checkpoint()
