"""Who called whom: each call that carries a trace upstream gets a span of ours, and what comes back under it descends.

An agent that is called as a tool calls on while its caller waits. By the trace it is known exactly how many calls stand
on one another, in whose run, and how long the lowest still waits (2026-07-28, basic/index, ``_meta``; SEP-414).
Only calls through this process are known here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from fuseboard.events import Ancestor, CallProposed
from fuseboard.runs import Run, Said
from fuseboard.trace_context import (
    BAGGAGE,
    MEMBER,
    TRACEPARENT,
    TRACESTATE,
    TraceParent,
    baggage_value,
    tracestate,
    with_member,
    without_baggage,
)
from fuseboard.wire import splice

SHARE: Final = 0.9
"""Of the time that a caller has left: what it called gets that much, so that its answer still comes in time."""

KEPT_S: Final = 600.0
"""How long a call that has ended is remembered: what it called may still be calling."""

MAX_SPANS: Final = 10_000

_SAMPLED: Final = "01"
"""Of a trace that begins here. The sampler that agents have by default follows its parent: 00 would silence them."""


@dataclass(slots=True, eq=False)
class Span:
    """One call on its way upstream. ``lends``: its upstream is an agent by the operator's word.

    ``call`` is what is known of it where it was judged, ``below`` the call under way that it stands on itself.
    ``idle_s`` is how long its upstream may be silent, ``heard`` is told when something moves above it.
    """

    id: str
    decision: str
    run: Run
    root: str
    depth: int
    principal: str
    deadline_at: float
    lends: bool
    ended: bool = False
    call: Ancestor | None = None
    below: Span | None = None
    idle_s: float | None = None
    heard: Callable[[], None] | None = None


@dataclass(slots=True, eq=False)
class Step:
    """Where one call stands: what named its run, the call below it, and how it goes on upstream.

    ``run`` is ``None`` where nothing named one. ``trace`` is what is continued, ``None`` where nothing is. ``drops``
    are our own keys in ``_meta`` and the baggage, where they are not for this upstream's eyes.
    """

    lineage: Lineage
    run: Run | None
    below: Span | None = None
    trace: TraceParent | None = None
    state: str | None = None
    drops: tuple[str, str] | None = None
    principal: str = ""
    lends: bool = False
    span: Span | None = None

    @property
    def depth(self) -> int:
        return 0 if self.below is None else self.below.depth + 1

    @property
    def parent(self) -> str | None:
        return None if self.below is None else self.below.decision

    @property
    def ancestors(self) -> tuple[Ancestor, ...]:
        """The calls that still wait for this one, the nearest first. Whoever has its answer waits for nobody.

        Who merely learnt of somebody else's span stands on nothing: what stands on a call goes before others.
        """
        spans = [span for span in self._waiting() if may_lend(span, self.principal)]
        return tuple(span.call for span in spans if span.call is not None)

    def root(self, run: str) -> str | None:
        """The run at the bottom, ``None`` where it is ``run`` itself."""
        return None if self.below is None or self.below.root == run else self.below.root

    def within(self, timeout_s: float, *, at: float) -> float:
        """The time that the call gets. A caller that has its answer already waits for nothing any more."""
        if self.below is None or self.below.ended:
            return timeout_s
        return min(timeout_s, max(0.001, SHARE * (self.below.deadline_at - at)))

    def silent_within(self, idle_s: float | None) -> float | None:
        """How long the call's upstream may be silent: less than its caller's, so that the lowest is given up first."""
        theirs = [SHARE * span.idle_s for span in self._waiting() if span.idle_s is not None]
        return min([*theirs, idle_s] if idle_s is not None else theirs, default=None)

    def heard(self) -> None:
        """Something moved in this call: none of those that wait for it is idle."""
        for span in self._waiting():
            if span.heard is not None:
                span.heard()

    def _waiting(self) -> Iterator[Span]:
        span = self.below
        while span is not None and not span.ended:
            yield span
            span = span.below

    def sent(
        self,
        params: bytes | None,
        decision: str,
        run: Run,
        *,
        deadline_at: float,
        at: float,
        call: Ancestor | None = None,
    ) -> bytes | None:
        """The params as they go upstream under a span of our own, which is known from here on."""
        if self.trace is None and self.drops is None:
            return params
        span = self.lineage.opened(self, decision, run, deadline_at, at) if self.trace is not None else None
        if span is not None:
            span.call = call
        return stamped(params, self, span)

    def over(self, *, at: float) -> None:
        """The call has ended, however it did."""
        if self.span is not None:
            self.lineage.ended(self.span, at)


class Lineage:
    """The calls under way that carry a span of ours. ``entropy`` gives that many random bits."""

    def __init__(self, entropy: Callable[[int], int]) -> None:
        self._entropy = entropy
        self._spans: dict[str, Span] = {}
        self._ended: deque[tuple[float, str]] = deque()

    def __len__(self) -> int:
        return len(self._spans)

    def below(self, said: Said) -> Span | None:
        """The call that a request stands on."""
        if said.parent is None:
            return None
        if (span := self._spans.get(said.parent.span)) is not None:
            return span
        if said.state is None or MEMBER not in said.state:
            return None
        return self._spans.get((tracestate(said.state) or {}).get(MEMBER, ""))

    def begun(self) -> TraceParent:
        """A trace of our own, for an agent whose caller has none. Its span is nobody's."""
        return TraceParent(f"{self._entropy(128) or 1:032x}", "", _SAMPLED)

    def opened(self, step: Step, decision: str, run: Run, deadline_at: float, at: float) -> Span:
        self._forget(at)
        below = step.below
        run.lent = True
        root = run.id if below is None else below.root
        id = f"{self._entropy(64) or 1:016x}"
        span = step.span = Span(id, decision, run, root, step.depth, step.principal, deadline_at, step.lends)
        if below is not None and not below.ended:  # else it would keep those alive that nobody waits for
            span.below = below
        if len(self._spans) < MAX_SPANS:  # else all of them are under way, and this call's descendants stand alone
            self._spans[id] = span
        return span

    def ended(self, span: Span, at: float) -> None:
        if not span.ended and span.id in self._spans:
            self._ended.append((at, span.id))
        span.ended = True

    def _forget(self, at: float) -> None:
        ended = self._ended
        while ended and (ended[0][0] + KEPT_S < at or len(self._spans) >= MAX_SPANS):
            self._spans.pop(ended.popleft()[1], None)


