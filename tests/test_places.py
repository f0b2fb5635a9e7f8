from pathlib import Path

import pytest

from fuseboard.places import ledger_path, state_dir, vault_path

HOME = Path.home()


@pytest.mark.parametrize(
    ("explicit", "env", "found"),
    [
        pytest.param(Path("/a"), {"FUSEBOARD_STATE_DIR": "/b"}, Path("/a"), id="--state comes first"),
        pytest.param(Path("~/a"), {}, HOME / "a", id="--state knows the home folder"),
        pytest.param(None, {"FUSEBOARD_STATE_DIR": "/b", "XDG_STATE_HOME": "/c"}, Path("/b"), id="then the variable"),
        pytest.param(None, {"FUSEBOARD_STATE_DIR": "~/b"}, HOME / "b", id="which knows the home folder too"),
        pytest.param(None, {"FUSEBOARD_STATE_DIR": "", "XDG_STATE_HOME": "/c"}, Path("/c/fuseboard"), id="then XDG's"),
    ],
)
def test_state_dir(explicit: Path | None, env: dict[str, str], found: Path) -> None:
    assert state_dir(explicit, env) == found


@pytest.mark.parametrize("env", [{}, {"XDG_STATE_HOME": "relative"}], ids=["nothing is named", "a relative XDG base"])
def test_otherwise_it_is_the_platforms_own(env: dict[str, str]) -> None:
    place = state_dir(None, env)
    assert place.is_absolute()
    assert place.name == "fuseboard"


def test_the_ledger_lies_in_the_folder_or_is_named_itself(tmp_path: Path) -> None:
    assert ledger_path(tmp_path) == tmp_path / "ledger.db"
    own = tmp_path / "mine.sqlite"
    own.touch()
    assert ledger_path(own) == own


def test_each_ledger_has_a_vault_of_its_own_beside_it(tmp_path: Path) -> None:
    assert vault_path(tmp_path / "ledger.db") == tmp_path / "vault.db"
    assert vault_path(tmp_path / "own.db") == tmp_path / "own.db.vault"
