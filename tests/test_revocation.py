"""What was taken back, as the store holds it, and which results it means."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from fuseboard.revocation import Mark, Revocation, at_gate, gate, marked, marks
from fuseboard.state import Put


@dataclass(frozen=True)
class Came:
    id: str = "d-2"
    upstream: str = "web"
    tool: str = "fetch"
    ended_at: float | None = 50.0
    result_sha256: str | None = "aa"


RESULT = Revocation("v-1", "d-1", 60.0, "ida", upstream="web", tool="fetch", digest="aa")
SERVER = Revocation("v-2", "web", 60.0, "ida", since=40.0)


@pytest.mark.parametrize(
    ("revocation", "came", "meant"),
    [
        pytest.param(RESULT, Came("d-1", result_sha256="zz"), True, id="the result itself"),
        pytest.param(RESULT, Came(), True, id="the same bytes from the same tool"),
        pytest.param(RESULT, Came(result_sha256="bb"), False, id="other bytes"),
        pytest.param(RESULT, Came(tool="search"), False, id="the same bytes from another tool"),
        pytest.param(replace(RESULT, digest=""), Came(result_sha256=""), False, id="no bytes at all"),
        pytest.param(SERVER, Came(), True, id="of the server, since then"),
        pytest.param(SERVER, Came(ended_at=39.0), False, id="before"),
        pytest.param(SERVER, Came(ended_at=None), False, id="what has no end"),
        pytest.param(SERVER, Came(upstream="web2"), False, id="of another server"),
        pytest.param(replace(SERVER, until=50.0), Came(), True, id="up to then"),
        pytest.param(replace(SERVER, until=49.0), Came(), False, id="after"),
        pytest.param(replace(SERVER, what="web__fetch"), Came(), True, id="of the tool"),
        pytest.param(replace(SERVER, what="web__find"), Came(), False, id="of another tool"),
    ],
)
def test_which_results_are_meant(revocation: Revocation, came: Came, meant: bool) -> None:
    assert revocation.covers(came) is meant


def test_the_gate_names_what_is_revoked_until_further_notice() -> None:
    written = gate([RESULT, SERVER, replace(SERVER, what="b", until=1.0), replace(SERVER, what="c", lifted_at=1.0)])
    assert isinstance(written, Put)
    assert list(written.value) == ["web"]
    found = at_gate(written.value, "web", "web__fetch")
    assert found is not None
    assert (found.id, found.by, found.said) == ("v-2", "ida", "revoked at 1970-01-01 00:01:00 UTC by ida")
    assert at_gate(written.value, "files", "files__read") is None
    assert at_gate({}, "web", "web__fetch") is None
    assert at_gate(None, "web", "web__fetch") is None


def test_marks_come_back_as_they_were_written() -> None:
    mark = Mark("v-1", "ida", "what web__fetch returned", "d-1", 1.5, asked_at=2.0)
    written = marked("r1", {"v-1": mark})
    assert written.key == "poisoned/run/r1"
    assert marks(written.value) == {"v-1": mark}
    assert marks(None) == {}
