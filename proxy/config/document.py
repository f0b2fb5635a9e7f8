"""A configuration file once it was read: plain values, each of which remembers its line and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fuseboard.config.findings import Finding, dotted

Path: TypeAlias = tuple[str | int, ...]
"""Where a value stands: ``("rules", 1, "decide")``."""

Spot: TypeAlias = tuple[int, int]
"""Line and column, both from 1."""


@dataclass(slots=True)
class Document:
    """A parsed file. ``tree`` holds plain dicts, lists and scalars; ``keys`` and ``values`` say where they stand."""

    name: str
    lines: list[str]
    json: bool = False
    tree: Any = None
    keys: dict[Path, Spot] = field(default_factory=dict)
    values: dict[Path, Spot] = field(default_factory=dict)

    def finding(self, path: Path, message: str, *, on_key: bool = False) -> Finding:
        """A finding at ``path``; where the file has no such place, at the nearest one around it."""
        near = path
        while near and near not in self.values:
            near = near[:-1]
        # A single text may stand for a list of one: its place is that of the list's first item.
        spots = self.keys if on_key or (near != path and path[-1] != 0) else self.values
        line, column = spots.get(near) or self.values.get(near, (1, 1))
        return Finding(self.name, line, column, dotted(path), message, self.line(line))

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def mask(self, start: Any, end: Any) -> None:
        """Strike out what stands between two marks, keeping the columns of everything else."""
        for number in range(start.line, min(end.line, len(self.lines) - 1) + 1):
            text = self.lines[number]
            first = start.column if number == start.line else 0
            last = end.column if number == end.line else len(text)
            self.lines[number] = text[:first] + "*" * (last - first) + text[last:]


def walk(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar of a tree with its path."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from walk(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from walk(value, (*path, index))
    else:
        yield path, tree
