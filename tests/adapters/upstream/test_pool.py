import base64
import socket
import ssl
import subprocess
import sys

import anyio
import anyio.abc
import pytest
from yarl import URL

from fuseboard.adapters.upstream import pool as pool_module
from fuseboard.adapters.upstream.connection import Dropped
from fuseboard.adapters.upstream.pool import HttpPool, Target, Unreachable
from support.http_upstream import Call, http_upstream
from support.processes import free_port


def at(url: str, **headers: str) -> Target:
    return Target(URL(url), headers)


async def test_a_connection_is_used_again_once_its_response_has_ended(pool: HttpPool) -> None:
    async with http_upstream(Call.reply) as upstream:
        for _ in range(3):
            response = await pool.ask(at(upstream.url), "POST", {}, b"{}")
            assert await response.read() == b""
        assert upstream.connections == 1
        assert len(upstream.calls) == 3


async def test_accounts_share_no_connection(pool: HttpPool) -> None:
    """Two servers of a configuration may be two accounts at one origin."""
    async with http_upstream(Call.reply) as upstream:
        url = URL(upstream.url)
        ada, bob = at(upstream.url, Authorization="Bearer ada"), at(upstream.url, Authorization="Bearer bob")
        anna = Target(url.with_user("anna").with_password("x"), {})
        for target in (
            ada,
            bob,
            anna,
            at(upstream.url),
            ada,
            at(f"{upstream.url}/elsewhere", authorization="Bearer ada"),
        ):
            await (await pool.ask(target, "POST", {}, b"{}")).read()
        assert upstream.connections == 4
    assert "ada" not in repr(list(pool._idle))


async def test_an_unfinished_response_keeps_its_connection_to_itself(pool: HttpPool) -> None:
    async def script(call: Call) -> None:
        await call.stream()
        await call.chunk(b"x")
        await call.gone()

    async with http_upstream(script) as upstream:
        first = await pool.ask(at(upstream.url), "POST", {}, b"{}")
        second = await pool.ask(at(upstream.url), "POST", {}, b"{}")
        assert upstream.connections == 2
        first.close()
        second.close()


async def test_a_closed_pool_has_no_connections_and_opens_anew(pool: HttpPool) -> None:
    async with http_upstream(Call.reply) as upstream:
        await pool.ask(at(upstream.url), "POST", {}, b"{}")
        await pool.close()
        await pool.close()
        await pool.ask(at(upstream.url), "POST", {}, b"{}")
        assert upstream.connections == 2


async def test_a_connection_that_was_idle_for_too_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_S", 0.01)
    pool = HttpPool()
    async with http_upstream(Call.reply) as upstream:
        await pool.ask(at(upstream.url), "POST", {}, b"{}")
        with anyio.fail_after(5):
            while pool._open:
                await anyio.lowlevel.checkpoint()
        await pool.ask(at(upstream.url), "POST", {}, b"{}")
        assert upstream.connections == 2
    await pool.close()


@pytest.mark.parametrize(("verb", "served"), [("GET", True), ("POST", False)])
async def test_only_what_may_be_done_twice_is_sent_twice(pool: HttpPool, verb: str, served: bool) -> None:
    """The server hangs up on a kept connection just as the next request arrives there."""

    async def script(call: Call) -> None:
        if len(upstream.calls) == 2:
            await call.drop()
        else:
            await call.reply()

    async with http_upstream(script) as upstream:
        await pool.ask(at(upstream.url), "POST", {}, b"{}")
        if served:
            assert (await pool.ask(at(upstream.url), verb, {}, None)).status == 200
            assert upstream.connections == 2
        else:
            with pytest.raises(Dropped):
                await pool.ask(at(upstream.url), verb, {}, b"{}")
            assert len(upstream.calls) == 2


