"""Rules, tools and calls for the tests of judgement, with the rest filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fuseboard.cedar.text import Decide
from fuseboard.events import Caller, CallProposed, Effect, Tool

ANA = Caller("ana", ("editor",))


@dataclass(frozen=True)
class FakeRule:
    id: str = "r"
    decide: Decide = "deny"
    tools: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()
    effect: tuple[str, ...] = ()
    when: str | None = None
    say: str | None = None


READ = Tool("files", "read_file", "files__read_file", Effect.READ)
WRITE = Tool("files", "write_file", "files__write_file", Effect.WRITE)
DEPLOY = Tool("ci", "deploy", "ci__deploy", Effect.DESTRUCTIVE)

EXAMPLE = (
    FakeRule(
        "no-secret-files",
        "deny",
        tools=("files__*",),
        when='context.args has path && context.args.path like "*/.ssh/*"',
        say="Secret files are out of bounds. Ask the user for the value that you need.",
    ),
    FakeRule("destructive-needs-a-person", "ask", effect=("destructive",)),
    FakeRule("no-writes-after-untrusted-input", "ask", effect=("write",), when='context.labels.contains("untrusted")'),
)


def call(
    tool: Tool = READ,
    arguments: Mapping[str, Any] | None = None,
    *,
    caller: Caller = ANA,
    method: str = "tools/call",
) -> CallProposed:
    return CallProposed(
        at=0.0,
        id="c1",
        run="r1",
        method=method,
        caller=caller,
        tool=tool,
        arguments={} if arguments is None else arguments,
    )
