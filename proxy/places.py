"""Where Fuseboard keeps what outlives a process: one folder, found the same way by every verb."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

LEDGER = "ledger.db"


def state_dir(explicit: Path | None, env: Mapping[str, str]) -> Path:
    """The folder of ledger, pins and tokens: ``--state DIR``, else ``FUSEBOARD_STATE_DIR``, else the platform's own.

    On Linux that is ``$XDG_STATE_HOME/fuseboard``, usually ``~/.local/state/fuseboard``. The folder is not made here.
    """
    if explicit is not None:
        return explicit.expanduser()
    if named := env.get("FUSEBOARD_STATE_DIR"):
        return Path(named).expanduser()
    # A relative path is to be ignored (XDG Base Directory Specification 0.8, "Basics").
    if (base := env.get("XDG_STATE_HOME")) and Path(base).is_absolute():
        return Path(base) / "fuseboard"
    import platformdirs

    return platformdirs.user_state_path("fuseboard", appauthor=False)


def ledger_path(state: Path) -> Path:
    """The ledger's file inside the state folder; a file is taken as the ledger itself (``store: sqlite:PATH``)."""
    return state if state.is_file() else state / LEDGER


def vault_path(ledger: Path) -> Path:
    """The file of what the model did not get, beside its ledger: ``vault.db``, or after a ledger's own name."""
    return ledger.with_name("vault.db" if ledger.name == LEDGER else f"{ledger.name}.vault")
