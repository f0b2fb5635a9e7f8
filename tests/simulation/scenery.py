"""What stands in every world: the servers with their tools, and the configurations that worlds are played under."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from fuseboard.era import Era
from fuseboard.ports import Reply
from simulation.upstreams import Deed, SimulatedServer
from support.fake_server import Asked, text

if TYPE_CHECKING:
    from simulation.world import World

CALL_S: Final = 20.0
"""The deadline of a call."""

ASKED_S: Final = 8.0
"""How long a call waits for a person."""

BOUND_S: Final = 3 * CALL_S + ASKED_S + 20.0
"""How long a request may take: its deadline, a link that is opened, locks, a person, and what store and dice add."""

VARIANTS: Final = 8
CALLS: Final = 12
PRINCIPAL_CALLS: Final = 24
MONEY: Final = 25.0
PARALLEL: Final = 4
DEPTH: Final = 3
READS: Final = frozenset({("files", "read"), ("files", "list"), ("files", "search")})
IDEMPOTENT: Final = frozenset({("pay", "put")})
ASKED: Final = frozenset({("pay", "refund")})


def document(variant: int) -> dict[str, Any]:
    """A configuration. Limits are low, so that short stories reach them; variants differ in what they leave out."""
    paced, reviewed, asking = variant & 1, variant & 2, variant & 4
    pay = {
        "charge": {"effect": "write", "cost": 5.0, "lock": "account:{args.to}"},
        "put": {"effect": "write", "idempotent": True},
        "refund": {"effect": "destructive", "lock": {"name": "receipts", "hold": "run", "ttl": "10s"}},
    }
    files = {
        "read": {"effect": "read", "lock": {"name": "file:{args.path}", "mode": "shared"}},
        "list": {"effect": "read"},
        "search": {"effect": "read"},
        "write": {"effect": "write", "lock": ["file:{args.path}", "account:{args.to}"]},
    }
    common = {"command": "simulated", "timeout": f"{CALL_S:g}s", "trust": "internal"}
    return {
        "servers": {
            "files": {**common, "tools": files},
            "pay": {**common, "tools": pay, "parallel": 3, "queue": 3},
            "helper": {**common, "agent": True, "tools": {"delegate": {"effect": "write"}}},
        },
        "run": {
            "calls": CALLS,
            "money": MONEY,
            "parallel": PARALLEL,
            "depth": DEPTH,
            "rate": "30/min burst 30" if paced else None,
            "pause_at": "50%" if reviewed else None,
        },
        "principal": {"calls": PRINCIPAL_CALLS, "window": "1h"},
        "retries": {"unknown": "ask" if asking else "deny"},
        "breaker": {"open": "5s"},
        "milestones": [{"tool": "files__list"}],
        "approvals": {"timeout": f"{ASKED_S:g}s", "ask_above": None},
        "rules": [{"id": "refunds-need-a-person", "tools": "pay__refund", "decide": "ask"}],
    }


def servers(world: World) -> dict[str, SimulatedServer]:
    dice = world.chance.random
    either = (frozenset(Era), frozenset({Era.HANDSHAKE}))
    offers: dict[str, dict[str, Deed]] = {
        "files": {"read": _read, "list": _nothing, "search": _nothing, "write": _same},
        "pay": {"charge": _paid, "put": _same, "refund": _paid},
        "helper": {"delegate": _delegate(world)},
    }
    return {
        alias: SimulatedServer(world, alias, deeds, eras=dice.choice(either), foulness=world.foulness)
        for alias, deeds in offers.items()
    }


async def _read(asked: Asked) -> Reply:
    return text(f"contents of {asked.arguments.get('path')}")


async def _nothing(asked: Asked) -> Reply:
    return text("[]")


async def _paid(asked: Asked) -> Reply:
    return text(f"receipt for {json.dumps(asked.arguments)}")


async def _same(asked: Asked) -> Reply:
    return text("ok")


def _delegate(world: World) -> Deed:
    """An agent that calls on, in the name of whoever called it, and may be called by itself."""

    async def act(asked: Asked) -> Reply:
        from simulation.agents import descend

        said = await descend(world, asked)
        return text(f"the helper heard: {said}")

    return act
