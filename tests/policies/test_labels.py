"""What a result makes of the run that gets it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fuseboard.events import CallReturned, Effect, Finding, Sensitivity, Tool, Trust
from fuseboard.labels import NOTHING, Label, Origin
from fuseboard.policies.labels import LabelsPolicy
from fuseboard.state import EMPTY, Push, Put, Snapshot
from fuseboard.verdicts import Allow
from support.judging import call

WEB = Tool("web", "fetch", "fetch", Effect.READ)
CRM = Tool("crm", "get", "get", Effect.READ, trust=Trust.INTERNAL, sensitivity=Sensitivity.SECRET)
NOTES = Tool("notes", "read_notes", "read_notes", Effect.READ, trust=Trust.TRUSTED, memory=True)
KEEP = Tool("notes", "keep", "keep", Effect.WRITE, trust=Trust.TRUSTED, memory=True)


def returned(tool: Tool, truth: str = "ok", **facts: Any) -> CallReturned:
    return CallReturned(5.0, replace(call(tool), **facts), truth)


def judge(event: CallReturned, **values: Label) -> dict[str, Label]:
    """The labels that it writes, by their key."""
    policy = LabelsPolicy()
    state = Snapshot({name.replace("__", "/"): label.written("", 1.0).value for name, label in values.items()})
    verdict = policy.decide(event, state)
    assert isinstance(verdict, Allow)
    written = [write for write in verdict.writes if isinstance(write, Put)]
    assert {write.key for write in written} <= set(policy.keys(event)), "a write needs its read"
    return {write.key: Label.of(write.value) for write in written}


BAD = NOTHING.raised([Origin("d0", "web", "fetch", 1.0, "untrusted")])


@pytest.mark.parametrize(
    ("event", "trust", "sensitivity"),
    [
        pytest.param(returned(WEB), "untrusted", "public", id="a page"),
        pytest.param(returned(CRM), "internal", "secret", id="a customer's file"),
        pytest.param(returned(WEB, "business_error"), "untrusted", "public", id="an error's text is read, too"),
        pytest.param(returned(WEB, "error"), "untrusted", "public", id="so is that of a protocol error"),
    ],
)
def test_what_is_delivered_raises_the_run(event: CallReturned, trust: str, sensitivity: str) -> None:
    label = judge(event)["labels/r1"]
    assert (label.trust, label.sensitivity.value) == (trust, sensitivity)


@pytest.mark.parametrize("truth", ["timeout", "lost", "cancelled", "task"])
def test_where_no_text_came_back_nothing_rises(truth: str) -> None:
    assert judge(returned(WEB, truth)) == {}


def test_a_run_that_goes_on_as_before_writes_nothing() -> None:
    assert judge(returned(WEB), labels__r1=BAD) == {}


def test_another_tool_is_a_new_origin() -> None:
    label = judge(returned(replace(WEB, name="search")), labels__r1=BAD)["labels/r1"]
    assert set(label.origins) == {"web__fetch", "web__search"}


def test_a_trusted_public_tool_is_not_even_looked_up() -> None:
    event = returned(replace(WEB, trust=Trust.TRUSTED))
    assert LabelsPolicy().keys(event) == ()
    assert LabelsPolicy().decide(event, EMPTY) == Allow()


def test_what_a_called_agent_reads_its_caller_has_read() -> None:
    assert set(judge(returned(WEB, root="r0"))) == {"labels/r1", "labels/r0"}


def test_a_memory_takes_the_label_of_whoever_writes_to_it() -> None:
    written = judge(returned(KEEP), labels__r1=BAD)
    assert set(written) == {"memory/notes/ana"}
    assert written["memory/notes/ana"].trust == "untrusted"


def test_a_memory_gives_its_label_to_whoever_reads_it() -> None:
    written = judge(returned(NOTES), memory__notes__ana=BAD)
    assert set(written) == {"labels/r1"}
    assert written["labels/r1"].first(untrusted=True) == "web__fetch [d0]"


def test_a_clean_memory_raises_nothing() -> None:
    assert judge(returned(NOTES)) == {}
    assert judge(returned(KEEP)) == {}


PAGE = Finding("ok", digest="abc")
FILE = replace(CRM, sensitivity=Sensitivity.PUBLIC)


def heard(tool: Tool, found: Finding = PAGE, result_bytes: int = 500) -> CallReturned:
    return CallReturned(5.0, call(tool), "ok", None, result_bytes, finding=found)


def told(policy: LabelsPolicy, event: CallReturned, state: Snapshot = EMPTY) -> dict[str, Any]:
    """What it writes; every key of it was read."""
    verdict = policy.decide(event, state)
    written = {write.key: write for write in verdict.writes}
    assert written.keys() <= set(policy.keys(event))
    return written


def echoes(event: CallReturned) -> Snapshot:
    write = told(LabelsPolicy(mixed=True), event)["echoes/ana"]
    assert isinstance(write, Push)
    return Snapshot({"echoes/ana": [write.item]})


@pytest.mark.parametrize("tool", [FILE, replace(FILE, trust=Trust.TRUSTED)], ids=["internal", "trusted"])
def test_what_somebody_untrusted_said_stays_untrusted_whoever_says_it_again(tool: Tool) -> None:
    label = Label.of(told(LabelsPolicy(mixed=True), heard(tool), echoes(heard(WEB)))["labels/r1"].value)
    assert label.trust == "untrusted"
    assert "web__fetch" in label.origins


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(WEB, replace(PAGE, digest="other"), id="another text"),
        pytest.param(WEB, replace(PAGE, digest=""), id="no text"),
    ],
)
def test_other_texts_say_nothing_of_it(first: Tool, second: Finding) -> None:
    label = Label.of(told(LabelsPolicy(mixed=True), heard(FILE, second), echoes(heard(first)))["labels/r1"].value)
    assert label.trust == "internal"


def test_what_many_say_is_not_remembered() -> None:
    assert "echoes/ana" not in told(LabelsPolicy(mixed=True), heard(WEB, result_bytes=100))


def test_what_is_known_already_is_not_written_again() -> None:
    assert "echoes/ana" not in told(LabelsPolicy(mixed=True), heard(WEB), echoes(heard(WEB)))


def test_where_all_are_alike_nothing_is_remembered() -> None:
    assert "echoes/ana" not in told(LabelsPolicy(), heard(WEB))
    assert "echoes/ana" not in LabelsPolicy().keys(heard(WEB))
