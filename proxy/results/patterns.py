"""Patterns of the operator's own for what no result of a tool ever says (``servers.*.tools.*.junk``). Pure.

They meet whatever an upstream sends, so they run in an engine whose time is linear in the text, over the head of it
alone. It knows no look-around and no back-references; a pattern that needs them is refused when it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import jsonschema_rs

HEAD_CHARS: Final = 4096
LONGEST_CHARS: Final = 500
_COMPILED_BYTES: Final = 1024 * 1024


class Unusable(ValueError):
    """The pattern cannot be used; the message says why, in words that follow "found the pattern"."""


class JunkPattern:
    """Implements :class:`fuseboard.events.Junk`. Compiles at once, so that a bad one is known before any call."""

    __slots__ = ("_validator", "source")

    def __init__(self, source: str) -> None:
        """``source`` is a regular expression, looked for anywhere in the head of a result; ``(?i)`` may begin it.

        Raises:
            Unusable: it is empty, too long, no pattern, or needs look-around or back-references.
        """
        self.source = source
        self._validator = _compiled(source)
        if self.found(""):
            raise Unusable(f"{source!r}, which fits everything")

    def found(self, text: str) -> bool:
        return self._validator.is_valid(text[:HEAD_CHARS])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JunkPattern) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)


def _compiled(source: str) -> jsonschema_rs.Validator:
    import jsonschema_rs  # some 30 ms, and nearly nobody has such a pattern

    if not source or len(source) > LONGEST_CHARS:
        raise Unusable(f"of {len(source)} characters; expected 1 to {LONGEST_CHARS}")
    try:
        options = jsonschema_rs.RegexOptions(size_limit=_COMPILED_BYTES)
        return jsonschema_rs.validator_for({"pattern": source}, pattern_options=options)
    except (jsonschema_rs.ValidationError, ValueError) as fault:
        said = f"{source!r}, which is no regular expression of linear time: no look-around, no back-references"
        raise Unusable(said) from fault
