"""From a configuration to what names runs: the key, the tokens that it signs, and the run of this process itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from fuseboard.adapters.keys import run_key
from fuseboard.claims import Claims
from fuseboard.config import Config
from fuseboard.errors import ConfigError
from fuseboard.identity import Identity
from fuseboard.ids import Chance, Ids
from fuseboard.ports import SignedRun, Store
from fuseboard.runs import Runs
from fuseboard.tokens import BadToken, Tokens

LOCAL: Final = "local"
"""Who the one client of a stdio proxy is."""

RUN_VARIABLE: Final = "FUSEBOARD_RUN"
"""The environment variable that holds the token of its run."""


class Named(NamedTuple):
    """What runs are named with: the key, the reader of tokens where they are accepted, the run of a pipe's client."""

    key: bytes
    tokens: Tokens | None
    own: SignedRun | None


def named(config: Config, state: Path, token: str | None, *, at: float) -> Named:
    key = _key(config, state)
    tokens = Tokens(key) if "token" in config.identity.chain else None
    return Named(key, tokens, _own_run(token, tokens, at=at) if token else None)


def identity(config: Config, by: Named, store: Store, chance: Chance) -> Identity:
    how = config.identity
    runs = Runs(Ids(chance).run, key=by.key, chain=how.chain, idle_gap_s=how.idle_gap_s, own=by.own)
    claims = Claims(by.tokens, meta_key=how.meta_key, baggage_key=how.baggage_key)
    return Identity(runs, claims, store, chance)


def _key(config: Config, state: Path) -> bytes:
    """Whoever keeps nothing needs no place to keep it: then runs and their tokens end with this process."""
    try:
        return run_key(state)
    except ConfigError:
        if config.store.kind == "memory":
            return os.urandom(32)
        raise


def _own_run(token: str, tokens: Tokens | None, *, at: float) -> SignedRun:
    """A token that does not hold ends the start: nothing may pass for part of a run that it is no part of."""
    if tokens is None:
        raise ConfigError(f"{RUN_VARIABLE} is set, but `identity.chain` leaves `token` out")
    try:
        return tokens.read(token.strip(), principal=LOCAL, at=at)
    except BadToken as fault:
        raise ConfigError(f"{RUN_VARIABLE}: {fault}; or unset the variable") from None
