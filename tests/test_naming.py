"""What names the runs of a proxy, and what of it ends a start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fuseboard.config import Config
from fuseboard.errors import ConfigError
from fuseboard.naming import RUN_VARIABLE, named
from fuseboard.tokens import Tokens

AT = 1_790_000_000.0


def configured(**sections: Any) -> Config:
    return Config.model_validate({"servers": {"a": {"command": "x"}}, **sections})


def test_the_key_stays_the_same_in_one_state_folder(tmp_path: Path) -> None:
    first, second = (named(configured(), tmp_path, None, at=AT) for _ in range(2))
    assert first.key == second.key
    assert isinstance(first.tokens, Tokens)
    assert first.own is None


def test_a_token_that_does_not_hold_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=RUN_VARIABLE):
        named(configured(), tmp_path, "fb1.nonsense.x", at=AT)


def test_a_token_where_none_is_heard_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leaves `token` out"):
        named(configured(identity={"chain": ["session", "inferred"]}), tmp_path, "fb1.x.y", at=AT)


def test_who_keeps_nothing_needs_no_place_for_a_key(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    assert len(named(configured(store="memory"), nowhere, None, at=AT).key) >= 16
    with pytest.raises(ConfigError):
        named(configured(), nowhere, None, at=AT)
