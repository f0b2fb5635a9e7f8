"""The errors are one tree, and each carries what its answer needs."""

from __future__ import annotations

import pytest

from fuseboard import errors
from fuseboard.errors import (
    ConfigError,
    FuseboardError,
    ProtocolFault,
    StoreUnavailable,
    UpstreamCutShort,
    UpstreamFault,
    UpstreamGarbled,
    UpstreamLost,
    UpstreamOversize,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnreachable,
)

OWN = {
    name: code
    for name in ("DENIED", "UPSTREAM_UNREACHABLE", "UPSTREAM_LOST", "UPSTREAM_TIMEOUT", "LEDGER_UNAVAILABLE")
    if isinstance(code := getattr(errors, name), int)
}


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (FuseboardError, Exception),
        (ConfigError, FuseboardError),
        (StoreUnavailable, FuseboardError),
        (ProtocolFault, FuseboardError),
        (UpstreamFault, FuseboardError),
        (UpstreamUnreachable, UpstreamFault),
        (UpstreamThrottled, UpstreamUnreachable),
        (UpstreamLost, UpstreamFault),
        (UpstreamGarbled, UpstreamLost),
        (UpstreamOversize, UpstreamGarbled),
        (UpstreamTimeout, UpstreamFault),
        (UpstreamCutShort, UpstreamTimeout),
    ],
)
def test_each_error_stands_where_the_tree_shows_it(error: type, parent: type) -> None:
    assert error.__bases__ == (parent,)
    assert error.__name__ in (errors.__doc__ or "")


def test_the_tree_shows_every_error() -> None:
    there = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert all(name in (errors.__doc__ or "") for name in there)


@pytest.mark.parametrize("code", OWN.values(), ids=OWN.keys())
def test_own_codes_stay_outside_what_json_rpc_and_mcp_reserve(code: int) -> None:
    assert not -32768 <= code <= -32000


def test_own_codes_tell_each_other_apart() -> None:
    assert len(set(OWN.values())) == len(OWN)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (UpstreamUnreachable("u", "m"), errors.UPSTREAM_UNREACHABLE),
        (UpstreamLost("u", "m"), errors.UPSTREAM_LOST),
        (UpstreamTimeout("u", "m"), errors.UPSTREAM_TIMEOUT),
    ],
)
def test_an_upstream_s_fault_names_it_and_has_a_code_of_its_own(fault: UpstreamFault, code: int) -> None:
    assert (fault.upstream, fault.message, fault.code, str(fault)) == ("u", "m", code, "m")


def test_an_unreachable_upstream_did_not_answer_unless_that_is_said() -> None:
    assert not UpstreamUnreachable("u", "m").answered
    assert UpstreamUnreachable("u", "m", answered=True).answered


def test_a_protocol_fault_carries_the_code_and_the_id_to_answer_with() -> None:
    fault = ProtocolFault(errors.PARSE_ERROR, "m", id=b"7")
    assert (fault.code, fault.message, fault.id, str(fault)) == (-32700, "m", b"7", "m")
    assert ProtocolFault(errors.PARSE_ERROR, "m").id is None
