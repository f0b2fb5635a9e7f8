"""What a request says of its run."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.claims import Claims
from fuseboard.ports import Beside, SignedRun
from fuseboard.runs import LONGEST_CLAIM, Said
from fuseboard.tokens import BadToken, Tokens

TOKENS = Tokens(b"key")
SIGNED = SignedRun("r-1", 0.0, 100.0)
TOKEN = TOKENS.make(SIGNED)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def read(meta: dict[str, Any], beside: Beside | None = None) -> Said:
    return Claims(TOKENS).read(meta, beside, principal="ana", at=1.0)


@pytest.mark.parametrize(
    ("meta", "beside", "claim"),
    [
        pytest.param({"fuseboard/run": "a"}, None, "a", id="the key"),
        pytest.param({"baggage": "x=1,run=b"}, None, "b", id="the baggage"),
        pytest.param({}, Beside(baggage="run=c"), "c", id="the baggage's header"),
        pytest.param({"fuseboard/run": "a", "baggage": "run=b"}, Beside(baggage="run=c"), "a", id="the key first"),
        pytest.param({"baggage": "run=b"}, Beside(baggage="run=c"), "b", id="then the message"),
        pytest.param({"fuseboard/run": 7, "baggage": "run=b"}, None, "b", id="a key that is no text"),
        pytest.param({"fuseboard/run": ""}, None, None, id="an empty one"),
        pytest.param({"fuseboard/run": "x" * (LONGEST_CLAIM + 1)}, None, None, id="one that is too long"),
        pytest.param({"baggage": "run=" + "x" * (LONGEST_CLAIM + 1)}, None, None, id="a member that is too long"),
        pytest.param({}, None, None, id="nothing"),
    ],
)
def test_the_claim(meta: dict[str, Any], beside: Beside | None, claim: str | None) -> None:
    assert read(meta, beside).claim == claim


@pytest.mark.parametrize(
    ("meta", "beside", "trace", "state"),
    [
        pytest.param({"traceparent": PARENT, "tracestate": "a=1"}, None, "0", "a=1", id="in the message"),
        pytest.param({}, Beside(traceparent=PARENT, tracestate="a=1"), "0", "a=1", id="in headers"),
        pytest.param({"traceparent": PARENT}, Beside(None, OTHER, "a=1"), "0", None, id="the message's pair counts"),
        pytest.param({"traceparent": "x"}, Beside(None, OTHER, "a=1"), "1", "a=1", id="unless it is none"),
        pytest.param({"traceparent": PARENT, "tracestate": 7}, None, "0", None, id="a state that is no text"),
    ],
)
def test_the_trace(meta: dict[str, Any], beside: Beside | None, trace: str, state: str | None) -> None:
    said = read(meta, beside)
    assert said.parent is not None
    assert (said.parent.trace[0], said.state) == (trace, state)


def test_a_token_may_stand_at_the_key_and_is_no_claim_then() -> None:
    said = read({"fuseboard/run": TOKEN})
    assert (said.signed, said.claim) == (SIGNED, None)
    assert read({}, Beside(SIGNED)).signed == SIGNED


@pytest.mark.parametrize("bad", [TOKEN[:-2], "fb1.x.y", "fb1."])
def test_a_token_that_does_not_hold_is_never_passed_over(bad: str) -> None:
    with pytest.raises(BadToken):
        read({"fuseboard/run": bad})


def test_two_tokens_of_two_runs_are_one_too_many() -> None:
    with pytest.raises(BadToken, match="two run tokens"):
        read({"fuseboard/run": TOKEN}, Beside(SignedRun("r-2", 0.0, 100.0)))


def test_where_no_token_is_accepted_one_is_refused() -> None:
    with pytest.raises(BadToken, match="not accepted"):
        Claims(None).read({"fuseboard/run": TOKEN}, None, principal="ana", at=1.0)


def test_other_keys_where_the_configuration_says_so() -> None:
    claims = Claims(None, meta_key="acme/conversation", baggage_key="session.id")
    assert claims.any_in({"acme/conversation": "a"})
    assert not claims.any_in({"fuseboard/run": "a", "progressToken": 1})
    assert claims.read({"acme/conversation": "a"}, None, principal="ana", at=1.0).claim == "a"
    assert claims.read({"baggage": "session.id=b"}, None, principal="ana", at=1.0).claim == "b"
