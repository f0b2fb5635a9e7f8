"""W3C Trace Context and Baggage, read strictly."""

from __future__ import annotations

from typing import Any

import pytest

from fuseboard.trace_context import (
    BAGGAGE_BYTES,
    BAGGAGE_MEMBERS,
    TraceParent,
    baggage_value,
    traceparent,
    tracestate,
    with_member,
    without_baggage,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WHOLE = f"00-{TRACE}-{SPAN}-01"


def test_a_traceparent_and_what_goes_on_below_it() -> None:
    parent = traceparent(WHOLE)
    assert parent == TraceParent(TRACE, SPAN, "01")
    assert parent.below("00f067aa0ba902b7") == f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"ff-{TRACE}-{SPAN}-01", id="the version that is none"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", id="more than version 00 has"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", id="no trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="no span"),
        pytest.param(WHOLE.upper(), id="capitals"),
        pytest.param(f" {WHOLE}", id="white space"),
        pytest.param(f"{WHOLE}\n", id="a line break"),
        pytest.param(WHOLE[:-1], id="too short"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-" + "x" * 1000, id="far too long"),
        pytest.param(None, id="nothing"),
        pytest.param(7, id="a number"),
        pytest.param([WHOLE], id="a list"),
    ],
)
def test_what_is_no_traceparent(text: Any) -> None:
    assert traceparent(text) is None


def test_a_later_version_is_read_as_far_as_this_one_goes() -> None:
    parent = traceparent(f"cc-{TRACE}-{SPAN}-ff-what-comes")
    assert parent == TraceParent(TRACE, SPAN, "01")


@pytest.mark.parametrize(
    ("text", "members"),
    [
        pytest.param("rojo=00f0,congo=t61", {"rojo": "00f0", "congo": "t61"}, id="two"),
        pytest.param(" a=1 ,, b@c=2\t", {"a": "1", "b@c": "2"}, id="space, an empty member, a tenant"),
        pytest.param("", {}, id="none"),
        pytest.param("a=1,a=2", None, id="one key twice"),
        pytest.param("A=1", None, id="a capital"),
        pytest.param("a", None, id="no value"),
        pytest.param("a=b=c", None, id="two equals signs"),
        pytest.param(",".join(f"k{n}=1" for n in range(33)), None, id="too many"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_tracestate(text: Any, members: Any) -> None:
    assert tracestate(text) == members


def test_ours_stands_in_front_and_once() -> None:
    assert with_member(None, SPAN) == f"fuseboard={SPAN}"
    assert with_member("rojo=1,fuseboard=old,congo=2", SPAN) == f"fuseboard={SPAN},rojo=1,congo=2"


def test_what_came_broken_stays_as_it_came() -> None:
    assert with_member("A=1", SPAN) is None


def test_the_last_go_where_there_is_no_room() -> None:
    full = ",".join(f"k{n:02}=1" for n in range(32))
    grown = with_member(full, SPAN)
    assert grown is not None
    assert grown.startswith(f"fuseboard={SPAN},k00=1")
    assert len(tracestate(grown) or ()) == 32
    assert "k31" not in grown
    long = with_member(",".join(f"k{n}={'x' * 200}" for n in range(3)), SPAN)
    assert long is not None
    assert len(long) <= 512
    assert "k1=" in long
    assert "k2=" not in long


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("run=a", "a", id="alone"),
        pytest.param("x=1, run = a%20b ;ttl=3,y=2", "a b", id="among others, encoded, with a property"),
        pytest.param("runs=a", None, id="another key"),
        pytest.param("run", None, id="no value"),
        pytest.param("run=a," + "x" * BAGGAGE_BYTES, None, id="too long"),
        pytest.param("run=a," + ",".join(f"k{n}=1" for n in range(BAGGAGE_MEMBERS)), None, id="too many"),
        pytest.param(None, None, id="nothing"),
        pytest.param({"run": "a"}, None, id="an object"),
    ],
)
def test_one_member_of_the_baggage(text: Any, value: str | None) -> None:
    assert baggage_value(text, "run") == value


def test_the_other_members_stay_as_they_came() -> None:
    assert without_baggage("x=1;p=2, run=a,y=%20", "run") == "x=1;p=2,y=%20"
    assert without_baggage("run=a", "run") is None
