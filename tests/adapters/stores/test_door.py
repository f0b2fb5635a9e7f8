import errno
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuseboard.adapters.stores import door as module
from fuseboard.adapters.stores.door import Door


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def first(path: Path) -> Iterator[Door]:
    door = Door(path)
    door.enter(patience_s=0)
    yield door
    door.leave()


@pytest.fixture
def second(path: Path) -> Iterator[Door]:
    door = Door(path)
    yield door
    door.leave()


def waiting(door: Door) -> threading.Thread:
    thread = threading.Thread(target=door.enter, kwargs={"patience_s": 10})
    thread.start()
    return thread


def test_the_first_is_alone(first: Door) -> None:
    assert first.alone
    assert first.inside
    assert not first.knocked()


def test_whoever_is_not_let_in_learns_who_is_there(first: Door, second: Door) -> None:
    with pytest.raises(sqlite3.OperationalError, match=f"process {os.getpid()} keeps it to itself"):
        second.enter(patience_s=0.02)
    assert not second.inside
    assert not first.knocked()


def test_a_knock_is_heard_and_both_are_together(first: Door, second: Door) -> None:
    thread = waiting(second)
    while not first.knocked():
        pass
    first.let_in(patience_s=0)
    thread.join()
    assert (first.alone, second.alone) == (False, False)
    assert first.inside
    assert second.inside
    assert not first.knocked()


def test_alone_again_when_the_other_has_gone(first: Door, second: Door) -> None:
    first.let_in(patience_s=0)
    second.enter(patience_s=0)
    assert not first.try_alone()
    assert first.inside
    second.leave()
    assert first.try_alone()


def test_nobody_shuts_the_door_on_who_knocks(first: Door, second: Door) -> None:
    thread = waiting(second)
    while not first.knocked():
        pass
    assert not Door(second_path(first)).try_alone()
    first.leave()
    thread.join()
    assert second.inside


def second_path(door: Door) -> Path:
    return Path(os.readlink(f"/proc/self/fd/{door._lock}").removesuffix(".lock"))


@pytest.mark.parametrize("where", ["alone", "knocking"])
def test_what_is_killed_leaves_nothing_behind(path: Path, where: str) -> None:
    holder = Door(path)
    if where == "knocking":
        holder.enter(patience_s=0)
    code = (
        "import sys; from pathlib import Path; from fuseboard.adapters.stores.door import Door\n"
        f"door = Door(Path({str(path)!r})); print('up', flush=True); door.enter(patience_s=60)\n"
        "print('in', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        if where == "knocking":
            while not holder.knocked():
                pass
        else:
            process.stdout.readline()
            assert not holder.try_alone()
        process.kill()
        process.wait()
    assert not holder.knocked()
    assert holder.alone or holder.try_alone()
    holder.leave()


def test_without_locks_all_are_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int, operation: int) -> None:
        if operation != module.fcntl.LOCK_UN:
            raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(module.fcntl, "flock", refuse)
    doors = [Door(path), Door(path)]
    for door in doors:
        door.enter(patience_s=0)
    assert [(door.alone, door.inside, door.knocked()) for door in doors] == [(False, True, False)] * 2
