"""The demo as a process: it is the first thing that anyone runs, and it is a test of the whole."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuseboard.adapters.demo.chapters import CHAPTERS
from fuseboard.adapters.demo.story import Call, steps_of

FUSEBOARD = str(Path(sys.executable).parent / "fuseboard")
CALLS = [step for step in steps_of(CHAPTERS) if isinstance(step, Call) and not step.by]
"""Those of the story's own agent."""
LIMIT_S = 180


def run(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """In a folder and a home of its own; anything that asks the network by a proxy finds nobody."""
    dead = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "TMPDIR": str(folder), **dead, **env}
    return subprocess.run(
        [FUSEBOARD, *words],
        cwd=folder,
        env=own,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        stdin=subprocess.DEVNULL,
    )


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_story_goes_as_told_and_the_ledger_says_the_same(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--json", "--state", "state")
    found = document(done)
    assert (done.returncode, done.stderr, found["ok"], found["differences"]) == (0, "", True, [])
    assert found["state"] == str(tmp_path / "state")
    assert [call["exposed"] for call in found["calls"]] == [call.tool for call in CALLS]
    assert [call["verdict"] for call in found["calls"]] == [call.ends.verdict for call in CALLS]
    mended = next(call for call in found["calls"] if call["exposed"] == "tickets__open_ticket" and not call["final"])
    assert mended["arguments"] == {"title": "Checkout answers 502 since 2.4.1", "severity": 1, "service": "checkout"}
    # A person let it go on, and it did, as the same run.
    assert {call["run"] for call in found["calls"]} == {found["run"]["run"]}
    runs = json.loads(run(tmp_path, "status", "--json", "--state", "state").stdout)["runs"]
    assert (found["run"]["run"], "running", "leave the log alone") in [
        (one["run"], one["state"], one["why"]) for one in runs
    ]
    # The ledger outlives the demo, and everything else is gone.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]
    assert found["explained"] in run(tmp_path, "trace", "why", found["explained"], "--state", "state").stdout
    # It may be told again at once: what the first telling left disturbs nothing.
    again = run(tmp_path, "demo", "--json", "--state", "state")
    assert (again.returncode, again.stderr) == (0, "")


def test_it_tells_the_story_the_timeline_and_the_why_in_plain_text(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--keep", "kept")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    story, _, rest = done.stdout.partition("\nrun r-")
    for chapter in CHAPTERS:
        assert f"\n{chapter.title}\n" in story
    assert "✗ files__read_file  denied by no-secret-files" in story
    assert "‖ files__list_files  held by run.paused" in story
    assert re.search(r"\$ fuseboard resume (r-\w+) --calls \+60 .*\n +\1 goes on\n", story)
    timeline, _, why = rest.partition("\n\n")
    assert [line.split()[1] for line in timeline.splitlines() if re.match(r" +\d+  ", line)] == [c.tool for c in CALLS]
    assert why.startswith("files__read_file  DENY by permissions / no-secret-files")
    assert "fuseboard trace show last --state kept" in why
    # What it leaves is a configuration to go on with.
    assert run(tmp_path, "check", "--config", "kept/fuseboard.yaml").returncode == 0
    assert "tickets__comment" in run(tmp_path, "trace", "show", "last", "--state", "kept").stdout


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_proxy_that_cannot_start_ends_the_demo_with_a_clear_text(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(tmp_path, "demo", "--state", "file/inside", *options)
    assert done.returncode == 1
    assert "cut short" in done.stderr
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr
    if options:
        assert (document(done)["ok"], document(done)["calls"]) == (False, [])


def test_a_configuration_of_the_users_own_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "fuseboard.yaml").write_text("servers: {}\n")
    done = run(tmp_path, "demo", "--keep", ".")
    assert (done.returncode, "is there already" in done.stderr) == (2, True)
    assert (tmp_path / "fuseboard.yaml").read_text() == "servers: {}\n"


def test_a_folder_that_is_called_as_a_package_of_ours_does_not_stand_in_for_it(tmp_path: Path) -> None:
    for name in ("fuseboard", "mcp", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('taken over')\n")
    assert run(tmp_path, "demo", "--json", "--state", "state").returncode == 0
