"""The ``checkpoint`` tool, by which an agent says how far it is: what it is, and what is kept of it. Pure.

It is the agent's own word. So it is shown to whoever reviews the run, and grants nothing unless the configuration says
that it counts (facts, mechanisms 1.6). What the tool says of itself names neither reviews nor limits: who reads there
what a call is good for will make it for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from fuseboard.events import CallProposed
from fuseboard.routing import expose
from fuseboard.state import Push, Snapshot

UPSTREAM: Final = "fuseboard"
"""The name of the server that our own tool belongs to; no server of the configuration may have it beside that."""

TOOL: Final = "checkpoint"

EXPOSED: Final = expose(UPSTREAM, TOOL)
"""Prefixed even where a single server's tools go by their bare names: one of them may well be called ``checkpoint``."""

SUMMARY_CHARACTERS: Final = 1000
ITEM_CHARACTERS: Final = 200
ITEMS: Final = 20

_ITEMS: Final = {
    "type": "array",
    "maxItems": ITEMS,
    "items": {"type": "string", "minLength": 1, "maxLength": ITEM_CHARACTERS},
}

DEFINITION: Final = msgspec.json.encode(
    {
        "name": TOOL,
        "title": "Report progress",
        "description": (
            "Tell the person who looks after this task how far you are. Changes nothing and returns nothing of use. "
            "Call it when a part of the task is done, in a sentence or two."
        ),
        "inputSchema": {
            "type": "object",
            "properties": {
                "summary": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": SUMMARY_CHARACTERS,
                    "description": "Where the task stands, in plain words",
                },
                "done": {**_ITEMS, "description": "What is done"},
                "left": {**_ITEMS, "description": "What is left to do"},
            },
            "required": ["summary"],
            "additionalProperties": False,
        },
        "annotations": {
            "readOnlyHint": True,
            "destructiveHint": False,
            "idempotentHint": True,
            "openWorldHint": False,
        },
    }
)


class CheckpointLike(Protocol):
    """``checkpoint:`` of the configuration."""

    @property
    def offer(self) -> bool: ...
    @property
    def counts(self) -> bool: ...


class Note(msgspec.Struct, frozen=True):
    """What an agent said last of its progress; ``at`` is Unix seconds. A stranger's words: escape them where shown."""

    at: float
    summary: str
    done: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @classmethod
    def last(cls, run: str, state: Snapshot) -> Note | None:
        """The last one of a run, ``None`` where it said nothing."""
        kept = state.get(checkpoint_key(run))
        return msgspec.convert(kept[-1], cls) if kept else None

    @classmethod
    def read(cls, arguments: Mapping[str, Any], *, at: float) -> Note | None:
        """What a call says, ``None`` where it says nothing.

        Cut to the schema's bounds once more: with ``mode: observe`` nothing was refused.
        """
        summary = arguments.get("summary")
        if not isinstance(summary, str) or not summary.strip():
            return None
        done, left = _items(arguments.get("done")), _items(arguments.get("left"))
        return cls(at, summary[:SUMMARY_CHARACTERS], done, left)

    def lines(self) -> Iterator[str]:
        """For a person: the summary, and what is done and left where that was said."""
        yield self.summary
        if self.done:
            yield f"done: {'; '.join(self.done)}"
        if self.left:
            yield f"left: {'; '.join(self.left)}"

    def to_json(self) -> dict[str, Any]:
        return {"at": self.at, "summary": self.summary, "done": list(self.done), "left": list(self.left)}

    def written(self, run: str, *, ttl_s: float) -> Push:
        """The last one alone is kept, the others stand in the ledger. A ``Put`` would make parallel ones collide."""
        return Push(checkpoint_key(run), self.to_json(), 1, ttl_s)


def checkpoint_key(run: str) -> str:
    return f"checkpoint/{run}"


def is_checkpoint(call: CallProposed) -> bool:
    """Whether the call is of our own tool. Ask only where it is offered: else the name may be another's."""
    return call.method == "tools/call" and (call.tool.upstream, call.tool.name) == (UPSTREAM, TOOL)


def _items(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(one[:ITEM_CHARACTERS] for one in value[:ITEMS] if isinstance(one, str) and one.strip())
