"""Arguments and answers leave without what nobody sees and without our own secrets; all others keep their bytes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from fuseboard import fingerprints
from fuseboard.cleaning.outgoing import Outgoing
from fuseboard.cleaning.result import Cleaner
from fuseboard.events import Caller, CallProposed, CleanArguments, Tool
from fuseboard.ports import Request
from support.leaks import OPEN, SECRETS

TOOL = Tool("files", "write", "files__write")
SECRET = SECRETS[0]
STRICT = SimpleNamespace(**{**vars(OPEN), "max_bytes": 1000, "links": SimpleNamespace(allow=()), "unknown": "drop"})


class Ask(msgspec.Struct, frozen=True):
    request: Request


def outgoing(*, enforce: bool = True, settings: Any = STRICT) -> Outgoing:
    return Outgoing(Cleaner(settings, SECRETS), enforce=enforce)


def ask(**params: Any) -> Ask:
    raw = json.dumps({"name": "write", **params}, ensure_ascii=False).encode()
    return Ask(Request(b"1", "tools/call", raw, json.loads(raw)))


def event(given: Ask) -> CallProposed:
    value = given.request.value or {}
    return CallProposed(1.0, "d", "r", "tools/call", Caller("a"), TOOL, value.get("arguments", {}), fingerprint="f")


def taken(one: Outgoing, **params: Any) -> tuple[CallProposed, Ask, Ask]:
    given = ask(**params)
    judged, then = one.taken(event(given), given)
    return judged, given, then


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("plain", id="plain text"),
        pytest.param('a "b" \\ c\n\td\r\n', id="escapes"),
        pytest.param("❤️ 👩‍👩‍👧 می‌خواهم", id="joiners that writing needs"),
        pytest.param("ghp_" + "aB3dE5fG7h" * 4, id="somebody else's token"),
        pytest.param("![a](https://evil.example/?q=1)", id="a link to anywhere"),
        pytest.param("x" * 5000, id="more than a result may have"),
    ],
)
def test_what_has_nothing_to_clean_is_the_very_same(text: str) -> None:
    judged, given, then = taken(outgoing(), arguments={"text": text, text: [text]})
    assert then is given
    assert judged.clean is None
    assert judged.fingerprint == "f"


def test_hidden_characters_and_our_own_secrets_go_from_keys_and_values() -> None:
    judged, given, then = taken(outgoing(), arguments={"te\u200bxt": f"a\u202eb {SECRET}", "n": [1.5, None]})
    assert then is given
    assert judged.clean == CleanArguments(
        {"text": "ab «secret»", "n": [1.5, None]},
        None,
        {
            "counts": {"invisible": 1, "bidi": 1, "own secret": 1},
            "places": [
                {"what": "invisible", "at": "/arguments/te\\u200bxt", "offset": 2},
                {"what": "bidi", "at": "/arguments/te\\u200bxt", "offset": 1},
                {"what": "own secret", "at": "/arguments/te\\u200bxt", "offset": 3},
            ],
        },
    )
    assert judged.arguments == (given.request.value or {})["arguments"]


def test_a_call_that_hides_behind_a_character_is_the_same_call() -> None:
    judged, *_ = taken(outgoing(), arguments={"text": "a\u200bb"})
    assert judged.fingerprint == fingerprints.of_call(TOOL.qualified, {"text": "ab"}, ())


def test_answers_that_travel_with_a_request_are_cleaned_in_it() -> None:
    answers = {"q\u200b": {"action": "accept", "content": {"a": f"x\u202e{SECRET}"}}}
    judged, _, then = taken(outgoing(), arguments={"text": "fine"}, inputResponses=answers, requestState="s\u202e")
    clean = {"q\u200b": {"action": "accept", "content": {"a": "x«secret»"}}}
    assert then.request.value == {
        "name": "write", "arguments": {"text": "fine"}, "inputResponses": clean, "requestState": "s\u202e"
    }  # fmt: skip
    assert json.loads(then.request.params or b"") == then.request.value
    assert judged.clean is not None
    assert judged.clean.arguments == {"text": "fine"}


def test_where_nothing_is_enforced_it_is_only_told() -> None:
    answers = {"q": {"action": "accept", "content": {"a": "x\u202e"}}}
    judged, given, then = taken(outgoing(enforce=False), arguments={"text": "a\u200bb"}, inputResponses=answers)
    assert then is given
    assert judged.clean is not None
    assert judged.clean.facts["counts"] == {"invisible": 1, "bidi": 1}
    assert judged.fingerprint == "f"


@pytest.mark.parametrize(
    "one",
    [Outgoing(None), outgoing(settings=SimpleNamespace(**{**vars(OPEN), "arguments": "keep"}))],
    ids=["no cleaner", "arguments are kept"],
)
def test_where_it_is_not_wanted_everything_leaves_as_it_came(one: Outgoing) -> None:
    judged, given, then = taken(one, arguments={"text": f"a\u202e{SECRET}"})
    assert then is given
    assert judged.clean is None
    raw = '{"a":"\u202e","inputResponses":{}}'.encode()
    assert one.of_params("x", raw).raw is raw
    assert one.of_answers(raw) is raw
    assert one.of_answer("elicitation/create", raw).raw is raw


def test_a_request_without_arguments_is_none_to_clean() -> None:
    judged, given, then = taken(outgoing(), _meta={"note": "\u202e"})
    assert then is given
    assert judged.clean is None
    assert outgoing().taken(judged, Ask(Request(b"1", "tools/call", None)))[0] is judged


def test_a_call_that_nobody_makes_is_judged_as_it_would_be() -> None:
    given = event(ask(arguments={"text": "a\u200bb"}))
    clean = outgoing().imagined(given).clean
    assert clean is not None
    assert clean.arguments == {"text": "ab"}
    fine = event(ask(arguments={"text": "ab"}))
    assert outgoing().imagined(fine) is fine
