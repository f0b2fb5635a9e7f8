"""What the model reads when a call is denied, and what the machine reads beside it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fuseboard import refusals
from fuseboard.errors import DENIED, LEDGER_UNAVAILABLE
from fuseboard.events import Substituted
from fuseboard.ports import Failure, Result
from fuseboard.verdicts import Deny, Hold
from support.judging import WRITE, call

DENY = Deny("no-ssh", "Secret files are out of bounds. Ask the user.", {"path": "/x"})


def said(verdict: Deny | Hold = DENY) -> dict[str, Any]:
    return refusals.decision("d-1", "r-1", "permissions", verdict)


@pytest.mark.parametrize(
    ("verdict", "more"),
    [
        pytest.param(DENY, {"verdict": "deny"}, id="a denial"),
        pytest.param(
            Deny(DENY.rule, DENY.reason, retry_after_s=1.5), {"verdict": "deny", "retry_after_s": 1.5}, id="later"
        ),
        pytest.param(Deny(DENY.rule, DENY.reason, retry_after_s=0), {"verdict": "deny", "retry_after_s": 0}, id="now"),
        pytest.param(Hold(DENY.rule, DENY.reason), {"verdict": "hold"}, id="a person has to decide"),
    ],
)
def test_the_machine_s_half_is_the_contract_s(verdict: Deny | Hold, more: dict[str, Any]) -> None:
    contract = {"id": "d-1", "run": "r-1", "policy": "permissions", "rule": "no-ssh", "reason": DENY.reason}
    assert said(verdict) == contract | more


def test_facts_are_for_the_ledger_alone() -> None:
    assert "path" not in json.dumps(said())


def test_the_model_reads_the_reason_and_the_key_to_more() -> None:
    assert refusals.text(DENY, "d-1") == "Secret files are out of bounds. Ask the user. [d-1]"


@pytest.mark.parametrize("modern", [False, True])
def test_a_tool_s_refusal_is_a_result_that_the_model_reads(modern: bool) -> None:
    reply = refusals.reply("tools/call", DENY, said(), modern=modern)
    assert isinstance(reply, Result)
    assert json.loads(reply.raw) == {
        "content": [{"type": "text", "text": f"{DENY.reason} [d-1]"}],
        "isError": True,
        "_meta": {"fuseboard/decision": said()},
        **({"resultType": "complete"} if modern else {}),
    }


@pytest.mark.parametrize("method", ["prompts/get", "resources/read"])
def test_elsewhere_a_refusal_is_an_error_since_no_model_reads_the_result(method: str) -> None:
    reply = refusals.reply(method, DENY, said(), modern=True)
    assert isinstance(reply, Failure)
    error = json.loads(reply.raw)
    assert error == {"code": DENIED, "message": f"{DENY.reason} [d-1]", "data": {"fuseboard/decision": said()}}


def test_another_word_may_stand_for_the_verdict() -> None:
    assert refusals.decision("d-1", "r-1", None, DENY, "nudge")["verdict"] == "nudge"


@pytest.mark.parametrize("modern", [True, False])
def test_the_refusal_of_a_call_names_its_decision(modern: bool) -> None:
    judged = call(WRITE)
    said = refusals.of_call(judged, "p", Deny("r", "No."), modern=modern)
    assert said == refusals.reply(
        judged.method, Deny("r", "No."), refusals.decision(judged.id, judged.run, "p", Deny("r", "No.")), modern=modern
    )


def test_a_call_without_a_record_is_refused_with_an_error_of_its_own() -> None:
    error = json.loads(refusals.unrecorded(call(WRITE)).raw)
    assert error["code"] == LEDGER_UNAVAILABLE
    assert WRITE.exposed in error["message"]


def test_what_was_cleaned_says_so_and_keeps_all_else() -> None:
    judged = call(WRITE)
    result = refusals.cleaned(judged, Result(b'{"n":1.10,"_meta":{"a":1}}'), {"bidi": 2})
    assert result.raw.startswith(b'{"n":1.10,"_meta":{"a":1,"fuseboard/decision":{')
    decision = json.loads(result.raw)["_meta"][refusals.DECISION]
    assert (decision["verdict"], decision["reason"]) == ("rewrite", "Cleaned before it was passed on: bidi × 2")
    failure = refusals.cleaned(judged, Failure(b'{"code":1,"message":"m"}'), {"cut": 1})
    assert json.loads(failure.raw)["data"][refusals.DECISION]["id"] == judged.id


def test_an_error_with_data_of_another_form_keeps_it() -> None:
    reply = Failure(b'{"code":1,"message":"m","data":[1]}')
    assert refusals.cleaned(call(WRITE), reply, {"cut": 1}) is reply


def test_what_waits_for_a_person_is_named_by_its_handle() -> None:
    kept = Deny(DENY.rule, DENY.reason, {"quarantine": "q-1"})
    assert said(kept)["quarantine"] == "q-1"


@pytest.mark.parametrize(
    ("policy", "fault", "quoted"),
    [("schema", "", False), ("schema", "is not known", True), ("opaque", "", True)],
    ids=["what a handle stands for", "a handle of nothing", "our own word on handles"],
)
def test_what_a_handle_stands_for_is_not_quoted(policy: str, fault: str, quoted: bool) -> None:
    judged = msgspec.structs.replace(call(WRITE), handles=(Substituted("/n", "fuseboard:h-1", fault),))
    verdict = Deny("schema.arguments", "The arguments do not fit:\n- /n: found 'secret plan'; expected integer")
    reply = refusals.of_call(judged, policy, verdict, modern=False)
    assert (b"secret plan" in reply.raw) is quoted


HELD = Deny("locks.held", "write was not called: file:/secret plan is in use (run r-1). Call it in 5 s.", {}, 5.0)
COPIED = Hold("flow.copied", "A person has to approve it: its argument n is 'secret plan'.", {"approval": "a-1"})
BROKEN = Deny("rules.error", "Denied it: 'secret plan' is no path.", {"error": "'secret plan' is no path"})


@pytest.mark.parametrize(
    ("policy", "verdict", "then"),
    [("locks", HELD, "again in 5 s"), ("flow", COPIED, "(a-1)"), ("permissions", BROKEN, "rules.error")],
)
def test_whose_first_line_quotes_arguments_says_less_where_a_handle_stands(
    policy: str, verdict: Deny | Hold, then: str
) -> None:
    plain = call(WRITE)
    judged = msgspec.structs.replace(plain, handles=(Substituted("/n", "fuseboard:h-1", ""),))
    assert b"secret plan" in refusals.of_call(plain, policy, verdict, modern=False).raw
    text = refusals.of_call(judged, policy, verdict, modern=False).raw.decode()
    assert "secret plan" not in text
    assert then in text