async def test_a_name_with_a_dead_address_is_tried_at_the_next(pool: HttpPool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_upstream(Call.reply) as upstream:
        dead, living = ("127.0.0.9", upstream.port), ("127.0.0.1", upstream.port)

        async def addresses(target: Target) -> object:
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in (dead, living)]

        monkeypatch.setattr(pool_module, "_addresses", addresses)
        assert (await pool.ask(at(f"http://two.example:{upstream.port}/"), "POST", {}, b"{}")).status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection_says_so(pool: HttpPool, host: str) -> None:
    with pytest.raises(Unreachable, match="refused") as fault:
        await pool.ask(at(f"http://{host}:{free_port()}/"), "POST", {}, b"{}")
    assert fault.value.refused


async def test_neither_cookies_nor_the_environment_reach_an_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(call: Call) -> None:
        await call.reply(200, set_cookie="track=1")

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    pool = HttpPool()
    async with http_upstream(script) as upstream:
        for _ in range(2):
            await (await pool.ask(at(upstream.url), "GET", {}, None)).read()
        await pool.close()
    assert [call.headers.get("cookie") for call in upstream.calls] == [None, None]
    assert upstream.calls[0].headers["accept-encoding"] == "identity"
    assert upstream.connections == 1


async def test_an_untrusted_certificate_is_told_from_a_broken_handshake(pool: HttpPool) -> None:
    fault = ssl.SSLCertVerificationError(1, "self-signed")
    assert pool_module._reason(fault, tls=True) == "its TLS certificate is not trusted"
    assert pool_module._reason(ssl.SSLError(1, "wrong version"), tls=True) == "the TLS handshake failed"


def lines(head: bytes) -> list[str]:
    return head.decode().split("\r\n")


def test_a_head_names_host_length_and_what_was_asked_for() -> None:
    head = at("http://h.example:81/a%20b?c=d").head("POST", {"Accept": "x/y"}, b"{}")
    first, host, *rest = lines(head)
    assert first == "POST /a%20b?c=d HTTP/1.1"
    assert host == "Host: h.example:81"
    assert rest[1:] == ["Accept-Encoding: identity", "Content-Length: 2", "Accept: x/y", "", ""]


def test_a_head_without_headers_ends_too() -> None:
    assert at("http://h/").head("GET", {}, None).endswith(b"\r\nAccept-Encoding: identity\r\n\r\n")


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://h/", "h"), ("https://h/", "h"), ("https://h:80/", "h:80"), ("http://[::1]:9/", "[::1]:9")],
)
def test_the_usual_port_goes_without_saying(url: str, host: str) -> None:
    assert lines(at(url).head("GET", {}, None))[1] == f"Host: {host}"


def test_what_is_configured_takes_the_place_of_our_own() -> None:
    head = at("http://h/", **{"user-agent": "mine"}).head("GET", {"user-agent": "mine"}, None)
    assert [line for line in lines(head) if line.lower().startswith("user-agent")] == ["user-agent: mine"]


def test_credentials_in_the_url_become_a_header() -> None:
    wanted = base64.b64encode("üser:p w".encode()).decode()
    assert f"Authorization: Basic {wanted}" in lines(at("http://%C3%BCser:p%20w@h/").head("GET", {}, None))
    assert "Authorization: Bearer t" in lines(
        at("http://u:p@h/", Authorization="Bearer t").head("GET", {"Authorization": "Bearer t"}, None)
    )


@pytest.mark.parametrize("value", ["b\r\nEvil: 1", "b\nEvil: 1", "b\rc", "b\0c"])
def test_a_header_that_would_start_another_is_refused(value: str) -> None:
    for headers in ({"A": value}, {value: "a"}, {"X": "1", "A": value, "Z": "2"}):
        with pytest.raises(ValueError, match="break its line"):
            at("http://h/").head("POST", headers, b"")


@pytest.mark.parametrize("url", ["ftp://h/", "http://", "/path", "http://h:0/"])
def test_what_is_no_url_of_http_has_no_target(url: str) -> None:
    with pytest.raises(ValueError, match="no URL of HTTP"):
        at(url)


def test_importing_a_pool_loads_no_general_http_client() -> None:
    program = "import sys, fuseboard.adapters.upstream.pool; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
