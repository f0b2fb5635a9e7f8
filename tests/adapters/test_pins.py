"""The lock file on disk: whole or not at all, one writer at a time, and nobody else's business."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fuseboard.adapters import pins as module
from fuseboard.adapters.pins import PinFile, opened
from fuseboard.errors import ConfigError
from fuseboard.pins.lock import NAME, Lock, Server, Unreadable, accepted, read
from support.pinning import Settings


def adding(name: str) -> None:
    """For a process of its own: one tool more, read and written under the lock."""
    PinFile(Path(sys.argv[1])).change(lambda lock: put(lock, name))


def put(lock: Lock, name: str) -> None:
    lock.servers.setdefault("u", Server()).tools[name] = (accepted(b'{"name":"x"}', "handshake"),)


def test_it_is_made_with_its_folder_for_its_owner_alone(tmp_path: Path) -> None:
    file = PinFile(tmp_path / "state" / NAME)
    assert (file.stamp(), file.load()) == (None, None)
    lock, stamp = file.change(lambda lock: put(lock, "a"))
    assert list(lock.servers["u"].tools) == ["a"]
    assert stamp == file.stamp()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == [NAME]


def test_one_that_others_may_read_stays_so(tmp_path: Path) -> None:
    file = PinFile(tmp_path / NAME)
    file.path.write_bytes(b"")
    file.path.chmod(0o644)
    file.change(lambda lock: put(lock, "a"))
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o644


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file = PinFile(tmp_path / NAME)
    file.path.symlink_to(tmp_path / "elsewhere" / "real.lock")
    file.change(lambda lock: put(lock, "a"))
    assert file.path.is_symlink()
    assert read((tmp_path / "elsewhere" / "real.lock").read_bytes()).servers["u"].count == 1


def test_what_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    file = PinFile(tmp_path / NAME)
    file.change(lambda lock: put(lock, "a"))
    before = file.stamp()
    file.change(lambda lock: put(lock, "a"))
    assert file.stamp() == before


def test_a_failure_in_between_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PinFile(tmp_path / NAME)
    file.change(lambda lock: put(lock, "a"))
    before = file.load()

    def full(handle: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        file.change(lambda lock: put(lock, "b"))
    assert file.load() == before
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / NAME
    code = (
        "import sys; from test_pins import adding\n"
        "for number in range(10): adding(f'{sys.argv[2]}-{number}')"
    )  # fmt: skip
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parent.parent)))}
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n)], env=env) for n in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(read(path.read_bytes()).servers["u"].tools) == 30


def test_what_is_something_else_is_never_written_over(tmp_path: Path) -> None:
    file = PinFile(tmp_path / NAME)
    file.path.write_text("my notes")
    with pytest.raises(Unreadable):
        file.change(lambda lock: put(lock, "a"))
    assert file.path.read_text() == "my notes"


def test_a_huge_one_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 10)
    file = PinFile(tmp_path / NAME)
    file.path.write_bytes(b"x" * 11)
    with pytest.raises(Unreadable, match="more than 10 bytes"):
        file.load()


def test_a_proxy_does_not_start_on_one_that_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("my notes")
    with pytest.raises(ConfigError, match="mend it, or move it away"):
        opened(Settings(), None, tmp_path)


def test_a_file_of_its_own_is_not_shared(tmp_path: Path) -> None:
    assert opened(Settings(), tmp_path / "own.lock", tmp_path).shelf("u", "c").key == "u"
    assert opened(Settings(), None, tmp_path).shelf("u", "c").key.startswith("u@")
