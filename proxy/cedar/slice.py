"""What the rules hold for one caller and one tool: often one ruling for ever, else Cedar over the least that counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from fuseboard.cedar.ast import Wants
from fuseboard.cedar.names import mistakable, tree
from fuseboard.cedar.paths import anchored_arguments, canonical_arguments, veiled_argument
from fuseboard.cedar.text import DEFAULT_ID, Decide
from fuseboard.cedar.values import Unsayable, misfit, project

if TYPE_CHECKING:
    import cedarpy

    from fuseboard.cedar.check import CheckedPolicy

ERROR_RULE: Final = "cedar.error"

_REMEMBERED_CHARS: Final = 2_048
_FAULT: Final = re.compile(r"error while evaluating policy `(p\d+)`: (.*)", re.DOTALL)
_STRICT: Final[Mapping[Decide, int]] = {"allow": 0, "ask": 1, "deny": 2}
_NO_LABELS: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules say of a call.

    ``rule`` is the id of the rule that settled it: ``"default"`` where none matched, ``"cedar.error"`` where one could
    not be evaluated. ``matched`` are the rules that said so, each with its ``decide``. ``detail`` tells the error.
    """

    decide: Decide
    rule: str
    matched: tuple[tuple[str, Decide], ...] = ()
    say: str | None = None
    detail: str | None = None


Remember: TypeAlias = Callable[["Slice", str, bool], Ruling]


