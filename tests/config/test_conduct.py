from __future__ import annotations

from pathlib import Path

import pytest

from fuseboard.config.conduct import Approvals, Links, Output, StoreChoice, Trace
from support.config_files import SERVERS, findings, loaded


def test_approvals_output_pins_and_trace(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        SERVERS
        + """\
approvals: {via: web, timeout: 10s, on_timeout: allow, ask_above: null}
output: {max: 64KB, invisible: keep, redact: [], links: {allow: github.com}}
pins: {on_change: ask}
trace: {keep: 1d, args: none}
""",
    )
    assert config.approvals == Approvals(via=("web",), timeout_s=10.0, on_timeout="allow", ask_above=None)
    assert config.output == Output(max_bytes=64_000, invisible="keep", redact=(), links=Links(allow=("github.com",)))
    assert config.pins.on_change == "ask"
    assert config.trace == Trace(keep_s=86400.0, args="none")


def test_who_may_answer_for_how_long_and_who_is_told(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        SERVERS
        + "approvals: {form: write, expires: 5m, webhook: {url: 'https://h/${env:PATH_TO}', secret: '${env:KEY}'}}",
        env={"KEY": "0123456789abcdef", "PATH_TO": "hidden-path"},
    )
    found = config.approvals
    assert (found.form, found.expires_s, found.webhook.url) == ("write", 300.0, "https://h/hidden-path")
    assert found.webhook.secret is not None
    assert found.webhook.secret.reveal() == "0123456789abcdef"
    assert set(config.secrets) == {"0123456789abcdef", "hidden-path"}
    assert "0123456789abcdef" not in config.model_dump_json() + repr(config)
    literal = loaded(tmp_path, SERVERS + "approvals: {webhook: {url: 'http://[::1]:1/', secret: 0123456789abcdef}}")
    assert literal.secrets == ("0123456789abcdef",)


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        ("memory", "memory", None),
        ("sqlite", "sqlite", None),
        ("sqlite:/var/x.db", "sqlite", "/var/x.db"),
        ("sqlite:///var/x.db", "sqlite", "/var/x.db"),
        ("sqlite:x.db", "sqlite", "{folder}/x.db"),
        ("postgres://u@h/d", "postgres", "postgres://u@h/d"),
        ("postgresql://h/d", "postgres", "postgresql://h/d"),
        ("redis://h", "redis", "redis://h"),
        ("valkey://h", "redis", "valkey://h"),
    ],
)
def test_stores(tmp_path: Path, text: str, kind: str, location: str | None) -> None:
    store = loaded(tmp_path, f"{SERVERS}store: {text}").store
    assert (store.kind, store.location) == (kind, location and location.format(folder=tmp_path))


def test_the_password_of_a_store_is_seen_nowhere(tmp_path: Path) -> None:
    config = loaded(tmp_path, SERVERS + "store: postgres://u:${env:PW}@h/d", env={"PW": "s3cret-pw"})
    assert config.store.location == "postgres://u:s3cret-pw@h/d"
    assert config.secrets == ("s3cret-pw",)
    assert "s3cret" not in repr(config) + config.model_dump_json() + str(config)
    literal = loaded(tmp_path, SERVERS + "store: postgres://u:s3cret-pw@h/d")
    assert literal.secrets == ("s3cret-pw",)
    assert "s3cret" not in repr(literal) + literal.model_dump_json()


def test_a_store_in_code() -> None:
    assert StoreChoice(kind="memory").location is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("store: mysql://u:p4ssword@h", "store: found 'mysql:…'; expected memory, sqlite, sqlite:PATH, postgres://…"),
        ("store: 'sqlite:'", "store: found 'sqlite:…'; expected memory"),
        ("store: {kind: sqlite}", "store: found keys and values; expected memory"),
        ("approvals: {via: []}", "approvals.via: found nothing in it; expected at least 1"),
        ("approvals: {via: [mail]}", "approvals.via[0]: found 'mail'; expected 'elicit', 'web' or 'cli'"),
        ("approvals: {form: all}", "approvals.form: found 'all'; expected 'none', 'read', 'write' or 'destructive'"),
        ("approvals: {expires: 0s}", "approvals.expires: found '0s'; expected more than 0"),
        (
            "approvals: {webhook: {url: 'https://h'}}",
            "approvals.webhook: found url or secret alone; expected both",
        ),
        (
            "approvals: {webhook: {url: 'http://h', secret: p4ssword-p4ssword}}",
            "approvals.webhook.url: found no https:// address",
        ),
        (
            "approvals: {webhook: {url: 'https://h', secret: p4ssword}}",
            "approvals.webhook.secret: found a secret of 8 characters; expected at least 16",
        ),
        ("approvals: {ask_above: 101}", "approvals.ask_above: found 101; expected at most 100"),
        ("output: {max: 10B}", "output.max: found '10B'; expected at least 1000"),
        (
            "trace: {args: hash}",
            "trace.args: found 'hash'; expected 'full', 'hashed' or 'none' - did you mean",
        ),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, text: str, message: str) -> None:
    (found,) = findings(tmp_path, SERVERS + text)
    assert found.split(" ", 1)[1].startswith(message)
    assert "p4ssword" not in found
