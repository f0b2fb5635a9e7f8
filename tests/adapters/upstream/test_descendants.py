"""Whom a child has started in sessions of their own, with real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from fuseboard.adapters.upstream import descendants
from support.system import alive, children, eventually

FAMILY = """
import subprocess, sys, time
subprocess.Popen(["sleep", "600"])
astray = [sys.executable, "-c", "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"]
subprocess.Popen(astray, start_new_session=True)
time.sleep(600)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux names a process's children")


@pytest.fixture
def leader() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", FAMILY], start_new_session=True) as process:
        yield process.pid
        descendants.kill(descendants.strays(process.pid))
        for pid in children(process.pid):
            descendants.kill([descendants.Stray(pid, (descendants._fields(pid) or [""] * 20)[19])])
        process.kill()


async def test_only_those_outside_the_group_are_astray_and_their_own_children_with_them(leader: int) -> None:
    await eventually(lambda: len(descendants.strays(leader)) == 2)
    inside = [pid for pid in children(leader) if pid not in {stray.pid for stray in descendants.strays(leader)}]
    assert len(inside) == 1


async def test_they_are_killed_and_the_group_is_not(leader: int) -> None:
    await eventually(lambda: len(descendants.strays(leader)) == 2)
    gone_astray = descendants.strays(leader)
    descendants.kill(gone_astray)
    await eventually(lambda: not any(alive(stray.pid) for stray in gone_astray))
    assert alive(leader)


async def test_a_number_that_another_process_has_by_now_is_left_alone(leader: int) -> None:
    descendants.kill([descendants.Stray(leader, "1")])
    assert alive(leader)


def test_nobody_has_no_descendants() -> None:
    assert descendants.strays(2**22 + 1) == set()
