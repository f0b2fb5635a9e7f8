from __future__ import annotations

import getpass

import pytest

from fuseboard.adapters.approvals.operator import operator


def test_the_user_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ana")
    assert operator() == "ana"


def test_a_system_without_a_name_for_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert operator() == "operator"
