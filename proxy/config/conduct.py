"""How people, results, definitions and records are dealt with: approvals, output, pins, trace, store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from fuseboard.config.secrets import MASK, Referred, Secret, Text
from fuseboard.config.section import LocalPath, OneOrMany, Section, Words
from fuseboard.config.units import Duration, Size, quoted, wrong

Channels: TypeAlias = Annotated[tuple[Literal["elicit", "web", "cli"], ...], Field(min_length=1), OneOrMany()]
_SHORTEST = 16
Spotlight: TypeAlias = Literal["none", "delimit", "datamark"]
Redactions: TypeAlias = Annotated[tuple[Literal["secrets"], ...], OneOrMany()]


def _secret(secret: Secret) -> Secret:
    if len(secret.reveal()) < _SHORTEST:
        raise wrong(f"found a secret of {len(secret.reveal())} characters; expected at least {_SHORTEST}")
    return secret


def _address(url: str) -> str:
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and local)):
        raise wrong("found no https:// address; expected one, or http:// on this machine")
    return url


class Webhook(Section):
    """A place that is told of each new question. It answers nothing: that is for the page and the command line."""

    url: Annotated[Text, AfterValidator(_address)] | None = None
    """Where to POST; `https`, unless it is on this machine."""

    secret: Annotated[Secret, AfterValidator(_secret)] | None = None
    """The key of the signature (HMAC-SHA256): at least 16 characters; give a reference, not the text."""

    @model_validator(mode="after")
    def _both(self) -> Webhook:
        if (self.url is None) != (self.secret is None):
            raise wrong("found url or secret alone; expected both: what is not signed cannot be believed")
        return self


class Approvals(Section):
    """How a person is asked."""

    via: Channels = ("elicit", "web", "cli")
    """The channels, in the order in which they are tried."""

    timeout_s: Annotated[Duration, Field(gt=0)] = Field(default=45.0, validation_alias="timeout")
    """How long a call waits for the answer; many clients give up after 60s."""

    on_timeout: Literal["deny", "allow"] = "deny"
    """What silence means."""

    expires_s: Annotated[Duration, Field(gt=0)] = Field(default=1800.0, validation_alias="expires")
    """How long a question can be answered, and its answer used."""

    form: Literal["none", "read", "write", "destructive"] = "none"
    """The most harmful effect for which a form in the client will do, though the agent's own client answers it."""

    webhook: Webhook = Field(default_factory=Webhook)
    """A place that is told of each new question."""

    ask_above: Annotated[int, Field(ge=0, le=100)] | None = 60
    """The ambiguity score, 0 to 100, from which a person is asked; `null` for never."""


class Links(Section):
    """Links and images in results."""

    allow: Words = ("*",)
    """Globs over hosts; a link to any other host becomes text."""


class Output(Section):
    """What results may carry to the model."""

    max_bytes: Annotated[Size, Field(ge=1000)] = Field(default=1_000_000, validation_alias="max")
    """The size of one result; a longer one is cut in the middle, and says so."""

    invisible: Literal["strip", "keep"] = "strip"
    """Characters that nobody sees: bidirectional marks, tags, terminal control."""

    arguments: Literal["clean", "keep"] = "clean"
    """What goes to a server, arguments and a client's answers: without such characters and our secrets, or as it is."""

    redact: Redactions = ("secrets",)
    """What is struck out: the secrets that this process holds, and well-known formats of secrets."""

    links: Links = Field(default_factory=Links)
    """Links and images."""

    media: Literal["check", "relay"] = "check"
    """Images, audio and files that are not what they are declared as: named rightly or left out, or passed on."""

    rest: bool = True
    """Whether the whole of a result that was cut is kept, page by page, for `quarantine.handles`."""

    unknown: Literal["relay", "drop"] = "relay"
    """Content blocks of a type that no revision of the protocol knows."""

    spotlight: Spotlight = "none"
    """Texts of untrusted servers between marks that nobody can guess, with one between their words, or as they are."""

    phrases: Literal["off", "signal"] = "off"
    """`signal`: words by which a result tries to give orders raise the score of what its run does next, and no more."""


