"""The shape of the configuration: which section stands at a path, and which keys it knows."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fuseboard.config.document import Path
from fuseboard.config.models import Config
from fuseboard.config.section import Section
from fuseboard.config.servers import HttpServer, StdioServer, kind_of


def fields(section: type[Section]) -> dict[str, tuple[str, Any]]:
    """The keys of a section as a file writes them, each with its attribute's name and its type."""
    return {str(info.validation_alias or name): (name, info.annotation) for name, info in section.model_fields.items()}


def section_at(path: Path, tree: Any) -> type[Section] | None:
    """The section that the mapping at ``path`` of a file should be, if it should be one at all."""
    annotation: Any = Config
    for step in path:
        tree = _child(tree, step)
        annotation = _inner(annotation, step)
        if {HttpServer, StdioServer} <= set(sections(annotation)):
            annotation = HttpServer if kind_of(tree) == "<http>" else StdioServer
    return next(iter(sections(annotation)), None)


def sections(annotation: Any) -> Iterator[type[Section]]:
    """The sections that a type names outside its containers: both kinds of server, or ``Links`` of ``Links | None``."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield from () if annotation.as_text else (annotation,)
    elif get_origin(annotation) in (Annotated, Union, UnionType):
        for part in get_args(annotation):
            yield from sections(part)


def walk_keys(annotation: Any = Config, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key that a file can have; ``*`` stands for a name of the operator's choice."""
    for section in sections(annotation):
        for key, (_, inner) in fields(section).items():
            yield (*path, key)
            yield from walk_keys(inner, (*path, key))
    for inner in _contents(annotation):
        yield from walk_keys(inner, (*path, "*"))


def _inner(annotation: Any, step: str | int) -> Any:
    for section in sections(annotation):
        if step in (known := fields(section)):
            return known[str(step)][1]
    return next(iter(_contents(annotation)), None)


def _contents(annotation: Any) -> Iterator[Any]:
    """What a dictionary or tuple type holds, where that can lead to a section."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is dict:
        yield parts[1]
    elif origin is tuple:
        yield parts[0]
    elif origin in (Annotated, Union, UnionType):
        for part in parts:
            yield from _contents(part)


def _child(tree: Any, step: str | int) -> Any:
    if isinstance(tree, dict):
        return tree.get(step)
    return tree[step] if isinstance(tree, list) and isinstance(step, int) and step < len(tree) else None