def stamped(params: bytes | None, step: Step, span: Span | None) -> bytes:
    """The params with the trace continued and our own keys taken out; every other byte as it came."""
    fields = splice.fields(params)
    meta = splice.fields(fields.get("_meta"))
    if step.drops is not None:
        meta_key, baggage_key = step.drops
        meta.pop(meta_key, None)
        if BAGGAGE in meta:
            _drop_member(meta, baggage_key)
    if span is not None and step.trace is not None:
        meta[TRACEPARENT] = splice.raw(step.trace.below(span.id))
        if (state := with_member(step.state, span.id)) is not None:
            meta[TRACESTATE] = splice.raw(state)
    if meta:
        fields["_meta"] = msgspec.Raw(splice.join(meta))
    else:
        fields.pop("_meta", None)
    return splice.join(fields)


def _drop_member(meta: splice.Fields, key: str) -> None:
    text = msgspec.json.decode(meta[BAGGAGE])
    if baggage_value(text, key) is None:
        return
    if (kept := without_baggage(text, key)) is None:
        del meta[BAGGAGE]
    else:
        meta[BAGGAGE] = splice.raw(kept)


def ancestor(call: CallProposed) -> Ancestor:
    """A judged call, as those see it that will stand on it."""
    return Ancestor(call.id, call.fingerprint, call.tool.upstream, call.tool.qualified, call.run)


def may_lend(span: Span, principal: str) -> bool:
    """Whether a descendant draws on its caller's run.

    Its own principal's does always. Another principal's does where the operator calls the upstream that was called an
    agent: whoever else learns of a span could spend what is not its own.
    """
    return span.lends or span.principal == principal
