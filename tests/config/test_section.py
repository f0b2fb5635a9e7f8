from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from fuseboard.config.section import LocalPath, Section, Words


class Sample(Section):
    timeout_s: float = Field(default=1.0, validation_alias="timeout")
    words: Words = ()
    path: LocalPath | None = None


def test_code_speaks_of_attributes_and_files_of_keys() -> None:
    assert Sample(timeout_s=2.0) == Sample.model_validate({"timeout": 2}, by_alias=True, by_name=False)
    with pytest.raises(ValidationError, match="timeout_s"):
        Sample.model_validate({"timeout_s": 2}, by_alias=True, by_name=False)


def test_one_text_stands_for_a_list_of_one() -> None:
    assert Sample.model_validate({"words": "a"}).words == ("a",)
    assert Sample.model_validate({"words": ["a", "b"]}).words == ("a", "b")


def test_a_relative_path_starts_at_the_folder_of_the_file() -> None:
    context = {"folder": Path("/etc/fuseboard")}
    assert Sample.model_validate({"path": "x/y"}, context=context).path == Path("/etc/fuseboard/x/y")
    assert Sample.model_validate({"path": "/x"}, context=context).path == Path("/x")
    assert Sample.model_validate({"path": "x"}).path == Path("x")


def test_a_section_is_frozen_and_takes_nothing_unknown() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sample().timeout_s = 5.0
    with pytest.raises(ValidationError, match="Extra"):
        Sample.model_validate({"unknown": 1})


def test_an_error_does_not_show_the_value() -> None:
    with pytest.raises(ValidationError) as error:
        Sample.model_validate({"timeout": "s3cret"})
    assert "s3cret" not in str(error.value)
