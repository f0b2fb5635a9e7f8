"""The breaker policy over a real store, without an upstream: what comes back is said by the test.

bench = Bench(MemoryStore())
call = await bench.propose("r1")           # a Call that was let through, or a Deny
await bench.returns(call, "timeout")
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace

from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.config.guards import Breaker as Settings
from fuseboard.events import CallProposed, CallReturned, Effect, Finding, Tool
from fuseboard.ids import Ids
from fuseboard.policies.breaker import BreakerPolicy
from fuseboard.ports import Store
from fuseboard.results import findings
from fuseboard.state import Snapshot
from fuseboard.verdicts import Allow, Deny
from support.judging import call as a_call

BEGAN: Final = 1_790_000_000.0

FAULTS: Final = {
    "timeout": (1.0, "upstream"),
    "outage": (1.0, "upstream"),
    "lost": (1.0, "upstream"),
    "error": (1.0, "upstream"),
    "schema_violation": (1.0, "upstream"),
    "business_error": (1.0, "caller"),
    "bad_arguments": (1.0, "caller"),
}
"""What each kind of result weighs and whose fault it is; any other weighs nothing."""


def tool(name: str = "get", upstream: str = "up", effect: Effect = Effect.READ) -> Tool:
    return Tool(upstream, name, name, effect)


@dataclass
class Bench:
    store: Store = field(default_factory=MemoryStore)
    settings: Settings = field(default_factory=Settings)
    at: float = BEGAN

    def __post_init__(self) -> None:
        counter = itertools.count()
        self._ids = Ids(lambda bits: next(counter))
        self.policy = BreakerPolicy(self.settings)

    async def propose(
        self, run: str = "r1", which: Tool | None = None, *, asks: str = "same", timeout_s: float = 60.0
    ) -> CallProposed | Deny:
        """Judge a call and commit what was said, as often as the store refuses; the refusal, or the call."""
        event = replace(
            a_call(which or tool()),
            at=self.at,
            id=self._ids.decision(self.at),
            run=run,
            timeout_s=timeout_s,
            fingerprint=asks,
        )
        for _ in range(8):
            read = await self.read(event)
            verdict = self.policy.decide(event, read)
            assert isinstance(verdict, Allow | Deny)
            if await self.store.commit(verdict.writes, read, None, at=self.at):
                return event if isinstance(verdict, Allow) else verdict
        raise AssertionError("no judgement held")

    async def returns(
        self,
        call: CallProposed | Deny,
        truth: str = "ok",
        *,
        weight: float | None = None,
        whose: str | None = None,
        says: str = "",
        retry_after_s: float | None = None,
    ) -> Allow:
        """What came back of a call that was let through."""
        assert isinstance(call, CallProposed), call
        usual = FAULTS.get(truth, (0.0, ""))
        finding = Finding(
            truth,
            usual[0] if weight is None else weight,
            usual[1] if whose is None else whose,
            retry_after_s=retry_after_s,
            digest=says or truth,
            skeleton=says or truth,
        )
        event = CallReturned(self.at, call, truth, finding=finding)
        for _ in range(8):
            read = await self.read(event)
            verdict = self.policy.decide(event, read)
            assert isinstance(verdict, Allow)
            if await self.store.commit((*verdict.writes, *findings.learnt(event)), read, None, at=self.at):
                return verdict
        raise AssertionError("no judgement held")

    async def fails(self, times: int = 1, run: str = "r1", truth: str = "timeout", **facts: Any) -> Allow:
        """The same call so often, one after the other; what was said when the last came back."""
        which = facts.pop("which", None)
        for _ in range(times):
            said = await self.returns(await self.propose(run, which), truth, **facts)
            self.at += 0.01
        return said

    async def read(self, event: CallProposed | CallReturned) -> Snapshot:
        wanted = (*self.policy.keys(event), *self._of_findings(event))
        return await self.store.read(tuple(dict.fromkeys(wanted)), at=self.at)

    @staticmethod
    def _of_findings(event: CallProposed | CallReturned) -> tuple[str, ...]:
        return findings.keys(event.proposal) if isinstance(event, CallReturned) else ()
