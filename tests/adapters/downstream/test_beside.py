"""What an HTTP request says of its run beside its message."""

from __future__ import annotations

import pytest

from fuseboard.adapters.downstream.asgi import Caller, Head, Refusal
from fuseboard.adapters.downstream.beside import Reader, split
from fuseboard.errors import DENIED
from fuseboard.ports import Beside, SignedRun
from fuseboard.tokens import Tokens
from support.edge import META, MODERN, frame, serving
from support.gateway import FakeGateway

TOKENS = Tokens(b"key")
SIGNED = SignedRun("r-1", 0.0, 100.0, "ana")
TOKEN = TOKENS.make(SIGNED)
OTHER = TOKENS.make(SignedRun("r-2", 0.0, 100.0))
ANA = Caller("ana")


def read(
    *headers: tuple[str, str], token: str | None = None, caller: Caller = ANA, at: float = 1.0
) -> Beside | Refusal | None:
    head = Head([(name.encode(), value.encode()) for name, value in headers])
    return Reader(TOKENS, lambda: at).read(head, caller, token)


@pytest.mark.parametrize(
    ("path", "inner", "token"),
    [
        ("/run/abc/mcp", "/mcp", "abc"),
        ("/run/abc/sse", "/sse", "abc"),
        ("/run//mcp", "/mcp", ""),
        ("/run/abc", "/", "abc"),
        ("/run/abc/a/b", "/a/b", "abc"),
        ("/mcp", "/mcp", None),
        ("/runs/abc/mcp", "/runs/abc/mcp", None),
    ],
)
def test_the_path_of_a_run(path: str, inner: str, token: str | None) -> None:
    assert split(path) == (inner, token)


def test_nearly_every_request_says_nothing() -> None:
    assert read(("content-type", "application/json"), ("mcp-session-id", "x")) is None


def test_a_token_in_the_path_or_the_header() -> None:
    assert read(token=TOKEN) == Beside(SIGNED)
    assert read(("fuseboard-run", TOKEN)) == Beside(SIGNED)
    assert read(("fuseboard-run", TOKEN), token=TOKEN) == Beside(SIGNED)


def test_the_trace_of_the_request() -> None:
    assert read(("traceparent", "p"), ("tracestate", "s"), ("baggage", "b")) == Beside(None, "p", "s", "b")
    assert read(("traceparent", "p"), ("traceparent", "q")) == Beside(None, None, None, None)


@pytest.mark.parametrize(
    ("refusal", "status", "said"),
    [
        pytest.param(read(token=""), 403, "no run token", id="no token where one belongs"),
        pytest.param(read(token=TOKEN[:-1]), 403, "not signed", id="forged"),
        pytest.param(read(("fuseboard-run", "x")), 403, "no run token", id="forged header"),
        pytest.param(read(token=TOKEN, at=100.0), 403, "expired", id="expired"),
        pytest.param(read(token=TOKEN, caller=Caller("bob")), 403, "--principal bob", id="another's"),
        pytest.param(read(("fuseboard-run", OTHER), token=TOKEN), 400, "two run tokens", id="two of them"),
        pytest.param(read(("fuseboard-run", OTHER), ("fuseboard-run", OTHER)), 400, "two run tokens", id="twice"),
    ],
)
def test_a_token_that_does_not_hold_is_refused_with_a_remedy(
    refusal: Beside | Refusal | None, status: int, said: str
) -> None:
    assert isinstance(refusal, Refusal)
    assert refusal.status == status
    assert said in refusal.message
    if status == 403:
        assert refusal.code == DENIED


def test_where_none_is_accepted_one_is_refused_and_a_trace_is_heard() -> None:
    reader = Reader(None, lambda: 1.0)
    assert isinstance(reader.read(Head([]), ANA, TOKEN), Refusal)
    assert reader.read(Head([(b"traceparent", b"p")]), ANA, None) == Beside(None, "p")


# At the edge.

AUTH = {"a-token-of-ann": ("ana", ("dev",)), "a-token-of-bob": ("bob", ())}
WHO = {"Authorization": "Bearer a-token-of-ann"}
MODERN_LIST = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
LIST = frame(1, "tools/list", {"_meta": META})


async def test_both_eras_are_told_of_the_run_by_path_and_header() -> None:
    gateway = FakeGateway()
    async with serving(gateway, auth=AUTH, tokens=TOKENS) as served:
        for path, headers in ((f"/run/{TOKEN}/mcp", {}), ("/mcp", {"Fuseboard-Run": TOKEN})):
            opened = await served.ask("POST", path, {**WHO, **headers}, frame(1, "initialize", {}))
            session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
            answers = [
                await served.ask("POST", path, {**WHO, **headers, **session}, frame(2, "ping")),
                await served.ask("POST", path, {**WHO, **headers, **MODERN_LIST}, LIST),
            ]
            assert [answer.status for answer in answers] == [200, 200]
        traced = {**WHO, **MODERN_LIST, "traceparent": "p", "baggage": "b"}
        await served.ask("POST", "/mcp", traced, LIST)
        await served.ask("POST", "/mcp", {**WHO, **MODERN_LIST}, LIST)
    besides = [request.beside for request in gateway.requests]
    assert besides == [Beside(SIGNED)] * 6 + [Beside(None, "p", None, "b"), None]


@pytest.mark.parametrize("headers", [{}, MODERN_LIST], ids=["handshake", "stateless"])
@pytest.mark.parametrize(
    ("path", "who", "status", "said"),
    [
        pytest.param(f"/run/{TOKEN[:-1]}/mcp", "ann", 403, "was not signed by this proxy", id="forged"),
        pytest.param(f"/run/{TOKEN}/mcp", "bob", 403, "--principal bob", id="another's"),
        pytest.param(f"/run/{TOKEN}/mcp", None, 401, "a bearer token is needed", id="it is no proof of who asks"),
        pytest.param(f"/run/{TOKEN}/healthz", "ann", 404, "nothing is here", id="a path that knows no runs"),
        pytest.param(f"/run/{TOKEN}/run/{TOKEN}/mcp", "ann", 404, "nothing is here", id="a run in a run"),
    ],
)
async def test_a_bad_token_gets_an_error_that_clients_show(
    path: str, who: str | None, status: int, said: str, headers: dict[str, str | None]
) -> None:
    gateway = FakeGateway()
    body = LIST if headers else frame(1, "initialize", {})
    bearer = {"Authorization": f"Bearer a-token-of-{who}"} if who else {}
    async with serving(gateway, auth=AUTH, tokens=TOKENS) as served:
        answer = await served.ask("POST", path, {**bearer, **headers}, body)
    assert answer.status == status
    assert said in answer.json["error"]["message"]
    assert gateway.requests == []


async def test_a_token_before_sse_is_that_of_all_that_its_session_asks() -> None:
    gateway = FakeGateway()
    async with serving(gateway, auth=AUTH, tokens=TOKENS) as served, served.wire() as stream:
        await stream.send("GET", f"/run/{TOKEN}/sse", {**WHO, "traceparent": "p"})
        await stream.head()
        endpoint = await stream.event()
        assert endpoint is not None
        await served.ask("POST", endpoint.data, WHO, frame(1, "ping"))
        await stream.event()
    assert [request.beside for request in gateway.requests] == [Beside(SIGNED)]
