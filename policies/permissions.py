"""May this caller do this, with these arguments? Deny > ask > allow, and a default where no rule matches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from fuseboard.cedar.rules import DEFAULT_ID, RuleSet, Ruling
from fuseboard.cedar.slice import Held
from fuseboard.events import CallProposed, Event, ToolListed
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Deny, Facts, Hold, Rewrite, Verdict

CANONICAL_RULE = "canonical-path"

_Origins: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
_NOTHING_SAID: Final[_Origins] = ((), ())
_NAMED: Final = frozenset({"task", "known", "earlier", "internal"})

_VERBS = {"tools/call": "calling", "prompts/get": "getting the prompt", "resources/read": "reading"}


class PermissionsPolicy:
    """Judge calls by a compiled rule set.

    Where a rule reads a path-like argument, the path is judged in its one spelling, and that spelling is what is sent:
    the verdict is then a ``Rewrite``. A listing leaves out what no arguments and no approval would let through.
    """

    name = "permissions"
    judges = (ToolListed, CallProposed)
    keyed_by_call = False

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules

    @property
    def tells_callers_apart(self) -> bool:
        return self._rules.tells_callers_apart

    def keys(self, event: Event) -> tuple[str, ...]:
        return ()

    def decide(self, event: Event, state: Snapshot) -> Verdict:
        if isinstance(event, CallProposed):
            return self._proposed(event)
        if isinstance(event, ToolListed):
            ruling = self._rules.slice(event.caller, event.method, event.tool).listed()
            return _verdict(ruling, f"{_VERBS[event.method]} {event.tool.exposed}")
        return Allow()

    def _proposed(self, event: CallProposed) -> Verdict:
        held = self._rules.slice(event.caller, event.method, event.tool)
        arguments = held.canonical(event.arguments)
        said = _origins(event) if held.traces else _NOTHING_SAID
        ruling = _stricter(held.decide(arguments, said[0], copied=said[1]), held, arguments, said)
        deed = f"{_VERBS.get(event.method, event.method)} {event.tool.exposed}"
        verdict = _verdict(ruling, deed)
        if arguments is event.arguments or not isinstance(verdict, Allow):
            return verdict
        return _rewrite(event.arguments, arguments, verdict)


def _origins(event: CallProposed) -> _Origins:
    """The labels of the run, and the servers and tools that arguments were copied from, unless a person named them."""
    traced = event.traced
    if traced is None:
        return _NOTHING_SAID
    moved = [one for one in traced.copied if one.excuse not in _NAMED]
    return traced.labels, tuple(
        dict.fromkeys(name for one in moved for name in (one.upstream, f"{one.upstream}__{one.tool}"))
    )


def _stricter(ruling: Ruling, held: Held, arguments: Mapping[str, Any], said: _Origins) -> Ruling:
    """The ruling on relative paths as they are, unless a rule forbids or asks for what they are from ``./``.

    A rule that lets paths through is not widened by this: only what holds a call back is looked for a second time.
    """
    if ruling.decide == "deny" or (anchored := held.anchored(arguments)) is arguments:
        return ruling
    second = held.decide(anchored, said[0], copied=said[1])
    if second.rule == DEFAULT_ID or second.decide == "allow" or second.decide == ruling.decide:
        return ruling
    return second


def _verdict(ruling: Ruling, deed: str) -> Verdict:
    facts = _facts(ruling)
    if ruling.decide == "allow":
        return Allow(ruling.rule, facts)
    if ruling.decide == "ask":
        return Hold(ruling.rule, _asked(ruling, deed), facts)
    return Deny(ruling.rule, _denied(ruling, deed), facts)


def _rewrite(before: Mapping[str, Any], after: Mapping[str, Any], verdict: Allow) -> Rewrite:
    names = [name for name in after if after[name] is not before[name]]
    reason = f"written in their one spelling, as the rules judged them: {', '.join(names)}"
    return Rewrite(CANONICAL_RULE, reason, after, {**verdict.facts, "allowed_by": verdict.rule, "canonical": names})


def _asked(ruling: Ruling, deed: str) -> str:
    by = "No rule allows it outright" if ruling.rule == DEFAULT_ID else f'Rule "{ruling.rule}" asks for it'
    return f"A person has to approve {deed}. {by}." + (f" {ruling.say}" if ruling.say else "")


def _denied(ruling: Ruling, deed: str) -> str:
    if ruling.detail:
        return f"Denied {deed}: {ruling.detail}. Correct what is named there, or do it another way."
    if ruling.say:
        return ruling.say
    if ruling.rule == DEFAULT_ID:
        return f"Denied {deed}: no rule allows it. Do not try again; do it another way, or tell the user."
    return f'Denied {deed}: rule "{ruling.rule}" forbids it. Do not try again; do it another way, or tell the user.'


def _facts(ruling: Ruling) -> Facts:
    facts: dict[str, Any] = {
        "matched": [{"rule": rule, "decide": decide} for rule, decide in ruling.matched],
        "default": ruling.rule == DEFAULT_ID,
    }
    if ruling.detail:
        facts["error"] = ruling.detail
    return facts
