"""The keys of calls that are alike are asked for once."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given
from msgspec.structs import replace

from fuseboard import fuses, pipeline
from fuseboard.config import Config
from fuseboard.events import Caller, CallProposed, CallReturned, Effect, Event, Tool, ToolListed
from fuseboard.keying import Keying
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Verdict
from support.judging import ANA, READ, WRITE, call

CONFIG = Config.model_validate({"servers": {"files": {"command": "x"}}})
STANDARD = fuses.policies(CONFIG, fuses.rules(CONFIG), process="p")


class Reads:
    """A policy that reads what it is told to, and counts how often it was asked."""

    def __init__(self, *keys: str, by_call: bool, by_read: bool = True) -> None:
        self.name = "reads"
        self.keyed_by_call = by_call
        self.keyed_by_read = by_read
        self.asked = 0
        self._keys = keys

    def keys(self, event: Event) -> tuple[str, ...]:
        self.asked += 1
        return self._keys

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        return Allow()


def returned(call: CallProposed, *, late: bool = False) -> CallReturned:
    return CallReturned(1.0, call, "ok", late=late)


def test_only_a_policy_whose_keys_follow_from_the_call_is_asked_each_time() -> None:
    alike, apart = Reads("a", "b", by_call=False), Reads("b", "c", by_call=True)
    keying = Keying((apart, alike))
    assert [keying.of(call(arguments={"path": path})) for path in "xyz"] == [("a", "b", "c")] * 3
    assert (alike.asked, apart.asked) == (1, 3)


def test_a_policy_whose_keys_follow_from_the_call_where_it_does_something_is_asked_once_of_reads() -> None:
    reader = Reads("a", by_call=True, by_read=False)
    keying = Keying((reader,))
    assert [keying.of(call(tool)) for tool in (READ, READ, WRITE, WRITE)] == [("a",)] * 4
    assert reader.asked == 3


def test_a_policy_that_says_nothing_of_it_is_asked_each_time() -> None:
    silent = Reads("a", by_call=True)
    del silent.keyed_by_call
    keying = Keying((silent,))
    assert keying.of(call()) == keying.of(call()) == ("a",)
    assert silent.asked == 2


def test_another_run_tool_or_caller_is_asked_for_anew() -> None:
    alike = Reads("a", by_call=False)
    keying = Keying((alike,))
    events: tuple[Event, ...] = (
        call(),
        replace(call(), run="r2"),
        replace(call(), signed=True),
        replace(call(), continues="d-1"),
        call(Tool("files", "list", "files__list")),
        call(Tool("other", "read_file", "files__read_file")),
        call(caller=Caller("bob")),
        call(method="prompts/get"),
        returned(call()),
        returned(call(), late=True),
    )
    for event in events:
        assert keying.of(event) == ("a",)
    assert alike.asked == len(events)


def test_what_is_listed_is_asked_about_each_time() -> None:
    alike, apart = Reads("a", by_call=False), Reads("a", by_call=True)
    keying, event = Keying((alike, apart)), ToolListed(0.0, ANA, READ)
    assert keying.of(event) == keying.of(event) == ("a",)
    assert (alike.asked, apart.asked) == (2, 2)


def test_what_is_remembered_is_bounded() -> None:
    alike = Reads("a", by_call=False)
    keying = Keying((alike,))
    for number in range(3000):
        keying.of(replace(call(), run=f"r{number}"))
    assert len(keying) <= 256
    assert keying.of(replace(call(), run="r1")) == ("a",)


@given(
    run=st.sampled_from(["r1", "r2"]),
    tool=st.sampled_from(["read", "write"]),
    method=st.sampled_from(["tools/call", "prompts/get", "resources/read"]),
    signed=st.booleans(),
    continues=st.sampled_from([None, "d-1"]),
    late=st.booleans(),
    arguments=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    effect=st.sampled_from(list(Effect)),
    depth=st.integers(0, 3),
    kept_s=st.floats(1, 1e7),
    truth=st.sampled_from(["ok", "error", "throttled"]),
)
def test_what_is_said_to_be_alike_is_alike(
    run: str,
    tool: str,
    method: str,
    signed: bool,
    continues: str | None,
    late: bool,
    arguments: dict[str, str],
    effect: Effect,
    depth: int,
    kept_s: float,
    truth: str,
) -> None:
    """The keys by memory, of a pipeline that has seen them all before, are those that the policies say themselves."""
    proposed = CallProposed(
        depth * 1.0,
        f"d-{depth}",
        run,
        method,
        ANA,
        Tool("files", tool, f"files__{tool}", effect),
        arguments,
        continues=continues,
        depth=depth,
        signed=signed,
        kept_s=kept_s,
        fingerprint=repr(arguments),
    )
    for event in (proposed, CallReturned(depth * 1.0, proposed, truth, late=late)):
        said = {key for one in STANDARD if type(event) in getattr(one, "judges", ()) for key in one.keys(event)}
        assert set(pipeline.keys(STANDARD, event)) == said
