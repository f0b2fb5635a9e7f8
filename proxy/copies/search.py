"""Where the arguments of one call were copied from, and what excuses that. Pure.

What counts depends on who said that a source is not to be trusted. A server of which the operator stated nothing may
well be a folder or a repository: what comes from it and goes back into it is no flow, and of what goes elsewhere only
texts count that nobody writes by chance. Where the operator stated of a very tool that anybody may write into its
results, words and, for what deletes, short ids count as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from fuseboard.copies.passages import Passage, Samples, holds
from fuseboard.copies.texts import Leaf, is_address, is_distinctive, is_path, leaves, pieces
from fuseboard.events import Copied, Effect, Tool

TASK: Final = "task"
KNOWN: Final = "known"
EARLIER: Final = "earlier"
INTERNAL: Final = "internal"
HOME: Final = "home"

_PIECES: Final = 48
_HEAD: Final = 60
_Within: TypeAlias = Callable[[str, str], bool]
_OUTWARD: Final = "outward"
_EFFECT: Final = "effect"
_MATTERS: Final = frozenset({_EFFECT, _OUTWARD})


class Source(msgspec.Struct, frozen=True):
    """A result that was delivered. ``asked`` are its call's own arguments, as one text; times are Unix seconds."""

    decision: str
    upstream: str
    tool: str
    asked_at: float
    at: float
    untrusted: bool
    stated: bool
    text: str
    asked: str


class Vouched(NamedTuple):
    """What a person said beforehand: the task of the run, and the operator's ``flow.known``."""

    task: str = ""
    known: tuple[str, ...] = ()


class Found(NamedTuple):
    copied: tuple[Copied, ...] = ()
    open: tuple[str, ...] = ()


def search(tool: Tool, arguments: Mapping[str, Any], sources: Sequence[Source], vouched: Vouched) -> Found:
    """``sources`` in the order in which they were delivered."""
    own, whole = leaves(arguments)
    looking = _Search(tool, sources, vouched)
    unnamed = [leaf.path for leaf in own if not looking.named(leaf.text)]
    found = looking.found(own)
    return Found(tuple(found), tuple(unnamed) if whole else (*unnamed, ""))


class _Search:
    def __init__(self, tool: Tool, sources: Sequence[Source], vouched: Vouched) -> None:
        self._tool = tool
        self._sources = sources
        self._doubted = [one for one in sources if one.untrusted]
        self._vouched = vouched
        self._deletes = tool.effect is Effect.DESTRUCTIVE and _EFFECT in tool.stated and not tool.outward

    def named(self, text: str) -> bool:
        return holds(self._vouched.task, text) or any(holds(one, text) for one in self._vouched.known)

    def found(self, own: Sequence[Leaf]) -> list[Copied]:
        told: dict[str, Copied] = {}
        left: list[Leaf] = []
        for leaf in own:
            if (one := self._whole(leaf)) is not None:
                told[leaf.path] = one
            elif not leaf.weak:
                left.append(leaf)
        budget = _PIECES
        for leaf in left:
            inside = list(islice(pieces(leaf.text, hosts=_OUTWARD in self._tool.stated), budget))
            budget -= len(inside)
            if (part := self._part(leaf, inside)) is not None:
                told[leaf.path] = part
        left = [leaf for leaf in left if leaf.path not in told or told[leaf.path].excuse]
        for passage in self._passages(left):
            if passage.path not in told or (told[passage.path].excuse and not passage.excuse):
                told[passage.path] = passage
        return [told[leaf.path] for leaf in own if leaf.path in told]

    def _whole(self, leaf: Leaf) -> Copied | None:
        text = leaf.text
        from_ = [one for one in self._doubted if self._counts(one, leaf) and holds(one.text, text)]
        if not from_:
            return None
        return self._told(leaf, from_, "whole", text, "" if leaf.weak else self._excuse(text, from_[0]))

    def _counts(self, source: Source, leaf: Leaf) -> bool:
        if leaf.weak:
            return source.stated and self._deletes
        return source.stated or (is_distinctive(leaf.text) and not self._passes_by(leaf.text))

    def _passes_by(self, text: str) -> bool:
        """A path, where nobody stated anything: one server lists it and the other one takes it, all day long."""
        return not self._tool.stated & _MATTERS and is_path(text)

    def _part(self, leaf: Leaf, inside: Sequence[str]) -> Copied | None:
        excused = None
        for piece in inside:
            if piece == leaf.text:
                continue
            passing = self._passes_by(piece)
            if from_ := [one for one in self._doubted if (one.stated or not passing) and holds(one.text, piece)]:
                one = self._told(leaf, from_, "part", piece, self._excuse(piece, from_[0]))
                if not one.excuse:
                    return one
                excused = excused or one
        return excused

    def _passages(self, left: Sequence[Leaf]) -> Iterator[Copied]:
        samples = Samples([leaf.text for leaf in left])
        for source in self._doubted if samples else ():
            for passage in samples.shared(source.text):
                leaf = left[passage.of]
                text = _trimmed(leaf.text, passage)
                yield self._told(leaf, [source], "passage", text, self._excuse(text, source, _touches))

    def _told(self, leaf: Leaf, from_: Sequence[Source], how: str, text: str, excuse: str) -> Copied:
        """The first source that nothing excuses, if there is one."""
        abroad = next((one for one in from_ if not self._at_home(one, leaf)), None)
        first = abroad or from_[0]
        head = (leaf.said if how == "whole" else text)[:_HEAD]
        why = excuse or ("" if abroad is not None else HOME)
        return Copied(leaf.path, head, how, len(text), first.decision, first.upstream, first.tool, first.at, why)

    def _at_home(self, source: Source, leaf: Leaf) -> bool:
        """Whether it goes back to where it came from. An address does not: it says where something else goes."""
        if source.stated or source.upstream != self._tool.upstream or _OUTWARD in self._tool.stated:
            return False
        return not is_address(leaf.text)

    def _excuse(self, text: str, first: Source, within: _Within = holds) -> str:
        """``first`` is the first untrusted result that holds it. Its own call may have named it: a file, its path."""
        vouched = self._vouched
        if within(vouched.task, text):
            return TASK
        if any(within(one, text) for one in vouched.known):
            return KNOWN
        for one in self._sources:
            if one.asked_at <= first.at and within(one.asked, text):
                return EARLIER
            # what was asked for by that very text may only say it again
            if not one.untrusted and within(one.text, text) and not within(one.asked, text):
                return INTERNAL
        return ""


def _touches(text: str, passage: str) -> bool:
    """A passage may begin and end inside a word."""
    return passage in text


def _trimmed(text: str, passage: Passage) -> str:
    return text[passage.begin : passage.end].strip()