class Settled:
    """A slice with one ruling, whatever the call."""

    def __init__(self, ruling: Ruling) -> None:
        self._ruling = ruling
        self._approved = replace(ruling, decide="allow") if ruling.decide == "ask" else ruling

    traces = False
    """Whether a rule asks where the call comes from."""

    def canonical(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return arguments

    def anchored(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return arguments

    def decide(
        self,
        arguments: Mapping[str, Any],
        labels: Collection[str] = _NO_LABELS,
        *,
        copied: Collection[str] = _NO_LABELS,
        approved: bool = False,
    ) -> Ruling:
        return self._approved if approved else self._ruling

    def listed(self) -> Ruling:
        return self._approved


class Slice:
    """The policies whose head holds for one caller, action and tool. ``ask`` decides a context, given as JSON."""

    def __init__(
        self,
        policies: Mapping[str, CheckedPolicy],
        ask: Callable[[str], cedarpy.AuthzResult],
        remember: Remember,
    ) -> None:
        self._policies = policies
        self._ask_cedar = ask
        self._remember = remember
        self._wants = _wanted(policies)
        self.traces = self._wants.labels or self._wants.copied
        self._decimals = frozenset(name for policy in policies.values() for name in policy.decimals)
        read = [path for policy in policies.values() if policy.rest is not None for path in policy.types]
        self._read = tree([*read, *((name,) for name in self._wants.args or ())])

    def canonical(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """``arguments`` with the paths that a rule reads in their one spelling; the same object where none changes."""
        names = self._wants.args
        return arguments if names is not None and not names else canonical_arguments(arguments, names)

    def anchored(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Canonical ``arguments`` with relative paths from ``./``; the same object where a rule reads none."""
        names = self._wants.args
        return arguments if names is not None and not names else anchored_arguments(arguments, names)

    def decide(
        self,
        arguments: Mapping[str, Any],
        labels: Collection[str] = _NO_LABELS,
        *,
        copied: Collection[str] = _NO_LABELS,
        approved: bool = False,
    ) -> Ruling:
        """The ruling for a call with ``arguments``, which have to be canonical.

        ``labels`` are those of the run, ``copied`` is where arguments were copied from. ``approved`` says that a
        person agreed to exactly this call.
        """
        wants = self._wants
        try:
            args = {} if wants.args is not None and not wants.args else self._args(arguments, wants.args)
            said = [args, sorted(labels) if wants.labels else [], sorted(copied) if wants.copied else []]
            reading = msgspec.json.encode(said).decode()
        except (Unsayable, UnicodeEncodeError) as fault:
            return Ruling("deny", ERROR_RULE, detail=f"the rules cannot judge this call: {fault}")
        if len(reading) > _REMEMBERED_CHARS:
            return self.rule(reading, approved)
        return self._remember(self, reading, approved)

    def _args(self, arguments: Mapping[str, Any], names: Collection[str] | None) -> dict[str, Any]:
        """What Cedar gets of ``arguments``, if all readers of them agree on what it is."""
        if (taken := mistakable(arguments, self._read)) is not None:
            odd, exact = taken
            raise Unsayable(f"argument {odd!r} is not {exact!r}, which they read; send it exactly as {exact!r}")
        if (name := veiled_argument(arguments, names)) is not None:
            raise Unsayable(
                f"argument {name!r} holds a control character or a leading space, which a URL parser would drop; "
                "send it without"
            )
        return project(arguments, names, self._decimals)

    def listed(self) -> Ruling:
        """Whether the caller may call the tool at all, whatever the arguments, the labels and the approvals."""
        forbids = [id for id, policy in self._policies.items() if policy.rest is None and not policy.permits]
        if forbids:
            return self._ruling("deny", forbids)
        permits = [id for id, policy in self._policies.items() if policy.permits]
        return self._ruling("allow" if permits else "deny", permits)

    def rule(self, reading: str, approved: bool) -> Ruling:
        """Ask Cedar. ``reading`` is the JSON list of the arguments' record, the labels and the sources."""
        allowed, reasons, faults = self._ask(reading, approved)
        lifted, firm, more = allowed, reasons, faults
        if not approved and (not allowed or faults) and self._wants.approved:
            lifted, firm, more = self._ask(reading, True)
        if not lifted and firm:
            return self._ruling("deny", firm)
        if faults or more:
            return self._unevaluated([*faults, *more], reading)
        if allowed:
            return self._ruling("allow", reasons)
        return self._ruling("ask" if lifted else "deny", reasons)

    def _ask(self, reading: str, approved: bool) -> tuple[bool, list[str], list[str]]:
        # The list's own parts, so that the arguments are encoded once for the memory and for Cedar.
        args, labels, copied = msgspec.json.decode(reading, type=tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw])
        flag = "true" if approved else "false"
        sets = f'"labels":{bytes(labels).decode()},"copied_from":{bytes(copied).decode()}'
        context = f'{{"args":{bytes(args).decode()},{sets},"approved":{flag}}}'
        answer = self._ask_cedar(context)
        faults = list(answer.diagnostics.errors)
        if answer.decision.value == "NoDecision" and not faults:
            faults = ["Cedar gave no decision"]
        return answer.allowed, list(answer.diagnostics.reasons), faults

    def _ruling(self, decide: Decide, ids: Collection[str]) -> Ruling:
        """The ruling of the policies ``ids``, in the order of the configuration; of the default where there is none."""
        ordered = [self._policies[id] for id in self._policies if id in ids]
        matched = tuple(dict.fromkeys((policy.rule, policy.decide) for policy in ordered if policy.rule != DEFAULT_ID))
        strict = [policy for policy in ordered if policy.decide == decide] or ordered
        named = next((policy for policy in strict if policy.rule != DEFAULT_ID), None)
        return Ruling(decide, named.rule if named else DEFAULT_ID, matched, named.say if named else None)

    def _unevaluated(self, faults: Collection[str], reading: str) -> Ruling:
        args = msgspec.json.decode(reading)[0]
        told = []
        for fault in dict.fromkeys(faults):
            match = _FAULT.match(fault)
            policy = self._policies.get(match[1]) if match else None
            if match is None or policy is None:
                told.append(fault)
                continue
            why = misfit(args, policy.types) if match[2].startswith("type error") else None
            told.append(f"rule {policy.rule!r} could not be evaluated: {why or match[2]}")
        return Ruling("deny", ERROR_RULE, detail="; ".join(dict.fromkeys(told)))


class Respelled:
    """What holds for a resource whose URI is not spelt out (``file:///ü`` for ``file:///%C3%BC``): it is judged by its
    plain URI, and held back as well by what a rule says of the one that was asked for. Nothing is let through by that.
    """

    def __init__(self, plain: Slice | Settled, asked: Slice | Settled) -> None:
        self.traces = plain.traces or asked.traces
        self._plain = plain
        self._asked = asked

    def canonical(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._plain.canonical(arguments)

    def anchored(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._plain.anchored(arguments)

    def decide(
        self,
        arguments: Mapping[str, Any],
        labels: Collection[str] = _NO_LABELS,
        *,
        copied: Collection[str] = _NO_LABELS,
        approved: bool = False,
    ) -> Ruling:
        first = self._plain.decide(arguments, labels, copied=copied, approved=approved)
        return _held_back(first, self._asked.decide(arguments, labels, copied=copied, approved=approved))

    def listed(self) -> Ruling:
        return _held_back(self._plain.listed(), self._asked.listed())


Held: TypeAlias = Slice | Settled | Respelled


def _held_back(ruling: Ruling, by: Ruling) -> Ruling:
    return by if by.rule != DEFAULT_ID and _STRICT[by.decide] > _STRICT[ruling.decide] else ruling


def _wanted(policies: Mapping[str, CheckedPolicy]) -> Wants:
    total = Wants()
    for policy in policies.values():
        total |= policy.wants
    return total
