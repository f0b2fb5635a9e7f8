"""The words of a story: what the scripted agent and its person do, how each step has to end, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["allow", "rewrite", "deny", "hold"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ends, as the ledger has it. ``rule`` is ``None`` where the story does not mind which rule spoke."""

    verdict: Verdict
    rule: str | None = None
    truth: str = "ok"
    nudge: str | None = None
    """The rule of what is said beside the result, ``None`` where nothing is."""

    @property
    def fails(self) -> bool:
        """Whether the agent gets an error that is not ours."""
        return not self.refused and self.truth not in ("ok", "empty", "error_shaped_success")

    @property
    def refused(self) -> bool:
        return self.verdict in ("deny", "hold")


ALLOWED = Ending("allow")


def rewritten(rule: str) -> Ending:
    return Ending("rewrite", rule)


def denied(rule: str) -> Ending:
    return Ending("deny", rule, "denied")


def held(rule: str) -> Ending:
    return Ending("hold", rule, "denied")


def failed(truth: str, nudge: str | None = None) -> Ending:
    """It went through, and failed by itself."""
    return Ending("allow", truth=truth, nudge=nudge)


def junk() -> Ending:
    """It went through, and what came back is no answer, though it says so."""
    return Ending("allow", truth="error_shaped_success")


def nudged(rule: str) -> Ending:
    """It went through, with a word of ours beside the result."""
    return Ending("allow", truth="ok", nudge=rule)


@dataclass(frozen=True, slots=True)
class Look:
    """The agent lists the tools. Those in ``shown`` have to be among them, those in ``hidden`` must not."""

    tells: str
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """The agent calls a tool.

    With ``mends`` it repeats its previous call, and takes from ``arguments`` only what the refusal of that call named:
    so the story goes on only if the refusal said all that has to be mended. One call of a story is ``explained`` at
    its end.
    """

    tells: str
    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    ends: Ending = ALLOWED
    mends: bool = False
    explained: bool = False
    by: str = ""
    """Another agent than that of the story, by the name of its run."""
    aside: bool = False
    """The story goes on while the call waits for its answer, until :class:`Back`."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A person uses a verb of ``fuseboard``; ``{run}`` among its ``words`` is the run of the story.

    Each text of ``said`` has to stand in what it prints of that run.
    """

    tells: str
    words: tuple[str, ...]
    said: tuple[str, ...] = ()
    refusal: bool = False
    """Of a record, only who refused, and the evidence; of whichever run."""

    def of(self, run: str) -> tuple[str, ...]:
        """The words, with the run's own name."""
        return tuple(run if word == "{run}" else word for word in self.words)


@dataclass(frozen=True, slots=True)
class Back:
    """The story waits for the answer of the call that was made aside."""

    tells: str


Step: TypeAlias = Look | Call | Verb | Back


@dataclass(frozen=True, slots=True)
class Chapter:
    """Steps that show one thing. A chapter leans on no other, but on the servers as those before it left them."""

    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent got. ``arguments`` are those that it sent, ``decision`` is Fuseboard's word where it had one.

    Of a person's verb ``words`` are what was typed, and ``text`` is what was printed.
    ``failed`` is true where the tool, the protocol or a person's verb reported an error.
    """

    text: str = ""
    tools: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    decision: Mapping[str, Any] | None = None
    failed: bool = False
    words: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether nothing was sent. A rewritten answer has a decision too."""
        return self.decision is not None and self.decision["verdict"] in ("deny", "hold")

    @property
    def nudge(self) -> str | None:
        """The rule of what is said beside the result."""
        return self.decision["rule"] if self.decision is not None and self.decision["verdict"] == "nudge" else None


def steps_of(chapters: Iterable[Chapter]) -> tuple[Step, ...]:
    return tuple(step for chapter in chapters for step in chapter.steps)
