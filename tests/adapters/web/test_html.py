from __future__ import annotations

import base64
import hashlib
import re

import pytest
from msgspec.structs import replace

from fuseboard import approvals
from fuseboard.adapters.web import html
from fuseboard.approvals import APPROVED, PENDING, SPENT, Approval
from fuseboard.checkpoint import Note
from fuseboard.reviews import RunState
from support.judging import DEPLOY, call

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=1>\u202e&amp;"


def asked(**changes: object) -> Approval:
    bound = approvals.of_call(call(DEPLOY), (("p", "r"),), "c")
    plain = Approval("a-1", bound, PENDING, 3, "ci__deploy", "destructive", "why", '{"n": 1}', ("web",), 0.0, 60.0)
    return replace(plain, **changes)


@pytest.mark.parametrize("field", ["tool", "why", "arguments", "client", "say", "by", "id", "effect"])
def test_a_stranger_s_text_is_text(field: str) -> None:
    for status in (PENDING, "rejected"):
        approval = asked(**{field: EVIL, "status": status})
        for page in (html.one(approval, "mark", at=0.0), html.listed([approval])):
            assert b"<script" not in page
            assert b"<img" not in page
            assert "\u202e".encode() not in page


def test_all_of_a_run_s_names_too() -> None:
    bound = approvals.Binding(EVIL, ((EVIL, EVIL),), EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)
    assert b"<script" not in html.one(asked(binding=bound), EVIL, at=0.0) + html.said(EVIL, EVIL, back=EVIL)


def test_what_is_shown_is_what_would_be_sent() -> None:
    page = html.one(asked(), "the-mark", at=0.0).decode()
    for part in ("ci__deploy", "{&quot;n&quot;: 1}", 'value="the-mark"', 'name="serial" value="3"', "Approve once"):
        assert part in page


@pytest.mark.parametrize(("changes", "at"), [({"status": "approved", "by": "ana"}, 0.0), ({}, 60.0)])
def test_what_is_over_has_no_form(changes: dict[str, str], at: float) -> None:
    assert b"<form" not in html.one(asked(**changes), "m", at=at)


def test_one_that_is_used_has_no_arguments_to_show_and_no_heading_over_nothing() -> None:
    assert "Arguments" not in html.one(asked(status=SPENT, arguments="", by="ana"), "m", at=0.0).decode()


def test_a_paused_run() -> None:
    page = html.one(asked(binding=approvals.of_pause("r-1", RunState(at=1.0))), "m", at=0.0).decode()
    assert "Let run r-1 go on" in page
    assert "Arguments" not in page


def test_the_policy_lets_in_our_one_style_and_nothing_else() -> None:
    style = re.search(r"<style>(.*?)</style>", html.listed([]).decode())
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in html.POLICY
    assert html.POLICY.startswith("default-src 'none'")
    assert "unsafe" not in html.POLICY


def test_what_the_agent_said_is_shown_as_its_own_word_and_as_text() -> None:
    resumes = approvals.of_pause("r1", RunState())
    page = html.one(asked(binding=resumes), "m", at=0.0, note=Note(0.0, EVIL, (EVIL,), (EVIL,))).decode()
    assert page.count("in the agent&#x27;s own words") == 3
    assert "<script" not in page
    assert "\u202e" not in page
    assert "own words" not in html.one(asked(binding=resumes), "m", at=0.0).decode()


def test_who_approved_reads_that_and_whether_it_was_used() -> None:
    approved = html.one(asked(status=APPROVED, by="ana"), "m", at=0.0).decode()
    assert "<p>approved by ana</p>" in approved
    used = html.one(asked(status=SPENT, by="ana"), "m", at=0.0).decode()
    assert "<p>approved by ana, and used since</p>" in used
