"""``auth:``: who may connect over HTTP."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from fuseboard.config.secrets import Secret
from fuseboard.config.section import Section, Words
from fuseboard.config.units import wrong

_SHORTEST = 16
_LOCAL = "local"
"""Who connects without a token, over stdio too: a bearer of that name would pass for nobody in particular."""

_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def _token(token: Secret) -> Secret:
    text = token.reveal()
    if len(text) < _SHORTEST:
        raise wrong(f"found a token of {len(text)} characters; expected at least {_SHORTEST}, better 32 random ones")
    if not re.fullmatch(r"[!-~]+", text):
        raise wrong("found a token with spaces or characters beyond ASCII; an Authorization header cannot carry it")
    return token


def _principal(name: str) -> str:
    if not _PRINCIPAL.fullmatch(name):
        raise wrong(f"found the name {name!r}; a principal has letters, digits, '.', '_', '@', '-', at most 64")
    if name.lower() == _LOCAL:
        raise wrong(f"found the name {name!r}, which is everybody's who needs no token; name this principal otherwise")
    return name


class BearerToken(Section):
    """A token and what its bearer is. Written as the token alone where there are no roles."""

    token: Annotated[Secret, AfterValidator(_token)]
    """The token: at least 16 characters, no two principals the same; give a reference, not the text."""

    roles: Words = ()
    """Roles that rules can ask about."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"token": value} if isinstance(value, str | Secret) else value


class Auth(Section):
    """Required before the HTTP listener may bind anything but loopback."""

    bearer: Annotated[
        dict[Annotated[str, AfterValidator(_principal)], BearerToken],
        Field(min_length=1),
    ]
    """Bearer tokens by the name of the principal that holds them."""
