"""JSON Schemas, compiled once and kept within bounds: offline, of limited size, of limited work.

The time of a validation is bounded by counting, since nothing can interrupt the validator: a value may cause at most
``Limits.evaluations`` schema evaluations (about 12 ns each, so some 12 ms), which :mod:`fuseboard.schemas.cost` derives
from the schema and the value's size beforehand. Patterns run in a linear-time engine; those that need look-around or
back-references run under a limit of ``_BACKTRACKS`` steps and count a hundredfold. Telling what is wrong costs far more
than finding out that something is: the engine makes all errors at once, each with a copy of its value. Where these may
be many, only the first error is asked for, and none where the schema has alternatives, each with errors of its own.

The engine is imported at the first compilation, since it costs some 30 ms of a cold start.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, islice
from operator import mul
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from fuseboard.events import Mismatch
from fuseboard.schemas.cost import Cost, Unusable, weights
from fuseboard.schemas.names import DeclaredNames, objects
from fuseboard.schemas.words import render

if TYPE_CHECKING:
    import jsonschema_rs

DEFAULT_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MOST_MISMATCHES: Final = 10

_BACKTRACKS: Final = 10_000
_REGEX_BYTES: Final = 2 * 2**20
_ERRORS_LOOKED_AT: Final = 64
_POSSIBLE_ERRORS: Final = 4_000
"""Possible errors and parts of their values, up to which all errors are made: some 10 us each at the very worst."""
_COPIED_PARTS: Final = 40
"""Parts of a schema that are copied in the time of one error."""
_ALTERNATIVES: Final = frozenset({"anyOf", "oneOf"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a schema and a value may cost. Beyond it a schema is refused, and a value does not fit."""

    schema_bytes: int = 256 * 1024
    schema_depth: int = 64
    expansion: int = 10_000
    """Schema evaluations that one node of a value may cause."""
    value_depth: int = 64
    evaluations: int = 1_000_000
    """Schema evaluations that a whole value may cause."""
    patterns: int = 100
    """Different regular expressions; one can take 2 MiB and 5 ms to compile."""


DEFAULT_LIMITS: Final = Limits()


def compile_schema(raw: bytes | Mapping[str, Any] | bool, *, limits: Limits = DEFAULT_LIMITS) -> CompiledSchema:
    """A :class:`fuseboard.events.Schema` of ``raw``. Nothing is parsed or compiled before its first use."""
    return CompiledSchema(raw, limits)


class CompiledSchema:
    """A JSON Schema that compiles itself at first use, and at most once."""

    __slots__ = (
        "_alternatives",
        "_copied",
        "_costs",
        "_document",
        "_limits",
        "_lock",
        "_names",
        "_names_judged",
        "_raw",
        "_refusal",
        "_validator",
    )

    def __init__(self, raw: bytes | Mapping[str, Any] | bool, limits: Limits = DEFAULT_LIMITS) -> None:
        self._raw: bytes | Mapping[str, Any] | bool | None = raw
        self._limits = limits
        self._lock = Lock()
        self._document: Any = None
        self._validator: jsonschema_rs.Validator | None = None
        self._names: DeclaredNames | None = None
        self._costs: tuple[int, ...] = ()
        self._alternatives = False
        self._names_judged = False
        self._copied = 1
        self._refusal: str | None = None

    @property
    def refusal(self) -> str | None:
        """Why the schema cannot be used, in words that follow "the schema cannot be used:"; ``None`` where it can."""
        if self._raw is not None:
            self._compile()
        return self._refusal

    def mismatches(self, value: Any) -> tuple[Mismatch, ...]:
        """Where ``value`` (as ``json.loads`` gives it) breaks the schema, nearest the root first.

        A key that differs from a declared property in letters only is a mismatch too, as ``fuseboard.schemas.names``
        tells. Of a large value, only the first mismatch is told.

        A schema that cannot be used fits nothing: the one mismatch tells its refusal.
        """
        if self._raw is not None:
            self._compile()
        if self._validator is None or self._names is None:
            return (
                Mismatch("", render(value), f"a schema that can be used; this one cannot: {self._refusal}", "$schema"),
            )
        if (counts := weights(value, depth=self._limits.value_depth)) is None:
            return (Mismatch("", "a value nested deeper", f"at most {self._limits.value_depth} levels", "depth"),)
        # Depths beyond the table meet no schema any more.
        work = sum(map(mul, counts, self._costs))
        parts = sum(counts)
        if work + parts > self._limits.evaluations:
            return (Mismatch("", f"a value of {parts} parts", "a value small enough to be checked", "size"),)
        try:
            if self._validator.is_valid(value):
                odd = self._names.mismatch(value)
                return () if odd is None else (odd,)
            errors = self._errors(self._validator, value, few=self._possible_errors(counts) <= _POSSIBLE_ERRORS)
        except (ValueError, UnicodeError) as fault:  # a lone surrogate, a key that is no string: not JSON
            return (Mismatch("", render(value), f"a JSON value ({fault})", "json"),)
        from fuseboard.schemas.errors import explain

        if not errors:
            told = "a value that fits the schema; this one does not, and is too large to say where"
            return (Mismatch("", f"a value of {parts} parts", told, "schema"),)
        return explain(errors, self._document, value)[:MOST_MISMATCHES]

    def _possible_errors(self, counts: list[int]) -> int:
        """How many errors there can be, and how many parts of the value they can copy: each takes all below its own."""
        below = [*accumulate(reversed(counts))][::-1]
        each = self._copied * (sum(counts) if self._names_judged else 1)  # an error of a name copies the whole object
        return each * sum(cost * parts for cost, parts in zip(self._costs, below, strict=False))

    def _errors(
        self, validator: jsonschema_rs.Validator, value: Any, *, few: bool
    ) -> list[jsonschema_rs.ValidationError]:
        import jsonschema_rs

        if few:
            return list(islice(validator.iter_errors(value), _ERRORS_LOOKED_AT))
        if not self._alternatives:
            try:
                validator.validate(value)
            except jsonschema_rs.ValidationError as first:
                return [first]
        return []

    def _compile(self) -> None:
        with self._lock:
            if self._raw is None:
                return
            try:
                document = _parsed(self._raw, self._limits)
                _refuse_patterns(document, self._limits)
                cost = Cost(document, _backtracks)
                self._costs = _costs(cost, self._limits)
                self._names = DeclaredNames(document, cost.references)
                self._alternatives = _has_alternatives(document)
                self._names_judged = any("propertyNames" in node for node in objects(document))
                self._copied = 1 + _copied_parts(document) // _COPIED_PARTS
                self._validator = _validator(document)
                self._document = document
            except Unusable as fault:
                self._refusal = str(fault)
            self._raw = None


