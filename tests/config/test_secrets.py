from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from fuseboard.config.secrets import (
    MASK,
    References,
    Referred,
    Secret,
    Text,
    is_sensitive,
    takes_references,
    worth_hiding,
)

ENV = {"TOKEN": "s3cret-value", "EMPTY": "", "A": "${env:TOKEN}"}


def resolve(text: str, folder: Path = Path()) -> tuple[str, tuple[str, ...]]:
    return References(ENV, folder).resolve(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("plain", "plain", id="a text without references stays"),
        pytest.param("${env:TOKEN}", "s3cret-value", id="a variable"),
        pytest.param("Bearer ${env:TOKEN}!", "Bearer s3cret-value!", id="a variable in the midst of a text"),
        pytest.param("${env:TOKEN}${env:TOKEN}", "s3cret-values3cret-value", id="two of them"),
        pytest.param("${env:NONE:-.}", ".", id="a default for an unset variable"),
        pytest.param("${env:EMPTY:-d}", "d", id="a default for an empty variable"),
        pytest.param("${env:NONE:-}", "", id="an empty default"),
        pytest.param("${env:TOKEN:-d}", "s3cret-value", id="a default that is not needed"),
        pytest.param("${env:NONE:-a:-b}", "a:-b", id="a default with the mark of a default in it"),
        pytest.param("$${env:TOKEN}", "${env:TOKEN}", id="an escaped reference"),
        pytest.param("${env:A}", "${env:TOKEN}", id="a value is not resolved again"),
        pytest.param("$5 and {braces} and $HOME", "$5 and {braces} and $HOME", id="other dollars and braces"),
    ],
)
def test_references_are_replaced(text: str, value: str) -> None:
    assert resolve(text) == (value, ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("${env:NONE}", "NONE is not set; set it or write ${env:NONE:-default}", id="unset"),
        pytest.param("${env:TOKN}", "did you mean TOKEN?", id="a near miss is pointed out"),
        pytest.param("${env:BAD NAME}", "write ${env:NAME} or ${env:NAME:-default}", id="not a variable's name"),
        pytest.param("${TOKEN}", "write ${env:TOKEN}, or $${TOKEN} for the text", id="another client's spelling"),
        pytest.param("${input:key}", "write ${env:NAME}, or $${input:key} for the text", id="an editor's input"),
        pytest.param("${keyring:x}", "needs the keyring extra", id="the keyring"),
        pytest.param("${env:TOKEN", "'${' without its '}'", id="never closed"),
        pytest.param("${file:missing}", "the file missing cannot be read: No such file", id="a missing file"),
    ],
)
def test_what_cannot_be_replaced_is_said(text: str, problem: str, tmp_path: Path) -> None:
    value, problems = resolve(text, tmp_path)
    assert value == text
    assert len(problems) == 1
    assert problem in problems[0]
    assert ENV["TOKEN"] not in problems[0]


def test_every_bad_reference_of_a_text_is_said() -> None:
    assert len(resolve("${env:X1}${env:X2}")[1]) == 2


def test_a_file_is_read_from_the_folder_of_the_configuration_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"a b\n\r\n")
    assert resolve("${file:token}", tmp_path) == ("a b\n", ())
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert resolve("${file:binary}", tmp_path)[1] == ("the file binary is not UTF-8 text",)


@given(st.text())
def test_doubling_the_dollar_before_a_brace_keeps_any_text(text: str) -> None:
    assert resolve(text.replace("${", "$${")) == (text, ())


class Holder(BaseModel):
    secret: Secret
    text: Text = ""


def test_a_secret_shows_its_reference_and_never_itself() -> None:
    holder = Holder.model_validate({"secret": resolve("Bearer ${env:TOKEN}")[0], "text": resolve("-k=${env:TOKEN}")[0]})
    assert holder.secret.reveal() == "Bearer s3cret-value"
    assert holder.text == "-k=s3cret-value"
    shown = [repr(holder), str(holder), str(holder.model_dump()), holder.model_dump_json(), f"{holder.secret}"]
    assert all("s3cret" not in text for text in shown)
    assert json.loads(holder.model_dump_json()) == {"secret": "Bearer ${env:TOKEN}", "text": "-k=${env:TOKEN}"}


def test_a_literal_secret_is_masked() -> None:
    holder = Holder(secret=Secret("literal-value"))
    assert "literal" not in repr(holder) + holder.model_dump_json() + str(holder.secret)
    assert str(holder.secret) == MASK
    assert holder.secret == Secret("literal-value")
    assert len({holder.secret, Secret("literal-value"), Secret("another")}) == 2


def test_a_secret_is_made_of_text_alone() -> None:
    with pytest.raises(ValidationError, match="string"):
        Holder.model_validate({"secret": 5})


@pytest.mark.parametrize(
    ("secret", "name", "parts"),
    [
        pytest.param(Secret(Referred("Bearer abc", "Bearer ${env:X}", ["abc"])), "X-Any", ("abc",), id="a reference"),
        pytest.param(Secret("Bearer abcdef"), "Authorization", ("abcdef",), id="a literal under a telling name"),
        pytest.param(Secret("production"), "NODE_ENV", (), id="a literal under another name is no secret"),
    ],
)
def test_what_of_a_secret_must_not_be_seen(secret: Secret, name: str, parts: tuple[str, ...]) -> None:
    assert secret.parts(name) == parts


def test_short_values_and_paths_that_exist_are_not_struck_out(tmp_path: Path) -> None:
    parts = ["abc", "long-enough", "longer-than-that", str(tmp_path), "/no/such/path/anywhere", "long-enough"]
    assert worth_hiding(iter(parts)) == ("/no/such/path/anywhere", "longer-than-that", "long-enough")


@pytest.mark.parametrize(
    ("path", "references", "sensitive"),
    [
        (("servers", "x", "env", "A"), True, True),
        (("servers", "x", "headers", "A"), True, True),
        (("servers", "x", "headrs", "A"), False, True),
        (("servers", "x", "args", 0), True, False),
        (("servers", "x", "url"), True, False),
        (("servers", "x", "trust"), False, False),
        (("auth", "bearer", "ana"), True, True),
        (("auth", "bearer", "ana", "token"), True, True),
        (("auht", "bearer", "ana"), False, True),
        (("store",), True, False),
        (("rules", 0, "say"), False, False),
        (("run", "tokens"), False, False),
        (("principal", "tokens"), False, False),
        (("principal", "ana", "token"), False, True),
        (("identity", "meta_key"), False, False),
        (("identity", "baggage_key"), False, False),
        (("identity", "key"), False, True),
        (("auth", "tokens"), False, True),
        (("servers", "x", "bridge"), False, False),
        (("servers", "x", "agent"), False, False),
        (("servers", "x", "limits", "tokens"), False, False),
    ],
)
def test_places(path: tuple[str | int, ...], references: bool, sensitive: bool) -> None:
    assert (takes_references(path), is_sensitive(path)) == (references, sensitive)
