"""``locks:`` and ``servers.*.tools.*.lock``: what calls need for themselves, and how long they wait for it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from fuseboard.config.section import Section
from fuseboard.config.units import Duration, wrong
from fuseboard.lock_names import fault_of
from fuseboard.locks import LONGEST_S

LONGEST_WAIT_S = 60.0
"""The longest that a call may wait for a lock or for its turn: clients give up a silent call soon after."""

Lease = Annotated[Duration, Field(ge=1.0, le=LONGEST_S)]
Wait = Annotated[Duration, Field(ge=0, le=LONGEST_WAIT_S)]


def _template(text: str) -> str:
    if (fault := fault_of(text)) is not None:
        raise wrong(f"found {fault}")
    return text


class ToolLock(Section):
    """One thing that a call needs for itself, or shares with other readers."""

    name: Annotated[str, Field(min_length=1), AfterValidator(_template)]
    """What it is called: `file:{args.path}`. Two calls with one name exclude each other, whatever their tools."""

    mode: Literal["exclusive", "shared"] = "exclusive"
    """`shared`: any number may hold it together, while nobody holds it alone."""

    hold: Literal["call", "run"] = "call"
    """`run`: the run keeps it after the call, until the run ends or uses it no more for the time of the lease."""

    ttl_s: Lease | None = Field(default=None, validation_alias="ttl")
    """How long the lease is good for without a sign of life; left out, `locks.ttl`."""

    wait_s: Wait | None = Field(default=None, validation_alias="wait")
    """How long a call waits for it; left out, `locks.wait`."""

    ignore_case: bool = False
    """Whether names that differ in letter case alone are one, as on file systems that do not tell them apart."""


class _Entries:
    """Lets a file say ``lock: file:{args.path}`` where a list of sections is meant."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(schema)
        one = {"anyOf": [{"type": "string", "minLength": 1}, many["items"]]}
        return {"anyOf": [*one["anyOf"], {**many, "items": one}, {"type": "null"}]}


def _listed(value: Any) -> Any:
    if value is None:
        return ()
    each = value if isinstance(value, list | tuple) else (value,)
    return tuple({"name": one} if isinstance(one, str) else one for one in each)


ToolLocks = Annotated[tuple[ToolLock, ...], _Entries()]


class Locks(Section):
    """Locks of tools, all together."""

    ttl_s: Lease = Field(default=60.0, validation_alias="ttl")
    """How long a lease is good for without a sign of life. It is renewed while its call is under way."""

    wait_s: Wait = Field(default=5.0, validation_alias="wait")
    """How long a call waits for its locks before it is refused."""
