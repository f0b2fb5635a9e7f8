"""What must hold in every world after every step (facts, mechanisms 5: I1 to I8), watched from outside of the proxy.
Two are added: I11, nothing waits for ever, and I12, no effect is made twice by mistake.

Nothing here asks the proxy whether it did right: the ledger's entries, the store's cells and what reached the servers
are counted anew, and the counts must agree.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fuseboard import accounts, effects
from fuseboard.budgets import CALLS as CALLS_UNIT
from fuseboard.budgets import MONEY as MONEY_UNIT
from fuseboard.ports import Concluded, Entry, Proposed
from fuseboard.state import Expire, Put, Reserve, Settle, Write
from simulation import scenery
from simulation.books import Doubles, Leases, Probes
from simulation.replay import Judged, replayed
from simulation.upstreams import Effect

if TYPE_CHECKING:
    from simulation.world import World

GRACE_S: Final = 60.0 + 2 * 60.0 + 30.0
"""After its deadline: what a hold waits for its end, two rounds of the reaper, and what proxies take to come back."""

_WINDOW_S: Final = 3600.0


class Violation(NamedTuple):
    """``rule`` is the invariant's name."""

    rule: str
    at_s: float
    what: str


class Granted(NamedTuple):
    entry: Proposed
    at_s: float


