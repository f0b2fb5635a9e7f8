"""How a client is asked, and what counts as an answer. The roads themselves are walked in ``test_holds.py``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from fuseboard import approvals, questioning
from fuseboard.approvals import PENDING, Approval
from fuseboard.era import Era
from fuseboard.errors import ProtocolFault
from fuseboard.events import Caller
from fuseboard.ports import Request, Result
from fuseboard.questioning import NO_ANSWER, STATE, Address, Answer, Question, Questioning
from support.judging import ANA, DEPLOY, call
from support.links import CallScope
from support.seal import HmacSeal

PAGE = "http://127.0.0.1:1/approvals"


def request(**value: Any) -> Request:
    return Request(b"1", "tools/call", json.dumps(value).encode(), value)


@dataclass
class Ask:
    capabilities: Mapping[str, Any]
    era: Era = Era.HANDSHAKE
    request: Request = field(default_factory=lambda: request(name="deploy"))
    scope: CallScope = field(default_factory=CallScope)
    caller: Caller = ANA

    def declared(self, request: Request) -> Mapping[str, Any]:
        return self.capabilities


def asked() -> Approval:
    bound = approvals.of_call(call(DEPLOY), (("p", "r"),), "c")
    return Approval(bound.id, bound, PENDING, 7, "ci__deploy", "destructive", "why", "{}", ("elicit",), 0.0, 60.0)


@pytest.mark.parametrize(
    ("elicitation", "page", "form", "effect", "expected"),
    [
        (None, PAGE, "destructive", "read", None),
        (True, PAGE, "destructive", "read", None),
        ({}, PAGE, "none", "read", None),
        ({}, None, "read", "read", "form"),
        ({}, None, "read", "write", None),
        ({"form": {}}, PAGE, "write", "write", "form"),
        ({"url": {}}, PAGE, "none", "destructive", "url"),
        ({"url": {}}, None, "destructive", "destructive", None),
        ({"url": {}, "form": {}}, PAGE, "destructive", "destructive", "url"),
        ({"url": {}, "form": {}}, None, "destructive", "destructive", "form"),
    ],
)
@pytest.mark.parametrize("era", list(Era))
def test_who_can_be_asked_and_how(
    elicitation: Any, page: str | None, form: str, effect: str, expected: str | None, era: Era
) -> None:
    ask = Ask({} if elicitation is None else {"elicitation": elicitation}, era)
    question = Questioning(HmacSeal(), form=form, page=lambda: page).to_client(ask, ask.request, effect)
    assert question == (expected and Question(expected == "form", era is Era.STATELESS))


def test_a_later_round_of_the_upstream_s_is_not_mixed_with_ours() -> None:
    ask = Ask({"elicitation": {"url": {}}}, Era.STATELESS)
    asking = Questioning(HmacSeal(), form="none", page=lambda: PAGE)
    assert asking.to_client(ask, request(name="deploy", requestState="theirs"), "read") is None


def test_a_call_that_nobody_could_read_in_a_dialogue_is_put_into_none() -> None:
    ask = Ask({"elicitation": {}})
    long = request(name="deploy", arguments={"text": "x" * questioning.FORM_BYTES})
    assert Questioning(HmacSeal(), form="destructive", page=lambda: None).to_client(ask, long, "read") is None


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"action": "accept", "content": {"approve": True}}, Answer(True)),
        ({"action": "accept", "content": {"approve": False, "reason": "no"}}, Answer(False, "no")),
        ({"action": "accept", "content": {"approve": "true"}}, Answer(None)),
        ({"action": "accept"}, Answer(None)),
        ({"action": "decline"}, Answer(False, willing=False)),
        ({"action": "cancel"}, NO_ANSWER),
        ({"content": {"approve": True}}, NO_ANSWER),
        (None, NO_ANSWER),
        ("accept", NO_ANSWER),
    ],
)
def test_what_counts_as_an_answer(result: Any, expected: Answer) -> None:
    assert questioning.answer({"inputResponses": {"approval": result}}) == expected


async def test_a_client_that_answers_with_an_error_says_nothing() -> None:
    ask = Ask({"elicitation": {}}, scope=CallScope(Result(b"[1]")))
    asking = Questioning(HmacSeal(), form="destructive", page=lambda: None)
    assert await asking.elicit(asked(), ask, Question(True, False)) == NO_ANSWER
    ((method, params),) = ask.scope.asked
    assert method == "elicitation/create"
    assert "mode" not in params  # 2025-06-18 knows no modes
    assert params["requestedSchema"]["required"] == ["approve"]


async def test_what_a_stateless_client_keeps_for_us() -> None:
    ask = Ask({}, Era.STATELESS)
    asking = Questioning(HmacSeal(), form="none", page=lambda: PAGE)
    reply = json.loads((await asking.input_required(asked(), ask, Question(False, True))).raw)
    assert reply["resultType"] == "input_required"
    (question,) = reply["inputRequests"].values()
    assert question["params"]["url"] == f"{PAGE}/{asked().id}"
    assert "elicitationId" not in question["params"]
    back = request(name="deploy", requestState=reply["requestState"], inputResponses={"approval": {}})
    claims = await asking.claims(back, "ana", at=0.0)
    assert claims is not None
    assert (claims.approval, claims.serial, claims.form) == (asked().id, 7, False)
    for principal, at, state in (
        ("bob", 0.0, reply["requestState"]),
        ("ana", 60.0, reply["requestState"]),
        ("ana", 0.0, reply["requestState"][:-1]),
        ("ana", 0.0, STATE + await HmacSeal().seal(b'{"purpose":"held call"}')),
    ):
        with pytest.raises(ProtocolFault):
            await asking.claims(request(requestState=state), principal, at=at)
    assert await asking.claims(request(requestState="theirs"), "ana", at=0.0) is None
    assert await asking.claims(request(), "ana", at=0.0) is None
    bare = questioning.stripped(back)
    assert bare.value == {"name": "deploy"}
    assert msgspec.json.decode(bare.params or b"") == {"name": "deploy"}


def test_our_progress_ends_where_the_upstream_s_begins() -> None:
    told = [json.loads(questioning.progress("t", asked(), left)[1])["progress"] for left in (40.0, 35.0, 0.5)]
    assert told == sorted(told)
    assert told[-1] < 0
    assert questioning.progress_token({"_meta": {"progressToken": 0}}) == 0
    assert questioning.progress_token({"_meta": {"progressToken": []}}) is None
    assert questioning.progress_token(None) is None


def test_the_page_has_an_address_once_it_is_served() -> None:
    address = Address()
    assert address() is None
    address.bound("::1", 80)
    assert address() == "http://[::1]:80/approvals"
    address.bound("0.0.0.0", 8080)
    assert address() == "http://127.0.0.1:8080/approvals"
