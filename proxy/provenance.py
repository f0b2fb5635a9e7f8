"""What was delivered to each run, so that a later call can be told where its arguments come from.

Keeping is all that a plain call pays: a reference to bytes that are there anyway. They are looked into when a call is
proposed that might carry them to where it matters. The evidence goes onto the event; the policy judges by that alone.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from fuseboard import revocation
from fuseboard.copies.search import Found, Source, Vouched, search
from fuseboard.copies.texts import normalised, text_of, text_of_value
from fuseboard.errors import StoreUnavailable
from fuseboard.events import CallProposed, Copied, Tool, Traced, Trust
from fuseboard.labels import NOTHING, POISONED, Label, Origin, is_untrusted, label_key, lineage
from fuseboard.ports import Store
from fuseboard.state import Put

MOST_RESULTS: Final = 64
MOST_BYTES: Final = 2_000_000
"""Of one run. The newest result is kept whatever its size."""

ALL_BYTES: Final = 64_000_000
ALL_RUNS: Final = 2_048
"""Of all runs: the one that was quiet longest goes first."""

_TASK_CHARS: Final = 20_000


def task_key(run: str) -> str:
    """What a run was declared to be for."""
    return f"task/{run}"


def declared(run: str, text: str, ttl_s: float) -> Put:
    return Put(task_key(run), text[:_TASK_CHARS], ttl_s)


class _Heard(msgspec.Struct):
    """One result. Its texts are read when somebody first looks for something in it."""

    call: CallProposed
    raw: bytes
    at: float
    read: Source | None = None

    @property
    def untrusted(self) -> bool:
        return self.call.tool.trust is Trust.UNTRUSTED

    def source(self) -> Source:
        if self.read is None:
            call, origin = self.call, Origin.of(self.call.tool, self.call.id, self.at)
            text, asked = text_of(self.raw), text_of_value(call.arguments)
            self.read = Source(
                call.id, origin.upstream, origin.tool, call.at, self.at, self.untrusted, origin.stated, text, asked
            )
        return self.read


class _Run:
    __slots__ = ("bytes", "heard", "lost_until")

    def __init__(self, began: float) -> None:
        self.heard: deque[_Heard] = deque()
        self.bytes = 0
        self.lost_until = began
        """What was delivered before that is not known here."""


class Deliveries:
    """``known`` are the values of ``flow.known``; ``wanted`` says of which calls besides rules want to know it."""

    def __init__(
        self, store: Store, known: Sequence[str] = (), wanted: Callable[[CallProposed], bool] | None = None
    ) -> None:
        self._store = store
        self._known = tuple(filter(None, map(normalised, known)))
        self._wanted = wanted
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._bytes = 0

    def delivered(self, call: CallProposed, raw: bytes, at: float) -> None:
        """``raw`` went to the run of ``call``, and with it to those that it acts for."""
        if call.tool.opaque:
            return
        for run in lineage(call):
            kept = self._runs.get(run)
            if kept is None:
                kept = self._runs[run] = _Run(call.at)
            else:
                self._runs.move_to_end(run)
            kept.heard.append(_Heard(call, raw, at))
            kept.bytes += len(raw)
            self._bytes += len(raw)
            if kept.bytes > MOST_BYTES or len(kept.heard) > MOST_RESULTS:
                self._shortened(kept)
        while len(self._runs) > 1 and (self._bytes > ALL_BYTES or len(self._runs) > ALL_RUNS):
            self._bytes -= self._runs.popitem(last=False)[1].bytes

    def _shortened(self, kept: _Run) -> None:
        while len(kept.heard) > 1 and (kept.bytes > MOST_BYTES or len(kept.heard) > MOST_RESULTS):
            gone = kept.heard.popleft()
            kept.bytes -= len(gone.raw)
            self._bytes -= len(gone.raw)
            if gone.untrusted:
                kept.lost_until = max(kept.lost_until, math.nextafter(gone.at, math.inf))

    def over(self, run: str) -> None:
        """Nobody will call in its name any more."""
        if (kept := self._runs.pop(run, None)) is not None:
            self._bytes -= kept.bytes

    def asks(self, event: CallProposed) -> bool:
        """Whether it matters where this call comes from: of most it does not, and they pay nothing more."""
        if event.tool.sink and event.continues is None and event.method == "tools/call":
            return True
        return self._wanted is not None and self._wanted(event)

    async def traced(self, event: CallProposed) -> CallProposed:
        """The call with where it comes from. Where the store cannot say, all that it may hold counts as lost."""
        runs = lineage(event)
        keys = [key(run) for run in runs for key in (label_key, revocation.mark_key, task_key)]
        try:
            state = await self._store.read(tuple(keys), at=event.at)
        except StoreUnavailable:
            return msgspec.structs.replace(event, traced=Traced(Trust.UNTRUSTED, lost=("*",), open=("",)))
        label = NOTHING
        for run in runs:
            label = label.joined(Label.of(state.get(label_key(run))))
        poisoned = any(revocation.marks(state.get(revocation.mark_key(run))) for run in runs)
        task = " ".join(normalised(str(state.get(task_key(run), ""))) for run in runs)
        untrusted = is_untrusted(label.trust)
        found = self._search(event, runs, Vouched(task, self._known)) if untrusted else Found()
        traced = Traced(
            POISONED if poisoned else str(label.trust),
            label.sensitivity,
            (*label.words, *((POISONED,) if poisoned else ())),
            found.copied,
            found.open,
            self._lost(event, label, runs) if untrusted else (),
            label.first(private=True),
            label.first(untrusted=True),
        )
        return msgspec.structs.replace(event, traced=traced)

    def _search(self, event: CallProposed, runs: Sequence[str], vouched: Vouched) -> Found:
        heard: dict[str, _Heard] = {}
        for run in runs:
            if (kept := self._runs.get(run)) is not None:
                heard.update((one.call.id, one) for one in kept.heard)
        sources = [one.source() for one in sorted(heard.values(), key=lambda one: one.at)]
        arguments = event.arguments if event.clean is None else event.clean.arguments
        found = search(event.tool, arguments, sources, vouched)
        by_handle = tuple(
            Copied(
                one.path, one.handle, "handle", one.size_bytes, one.decision, one.upstream, one.tool, excuse="handle"
            )
            for one in event.handles
            if not one.fault and one.trust is Trust.UNTRUSTED
        )
        return Found((*found.copied, *by_handle), found.open)

    def _lost(self, event: CallProposed, label: Label, runs: Sequence[str]) -> tuple[str, ...]:
        kept = [self._runs[run].lost_until for run in runs if run in self._runs]
        until = max(kept) if kept else event.at
        gone = (one for one in label.origins.values() if is_untrusted(one.trust) and one.at < until)
        return tuple(one.name for one in gone if _matters(event.tool, one))


def _matters(tool: Tool, origin: Origin) -> bool:
    """Whether it has to be feared of a source that nobody can look into any more. Where the operator stated nothing of
    either side, that is all that an agent ever reads after a restart, and it would be asked at each of its edits.
    """
    if origin.stated:
        return True
    return origin.upstream != tool.upstream and bool(tool.stated & {"effect", "outward"})
