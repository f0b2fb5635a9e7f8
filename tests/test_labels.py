"""Labels only ever rise, whatever comes in whichever order."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fuseboard.events import Ancestor, Effect, Sensitivity, Tool, Trust
from fuseboard.labels import (
    MOST_ORIGINS,
    NOTHING,
    SENSITIVITIES,
    TRUSTS,
    Label,
    Origin,
    bears,
    covers,
    holds,
    is_untrusted,
    label_key,
    lineage,
)
from support.judging import call

origins = st.builds(
    Origin,
    st.just("d"),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([f"t{number}" for number in range(40)]),
    st.floats(0, 10),
    st.sampled_from(["trusted", "internal", "untrusted", "poisoned"]),
    st.sampled_from(list(Sensitivity)),
    st.booleans(),
)


@given(st.lists(origins, max_size=120), st.randoms(use_true_random=False))
def test_a_label_only_rises_and_the_order_is_nothing(came: list[Origin], chance: object) -> None:
    label = NOTHING
    for one in came:
        after = label.raised([one])
        assert TRUSTS[after.trust] >= max(TRUSTS[label.trust], TRUSTS[one.trust])
        assert SENSITIVITIES[after.sensitivity] >= max(SENSITIVITIES[label.sensitivity], SENSITIVITIES[one.sensitivity])
        assert covers(after.origins, one)
        assert after.raised([one]) is after
        label = after
    other = list(came)
    chance.shuffle(other)  # type: ignore[attr-defined]
    again = NOTHING.raised(other)
    assert (again.trust, again.sensitivity) == (label.trust, label.sensitivity)
    assert len(label.origins) <= MOST_ORIGINS


@given(st.lists(origins, max_size=90))
def test_a_label_comes_back_from_the_store_as_it_was(came: list[Origin]) -> None:
    label = NOTHING.raised(came)
    stored = msgspec.json.decode(msgspec.json.encode(label.written(label_key("r"), 1.0).value))
    assert Label.of(stored) == label
    assert all(covers(stored["origins"], one) for one in came)


def test_past_the_bound_a_label_names_servers_and_is_no_better() -> None:
    many = [Origin(f"d{number}", "web", f"t{number}", float(number), "internal") for number in range(MOST_ORIGINS)]
    label = NOTHING.raised([*many, Origin("d", "web", "bad", 99.0, "untrusted", Sensitivity.SECRET)])
    (wide,) = label.origins.values()
    assert (wide.name, wide.trust, wide.sensitivity) == ("web__*", "untrusted", Sensitivity.SECRET)
    assert label.raised([Origin("e", "web", "new", 100.0, "untrusted")]) is label


def test_the_words_that_a_rule_finds() -> None:
    label = NOTHING.raised([Origin("d1", "web", "fetch", 1.0, "untrusted")])
    assert label.words == ("untrusted", "sensitivity:public", "from:web", "from:web__fetch")
    assert NOTHING.words == ("trusted", "sensitivity:public")


def test_the_first_of_its_kind_is_named() -> None:
    private = Origin("d2", "crm", "get", 2.0, "internal", Sensitivity.SECRET)
    label = NOTHING.raised([Origin("d1", "web", "fetch", 1.0, "untrusted"), private])
    assert label.first(untrusted=True) == "web__fetch [d1]"
    assert label.first(private=True) == "crm__get [d2]"
    assert NOTHING.first(untrusted=True) == ""


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        pytest.param(Tool("a", "t", "t", trust=Trust.UNTRUSTED), True, id="anybody's words"),
        pytest.param(Tool("a", "t", "t", trust=Trust.INTERNAL), True, id="the house's own"),
        pytest.param(Tool("a", "t", "t", trust=Trust.TRUSTED), False, id="relied upon and public"),
        pytest.param(Tool("a", "t", "t", trust=Trust.TRUSTED, sensitivity=Sensitivity.SECRET), True, id="secret"),
        pytest.param(Tool("a", "t", "t", trust=Trust.TRUSTED, memory=True), True, id="a memory gives back anything"),
        pytest.param(Tool("a", "t", "t", opaque="run"), False, id="the model reads no word of it"),
    ],
)
def test_which_results_can_raise_a_label(tool: Tool, expected: bool) -> None:
    assert bears(tool) is expected


def test_a_call_stands_in_its_own_run_and_in_those_below() -> None:
    one = call()
    assert lineage(one) == ("r1",)
    above = (Ancestor("d", "f", "agent", "agent__ask", "r7"), Ancestor("d", "f", "agent", "agent__ask", "r0"))
    assert lineage(replace(one, root="r0", ancestors=above)) == ("r1", "r0", "r7")


def test_a_tool_whose_trust_was_restated_is_looked_at_again() -> None:
    tool = Tool("web", "fetch", "fetch", Effect.READ)
    stored = NOTHING.raised([Origin.of(tool, "d1", 1.0)]).written("k", 1.0).value["origins"]
    assert holds(stored, tool)
    assert not holds(stored, replace(tool, trust=Trust.INTERNAL))
    assert not holds(stored, replace(tool, name="other"))


def test_poisoned_is_untrusted_too() -> None:
    assert [is_untrusted(word) for word in ("trusted", "internal", "untrusted", "poisoned")] == [
        False,
        False,
        True,
        True,
    ]
