"""What is written down of a judged call, in which form, and what never is."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fuseboard.events import CallProposed, Effect
from fuseboard.pipeline import Check, Outcome
from fuseboard.ports import Concluded, Failure, Proposed, Reply, Result
from fuseboard.recording import ARGUMENTS_BYTES, CUT, PREVIEW_BYTES, Recorder, Redactor, digest_of
from fuseboard.runs import Run, Source
from fuseboard.truth import Truth
from fuseboard.verdicts import Allow, Deny, Hold, Rewrite, Verdict
from support.judging import WRITE, call

MASK = "«secret»"
TOKEN = "hunter2-token"
ODD = 'pa"ss\\wörd/1'

json_objects = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)


def recorder(arguments: str = "full", *secrets: str) -> Recorder:
    return Recorder(arguments=arguments, config="c0ffee", redact=Redactor(secrets))


def judged(verdict: Verdict, event: CallProposed, facts: dict[str, Any] | None = None, **more: Any) -> Outcome:
    checks = (Check("permissions", "allow", "r", facts or {}),)
    return Outcome(verdict, "permissions", checks, (), event, **more)


def propose(
    raw: bytes = b"{}",
    verdict: Verdict | None = None,
    *,
    keeper: Recorder | None = None,
    run: Run | None = None,
    facts: dict[str, Any] | None = None,
    seq: int = 1,
    rewritten: dict[str, Any] | None = None,
    **more: Any,
) -> Proposed:
    asked = json.loads(raw)
    event = call(WRITE, asked if rewritten is None else rewritten)
    asked = asked if rewritten is not None else event.arguments
    outcome = judged(verdict or Allow("r"), event, facts, **more)
    run = run or Run("r-1", Source.SESSION)
    return (keeper or recorder()).proposed(
        outcome, event, run, seq=seq, asked=asked, raw_arguments=raw, era="handshake", transport="http"
    )


def conclude(
    reply: Reply | None = None,
    *,
    keeper: Recorder | None = None,
    error: str | None = None,
    outcome: Outcome | None = None,
) -> Concluded:
    return (keeper or recorder()).concluded(
        call(WRITE), at=1.5, truth=Truth.OK, reply=reply, error=error, outcome=outcome
    )


# Secrets.


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        pytest.param([TOKEN], f"Bearer {TOKEN}, {TOKEN}.", f"Bearer {MASK}, {MASK}.", id="wherever it stands"),
        pytest.param([ODD], f"it is {ODD}", f"it is {MASK}", id="as it is"),
        pytest.param([ODD], json.dumps({"a": ODD}, ensure_ascii=False), f'{{"a": "{MASK}"}}', id="escaped in JSON"),
        pytest.param([ODD], json.dumps({"a": ODD}), f'{{"a": "{MASK}"}}', id="escaped to ASCII"),
        pytest.param([ODD], json.dumps(ODD).replace("/", "\\/"), f'"{MASK}"', id="with escaped slashes"),
        pytest.param(["abcd", "abcdef"], "abcdef abcd", f"{MASK} {MASK}", id="the longer one whole"),
        pytest.param(["a.c*"], "abc a.c*", f"abc {MASK}", id="a secret is no pattern"),
        pytest.param(["abc", ""], "abc", "abc", id="what is too short to be one stays"),
        pytest.param([], TOKEN, TOKEN, id="without secrets nothing is"),
    ],
)
def test_a_secret_is_masked(secrets: list[str], text: str, masked: str) -> None:
    assert Redactor(secrets)(text) == masked


secrets = st.text(alphabet='ab"\\/én\n', min_size=4, max_size=8)
around = st.text(alphabet='ab"\\/én\n', max_size=5)


@given(secrets, around, around, st.booleans())
def test_no_way_to_write_a_secret_in_json_lets_it_through(
    secret: str, before: str, after: str, ascii_only: bool
) -> None:
    value = {before + secret + after: [before + secret + after, 1.5]}
    kept = propose(json.dumps(value, ensure_ascii=ascii_only).encode(), keeper=recorder("full", secret)).arguments
    assert kept is not None
    ((key, (text, number)),) = json.loads(kept).items()
    assert number == 1.5
    for masked in (key, text):
        assert MASK in masked
        assert secret not in masked.replace(MASK, "\0")


def test_not_even_with_every_letter_escaped() -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in TOKEN)
    assert propose(f'{{"a":"{escaped}"}}'.encode(), keeper=recorder("full", TOKEN)).arguments == f'{{"a":"{MASK}"}}'


@pytest.mark.parametrize("raw", [rb'{"a" : "\u00e9", "n":1.10}', b'{ "n":1180591620717411303424 }'])
def test_arguments_without_a_secret_keep_every_byte(raw: bytes) -> None:
    assert propose(raw, keeper=recorder("full", TOKEN)).arguments == raw.decode()


@pytest.mark.parametrize("at", range(PREVIEW_BYTES - len(TOKEN) - 1, PREVIEW_BYTES + 2))
def test_where_the_preview_is_cut_no_half_of_a_secret_is_left(at: int) -> None:
    preview = conclude(Result(b"x" * at + TOKEN.encode() + b"y" * 50), keeper=recorder("full", TOKEN)).preview
    assert preview is not None
    assert preview.replace(MASK, "").strip("xy") == ""
    assert len(preview) >= at - len(TOKEN)


def test_a_preview_is_cut_between_characters() -> None:
    preview = conclude(Result(b"x" + "é".encode() * PREVIEW_BYTES)).preview
    assert preview is not None
    assert preview == "x" + "é" * (PREVIEW_BYTES // 2)


def test_a_preview_of_bytes_that_are_no_text_says_so() -> None:
    assert conclude(Result(b"\xff\xfe")).preview == "\ufffd\ufffd"


def test_every_text_of_a_record_is_masked() -> None:
    keeper = recorder("full", TOKEN, ODD)
    said = f"found {TOKEN} and {ODD}"
    facts = {"found": {"deep": [said, 1]}}
    deny = Deny("r", said)
    proposed = propose(json.dumps({"a": said}).encode(), deny, keeper=keeper, facts=facts)
    concluded = conclude(
        Failure(json.dumps({"code": 1, "message": said}).encode()),
        keeper=keeper,
        outcome=judged(deny, call(WRITE), facts),
    )
    fault = conclude(error=said, keeper=keeper)
    for record in (proposed, concluded, fault):
        text = repr(record)
        assert TOKEN not in text
        assert ODD not in text
        assert "wörd" not in text
        assert "w\\u00f6rd" not in text
    assert proposed.checks[0]["facts"] == {"found": {"deep": [f"found {MASK} and {MASK}", 1]}}
    assert fault.error == f"found {MASK} and {MASK}"


URL = "p@ss/wörd+1 ~x"


@pytest.mark.parametrize(
    ("secret", "form"),
    [
        pytest.param(URL, quote(URL), id="in a path"),
        pytest.param(URL, quote(URL, safe=""), id="in a query"),
        pytest.param(URL, quote(URL, safe="").lower(), id="in a query, in small digits"),
        pytest.param(URL, quote(URL, safe="").replace("%20", "+"), id="in a form"),
        pytest.param(TOKEN, TOKEN.encode().hex(), id="in hexadecimal"),
        pytest.param(TOKEN, TOKEN.encode().hex().upper(), id="in large hexadecimal"),
        pytest.param(ODD, json.dumps(json.dumps(ODD)[1:-1])[1:-1], id="escaped twice"),
        pytest.param(ODD, json.dumps(json.dumps(ODD, ensure_ascii=False)[1:-1])[1:-1], id="escaped twice, in two ways"),
        pytest.param("wörd", "w\\u00F6rd", id="escaped in large digits"),
    ],
)
def test_an_encoded_secret_is_masked(secret: str, form: str) -> None:
    assert Redactor([secret])(f"<{form}>") == f"<{MASK}>"


@given(st.binary(max_size=9), st.binary(min_size=4, max_size=40), st.binary(max_size=9), st.booleans())
def test_base64_lets_no_secret_through_wherever_it_begins(
    before: bytes, secret: bytes, after: bytes, urlsafe: bool
) -> None:
    text = secret.hex()
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    encoded = encode(before + text.encode() + after).decode()
    masked = Redactor([text])(encoded)
    assert MASK in masked
    assert len(masked) <= len(encoded) - len(text) * 8 // 6 + 2 + len(MASK)


def test_a_preview_hides_no_secret_behind_escapes() -> None:
    escaped = "".join(f"\\u{ord(letter):04X}" for letter in TOKEN)
    preview = conclude(Result(f'{{"a":"{escaped}\\\\u0061\\u0022"}}'.encode()), keeper=recorder("full", TOKEN)).preview
    assert preview == f'{{"a":"{MASK}\\\\u0061\\u0022"}}'


# The first half.


def test_a_proposal_is_recorded_with_all_that_is_known_of_it() -> None:
    record = propose(b'{ "n" : 1.10 }', Allow("may-write"), run=Run("r-7", Source.INFERRED), seq=5)
    assert record.arguments == '{ "n" : 1.10 }'
    assert (record.id, record.run, record.run_source, record.seq) == ("c1", "r-7", "inferred", 5)
    assert (record.principal, record.client, record.era, record.transport) == ("ana", None, "handshake", "http")
    assert (record.upstream, record.tool, record.exposed) == ("files", "write_file", "files__write_file")
    assert (record.method, record.effect, record.config) == ("tools/call", Effect.WRITE, "c0ffee")
    assert record.checks == [{"policy": "permissions", "verdict": "allow", "rule": "r", "facts": {}}]


@pytest.mark.parametrize(
    ("verdict", "enforced", "word", "reason", "final"),
    [
        pytest.param(Allow("r"), True, "allow", None, False, id="allowed"),
        pytest.param(Deny("r", "why"), True, "deny", "why", True, id="denied, and nothing follows"),
        pytest.param(Hold("r", "why"), True, "hold", "why", True, id="held, and nothing follows"),
        pytest.param(Rewrite("r", "why", {}), True, "rewrite", "why", False, id="rewritten"),
        pytest.param(Deny("r", "why"), False, "deny", "why", False, id="denied but only observed"),
    ],
)
def test_the_verdict_of_a_proposal(
    verdict: Verdict, enforced: bool, word: str, reason: str | None, final: bool
) -> None:
    record = propose(verdict=verdict, enforced=enforced)
    assert (record.verdict, record.policy, record.rule) == (word, "permissions", "r")
    assert (record.reason, record.final) == (reason, final)


@pytest.mark.parametrize("how", ["full", "hashed", "none"])
def test_arguments_are_kept_as_configured(how: str) -> None:
    raw = b'{"b":1,"a":"x"}'
    digest = hashlib.sha256(b'{"a":"x","b":1}').hexdigest()
    kept = {"full": raw.decode(), "hashed": f"sha256:{digest}", "none": None}
    record = propose(raw, keeper=recorder(how))
    assert record.arguments == kept[how]
    assert record.arguments_sha256 == digest


@given(json_objects, st.randoms(use_true_random=False))
def test_equal_arguments_have_one_digest_whatever_their_order_and_white_space(value: Any, chance: Any) -> None:
    def shuffled(node: Any) -> Any:
        if isinstance(node, list):
            return [shuffled(item) for item in node]
        if not isinstance(node, dict):
            return node
        keys = list(node)
        chance.shuffle(keys)
        return {key: shuffled(node[key]) for key in keys}

    one = propose(json.dumps(value).encode()).arguments_sha256
    other = propose(json.dumps(shuffled(value), indent=2, ensure_ascii=False).encode()).arguments_sha256
    assert one == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":1}', b'{"b":1}'),
        (b'{"a":[1,2]}', b'{"a":[2,1]}'),
        (b'{"a":1180591620717411303424}', b'{"a":1180591620717411303425}'),
        (b'{"a":null}', b"{}"),
    ],
)
def test_different_arguments_have_different_digests(one: bytes, other: bytes) -> None:
    assert propose(one).arguments_sha256 != propose(other).arguments_sha256


@pytest.mark.parametrize("how", ["full", "hashed", "none"])
def test_a_rewritten_call_is_recorded_as_it_was_asked_and_as_it_was_sent(how: str) -> None:
    record = propose(b'{"path":"/a/../b" }', rewritten={"path": "/b"}, keeper=recorder(how))
    asked, sent = (hashlib.sha256(raw).hexdigest() for raw in (b'{"path":"/a/../b"}', b'{"path":"/b"}'))
    kept = {
        "full": ('{"path":"/a/../b" }', '{"path":"/b"}'),
        "hashed": (f"sha256:{asked}", f"sha256:{sent}"),
        "none": (None, None),
    }
    assert (record.arguments, record.sent) == kept[how]
    assert record.arguments_sha256 == sent


@pytest.mark.parametrize(
    ("verdict", "rewritten"),
    [
        pytest.param(Allow("r"), None, id="nothing was changed"),
        pytest.param(Deny("r", "why"), {"path": "/b"}, id="refused after it was rewritten"),
    ],
)
def test_nothing_else_was_sent(verdict: Verdict, rewritten: dict[str, Any] | None) -> None:
    assert propose(b'{"path":"/a/../b"}', verdict, rewritten=rewritten).sent is None


def test_long_arguments_are_recorded_by_size_digest_and_head() -> None:
    raw = json.dumps({"x": "é" * ARGUMENTS_BYTES}, ensure_ascii=False).encode()
    record = propose(raw)
    assert record.arguments is not None
    cut = json.loads(record.arguments)[CUT]
    assert (cut["bytes"], cut["sha256"]) == (len(raw), record.arguments_sha256)
    assert len(cut["head"].encode()) in range(ARGUMENTS_BYTES, ARGUMENTS_BYTES + 4)
    assert raw.startswith(cut["head"].encode())
    assert len(record.arguments.encode()) < 2 * ARGUMENTS_BYTES


def test_the_longest_arguments_that_fit_are_recorded_whole() -> None:
    raw = b'{"x":"%b"}' % (b"y" * (ARGUMENTS_BYTES - 8))
    assert propose(raw).arguments == raw.decode()


@pytest.mark.parametrize("before", range(ARGUMENTS_BYTES - 6 - len(TOKEN) * 6, ARGUMENTS_BYTES, 7))
@pytest.mark.parametrize(
    "form", [TOKEN, "".join(f"\\u{ord(letter):04x}" for letter in TOKEN)], ids=["plain", "escaped"]
)
def test_where_arguments_are_cut_no_half_of_a_secret_is_left(before: int, form: str) -> None:
    raw = b'{"x":"%b%b%b"}' % (b"x" * before, form.encode(), b"y" * 1000)
    kept = propose(raw, keeper=recorder("full", TOKEN)).arguments
    assert kept is not None
    head = json.loads(kept)[CUT]["head"]
    assert head.replace(MASK, "").removeprefix('{"x":"').strip("xy") in ("", *_broken_off(form))


def _broken_off(form: str) -> list[str]:
    """One escape that the cut went through says nothing."""
    return [form[:n] for n in range(6)] if form.startswith("\\") else []


# The second half.


def test_a_result_is_recorded_by_its_size_its_digest_and_its_head() -> None:
    raw = b'{"content":[ 1.10 ]}'
    record = conclude(Result(raw))
    assert (record.id, record.at, record.duration_ms, record.truth) == ("c1", 1.5, 1500, Truth.OK)
    assert (record.result_bytes, record.result_sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert (record.preview, record.error) == (raw.decode(), None)
    assert (record.verdict, record.policy, record.rule, record.reason) == (None, None, None, None)
    assert record.checks == ()


@pytest.mark.parametrize("how", ["hashed", "none"])
def test_where_arguments_are_left_out_so_are_results(how: str) -> None:
    assert conclude(Result(b"{}"), keeper=recorder(how)).preview is None


def test_an_upstream_s_error_is_kept_as_it_came() -> None:
    record = conclude(Failure(b'{"code":-32602,"message":"no"}'))
    assert record.error == '{"code":-32602,"message":"no"}'


def test_where_nothing_came_back_there_is_nothing_but_the_reason() -> None:
    record = conclude(error="the client gave up")
    assert (record.result_bytes, record.result_sha256, record.preview) == (0, None, None)
    assert record.error == "the client gave up"


@pytest.mark.parametrize(
    ("verdict", "word"), [(Deny("r", "why"), "deny"), (Hold("r", "why"), "hold"), (Allow("r"), None)]
)
def test_a_verdict_on_the_way_back_stands_there_only_where_it_changed_the_outcome(
    verdict: Verdict, word: str | None
) -> None:
    record = conclude(Result(b"{}"), outcome=judged(verdict, call(WRITE)))
    assert record.verdict == word
    assert record.policy == (word and "permissions")
    assert record.rule == (word and "r")
    assert record.reason == (word and "why")
    assert len(record.checks) == 1


@pytest.mark.parametrize("how", ["hashed", "none"])
def test_where_arguments_are_left_out_no_reason_and_no_fact_quotes_them(how: str) -> None:
    mismatch = {"path": "/iban", "found": "DE89 3704", "expected": "integer", "keyword": "type"}
    refusal = Deny("schema.arguments", 'The arguments do not fit:\n- /iban: found "DE89 3704"')
    entry = propose(verdict=refusal, keeper=recorder(how), facts={"mismatches": [mismatch]})
    assert entry.reason == "The arguments do not fit:"
    assert "DE89" not in str(entry)
    assert entry.checks[0]["facts"] == {"mismatches": [{"path": "/iban", "expected": "integer", "keyword": "type"}]}


# Tasks and later rounds.


def test_a_result_names_the_task_that_it_began_or_came_out_of() -> None:
    keeper = recorder("full", TOKEN)
    judgement = judged(Allow("r"), call(WRITE))
    for outcome, before in ((None, 0), (judgement, 1)):
        record = keeper.concluded(
            call(WRITE), at=1.5, truth=Truth.TASK, reply=Result(b"{}"), outcome=outcome, task=f"t-{TOKEN}"
        )
        assert len(record.checks) == before + 1
        fact = {"policy": "task", "verdict": "allow", "rule": None, "facts": {"id": f"t-{MASK}"}}
        assert record.checks[-1] == fact


@pytest.mark.parametrize(
    ("how", "facts"),
    [
        ("full", {"answers": {"b": {"content": MASK}, "a": 1}}),
        ("hashed", {"answers": f"sha256:{digest_of({'a': 1, 'b': {'content': TOKEN}})}"}),
        ("none", {}),
    ],
)
def test_answers_are_kept_as_arguments_are(how: str, facts: dict[str, Any]) -> None:
    event = replace(call(WRITE), answers={"b": {"content": TOKEN}, "a": 1}, continues="d-0")
    record = recorder(how, TOKEN).proposed(
        judged(Allow("r"), event),
        event,
        Run("r-1", Source.SESSION),
        seq=1,
        asked=event.arguments,
        raw_arguments=b"{}",
        era="stateless",
        transport="http",
    )
    assert record.checks[-1] == {"policy": "answers", "verdict": "allow", "rule": None, "facts": facts}
    assert record.continues == "d-0"