class Quarantine(Section):
    """What the model did not get, kept until a person, or the agent itself, comes for it."""

    keep_s: Annotated[Duration, Field(gt=0)] = Field(default=7 * 86400.0, validation_alias="keep")
    """How long a result waits for a person, and once released for whoever asked for it."""

    handles_s: Annotated[Duration, Field(gt=0)] = Field(default=86400.0, validation_alias="handles")
    """How long the rest of a cut result can be read, and an opaque handle be used."""

    max_bytes: Annotated[Size, Field(ge=1_000_000)] = Field(default=100_000_000, validation_alias="max")
    """Of all that is kept together; the oldest goes first, and of cut results before anything that waits."""


class Pins(Section):
    """Tool definitions as they were accepted."""

    on_change: Literal["deny", "ask", "allow"] = "deny"
    """What happens to calls of a tool whose definition changed after it was accepted."""

    first_use: Literal["accept", "deny", "ask"] = "accept"
    """What happens to definitions that nobody accepted yet: as first listed, or not before a person."""

    file: LocalPath | None = None
    """The lock file; left out, `fuseboard.lock` in the state folder. One beside the configuration is for CI."""

    max_description_bytes: Annotated[Size, Field(ge=200)] = Field(default=8000, validation_alias="max_description")
    """The longest description that is shown, of a tool or anything in it; a longer one is cut, and says so."""


class Trace(Section):
    """What the ledger keeps."""

    keep_s: Annotated[Duration, Field(gt=0)] = Field(default=14 * 86400.0, validation_alias="keep")
    """How long records are kept."""

    args: Literal["full", "hashed", "none"] = "full"
    """How arguments are recorded: as they are, as a hash, or not at all."""


def _location(value: Any, handler: Any) -> Any:
    return value if isinstance(value, Referred) else handler(value)


def _without_password(location: str | None) -> str | None:
    """A location as dumps and messages show it."""
    if location is None or isinstance(location, Referred):
        return location and location.written
    parts = urlsplit(location)
    if not parts.password:
        return location
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{MASK}@{parts.netloc.rpartition('@')[2]}"))


_KINDS = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "redis": "redis",
    "rediss": "redis",
    "valkey": "redis",
    "valkeys": "redis",
}


class StoreChoice(Section):
    """Where run state and the ledger live, written as one text: `sqlite`, `sqlite:PATH`, `memory`, or a URL."""

    as_text: ClassVar[bool] = True

    kind: Literal["memory", "sqlite", "postgres", "redis"] = "sqlite"
    """Which store."""

    location: Annotated[str | None, WrapValidator(_location), PlainSerializer(_without_password), Field(repr=False)] = (
        None
    )
    """The file of `sqlite` (left out: in the state folder), the URL of `postgres` and `redis`."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, dict) and info.context is None:
            return value
        kind, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
        if kind in ("memory", "sqlite") and not colon:
            return {"kind": kind}
        if kind == "sqlite" and rest:
            return {"kind": kind, "location": _file(re.sub("^//(?=/)", "", rest), info)}
        if kind in _KINDS and rest.startswith("//"):
            return {"kind": _KINDS[kind], "location": value}
        # Only the part before the colon is named: what comes after it may be a password.
        found = quoted(kind + (":…" if colon else "")) if isinstance(value, str) else quoted(value)
        raise wrong(f"found {found}; expected memory, sqlite, sqlite:PATH, postgres://… or redis://…")


def _file(location: str, info: ValidationInfo) -> str:
    if location == ":memory:" or not info.context:
        return location
    return str(info.context["folder"] / Path(location).expanduser())


Store: TypeAlias = Annotated[
    StoreChoice,
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [
                {"enum": ["memory", "sqlite"]},
                {"pattern": r"^(sqlite:.+|(postgres|postgresql|redis|rediss|valkey|valkeys)://.+)$"},
                {"pattern": r"\$\{"},
            ],
        }
    ),
]
