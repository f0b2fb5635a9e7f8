"""The label of a run: the worst of what was delivered to it, and where that came from. Pure.

A proxy cannot see what a model made of what it read, so the sound rule is the high-water mark (Denning's lattice;
LOMAC; facts, mechanisms 1.8): a run that took in untrusted text is untrusted from then on. No result makes it better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from fuseboard.events import CallProposed, CallReturned, Sensitivity, Tool, Trust
from fuseboard.state import Push, Put

POISONED: Final = "poisoned"
"""What a person took back: worse than untrusted, and no configuration says it beforehand."""

TRUSTS: Final[Mapping[str, int]] = {Trust.TRUSTED: 0, Trust.INTERNAL: 1, Trust.UNTRUSTED: 2, POISONED: 3}
SENSITIVITIES: Final[Mapping[str, int]] = {Sensitivity.PUBLIC: 0, Sensitivity.INTERNAL: 1, Sensitivity.SECRET: 2}

MOST_ORIGINS: Final = 64
"""Past that a label names servers in place of tools."""

MOST_ECHOES: Final = 256
"""Untrusted texts of one principal that are known again wherever they come from."""

ECHO_BYTES: Final = 160
"""A shorter result, its envelope included, says what many say."""

_ANY: Final = "*"
_MEMORY_S: Final = 31_536_000.0
"""A year: what a memory was given may come back long after the run that gave it."""


class Origin(msgspec.Struct, frozen=True):
    """Where some of it came from. ``stated``: the trust is the operator's word for this very tool."""

    decision: str
    upstream: str
    tool: str
    at: float
    trust: str
    sensitivity: Sensitivity = Sensitivity.PUBLIC
    stated: bool = False

    @property
    def name(self) -> str:
        return f"{self.upstream}__{self.tool}"

    @classmethod
    def of(cls, tool: Tool, decision: str, at: float) -> Origin:
        """Of a result of ``tool``; one that comes out of our own vault is its first tool's."""
        name = tool.origin.partition("__")[2] or tool.name
        return cls(decision, tool.source, name, at, tool.trust.value, tool.sensitivity, "trust" in tool.stated)


class Label(msgspec.Struct, frozen=True):
    """``origins`` by their name, the first of each; none of what is trusted and public."""

    trust: str = Trust.TRUSTED.value
    sensitivity: Sensitivity = Sensitivity.PUBLIC
    origins: Mapping[str, Origin] = msgspec.field(default_factory=dict)

    @classmethod
    def of(cls, value: Any) -> Label:
        return NOTHING if value is None else msgspec.convert(value, Label)

    def raised(self, origins: Iterable[Origin]) -> Label:
        """With these besides: never better than before, and the very same where they add nothing."""
        own, trust, sensitivity = dict(self.origins), self.trust, self.sensitivity
        for one in origins:
            if covers(own, one):
                continue
            known = own.get(one.name)
            own[one.name] = one if known is None else _worse(known, one)
            trust = max(trust, one.trust, key=TRUSTS.__getitem__)
            sensitivity = max(sensitivity, one.sensitivity, key=SENSITIVITIES.__getitem__)
        if own == self.origins:
            return self
        return Label(trust, sensitivity, own if len(own) <= MOST_ORIGINS else _widened(own))

    def joined(self, other: Label) -> Label:
        return self.raised(other.origins.values())

    @property
    def words(self) -> tuple[str, ...]:
        """What a rule finds in ``context.labels``."""
        names = sorted({name for one in self.origins.values() for name in (one.upstream, one.name)})
        return (str(self.trust), f"sensitivity:{self.sensitivity}", *(f"from:{name}" for name in names))

    def first(self, *, untrusted: bool = False, private: bool = False) -> str:
        """The first origin that is so, as ``<server>__<tool> [decision]``; empty where none is."""
        for one in sorted(self.origins.values(), key=lambda one: one.at):
            if (untrusted and is_untrusted(one.trust)) or (private and one.sensitivity is not Sensitivity.PUBLIC):
                return f"{one.name} [{one.decision}]"
        return ""

    def written(self, key: str, ttl_s: float) -> Put:
        return Put(key, msgspec.to_builtins(self), ttl_s)