class Invariants:
    """The books that are kept beside those of the proxy."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violations: list[Violation] = []
        self.entries: list[Entry] = []
        self.judged: list[Judged] = []
        self.counts: Counter[str] = Counter()
        self._granted: set[str] = set()
        self._open: dict[str, Granted] = {}
        self._ended: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        """Granted calls by account."""
        self._may: Counter[tuple[str, str, str]] = Counter()
        """What the servers may do still, by server, tool and arguments."""
        self._yes: dict[str, set[int]] = {}
        self._used: Counter[str] = Counter()
        self._more: dict[str, Mapping[str, float]] = {}
        self._books = (Doubles(self), Leases(self), Probes(self))
        """Books of their own (:mod:`simulation.books`)."""
        self._expires: dict[str, float] = {}
        """When the accounts of runs whose session ended are gone (Unix seconds)."""

    def cell(self, key: str, at: float) -> Any:
        """What the store keeps now under that key."""
        kept = self._world.kept_cell(key)
        return None if kept is None or at >= kept.expires_at else kept.value

    def under_way(self, call: str) -> bool:
        return call in self._open

    @property
    def life(self) -> int:
        """Which proxy is alive."""
        return self._world.lives

    @property
    def smooth(self) -> bool:
        """Whether clock, store and proxy have had no trouble yet."""
        return not self._world.troubled and self._world.lives == 1

    @property
    def runs(self) -> list[str]:
        """Those that had a call granted."""
        return [key.removeprefix("run/") for key in self._calls if key.startswith("run/")]

    def broken(self, rule: str, what: str) -> None:
        self.violations.append(Violation(rule, self._world.lasted_s or self._world.now_s(), what))

    # Steps.

    def committed(self, writes: Sequence[Write], entry: Entry | None, at: float) -> None:
        """After each commit."""
        for write in writes:
            if isinstance(write, Put):
                self._put(write)
            elif isinstance(write, Expire):
                self._expires[write.key] = at + write.ttl_s
        if entry is not None:
            self.entries.append(entry)
            if isinstance(entry, Proposed):
                self._proposed(entry)
            elif isinstance(entry, Concluded):
                self._concluded(entry)
        for book in self._books:
            book.committed(writes, entry, at)
        for key in dict.fromkeys(write.key for write in writes if isinstance(write, Reserve | Settle)):
            self._balanced(key, at)
        self._in_time()

    def happened(self, effect: Effect) -> None:
        """After each effect at a server. I2: for each there is an earlier grant of exactly that content."""
        what = (effect.server, effect.tool)
        if what in scenery.READS:
            return
        self._may[(*what, effect.arguments)] -= 1
        if self._may[(*what, effect.arguments)] < 0:
            self.broken("I2", f"{effect.server}__{effect.tool} of {effect.by} took effect without a grant")

    def answered(self, who: str, tool: str, took_s: float, reply: Any) -> None:
        """After each answer that an agent got. I7, and I11: nothing waits for ever."""
        if took_s > scenery.BOUND_S:
            self.broken("I11", f"{who} waited {took_s:.1f} s for {tool}")
        said = reply.get("_meta", {}).get("fuseboard/decision") if isinstance(reply, dict) else None
        if said is None:
            self.counts["answers"] += 1
            return
        self.counts[f"{said.get('verdict')} {said.get('rule')}"] += 1
        if not all(said.get(field) for field in ("id", "run", "verdict", "policy", "rule", "reason")):
            self.broken("I7", f"{who} was answered without a reason: {said}")

    def _put(self, put: Put) -> None:
        kind, _, name = put.key.partition("/")
        if kind == "approval" and put.value["status"] == "approved":
            self._yes.setdefault(name, set()).add(put.value["serial"])
        elif kind == "runstate":
            self._more[name] = put.value["more"]

    def _proposed(self, entry: Proposed) -> None:
        if entry.verdict in ("deny", "hold") and not (entry.policy and entry.rule and entry.reason):
            self.broken("I7", f"{entry.id} is refused without a reason")
        for check in entry.checks:
            if check["verdict"] != "allow" and not check["rule"]:
                self.broken("I7", f"{entry.id}: {check['policy']} says {check['verdict']} by no rule")
        if entry.final or entry.id in self._granted:
            return
        self._granted.add(entry.id)
        self._open[entry.id] = Granted(entry, self._world.now_s())
        if entry.method != "tools/call":
            return
        if entry.at >= self._expires.get(f"run/{entry.run}", entry.at + 1):
            self.broken("I1", f"{entry.id} draws on run {entry.run}, whose account is gone: its budget begins anew")
        self._calls[f"run/{entry.run}"] += 1
        if entry.confidence != "signed":
            self._calls[f"principal/{entry.principal}"] += 1
        if entry.depth >= scenery.DEPTH:
            self.broken("I1", f"{entry.id} stands on {entry.depth} calls")
        what = (entry.upstream, entry.tool)
        sent = json.dumps(json.loads(entry.sent or entry.arguments or "{}"), sort_keys=True)
        if effects.attached_to(check["facts"] for check in entry.checks) is None:  # else it waits, and sends nothing
            self._may[(*what, sent)] += 2 if what in scenery.IDEMPOTENT else 1
        self._approved(entry, what)

    def _approved(self, entry: Proposed, what: tuple[str, str]) -> None:
        """I4: a yes is used once, and what needs one has one."""
        used = [check["facts"]["approval"] for check in entry.checks if check["policy"] == "approvals"]
        for id in used:
            self._used[id] += 1
            if self._used[id] > len(self._yes.get(id, ())):
                self.broken("I4", f"{entry.id} uses {id}, which was given {len(self._yes.get(id, ()))} times")
        if what in scenery.ASKED and not used:
            self.broken("I4", f"{entry.id} was let through, and nobody approved it")

    def _concluded(self, entry: Concluded) -> None:
        self.counts[f"truth {entry.truth}"] += 1
        if entry.id not in self._granted:
            return  # its record could not be written: a read, while the store was down
        self._open.pop(entry.id, None)
        reaped = (entry.error or "").startswith("no end of this call was recorded")
        self._ended[entry.id] += not reaped
        if self._ended[entry.id] > 1:
            self.broken("I6", f"{entry.id} was settled twice")
        if entry.verdict in ("deny", "hold") and not (entry.policy and entry.rule and entry.reason):
            self.broken("I7", f"the result of {entry.id} is withheld without a reason")

    def _balanced(self, key: str, at: float) -> None:
        """I1: what is used and held is within the limit, and is what was granted: no call is charged twice or not."""
        kept = self._world.kept_cell(key)
        if kept is None or at >= min(kept.expires_at, self._expires.get(key, kept.expires_at)):
            return
        shared = key.startswith("principal/")
        now = accounts.standing(kept.value, at=at, window_s=_WINDOW_S if shared else None)
        calls = now.taken(CALLS_UNIT)
        if calls != self._calls[key] if self._world.kept.exact else calls < self._calls[key]:
            self.broken("I1", f"{key} stands at {calls:g} calls, and {self._calls[key]} were granted")
        more = {} if shared else self._more.get(key.removeprefix("run/"), {})
        limit = scenery.PRINCIPAL_CALLS if shared else scenery.CALLS + more.get(CALLS_UNIT, 0)
        if calls > limit:
            self.broken("I1", f"{key} stands at {calls:g} calls of {limit:g}")
        if not shared and now.taken(MONEY_UNIT) > scenery.MONEY + more.get(MONEY_UNIT, 0):
            self.broken("I1", f"{key} spent {now.taken(MONEY_UNIT):g} of {scenery.MONEY:g}")
        for unit, held in now.held.items():
            if not shared and unit.startswith(accounts.SLOTS) and held > scenery.PARALLEL:
                self.broken("I1", f"{key} has {held:g} calls under way")

    def _in_time(self) -> None:
        """I6: the oldest grant that has not ended is not past its deadline and grace."""
        for id, granted in self._open.items():
            if self._world.now_s() - granted.at_s > scenery.CALL_S + GRACE_S + self._world.jumped_back_s:
                self.broken("I6", f"{id} was granted at {granted.at_s:.1f} s and has not ended")
            return

    # The end.

    async def at_the_end(self) -> None:
        """When all has calmed down."""
        for id, granted in self._open.items():
            self.broken("I6", f"{id} ({granted.entry.exposed}) was granted at {granted.at_s:.1f} s and never ended")
        at = self._world.now()
        for key in self._calls:
            kept = self._world.kept_cell(key)
            held = accounts.standing(kept.value if kept and at < kept.expires_at else None, at=at).held
            if any(held.values()):
                self.broken("I6", f"{key} holds {held} when nothing is under way")

    def replayed(self) -> None:
        """I8, when all is over: the same judgements, made again."""
        for judged, otherwise in replayed(self.judged):
            self.broken("I8", f"{judged.event_id} is judged otherwise in its replay: {otherwise}")
