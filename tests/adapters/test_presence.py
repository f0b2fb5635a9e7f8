import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel

from fuseboard.adapters.presence import FIRST_LOOK_S, FOLDER, LOOK_S, announced, running
from support.virtual_time import anyio_backend  # noqa: F401


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


async def test_what_is_known_moments_after_the_start_is_not_written_a_second_later(tmp_path: Path) -> None:
    looked_at: list[float] = []

    def says() -> dict[str, object]:
        looked_at.append(anyio.current_time())
        return {"upstreams": "unknown"}

    async with announced(tmp_path, says):
        with anyio.fail_after(5):
            while len(looked_at) < 7:  # noqa: ASYNC110 (it is not told when it is asked)
                await anyio.sleep(0.01)
    pauses_s = [round(later - earlier, 3) for earlier, later in itertools.pairwise(looked_at)]
    assert pauses_s == [FIRST_LOOK_S * factor for factor in (1, 2, 4, 8, 16)] + [LOOK_S]


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