NOTHING: Final = Label()


def is_untrusted(trust: str) -> bool:
    return TRUSTS[trust] >= TRUSTS[Trust.UNTRUSTED]


def label_key(run: str) -> str:
    return f"labels/{run}"


def memory_key(principal: str, upstream: str) -> str:
    """What the memories of an upstream hold, of one principal."""
    return f"memory/{upstream}/{principal}"


def echoes_key(principal: str) -> str:
    """What untrusted sources told the runs of a principal, by its digest."""
    return f"echoes/{principal}"


def echo(event: CallReturned, known: Sequence[Any]) -> Origin | None:
    """Where this very text came from before, of all that is ``known``; ``None`` where nobody untrusted said it."""
    digest = _digest(event)
    found = next((one for one in reversed(known) if one[0] == digest), None) if digest else None
    return None if found is None else msgspec.convert(found[1], Origin)


def echoing(event: CallReturned) -> Push | None:
    """The write by which what an untrusted tool said is known again, ``None`` where it is too short for that."""
    call = event.proposal
    if not (digest := _digest(event)):
        return None
    origin = msgspec.to_builtins(Origin.of(call.tool, call.id, event.at))
    return Push(echoes_key(call.caller.principal), [digest, origin], MOST_ECHOES, _MEMORY_S)


def _digest(event: CallReturned) -> str:
    return event.finding.digest if event.finding is not None and event.result_bytes >= ECHO_BYTES else ""


def remembered(label: Label, key: str) -> Put:
    return label.written(key, _MEMORY_S)


def lineage(call: CallProposed) -> tuple[str, ...]:
    """The runs that a call stands in: its own and those that it acts for."""
    if call.root is None and not call.ancestors:
        return (call.run,)
    above = (call.root, *(one.run for one in call.ancestors))
    return tuple(dict.fromkeys((call.run, *(run for run in above if run))))


def bears(tool: Tool) -> bool:
    """Whether results of ``tool`` can raise a label. What the model gets a handle for it has not read."""
    if tool.opaque:
        return False
    return tool.trust is not Trust.TRUSTED or tool.sensitivity is not Sensitivity.PUBLIC or tool.memory


def holds(stored: Mapping[str, Any], tool: Tool) -> bool:
    """Whether a stored label has this very tool, as it is now: what nearly every result finds."""
    known = stored.get(tool.origin or f"{tool.upstream}__{tool.name}")
    return known is not None and known["trust"] == tool.trust and known["sensitivity"] == tool.sensitivity


def covers(origins: Mapping[str, Any], one: Origin) -> bool:
    """Whether an origin is there already, and no better than now. Takes stored and parsed ones alike."""
    for name in (one.name, f"{one.upstream}__{_ANY}"):
        if (known := origins.get(name)) is None:
            continue
        trust, sensitivity = _standing(known)
        if TRUSTS[trust] >= TRUSTS[one.trust] and SENSITIVITIES[sensitivity] >= SENSITIVITIES[one.sensitivity]:
            return True
    return False


def _standing(known: Any) -> tuple[str, str]:
    if isinstance(known, Origin):
        return known.trust, known.sensitivity
    return known["trust"], known["sensitivity"]


def _worse(known: Origin, one: Origin) -> Origin:
    return msgspec.structs.replace(
        known,
        trust=max(known.trust, one.trust, key=TRUSTS.__getitem__),
        sensitivity=max(known.sensitivity, one.sensitivity, key=SENSITIVITIES.__getitem__),
        stated=known.stated or one.stated,
    )


def _widened(origins: Mapping[str, Origin]) -> dict[str, Origin]:
    """By server alone: still no better than any of its tools."""
    wide: dict[str, Origin] = {}
    for one in origins.values():
        broad = msgspec.structs.replace(one, tool=_ANY)
        known = wide.get(broad.name)
        wide[broad.name] = broad if known is None else _worse(known, broad)
    return wide
