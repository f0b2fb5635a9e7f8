"""What a policy answers: a closed union, each member with its evidence and the writes that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from fuseboard.state import Write

Facts: TypeAlias = Mapping[str, Any]
"""The evidence inside a verdict: JSON values only, since it goes into the ledger as it is."""


class Allow(msgspec.Struct, frozen=True):
    """Nothing against it. ``rule`` names the rule that said so, where one did.

    ``nudge`` is a sentence for the model that is put beside a result on its way down.
    """

    rule: str | None = None
    facts: Facts = msgspec.field(default_factory=dict)
    writes: tuple[Write, ...] = ()
    nudge: str | None = None


class Waits(msgspec.Struct, frozen=True):
    """What a refused call would wait for: locks, each with whether it is wanted alone; ``wait_s`` seconds at most.

    ``behind``: one of them is kept from it by others alone who wait longer.
    """

    locks: Mapping[str, bool]
    wait_s: float
    behind: bool = False


class Deny(msgspec.Struct, frozen=True):
    """The event must not go on.

    ``reason`` is the text that the model reads: what was refused, why, what to do instead; never how to lift the limit.
    """

    rule: str
    reason: str
    facts: Facts = msgspec.field(default_factory=dict)
    retry_after_s: float | None = None
    writes: tuple[Write, ...] = ()
    answer: str | None = None
    """The decision of an earlier call: what came back then is given again, with the reason, where it is still kept."""
    waits: Waits | None = None
    """Given where it need not come to the refusal: the call is judged anew when one of these has changed."""


class Rewrite(msgspec.Struct, frozen=True):
    """The event may go on in another form.

    ``replacement`` is the new ``arguments`` object on the way up, the new result object on the way down.
    """

    rule: str
    reason: str
    replacement: Mapping[str, Any]
    facts: Facts = msgspec.field(default_factory=dict)
    writes: tuple[Write, ...] = ()


class Hold(msgspec.Struct, frozen=True):
    """A person has to decide. ``reason`` says what is asked and why.

    ``writes`` are made when the question is put, ``granted`` in their place once a person has let the call pass.
    """

    rule: str
    reason: str
    facts: Facts = msgspec.field(default_factory=dict)
    writes: tuple[Write, ...] = ()
    granted: tuple[Write, ...] = ()


Verdict: TypeAlias = Allow | Deny | Rewrite | Hold

_NAMES: Final = {Allow: "allow", Deny: "deny", Rewrite: "rewrite", Hold: "hold"}


def name_of(verdict: Verdict) -> str:
    """The verdict's word in the ledger and on the wire: ``allow``, ``deny``, ``rewrite`` or ``hold``."""
    return _NAMES[type(verdict)]
