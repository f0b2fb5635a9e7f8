from __future__ import annotations

import pytest

from fuseboard.adapters.downstream.asgi import Caller, Head, Refusal
from fuseboard.adapters.downstream.guard import LOCAL, Bearer, Guard
from fuseboard.adapters.downstream.limits import Limits

PORT = 8000


def place(
    *headers: tuple[str, str], allowed: tuple[str, ...] = (), limits: Limits | None = None, port: int = PORT
) -> int:
    """The status of the refusal, 200 where there is none."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    guard = Guard(limits or Limits(), auth=None, allowed_hosts=allowed)
    scope = {"headers": raw, "server": ("127.0.0.1", port), "path": "/mcp", "query_string": b""}
    refusal = guard.size(scope) or guard.place(scope, Head(raw))
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("LocalHost:8000", 200),
        ("[::1]:8000", 200),
        ("localhost:8001", 421),
        ("localhost", 421),
        ("localhost:", 421),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("localhost.evil.example:8000", 421),
        ("localhost:8000.evil.example", 421),
        ("localhost:8000@evil.example", 421),
        ("127.0.0.1:8000 ", 200),
        ("127.0.0.2:8000", 421),
        ("0.0.0.0:8000", 421),
        ("", 421),
        ("gate.example", 200),
        ("gate.example:8000", 421),
        ("ported.example:8443", 200),
        ("ported.example:8444", 421),
        ("any.example:1", 200),
        ("any.example:x", 421),
        ("any.example", 200),
    ],
)
def test_only_our_own_names_are_served(host: str, status: int) -> None:
    assert place(("host", host), allowed=("Gate.example", "ported.example:8443", "any.example:*")) == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("192.0.2.7:8000", 200), ("[2001:db8::1]:8000", 200), ("192.0.2.7", 200), ("evil.example:8000", 421), ("", 421)],
)
def test_bound_to_every_address_it_is_reached_by_any_address_but_by_no_name(host: str, status: int) -> None:
    guard = Guard(Limits(), auth={}, any_address=True)
    raw = [(b"host", host.encode())]
    refusal = guard.place({"headers": raw, "server": ("0.0.0.0", PORT)}, Head(raw))
    assert (200 if refusal is None else refusal.status) == status


def test_a_request_without_a_host_is_refused() -> None:
    assert place() == 421


def test_port_80_goes_without_saying() -> None:
    assert place(("host", "localhost"), port=80) == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("http://127.0.0.1:6274", 200),
        ("https://[::1]:8000", 200),
        ("http://localhost", 200),
        ("HTTP://LOCALHOST", 200),
        ("http://any.example:9", 200),
        ("https://gate.example", 200),
        ("http://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://evil.example:8000", 403),
        ("ftp://localhost", 403),
        ("null", 403),
        ("", 403),
        ("localhost:8000", 403),
        ("http://localhost:8000@evil.example", 403),
        ("http://localhost:x", 403),
    ],
)
def test_only_pages_from_here_may_ask(origin: str, status: int) -> None:
    allowed = ("any.example:*", "gate.example")
    assert place(("host", "localhost:8000"), ("origin", origin), allowed=allowed) == status


@pytest.mark.parametrize(
    "name", ["host", "origin", "authorization", "content-type", "mcp-session-id", "last-event-id", "content-length"]
)
def test_a_header_that_decides_something_must_not_stand_twice(name: str) -> None:
    first = {"host": "localhost:8000", "origin": "http://localhost"}.get(name, "x")
    headers = [("host", "localhost:8000"), (name, first), (name, "y")]
    assert place(*headers) == 400


def test_other_headers_may_stand_twice() -> None:
    assert place(("host", "localhost:8000"), ("cookie", "a"), ("cookie", "b")) == 200


def test_large_headers_are_refused() -> None:
    limits = Limits(head_bytes=1000)
    assert place(("host", "localhost:8000"), ("x", "y" * 900), limits=limits) == 200
    assert place(("host", "localhost:8000"), ("x", "y" * 1000), limits=limits) == 431
    assert place(("host", "localhost:8000"), *[(f"x{n}", "y" * 9) for n in range(100)], limits=limits) == 431


def test_many_headers_are_refused_however_small() -> None:
    assert place(("host", "localhost:8000"), *[("x", "")] * 199) == 200
    assert place(("host", "localhost:8000"), *[("x", "")] * 200) == 431


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 200),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": "Application/JSON"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/jsonp"}, 415),
        ({"content-type": "multipart/form-data; boundary=application/json"}, 415),
        ({}, 415),
        ({"content-type": "application/json", "content-length": "100"}, 200),
        ({"content-type": "application/json", "content-length": "101"}, 413),
        ({"content-type": "application/json", "content-length": "9" * 5000}, 413),
        ({"content-type": "application/json", "content-length": "-1"}, 413),
    ],
)
def test_a_body_must_be_announced_as_json_of_some_size(headers: dict[str, str], status: int) -> None:
    head = Head([(name.encode(), value.encode()) for name, value in headers.items()])
    refusal = Guard(Limits(body_bytes=100), auth=None).post(head)
    assert (200 if refusal is None else refusal.status) == status


AUTH = {"a-token-of-ann": ("ann", ["dev", "ops"]), "another-of-ann": ("ann", ["dev"]), "a-token-of-bob": ("bob", [])}


@pytest.mark.parametrize(
    ("authorization", "caller"),
    [
        ("Bearer a-token-of-ann", Caller("ann", ("dev", "ops"), 1)),
        ("bearer a-token-of-ann", Caller("ann", ("dev", "ops"), 1)),
        ("Bearer  a-token-of-ann ", Caller("ann", ("dev", "ops"), 1)),
        ("Bearer another-of-ann", Caller("ann", ("dev",), 2)),
        ("Bearer a-token-of-bob", Caller("bob", (), 3)),
        ("Bearer a-token-of-an", None),
        ("Bearer a-token-of-annn", None),
        ("Bearer A-TOKEN-OF-ANN", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("a-token-of-ann", None),
        ("Basic a-token-of-ann", None),
        ("", None),
        ("Bearer \xff\xfe", None),
    ],
)
def test_a_token_names_its_bearer(authorization: str, caller: Caller | None) -> None:
    assert Bearer(AUTH).identify(authorization.encode("latin-1")) == caller
    assert Bearer({}).identify(authorization.encode("latin-1")) is None


def test_who_does_not_say_who_they_are_is_asked() -> None:
    refusal = Guard(Limits(), auth=AUTH).who(Head([]))
    assert isinstance(refusal, Refusal)
    assert refusal.status == 401
    assert refusal.headers == ((b"www-authenticate", b"Bearer"),)


def test_where_no_token_is_asked_for_everybody_is_local() -> None:
    assert Guard(Limits(), auth=None).who(Head([(b"authorization", b"Bearer whatever")])) is LOCAL


def test_an_empty_table_of_tokens_lets_nobody_in() -> None:
    assert isinstance(Guard(Limits(), auth={}).who(Head([(b"authorization", b"Bearer ")])), Refusal)
