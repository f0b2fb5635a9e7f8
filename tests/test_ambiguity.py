"""The score: what each sign gives, and that more signs never give less."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuseboard.ambiguity import MOST, TERMS, Evidence, Term, score
from fuseboard.events import Effect
from fuseboard.familiarity import NOTHING, Seen
from fuseboard.readings import read

HARM = (Effect.READ, Effect.WRITE, Effect.DESTRUCTIVE)


def known(*calls: dict[str, Any]) -> Seen:
    """The memory of a principal for whom these calls worked."""
    shapes = {read(one).shape: 0.0 for one in calls}
    return Seen(shapes, {digest: 0.0 for one in calls for digest in read(one).identities})


def of(arguments: dict[str, Any], effect: Effect = Effect.DESTRUCTIVE, seen: Seen = NOTHING, **facts: Any) -> int:
    return score(Evidence(effect, read(arguments), seen, **facts)).total


FAMILIAR: dict[str, Any] = {"to": "ana", "text": "hi"}


@pytest.mark.parametrize(
    ("arguments", "effect", "expected"),
    [
        pytest.param(FAMILIAR, Effect.READ, 0, id="a familiar read"),
        pytest.param(FAMILIAR, Effect.WRITE, 15, id="a familiar write"),
        pytest.param(FAMILIAR, Effect.DESTRUCTIVE, 35, id="a familiar deed"),
        pytest.param({"to": "ben", "text": "hi"}, Effect.DESTRUCTIVE, 43, id="somebody new"),
        pytest.param({"to": "ana", "text": "hi", "now": 1}, Effect.DESTRUCTIVE, 39, id="another set of arguments"),
        pytest.param({"to": "ben", "text": "*"}, Effect.DESTRUCTIVE, 51, id="somebody new, and a wildcard"),
        pytest.param({"to": "ana", "force": True}, Effect.DESTRUCTIVE, 46, id="a switch, and so another set"),
    ],
)
def test_what_is_known_of_a_tool_in_use(arguments: dict[str, Any], effect: Effect, expected: int) -> None:
    assert of(arguments, effect, known(FAMILIAR)) == expected


@pytest.mark.parametrize(
    ("arguments", "facts", "asked"),
    [
        pytest.param({"id": 7}, {}, False, id="a new tool"),
        pytest.param({}, {"listed": False, "unruled": True}, False, id="a new tool with everything left unsaid"),
        pytest.param({"repo": "x"}, {"unruled": True}, False, id="a new tool on something new"),
        pytest.param({"to": "ana", "files": "/a/*"}, {}, True, id="a new tool, somebody new, and a wildcard"),
        pytest.param({"repo": "x", "force": True}, {}, True, id="a new tool, something new, by force"),
        pytest.param({"repo": "x"}, {"pressed": "150 of 200 calls used"}, True, id="the same under pressure"),
    ],
)
def test_the_default_asks_for_no_ordinary_deed(arguments: dict[str, Any], facts: dict[str, Any], asked: bool) -> None:
    assert (of(arguments, **facts) >= 60) is asked


def test_each_term_is_told_with_its_points_and_its_reason() -> None:
    found = score(
        Evidence(
            Effect.DESTRUCTIVE,
            read({"to": "ana", "paths": ["a/*"] * 30, "recursive": True}),
            NOTHING,
            listed=False,
            unruled=True,
            pressed="150 of 200 calls used",
        )
    )
    assert found.to_json() == {
        "score": 85,
        "terms": [
            {"term": "irreversibility", "points": 35, "reason": "what it does may not be undone"},
            {
                "term": "unfamiliarity",
                "points": 20,
                "reason": "the tool is new for this principal; it was never called with these arguments together; "
                "new in to",
            },
            {
                "term": "blast radius",
                "points": 15,
                "reason": "a wildcard in paths; recursive set; 30 items in paths",
            },
            {
                "term": "under-specification",
                "points": 10,
                "reason": "no rule speaks of it; the server lists no such tool; a path from nowhere in paths",
            },
            {"term": "pressure", "points": 5, "reason": "150 of 200 calls used, and no milestone reached"},
        ],
    }
    assert [one.term for one in found.top(2)] == ["irreversibility", "unfamiliarity"]


def test_names_of_arguments_are_told_shortly_whatever_they_are() -> None:
    arguments = {f"recursive {'x' * 500} {n}": True for n in range(50)}
    found = score(Evidence(Effect.WRITE, read(arguments), NOTHING))
    assert all(len(one.reason) < 250 for one in found.terms)
    assert any("and 47 more" in one.reason for one in found.terms)


def test_a_new_term_is_a_line_in_the_table() -> None:
    labels = Term("labels", 25, lambda call: iter([(25, "its text equals what a stranger wrote")]))
    call = Evidence(Effect.DESTRUCTIVE, read(FAMILIAR), known(FAMILIAR))
    assert score(call, (*TERMS, labels)).total == score(call).total + 25


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["*", "/a/*", "", "yes"])
names = st.text(max_size=8) | st.sampled_from(["to", "repo", "path", "force", "amount", "files", "url", "recursive"])
arguments = st.dictionaries(
    names,
    st.recursive(leaves, lambda inner: st.lists(inner, max_size=25) | st.dictionaries(names, inner), max_leaves=30),
    max_size=6,
)
calls = st.builds(
    Evidence,
    st.sampled_from(HARM),
    arguments.map(read),
    st.lists(arguments, max_size=3).map(lambda worked: known(*worked)),
    st.booleans(),
    st.booleans(),
    st.none() | st.just("5 of 8 calls used"),
    st.integers(0, 4),
)


@given(calls)
def test_it_is_bounded_and_the_same_each_time(call: Evidence) -> None:
    found = score(call)
    assert 0 <= found.total <= MOST
    assert score(call) == found
    most = {term.name: term.most for term in TERMS}
    assert all(0 < one.points <= most[one.term] and one.reason for one in found.terms)


@given(calls)
def test_less_harm_never_scores_higher(call: Evidence) -> None:
    scores = [score(call._replace(effect=effect)).total for effect in HARM]
    assert scores == sorted(scores)


@given(calls)
def test_more_evidence_never_scores_lower(call: Evidence) -> None:
    more_yet = {"phrased": call.phrased + 1}
    for more in ({"unruled": True}, {"listed": False}, {"pressed": "7 of 8 calls used"}, {"seen": NOTHING}, more_yet):
        assert score(call._replace(**more)).total >= score(call).total


@given(calls)
def test_words_in_results_weigh_little_and_on_reads_nothing(call: Evidence) -> None:
    without = score(call._replace(phrased=0)).total
    assert score(call).total - without <= (0 if call.effect is Effect.READ else 10)


@given(calls, arguments)
def test_what_worked_before_never_scores_higher(call: Evidence, worked: dict[str, Any]) -> None:
    more = known(worked)
    wider = Seen({**call.seen.shapes, **more.shapes}, {**call.seen.values, **more.values})
    assert score(call._replace(seen=wider)).total <= score(call).total


@given(arguments.filter(bool), names, leaves)
def test_one_more_argument_never_scores_lower(before: dict[str, Any], name: str, value: Any) -> None:
    """With nothing familiar: an argument more may be what makes a set of arguments the usual one."""
    assert of({name: value, **before}) >= of(before)
