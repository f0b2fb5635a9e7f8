"""What is said about a call that waits: to the model no way round, to the person what would be sent."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard import approvals, petitions
from fuseboard.approvals import PENDING, Approval, Binding
from fuseboard.pipeline import Outcome
from fuseboard.recording import Redactor
from fuseboard.reviews import RunState
from fuseboard.verdicts import Hold
from support.judging import DEPLOY, call

OUTCOME = Outcome(Hold("r", "Deploying needs a yes."), "permissions", (), (), call(DEPLOY, {"to": "prod"}))


def asked(binding: Binding | None = None) -> Approval:
    bound = binding or approvals.of_call(call(DEPLOY), (("permissions", "r"),), "c")
    return Approval(
        "a-1", bound, PENDING, 1, "ci__deploy", "destructive", "Deploying needs a yes.", '{\n  "to": 1\n}',
        ("cli",), 0.0, 1800.0, by="ana", say="not on Fridays",
    )  # fmt: skip


def test_the_model_is_told_to_come_back_and_not_how_to_answer() -> None:
    text = petitions.pending(OUTCOME, asked(), ("elicit", "web", "cli"), at=60.0)
    assert text.startswith("ci__deploy was not called yet. Deploying needs a yes. A person was asked in your client")
    assert "a-1, open for 29 min" in text
    for hint in ("fuseboard", "http", "--", "config"):
        assert hint not in text


def test_of_a_paused_run() -> None:
    pause = asked(approvals.of_pause("r1", RunState().paused(at=1.0, by="x", why="half")))
    assert "whether the run may go on" in petitions.pending(OUTCOME, pause, ("cli",), at=0.0)
    assert "rejected that the run goes on" in petitions.rejected(OUTCOME, pause)
    assert "May the run go on?" in petitions.question(pause)


def test_a_rejection_carries_the_person_s_words() -> None:
    assert "ana rejected this call (a-1): not on Fridays." in petitions.rejected(OUTCOME, asked())


@pytest.mark.parametrize(
    "say", [petitions.nobody, petitions.no_store, petitions.too_many, petitions.gave_up, petitions.cut]
)
def test_every_other_refusal_says_what_and_that_nothing_happened(say: object) -> None:
    assert callable(say)
    assert say(OUTCOME).startswith("ci__deploy was not called yet.")


def test_the_person_sees_the_arguments_and_no_trick() -> None:
    shown = petitions.arguments(
        {"path": "/etc\u202e/gpj.exe", "key": "s3cret-value", "n": 1}, Redactor(["s3cret-value"])
    )
    assert "\u202e" not in shown
    assert "\\u202e" in shown
    assert "s3cret-value" not in shown
    assert json.loads(shown) == {"path": "/etc\u202e/gpj.exe", "key": "«secret»", "n": 1}
    assert "Arguments:\n{" in petitions.question(asked())


def test_what_is_too_long_is_cut_and_says_so() -> None:
    shown = petitions.arguments({"text": "x" * 100_000}, Redactor(()))
    assert len(shown) < 70_000
    assert "cut: 100016 bytes in all, sha256 " in shown


@given(st.text())
def test_what_is_shown_is_still_the_json_of_what_would_be_sent(said: str) -> None:
    assert json.loads(petitions.arguments({"said": said}, Redactor(()))) == {"said": said}


SIGNS = {*range(0x0600, 0x0606), 0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
"""Format characters of Unicode's that are seen: signs over numbers, and how hieroglyphs stand together."""


def test_no_character_acts_instead_of_being_seen() -> None:
    acting = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]
    for one in acting:
        if ord(one) not in SIGNS and one != "\n":
            assert petitions.visible(one).startswith("\\"), hex(ord(one))


def test_what_hides_is_shown_by_its_number() -> None:
    assert petitions.visible("a\u202eb\xadc\U000e0041\x7f\n") == "a\\u202eb\\u00adc\\udb40\\udc41\\u007f\n"
