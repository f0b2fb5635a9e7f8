"""The shell that kills what we leave behind, with real process groups."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import anyio
import pytest

from fuseboard.adapters.upstream.guardian import Guardian
from support.system import alive, children, eventually

KILLED = """
import os, signal
from fuseboard.adapters.upstream.guardian import Guardian
guardian = Guardian()
for group in {watched}: guardian.watch(group)
for group in {forgotten}: guardian.forget(group)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def groups() -> Iterator[list[int]]:
    """Three processes, each the leader of a group of its own."""
    started = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(3)]
    yield [process.pid for process in started]
    for process in started:
        process.kill()
        process.wait()


def lives(groups: list[int]) -> list[bool]:
    return [alive(group) for group in groups]


async def test_who_dies_without_a_word_takes_the_watched_groups_along_and_no_others(groups: list[int]) -> None:
    script = KILLED.format(watched=groups, forgotten=groups[1:2])
    await anyio.run_process([sys.executable, "-c", script], check=False)
    await eventually(lambda: lives(groups) == [False, True, False])


async def test_closing_kills_what_is_still_watched(groups: list[int]) -> None:
    guardian = Guardian()
    for group in groups:
        guardian.watch(group)
    guardian.forget(groups[0])
    guardian.forget(groups[0])
    guardian.close()
    await eventually(lambda: lives(groups) == [True, False, False])


async def test_killing_needs_no_shell(groups: list[int]) -> None:
    guardian = Guardian()
    guardian.watch(groups[0])
    guardian.kill()
    await eventually(lambda: lives(groups) == [False, True, True])
    guardian.close()


async def test_the_shell_is_no_child_of_ours_and_goes_when_it_is_let_go(groups: list[int]) -> None:
    before, shells = children(os.getpid()), _shells()
    guardian = Guardian()
    assert _shells() == shells
    guardian.watch(groups[0])
    await eventually(lambda: len(_shells() - shells) == 1)
    assert children(os.getpid()) == before
    guardian.forget(groups[0])
    guardian.close()
    await eventually(lambda: _shells() <= shells)
    assert lives(groups) == [True, True, True]


async def test_where_the_shell_was_killed_the_next_child_starts_another(groups: list[int]) -> None:
    shells = _shells()
    guardian = Guardian()
    guardian.watch(groups[0])
    await eventually(lambda: len(_shells() - shells) == 1)
    (shell,) = _shells() - shells
    os.kill(shell, 9)
    await eventually(lambda: not alive(shell))
    guardian.watch(groups[1])
    guardian.close()
    await eventually(lambda: lives(groups) == [False, False, True])


def _shells() -> set[int]:
    """The guardians that run on this machine."""
    found = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return {int(line.split()[0]) for line in found.splitlines() if "exec 3<&0" in line and "sh -c" in line}


FAMILY = """
import subprocess, sys
print(subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL).pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody knows whose children they are")
@pytest.mark.parametrize("how", ["closed", "killed by us"])
async def test_who_left_the_group_goes_with_its_parent_even_where_that_ends_with_its_stdin(how: str) -> None:
    guardian = Guardian()
    with subprocess.Popen(  # noqa: ASYNC220  the guardian is not asynchronous either
        [sys.executable, "-c", FAMILY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        astray = int(parent.stdout.readline())
        guardian.watch(parent.pid)
        if how == "closed":
            guardian.close()
        else:
            guardian.kill()
        await eventually(lambda: not alive(astray))
        await eventually(lambda: not alive(parent.pid))
    guardian.close()
