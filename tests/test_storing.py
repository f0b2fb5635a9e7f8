import logging
from pathlib import Path

import anyio
import pytest

from fuseboard import storing
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.config import Config, digest
from fuseboard.errors import ConfigError, StoreUnavailable
from fuseboard.spending import limits_key
from support.virtual_time import anyio_backend

__all__ = ["anyio_backend"]


def config(**sections: object) -> Config:
    return Config.model_validate({"servers": {"files": {"command": "x"}}, **sections})


async def test_the_store_is_the_one_that_the_file_names(tmp_path: Path) -> None:
    assert isinstance(storing.opened(config(store="memory"), tmp_path, lambda: 0.0), MemoryStore)
    store = storing.opened(config(store="sqlite"), tmp_path, lambda: 0.0)
    assert isinstance(store, SqliteStore)
    await store.close()
    with pytest.raises(ConfigError, match="redis is not supported"):
        storing.opened(config(store="redis://localhost"), tmp_path, lambda: 0.0)


async def test_those_who_look_on_learn_the_limits() -> None:
    one, store = config(run={"calls": 7}), MemoryStore()
    await storing.tell_limits(one, store, at=1.0)
    assert "7" in str((await store.read((limits_key(digest(one)),), at=1.0)).values)
    await store.close()
    await storing.tell_limits(one, store, at=1.0)  # it is for their eyes alone, so it may fail


class Looked(MemoryStore):
    """Its first look finds nothing to read, the later ones nothing to do."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[float] = []

    async def reap(self, *, at: float) -> tuple[()]:
        self.looks.append(at)
        if len(self.looks) == 1:
            raise StoreUnavailable("the disk is away")
        return ()


async def test_what_died_is_looked_for_each_minute_whatever_became_of_the_last_look(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Looked()
    with caplog.at_level(logging.WARNING), anyio.move_on_after(130):
        await storing.reap(store, anyio.current_time)
    assert [round(at - store.looks[0]) for at in store.looks] == [0, 60, 120]
    assert "the disk is away" in caplog.text
