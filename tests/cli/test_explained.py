"""A decision as a terminal shows it."""

from __future__ import annotations

from typing import Any

from fuseboard.cli.explained import explained

DOCUMENT: dict[str, Any] = {
    "outcome": "asked",
    "tool": {"exposed": "ci__deploy", "upstream": "ci", "name": "deploy", "effect": "destructive", "listed": True},
    "principal": "ana",
    "roles": ["editor"],
    "run": None,
    "verdict": "hold",
    "policy": "ambiguity",
    "rule": "ambiguity",
    "reason": "A person has to approve calling ci__deploy.",
    "enforced": True,
    "asked": {
        "about": "this call",
        "via": ["elicit", "cli"],
        "timeout_s": 45.0,
        "on_timeout": "deny",
        "approval": None,
    },
    "sent": None,
    "ambiguity": {
        "score": 63,
        "ask_above": 60,
        "terms": [{"term": "irreversibility", "points": 35, "reason": "what it does may not be undone"}],
    },
    "checks": [{"policy": "ambiguity", "verdict": "hold", "rule": "ambiguity", "facts": {"score": 63}}],
    "notes": [],
}


def shown(**changes: Any) -> str:
    return "\n".join(line.plain for line in explained({**DOCUMENT, **changes}))


def test_it_says_what_would_be_asked_of_whom_and_why() -> None:
    text = shown()
    assert text.startswith("ci__deploy  a person would be asked by ambiguity / ambiguity  (effect destructive)")
    assert "caller    ana (editor), a new run" in text
    assert "about this call, by elicit, then cli; after 45s without an answer the call is refused" in text
    assert "63 of 100; a person is asked from 60" in text
    assert "35  irreversibility  what it does may not be undone" in text
    assert text.count("score") == 0  # the score stands once


def test_an_answer_that_was_given_already_is_shown() -> None:
    approval = {"id": "a-1", "status": "approved", "by": "bo"}
    text = shown(outcome="sent", asked={**DOCUMENT["asked"], "approval": approval})
    assert "ci__deploy  would be sent" in text
    assert "a-1 of the very same call is approved by bo" in text


def test_what_is_rewritten_is_shown_as_it_would_be_sent() -> None:
    assert 'sent      {"path": "/a"}' in shown(outcome="sent", verdict="rewrite", sent={"path": "/a"})


def test_mode_observe_is_told() -> None:
    assert "mode observe: nothing is held back" in shown(outcome="sent", enforced=False)


def test_a_score_that_nobody_is_asked_for_says_so() -> None:
    read = {**DOCUMENT["tool"], "effect": "read"}
    assert "a read is never held for it" in shown(tool=read)
    assert "nobody is asked for it" in shown(ambiguity={**DOCUMENT["ambiguity"], "ask_above": None})


def test_what_strangers_wrote_is_shown_and_does_nothing() -> None:
    hostile = "x\x1b[2J\u202e[/oops]"
    tool = {**DOCUMENT["tool"], "exposed": hostile}
    terms = [{"term": "blast radius", "points": 8, "reason": f"a wildcard in {hostile}"}]
    text = shown(
        tool=tool, ambiguity={**DOCUMENT["ambiguity"], "terms": terms}, notes=[hostile], sent={hostile: hostile}
    )
    assert not {"\x1b", "\u202e"} & set(text)
    assert "x\\x1b[2J\\u202e[/oops]" in text
