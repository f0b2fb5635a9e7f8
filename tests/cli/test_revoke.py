"""``fuseboard revoke``: what it refuses, and what it shows. What it does to a proxy is in ``wire/test_revoke.py``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.ledger_entries import BEGAN, RUN, concluded, proposed, record
from support.proxy import fuseboard

USER = {"LOGNAME": "ida"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A run that read two pages, the second twice, and wrote in between and afterwards."""
    page = {"upstream": "web", "tool": "fetch", "exposed": "web__fetch"}
    act = {"upstream": "files", "tool": "write", "exposed": "files__write", "effect": "write"}
    record(
        tmp_path / "ledger.db",
        proposed("d-1", seq=1, at=BEGAN, **page),
        concluded("d-1", at=BEGAN + 1, result_sha256="aa"),
        proposed("d-2", seq=2, at=BEGAN + 2, arguments='{"text":"a\u202e","n":1.10}', **act),
        concluded("d-2", at=BEGAN + 3),
        proposed("d-3", seq=3, at=BEGAN + 4, **page),
        concluded("d-3", at=BEGAN + 5, result_sha256="bb"),
        proposed("d-4", seq=4, at=BEGAN + 6, arguments="sha256:00", **act),
        concluded("d-4", at=BEGAN + 7),
        proposed("d-5", run="r-other", seq=1, at=BEGAN + 8, **page),
        concluded("d-5", at=BEGAN + 9, result_sha256="bb"),
    )
    return tmp_path


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat()


async def asked(*words: str, state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await fuseboard("revoke", *words, "--json", state=state, env=USER)).stdout)
    return found


async def test_a_result_and_what_was_done_under_its_influence(state: Path) -> None:
    found = await asked("d-3", "--say", "a hidden sentence", state=state)
    said = found["revocation"]
    assert (said["what"], said["by"], said["why"]) == ("d-3", "ida", "a hidden sentence")
    assert [(one["id"], one["run"]) for one in found["results"]] == [("d-3", RUN), ("d-5", "r-other")]
    assert [(run["run"], run["seen"], run["state"]) for run in found["runs"]] == [
        (RUN, "d-3", "running"),
        ("r-other", "d-5", "running"),
    ]
    assert [(act["id"], act["arguments"], act["how"]) for act in found["clean_up"]] == [("d-4", "sha256:00", "saw")]
    again = await asked("d-3", state=state)
    assert (again["again"], again["revocation"]["id"]) == (True, said["id"])


async def test_of_a_server_from_a_moment_to_another(state: Path) -> None:
    found = await asked("web", "--since", iso(BEGAN), "--until", iso(BEGAN + 2), state=state)
    assert [one["id"] for one in found["results"]] == ["d-1"]
    assert [act["id"] for act in found["clean_up"]] == ["d-2", "d-4"]
    assert b'"n":1.10' in (await fuseboard("revoke", "web__fetch", "--json", state=state)).stdout.replace(b" ", b"")


async def test_the_terminal_shows_what_to_clean_up_and_nothing_acts_there(state: Path) -> None:
    text = (await fuseboard("revoke", "web", "--say", "why\x1b", state=state, env=USER)).stdout.decode()
    assert "3 results of it went to 2 runs" in text
    assert "d-2  files__write (write)" in text
    assert '{"text":"a\\u202e","n":1.10}' in text
    assert "\x1b" not in text
    shown = (await fuseboard("revoke", "ls", state=state)).stdout.decode()
    assert "web is revoked" in shown
    assert "is paused at its next call with effects" in shown


async def test_what_is_lifted_stays_on_record(state: Path) -> None:
    id = (await asked("web", state=state))["revocation"]["id"]
    done = await fuseboard("revoke", "lift", id, "--say", "false alarm", state=state, env=USER)
    assert done.stdout.decode() == f"{id} is lifted: web\n"
    shown = (await fuseboard("revoke", "ls", state=state)).stdout.decode()
    assert "web is lifted" in shown
    assert "lifted by ida" in shown
    assert "false alarm" in shown
    assert "next call" not in shown


async def test_nothing_was_revoked(state: Path) -> None:
    assert (await fuseboard("revoke", "ls", state=state)).stdout.decode() == "Nothing was revoked.\n"
    assert json.loads((await fuseboard("revoke", "ls", "--json", state=state)).stdout) == {"revocations": []}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("d-9",), 4, "no call d-9 on record"),
        (("nowhere",), 4, "nothing on record was ever called at nowhere"),
        (("lift", "v-1"), 4, "v-1 is not known here"),
        (("d-3", "--since", "2h"), 2, "--since and --until are for a server or a tool"),
        (("web", "--since", "soon"), 2, "--since soon: write a span such as 2h"),
        (("web", "--since", "2999-01-01T00:00"), 2, "that is still to come"),
        (("web", "--since", "1h", "--until", "2h"), 2, "--until is before --since"),
    ],
)
async def test_what_cannot_be_done_is_said(state: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = await fuseboard("revoke", *words, state=state, ok=False)
    assert done.returncode == code
    assert said in done.stderr.decode()


async def test_options_may_come_before_what_they_are_about(state: Path) -> None:
    done = await fuseboard("revoke", "--json", "web", state=state)
    assert json.loads(done.stdout)["revocation"]["what"] == "web"
    assert b"RESULT|SERVER|TOOL" in (await fuseboard("revoke", "--help", state=state)).stdout
