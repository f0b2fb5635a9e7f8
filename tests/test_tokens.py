"""Run tokens: only this proxy's hold, for whom and as long as they say."""

from __future__ import annotations

import base64
import json

import pytest

from fuseboard.ports import SignedRun
from fuseboard.stated import Stated
from fuseboard.tokens import LONGEST_TOKEN, BadToken, Tokens

KEY = b"k" * 32
LIMITS = Stated({"calls": 5.0}, 2, 3, (2.0, 4), "30/min burst 4", 0.5)
SIGNED = SignedRun("r-1", 1000.0, 2000.0, "ana", LIMITS)


def made(signed: SignedRun = SIGNED, key: bytes = KEY) -> str:
    return Tokens(key).make(signed)


def with_payload(token: str, **changed: object) -> str:
    version, payload, mac = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=="))
    altered = base64.urlsafe_b64encode(json.dumps({**said, **changed}).encode()).rstrip(b"=").decode()
    return f"{version}.{altered}.{mac}"


def test_what_was_signed_is_read() -> None:
    assert Tokens(KEY).read(made(), principal="ana", at=1999.9) == SIGNED


@pytest.mark.parametrize("limits", [Stated(), Stated({"money": 2.5}), Stated(depth=3), Stated(pause_at=1.0)], ids=str)
def test_what_it_leaves_out_stays_left_out(limits: Stated) -> None:
    signed = SignedRun("r-1", 0.0, 2000.0, None, limits)
    assert Tokens(KEY).read(made(signed), principal="ana", at=1.0) == signed


def test_it_is_a_path_and_a_variable_as_it_stands() -> None:
    assert set(made()) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_one_for_nobody_in_particular_is_everybody_s() -> None:
    token = made(SignedRun("r-1", 0.0, 2000.0))
    for principal in ("ana", "bob"):
        assert Tokens(KEY).read(token, principal=principal, at=1.0).run == "r-1"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        pytest.param(made(key=b"x" * 32), "not signed by this proxy", id="another key"),
        pytest.param(with_payload(made(), expires=9e9), "not signed by this proxy", id="a longer life"),
        pytest.param(with_payload(made(), run="r-2"), "not signed by this proxy", id="another run"),
        pytest.param(with_payload(made(), limits={"calls": 1e9}), "not signed by this proxy", id="more calls"),
        pytest.param(made()[:-1], "not signed by this proxy", id="cut"),
        pytest.param(made().replace("fb1.", "fb2."), "no run token", id="another version"),
        pytest.param("", "no run token", id="nothing"),
        pytest.param("a.b.c", "no run token", id="any text"),
        pytest.param("fb1.é.x", "no run token", id="no ASCII"),
        pytest.param("fb1." + "a" * LONGEST_TOKEN, "no run token", id="too long"),
    ],
)
def test_what_was_not_signed_is_refused_with_a_remedy(token: str, said: str) -> None:
    with pytest.raises(BadToken, match=said) as refused:
        Tokens(KEY).read(token, principal="ana", at=1500.0)
    assert "fuseboard run new" in str(refused.value)
    assert not token or token not in str(refused.value)


def test_it_holds_until_it_expires_and_not_a_moment_longer_though_it_was_read_before() -> None:
    tokens, token = Tokens(KEY), made()
    tokens.read(token, principal="ana", at=1500.0)
    with pytest.raises(BadToken, match="expired"):
        tokens.read(token, principal="ana", at=2000.0)


def test_it_is_no_other_principal_s_though_it_was_read_before() -> None:
    tokens, token = Tokens(KEY), made()
    tokens.read(token, principal="ana", at=1500.0)
    with pytest.raises(BadToken, match=r"another principal than 'bob'.*run new --principal bob"):
        tokens.read(token, principal="bob", at=1500.0)


def test_what_is_remembered_is_bounded() -> None:
    tokens = Tokens(KEY)
    for n in range(3000):
        tokens.read(tokens.make(SignedRun(f"r-{n}", 0.0, 9.0)), principal="ana", at=1.0)
    assert len(tokens._read) <= 1024
