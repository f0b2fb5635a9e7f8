import pytest

from fuseboard.vault import OPAQUE, QUARANTINE, RANKS, RESULT, handle_of, named, source_of, uri_of
from support.vaulting import kept


@pytest.mark.parametrize(("kind", "handle"), [(QUARANTINE, "q-01ab"), (RESULT, "d-01ab"), (OPAQUE, "h-01ab")])
def test_a_handle_follows_from_the_decision(kind: str, handle: str) -> None:
    assert handle_of(kind, "d-01ab") == handle


@pytest.mark.parametrize("kind", [QUARANTINE, RESULT])
def test_a_uri_names_its_kind_and_handle(kind: str) -> None:
    handle = handle_of(kind, "d-01ab")
    assert named(uri_of(kind, handle)) == (kind, handle)


@pytest.mark.parametrize(
    "uri",
    [
        "fuseboard://",
        "fuseboard://result/",
        "fuseboard://result/q-1",
        "fuseboard://quarantine/h-1",
        "file:///d-1",
        "",
        "fuseboard://opaque/h-1",
        "FUSEBOARD://result/d-1",
    ],
)
def test_what_is_none_of_ours_has_no_name(uri: str) -> None:
    assert named(uri) is None


def test_what_waits_for_a_person_goes_last() -> None:
    assert max(RANKS, key=RANKS.__getitem__) == QUARANTINE


def test_a_tool_is_known_by_its_qualified_name() -> None:
    assert kept().qualified == "web__fetch"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("fuseboard://result/d-1", "d-1"),
        ("fuseboard://result/d-1?from=7", "d-1"),
        ("fuseboard://quarantine/q-1", "d-1"),
        ("quarantine/q-1", "d-1"),
        ("fuseboard://quarantine/d-1", None),
        ("https://result/d-1", None),
        ("fuseboard__checkpoint", None),
    ],
)
def test_the_call_behind_an_address_is_known(name: str, source: str | None) -> None:
    assert source_of(name) == source