def _parsed(raw: bytes | Mapping[str, Any] | bool, limits: Limits) -> Any:
    try:
        text = raw if isinstance(raw, bytes) else json.dumps(raw, allow_nan=False).encode()
        if len(text) > limits.schema_bytes:
            raise Unusable(f"it has {len(text)} bytes, more than {limits.schema_bytes}")
        document = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise Unusable(f"it is nested deeper than {limits.schema_depth} levels") from None
    except (ValueError, TypeError) as fault:
        raise Unusable(f"it is not JSON: {fault}") from None
    if not isinstance(document, dict | bool):
        raise Unusable(f"it is {render(document)}, not an object")
    if weights(document, depth=limits.schema_depth) is None:
        raise Unusable(f"it is nested deeper than {limits.schema_depth} levels")
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_patterns(document: Any, limits: Limits) -> None:
    """Refuse too many patterns, those in parts that nothing refers to as well: the engine compiles them all."""
    patterns: set[str] = set()
    for node in objects(document):
        if isinstance(pattern := node.get("pattern"), str):
            patterns.add(pattern)
        if isinstance(named := node.get("patternProperties"), dict):
            patterns.update(named)
    if len(patterns) > limits.patterns:
        raise Unusable(f"it has {len(patterns)} different patterns, more than {limits.patterns}")


def _has_alternatives(document: Any) -> bool:
    """Whether one error may hold those of whole branches. What a reference to a meta-schema has is not known."""
    return any(
        not _ALTERNATIVES.isdisjoint(node) or "json-schema.org" in str(node.get("$ref", ""))
        for node in objects(document)
    )


def _copied_parts(document: Any) -> int:
    """The most that an error copies of the schema."""
    copied = [node[keyword] for node in objects(document) for keyword in ("enum", "const", "not") if keyword in node]
    return max((sum(weights(part, depth=sys.maxsize) or ()) for part in copied), default=0)


def _costs(cost: Cost, limits: Limits) -> tuple[int, ...]:
    costs = []
    for depth in range(limits.value_depth + 1):
        costs.append(cost.at(depth))
        if depth == 0 and costs[0] > limits.expansion:
            raise Unusable(f"its references and combinations unfold to more than {limits.expansion} schemas")
        if not costs[-1]:
            break
    return tuple(costs)


def _backtracks(pattern: str) -> bool:
    import jsonschema_rs

    linear = jsonschema_rs.RegexOptions(size_limit=_REGEX_BYTES)
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=linear, offline=True)
    except (ValueError, UnicodeError):
        return True
    return False


def _validator(document: Any) -> jsonschema_rs.Validator:
    import jsonschema_rs

    dialect = document.get("$schema", DEFAULT_DIALECT) if isinstance(document, dict) else DEFAULT_DIALECT
    if not isinstance(dialect, str):
        raise Unusable(f"its $schema is {render(dialect)}, not a URI")
    try:
        return jsonschema_rs.validator_for(
            document,
            offline=True,
            # `format` annotates in 2020-12; the upstream judges formats itself.
            validate_formats=False,
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS, size_limit=_REGEX_BYTES),
        )
    except jsonschema_rs.ValidationError as fault:
        raise Unusable(_reason(fault)) from None
    except (ValueError, UnicodeError) as fault:
        raise Unusable(f"it cannot be compiled: {fault}") from None


def _reason(fault: jsonschema_rs.ValidationError) -> str:
    place = "".join(f"/{step}" for step in fault.instance_path)
    return f"{fault.message} (at {place})" if place else fault.message
