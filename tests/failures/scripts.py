"""The words in which a labelled run is written: what the agent calls, and what the server answers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Step:
    """One call. ``looped`` says that it is part of the loop, and not strewn between."""

    tool: str
    arguments: Mapping[str, Any]
    text: str | None = "ok"
    """What is answered; ``None`` is no content at all."""
    is_error: bool = False
    rpc_error: tuple[int, str] | None = None
    """Answered by a JSON-RPC error instead."""
    looped: bool = True
    pause_s: float = 0.0
    """How long the agent waits before it."""


Script: TypeAlias = Callable[[random.Random], Iterator[Step]]


@dataclass(frozen=True, slots=True)
class Case:
    """A labelled run. ``bar`` is by how many looped calls a harmful one has to be found, ``None`` for an honest one."""

    name: str
    script: Script
    bar: int | None
    detector: str = ""
    """What it is harmful by."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the operator says of the tools."""

    @property
    def harmful(self) -> bool:
        return self.bar is not None


EXACT = 5
"""The bar of exact repeats, counted in calls of the one that comes again."""

VARIED = 12
"""The bar where each call differs from the last."""

LONG = 20
"""Where asking again is nothing wrong by itself, and the length alone tells: no bar of the issue's."""


def spelt(rng: random.Random, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The same arguments as another moment would spell them: the order of keys, a path's or a question's blanks."""
    items = [(name, _spelt(rng, name, value)) for name, value in arguments.items()]
    rng.shuffle(items)
    return dict(items)


def _spelt(rng: random.Random, name: str, value: Any) -> Any:
    if not isinstance(value, str) or rng.random() < 0.5:
        return value
    if name == "query":
        return rng.choice([f" {value}", value.replace(" ", "  "), f"{value} "])
    if name in ("path", "file") and "/" in value:
        return rng.choice([value.replace("/", "//", 1), f"{value}/"] + ([f"./{value}"] if value[0] not in "/." else []))
    return value


def moment(rng: random.Random) -> str:
    """A time as results carry it: never the same twice."""
    return f"2026-11-{rng.randint(10, 28)}T{rng.randint(10, 23)}:{rng.randint(10, 59)}:{rng.randint(10, 59)}Z"


def stamping(rng: random.Random) -> Callable[[str], str]:
    """One server's way of putting something beside its texts that is never the same."""
    way = rng.randrange(5)

    def stamped(text: str) -> str:
        mark = f"{rng.getrandbits(64):016x}"
        return (
            f"{text}\n(request id: {mark})",
            f"[{moment(rng)}] {text}",
            f"{text}\ntook {rng.randint(12, 900)} ms",
            json.dumps({"timestamp": moment(rng), "message": text}),
            json.dumps({"requestId": mark, "durationMs": rng.randint(3, 990), "message": text}),
        )[way]

    return stamped


def strewn(rng: random.Random, steps: Iterator[Step], between: Callable[[random.Random, int], Step]) -> Iterator[Step]:
    """Honest steps between those of a loop: none to three at a time."""
    number = 0
    for step in steps:
        yield step
        for _ in range(rng.randint(0, 3)):
            number += 1
            yield between(rng, number)


def reading(rng: random.Random, number: int) -> Step:
    """An honest step that bears on nothing else."""
    path = f"/srv/docs/chapter-{number}-{rng.getrandbits(20)}.md"
    return Step("read_file", {"path": path}, f"Chapter {number}: {rng.getrandbits(80):x} and so on", looped=False)


def noting(rng: random.Random, number: int) -> Step:
    """The agent writes to itself."""
    if number % 2:
        return Step("think", {"thought": f"step {number}: {rng.getrandbits(60):x}"}, "Noted.", looped=False)
    todos = [{"id": str(n), "content": f"task {n}", "status": "open"} for n in range(number)]
    return Step("todo_write", {"todos": todos}, f"{number} todos", looped=False)
