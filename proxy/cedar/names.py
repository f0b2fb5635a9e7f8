"""Arguments that only a lenient reader takes for those that the rules read.

A rule reads ``path``; Go's ``encoding/json`` reads ``Path`` into the same field, and the last of the two wins. An
argument whose name only looks or spells like one that a rule reads is therefore never sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from fuseboard.wire.strict import fold

Tree: TypeAlias = dict[str, "Tree"]
"""The names that are read, each with the names that are read inside of it."""


def tree(paths: Iterable[tuple[str, ...]]) -> Tree:
    """``context.args.a.b`` is the path ``("a", "b")``."""
    root: Tree = {}
    for path in paths:
        node = root
        for name in path:
            node = node.setdefault(name, {})
    return root


def mistakable(arguments: Mapping[str, Any], read: Tree) -> tuple[str, str] | None:
    """The first name in ``arguments`` that is none of ``read`` but folds to one, and that one."""
    strange = [name for name in arguments if name not in read]
    if strange:
        meant = {fold(name): name for name in read}
        for name in strange:
            if (exact := meant.get(fold(name))) is not None:
                return name, exact
    for name, below in read.items():
        member = arguments.get(name)
        if below and isinstance(member, Mapping) and (found := mistakable(member, below)):
            return found
    return None
