"""The key in the state folder: made once, for us alone."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fuseboard.adapters.keys import FILE, run_key
from fuseboard.errors import ConfigError


def test_it_is_made_once_and_stays(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    key = run_key(state)
    assert len(key) == 32
    assert run_key(state) == key
    assert stat.S_IMODE((state / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert [path.name for path in state.iterdir()] == [FILE]


def test_two_folders_have_two_keys(tmp_path: Path) -> None:
    assert run_key(tmp_path / "a") != run_key(tmp_path / "b")


def test_all_who_come_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(lambda _: run_key(tmp_path), range(200)))) == 1


def test_one_that_others_can_read_is_no_secret(tmp_path: Path) -> None:
    run_key(tmp_path)
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        run_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_what_is_no_key_is_not_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).touch(mode=0o600)
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ConfigError, match="holds no key"):
        run_key(tmp_path)


def test_a_place_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--state DIR"):
        run_key(tmp_path / "file" / "state")
