from __future__ import annotations

from pathlib import Path

import pytest

from fuseboard.config import Auth, BearerToken, Secret
from support.config_files import SERVERS, findings, loaded

ENV = {"ANA": "a" * 20, "BO": "b" * 16}


def test_tokens_name_principals_in_the_long_and_the_short_form(tmp_path: Path) -> None:
    text = 'auth: {bearer: {ana: {token: "${env:ANA}", roles: admin}, bo: "${env:BO}"}}'
    config = loaded(tmp_path, SERVERS + text, env=ENV)
    assert config.auth == Auth(
        bearer={"ana": BearerToken(token=Secret("a" * 20), roles=("admin",)), "bo": BearerToken(token=Secret("b" * 16))}
    )
    assert set(config.secrets) == {"a" * 20, "b" * 16}
    assert "aaaa" not in repr(config) + config.model_dump_json()


@pytest.mark.parametrize(
    ("bearer", "message"),
    [
        pytest.param(
            "{ana: short}", "auth.bearer.ana: found a token of 5 characters; expected at least 16", id="short"
        ),
        pytest.param("{ana: {token: short}}", "auth.bearer.ana.token: found a token of 5", id="short, long form"),
        pytest.param("{ana: 'aaaa aaaa aaaa aaaa'}", "found a token with spaces", id="spaces"),
        pytest.param("{ana: }", "auth.bearer.ana: found nothing; expected keys and values", id="no token"),
        pytest.param("{ana: {roles: x}}", "auth.bearer.ana.token: nothing found; this key is needed", id="roles alone"),
        pytest.param("{'a b': aaaaaaaaaaaaaaaa}", "found the name 'a b'; a principal has letters", id="odd name"),
        pytest.param("{local: aaaaaaaaaaaaaaaa}", "found the name 'local', which is everybody's", id="the name of all"),
        pytest.param("{Local: aaaaaaaaaaaaaaaa}", "found the name 'Local', which is everybody's", id="almost that"),
        pytest.param("{}", "auth.bearer: found nothing in it; expected at least 1", id="nobody"),
        pytest.param(
            "{a: aaaaaaaaaaaaaaaa, b: {token: aaaaaaaaaaaaaaaa}}",
            "auth.bearer.b: found the token of 'a'; each principal needs its own",
            id="one token for two",
        ),
    ],
)
def test_what_is_wrong_with_a_token_is_said_without_it(tmp_path: Path, bearer: str, message: str) -> None:
    (found,) = findings(tmp_path, f"{SERVERS}auth: {{bearer: {bearer}}}")
    assert message in found
    assert "aaaa" not in found
