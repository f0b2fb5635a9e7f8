from __future__ import annotations

from dataclasses import fields

from fuseboard.adapters.downstream.limits import Limits


def test_every_limit_is_explained_and_names_its_unit() -> None:
    assert Limits.__doc__ is not None
    for field in fields(Limits):
        assert f"        {field.name}: " in Limits.__doc__
        assert field.name in ("depth", "sessions", "headers", "pipelined") or field.name.endswith(
            ("_bytes", "_s", "_ms")
        )
