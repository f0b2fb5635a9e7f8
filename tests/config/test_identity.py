from __future__ import annotations

from pathlib import Path

import pytest

from fuseboard.config import ConfigInvalid
from fuseboard.config.identity import Identity
from fuseboard.runs import CHAIN, IDLE_GAP_S
from support.config_files import SERVERS, loaded


def test_the_keys_as_the_file_has_them(tmp_path: Path) -> None:
    text = SERVERS + "identity: {chain: [trace, inferred], meta_key: a/b, baggage_key: session.id, idle_gap: 1h}"
    assert loaded(tmp_path, text).identity == Identity(
        chain=("trace", "inferred"), meta_key="a/b", baggage_key="session.id", idle_gap_s=3600.0
    )


def test_the_defaults_are_those_of_whoever_acts_upon_them() -> None:
    assert (Identity().chain, Identity().idle_gap_s) == (CHAIN, IDLE_GAP_S)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        pytest.param("{chain: [token]}", "must end with inferred", id="nothing to fall back on"),
        pytest.param("{chain: []}", "must end with inferred", id="nothing at all"),
        pytest.param("{chain: [inferred, token]}", "must end with inferred", id="what is never reached"),
        pytest.param("{chain: [trace, trace, inferred]}", "a step twice", id="twice"),
        pytest.param("{chain: [tokens, inferred]}", "identity.chain", id="misspelt"),
        pytest.param("{baggage_key: 'a b'}", "identity.baggage_key", id="no token of HTTP"),
        pytest.param("{idle_gap: 900}", "not a duration", id="no unit"),
    ],
)
def test_what_is_wrong(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        loaded(tmp_path, SERVERS + f"identity: {section}")
    assert said in str(invalid.value)
