"""Whether the story went as told: what the agent was answered, and what the ledger says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from fuseboard.adapters.demo.story import Answer, Back, Call, Ending, Look, Step, Verb


class Recorded(Protocol):
    """A call as the ledger holds it."""

    @property
    def exposed(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def rule(self) -> str | None: ...
    @property
    def truth(self) -> str: ...


_Record = TypeVar("_Record")


def run_of(answers: Sequence[Answer]) -> str | None:
    """The run, as the first refusal names it; ``None`` where nothing was refused."""
    return next((str(answer.decision["run"]) for answer in answers if answer.decision), None)


def explained(steps: Sequence[Step], recorded: Sequence[_Record]) -> _Record | None:
    """The record of the call that the story explains at its end."""
    calls = [step for step in steps if isinstance(step, Call) and not step.by]
    return next((record for call, record in zip(calls, recorded, strict=False) if call.explained), None)


def differences(steps: Sequence[Step], answers: Sequence[Answer], recorded: Sequence[Recorded]) -> list[str]:
    """A line for each thing that went otherwise; empty when the story went as told.

    ``recorded`` are the calls of the story's own agent.
    """
    calls = [step for step in steps if isinstance(step, Call) and not step.by]
    found = [line for step, answer in zip(steps, answers, strict=True) for line in _answered(step, answer)]
    if len(calls) != len(recorded):
        return [*found, f"{len(calls)} calls were made, and the ledger has {len(recorded)}"]
    for number, (call, record) in enumerate(zip(calls, recorded, strict=True), 1):
        found += _recorded(number, call, record)
    return found


def _answered(step: Step, answer: Answer) -> Iterator[str]:
    if isinstance(step, Look):
        yield from (f"{tool} is missing from the list of tools" for tool in step.shown if tool not in answer.tools)
        yield from (f"{tool} should not be listed" for tool in step.hidden if tool in answer.tools)
    elif isinstance(step, Verb):
        what = " ".join(answer.words)
        if answer.failed:
            yield f"`fuseboard {what}` failed: {answer.text}"
        yield from (f"`fuseboard {what}` did not say {said!r}: {answer.text}" for said in _unsaid(step, answer))
    elif isinstance(step, Back):
        return
    elif step.ends.refused and not (answer.refused and _by_that_rule(step, answer)):
        yield f"{step.tool} should have been refused by {step.ends.rule}; the agent got: {answer.text}"
    elif not step.ends.refused and (answer.failed != step.ends.fails or answer.refused):
        how = "failed by itself" if step.ends.fails else "gone through"
        yield f"{step.tool} should have {how}; the agent got: {answer.text}"
    elif answer.nudge != step.ends.nudge:
        yield f"{step.tool} came with a word of {answer.nudge}; told was {step.ends.nudge}: {answer.text}"


def _by_that_rule(call: Call, answer: Answer) -> bool:
    """Another agent's calls are in runs of their own, so that the answer alone is looked at."""
    return not call.by or (answer.decision or {}).get("rule") == call.ends.rule


def _unsaid(verb: Verb, answer: Answer) -> Sequence[str]:
    return [said for said in verb.said if not answer.failed and said not in answer.text]


def _recorded(number: int, call: Call, record: Recorded) -> Iterator[str]:
    told = call.ends
    as_told = (call.tool, told.verdict, told.truth) == (record.exposed, record.verdict, record.truth)
    if not as_told or told.rule not in (None, record.rule):
        said = f"{record.exposed}: {record.verdict} by {record.rule}, {record.truth}"
        yield f"call {number} is recorded as {said}; told was {call.tool}: {_told(told)}"


def _told(ending: Ending) -> str:
    return f"{ending.verdict}{f' by {ending.rule}' if ending.rule else ''}, {ending.truth}"
