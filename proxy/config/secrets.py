"""References (``${env:X}``, ``${file:PATH}``) and what becomes of them: values that nothing prints by accident."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, PlainSerializer, WrapValidator
from pydantic_core import core_schema

from fuseboard.config.findings import did_you_mean

MASK = "**********"
_SHORTEST = 6
"""Shorter values are not redacted from texts: ``1`` or ``prod`` would be struck from half of them."""

_MOST_BYTES = 1_000_000
_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_NAMES_A_SECRET = re.compile(r"auth|cookie|credential|key|passw|secret|token", re.IGNORECASE)
_SCHEME = re.compile(r"^(?:bearer|basic|token)\s+", re.IGNORECASE)

_PLACES: tuple[tuple[str, ...], ...] = (
    ("servers", "*", "command"),
    ("servers", "*", "args", "*"),
    ("servers", "*", "env", "*"),
    ("servers", "*", "cwd"),
    ("servers", "*", "url"),
    ("servers", "*", "headers", "*"),
    ("auth", "bearer", "*"),
    ("auth", "bearer", "*", "token"),
    ("store",),
    ("approvals", "webhook", "url"),
    ("approvals", "webhook", "secret"),
)
_PLAIN = {"command", "args", "cwd", "url", "type", "expose", "trust", "tools", "share", "timeout", "disabled"} | {
    "agent",
    "bridge",
    "limits",
}
"""Keys of a server whose values are no secrets; under any other, misspelt ones too, may stand one."""

_NAMED_LIKE_SECRETS = {("principal", "tokens"), ("identity", "meta_key"), ("identity", "baggage_key")}
"""A limit and two names, each at its own place only: under another one may stand what it seems."""


class Referred(str):
    """A text with resolved references in it: its value everywhere but in ``repr`` and dumps, which see ``written``."""

    __slots__ = ("parts", "written")
    written: str
    parts: tuple[str, ...]

    def __new__(cls, value: str, written: str, parts: Sequence[str]) -> Referred:
        self = super().__new__(cls, value)
        self.written, self.parts = written, tuple(parts)
        return self

    def __repr__(self) -> str:
        return repr(self.written)


class Secret:
    """A text that is shown only on request. ``str`` and ``repr`` give the reference that it came from, or a mask."""

    __slots__ = ("_parts", "_value", "_written")

    def __init__(self, value: str) -> None:
        self._value = str.__str__(value)
        self._written = value.written if isinstance(value, Referred) else MASK
        self._parts = value.parts if isinstance(value, Referred) else None

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def parts(self, name: str) -> tuple[str, ...]:
        """What of it must not be seen: what references brought in, or a literal whose ``name`` speaks of a secret."""
        if self._parts is not None:
            return self._parts
        return (_SCHEME.sub("", self._value),) if _NAMES_A_SECRET.search(name) else ()

    def __str__(self) -> str:
        return self._written

    def __repr__(self) -> str:
        return f"Secret({self._written!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def validate(value: Any, text: Any) -> Secret:
            return value if isinstance(value, cls) else cls(_keep(value, text))

        return core_schema.no_info_wrap_validator_function(
            validate, core_schema.str_schema(), serialization=core_schema.to_string_ser_schema()
        )


def _keep(value: Any, handler: Any) -> Any:
    # Pydantic copies a subclass of str down to str, and the way back to the reference would be lost.
    return value if isinstance(value, Referred) else handler(value)


Text = Annotated[
    str,
    WrapValidator(_keep),
    PlainSerializer(lambda value: value.written if isinstance(value, Referred) else value),
]
"""A string that may have come from references: dumps show them as they were written."""


def takes_references(path: Sequence[str | int]) -> bool:
    """Whether the text at ``path`` of a configuration may hold references (and is therefore read verbatim)."""
    return any(_matches(path, place) for place in _PLACES)


def is_sensitive(path: Sequence[str | int]) -> bool:
    """Whether a literal at ``path`` may be a secret, so that no message shows it. Misspelt keys count."""
    if path[:1] == ("servers",):
        return len(path) > 2 and path[2] not in _PLAIN
    names = [step for step in path if isinstance(step, str)]
    if not names or names[0] == "run" or names[-1] in ("roles", "redact"):
        return False
    if tuple(names) in _NAMED_LIKE_SECRETS:
        return False
    return "bearer" in names or _NAMES_A_SECRET.search(names[-1]) is not None


def _matches(path: Sequence[str | int], place: Sequence[str]) -> bool:
    return len(path) == len(place) and all(want in ("*", step) for step, want in zip(path, place, strict=True))


@dataclass(frozen=True, slots=True)
class References:
    """Where references are looked up. ``folder`` is that of the configuration file."""

    env: Mapping[str, str]
    folder: Path

    def resolve(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The text with its references replaced, and what could not be replaced and why.

        ``$${`` stands for ``${``. A text without references comes back as it is, one with them as :class:`Referred`.
        """
        found = _Found()
        value = _REFERENCE.sub(lambda match: self._replace(match, found), text)
        if found.problems:
            return text, tuple(found.problems)
        return (Referred(value, text, found.values) if value != text else text), ()

    def _replace(self, match: re.Match[str], found: _Found) -> str:
        if match[0] == "$${":
            return "${"
        if match[1] is None:
            return found.problem("found '${' without its '}'; write ${env:NAME}, or $${ for the two characters")
        kind, _, rest = match[1].partition(":")
        if kind == "env":
            return self._environment(match[1], found)
        if kind == "file" and rest:
            return self._file(rest, found)
        if kind == "keyring":
            return found.problem(f"found {match[0]}, which needs the keyring extra; use env or file")
        mended = _mended(match[1])
        return found.problem(f"found {match[0]}, which is no reference; write {mended}, or ${match[0]} for the text")

    def _environment(self, body: str, found: _Found) -> str:
        parsed = _ENV.fullmatch(body)
        if parsed is None:
            return found.problem(f"found ${{{body}}}; write ${{env:NAME}} or ${{env:NAME:-default}}")
        name, default = parsed.groups()
        value = self.env.get(name)
        if default is not None and not value:
            return str(default)
        if value is None:
            near = did_you_mean(name, self.env)
            hint = f" - did you mean {near}?" if near else ""
            remedy = f"set it or write ${{env:{name}:-default}}"
            return found.problem(f"the environment variable {name} is not set; {remedy}{hint}")
        return found.value(value)

    def _file(self, name: str, found: _Found) -> str:
        try:
            with (self.folder / Path(name).expanduser()).open("rb") as file:
                raw = file.read(_MOST_BYTES + 1)
            if len(raw) > _MOST_BYTES:
                return found.problem(f"the file {name} is too large for a value; {_MOST_BYTES:,} bytes are allowed")
            return found.value(raw.decode().removesuffix("\n").removesuffix("\r"))
        except UnicodeDecodeError:
            return found.problem(f"the file {name} is not UTF-8 text")
        except (OSError, RuntimeError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return found.problem(f"the file {name} cannot be read: {reason}")


@dataclass(slots=True)
class _Found:
    """What one text's references brought to light."""

    values: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def value(self, value: str) -> str:
        self.values.append(value)
        return value

    def problem(self, text: str) -> str:
        self.problems.append(text)
        return ""


def _mended(body: str) -> str:
    """``${X}`` and ``${X:-d}`` are how other clients write it."""
    return f"${{env:{body}}}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(?::-.*)?", body) else "${env:NAME}"


def worth_hiding(parts: Iterator[str]) -> tuple[str, ...]:
    """The distinct parts to redact, longest first. Short ones and paths that exist here are no secrets."""
    kept = {part for part in parts if len(part) >= _SHORTEST and not _is_path(part)}
    return tuple(sorted(kept, key=lambda part: (-len(part), part)))


def _is_path(text: str) -> bool:
    try:
        return text.startswith((".", "/", "~")) and Path(text).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False
