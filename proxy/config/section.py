"""What all sections of the configuration share: frozen, nothing unknown, every field documented under itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
)
from pydantic_core import CoreSchema, core_schema


class Section(BaseModel):
    """A group of keys. Attributes carry their unit in the name (``timeout_s``), keys do not (``timeout``)."""

    model_config = ConfigDict(
        frozen=True,
        defer_build=True,  # only Config is ever built, once: half of the start-up time of this room
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    as_text: ClassVar[bool] = False
    """Whether files write it as one text, and its fields are no keys."""


class OneOrMany:
    """Lets a file say ``tools: files__*`` where a list is meant."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str | Path) else value


def _anchored(path: Path, info: ValidationInfo) -> Path:
    path = path.expanduser()
    return info.context["folder"] / path if info.context else path


Word = Annotated[str, Field(min_length=1)]
Words = Annotated[tuple[Word, ...], OneOrMany()]
"""One text or a list of them."""

LocalPath = Annotated[Path, AfterValidator(_anchored)]
"""A path; a relative one starts at the folder of the configuration file."""
