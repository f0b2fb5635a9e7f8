"""What was accepted at first use gets into the file, soon and in one go."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from fuseboard.adapters.pin_keeping import Keeper
from fuseboard.adapters.pins import PinFile
from fuseboard.era import Era
from fuseboard.pins.lock import NAME, read
from support.pinning import Settings

OLD = Era.HANDSHAKE
LIMIT_S = 10


def names(folder: Path) -> set[str]:
    servers = read(PinFile(folder / NAME).load()).servers
    return {name for server in servers.values() for name in server.tools}


async def test_a_thousand_tools_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    replace = PinFile._replace
    monkeypatch.setattr(PinFile, "_replace", lambda self, raw: (writes.append(len(raw)), replace(self, raw))[1])
    keeper = Keeper(Settings(), None, tmp_path)
    shelf = keeper.book.shelf("u", "c")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keeper.run)
        for number in range(1000):
            shelf.judge("tools", str(number), b'{"name":"%d"}' % number, OLD)
        with anyio.fail_after(LIMIT_S):
            while keeper.book.pending:
                await anyio.to_thread.run_sync(names, tmp_path)
        tasks.cancel_scope.cancel()
    assert len(writes) == 1
    assert len(names(tmp_path)) == 1000
    assert keeper.book.version == 0


async def test_of_two_proxies_the_first_word_counts_for_both(tmp_path: Path) -> None:
    one, other = Keeper(Settings(), None, tmp_path), Keeper(Settings(), None, tmp_path)
    mine, theirs = one.book.shelf("u", "c"), other.book.shelf("u", "c")
    mine.judge("tools", "x", b'{"name":"x"}', OLD)
    theirs.judge("tools", "x", b'{"name":"x","title":"t"}', OLD)
    theirs.judge("tools", "y", b'{"name":"y"}', OLD)
    assert await one.flush()
    assert await other.flush()
    assert names(tmp_path) == {"x", "y"}
    assert theirs.judge("tools", "x", b'{"name":"x","title":"t"}', OLD) is not None
    assert theirs.judge("tools", "x", b'{"name":"x"}', OLD) is None
    mine.look()
    assert mine.judge("tools", "y", b'{"name":"y","title":"t"}', OLD) is not None


async def test_what_cannot_be_written_holds_in_memory_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(Settings(), None, tmp_path / "state")
    (tmp_path / "state").write_text("no folder")
    shelf = keeper.book.shelf("u", "c")
    shelf.judge("tools", "x", b'{"name":"x"}', OLD)
    assert not await keeper.flush()
    assert not await keeper.flush()
    assert caplog.text.count("kept in memory alone") == 1
    assert shelf.judge("tools", "x", b'{"name":"x","title":"t"}', OLD) is not None
    (tmp_path / "state").unlink()
    assert await keeper.flush()
    assert names(tmp_path / "state") == {"x"}


async def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    assert await Keeper(Settings(), None, tmp_path).flush()
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("emptied", [True, False])
async def test_what_is_new_does_not_write_what_was_known_out_of_a_lost_file(tmp_path: Path, emptied: bool) -> None:
    keeper = Keeper(Settings(), None, tmp_path)
    shelf = keeper.book.shelf("u", "c")
    shelf.judge("tools", "x", b'{"name":"x"}', OLD)
    assert await keeper.flush()
    (tmp_path / NAME).write_bytes(b"") if emptied else (tmp_path / NAME).unlink()
    shelf.look()
    shelf.judge("tools", "y", b'{"name":"y"}', OLD)
    assert await keeper.flush()
    assert names(tmp_path) == {"x", "y"}
    assert shelf.judge("tools", "x", b'{"name":"x","title":"t"}', OLD) is not None
