import anyio
import anyio.abc
import pytest
from yarl import URL

from fuseboard.adapters.upstream.pool import HttpPool
from fuseboard.adapters.upstream.wire import Wire, content_type, same_origin
from fuseboard.errors import UpstreamFault, UpstreamGarbled, UpstreamLost, UpstreamThrottled, UpstreamUnreachable
from support.http_upstream import Call, http_upstream
from support.processes import free_port


async def test_nobody_listening_is_unreachable(pool: HttpPool) -> None:
    with pytest.raises(UpstreamUnreachable, match="files cannot be reached: the connection was refused"):
        await Wire("files", f"http://127.0.0.1:{free_port()}/mcp", {}, pool).send("POST", {}, b"{}")


async def test_a_host_without_a_name_is_unreachable(pool: HttpPool) -> None:
    with pytest.raises(UpstreamUnreachable, match="host name cannot be resolved"):
        await Wire("files", "http://nowhere.invalid/mcp", {}, pool).send("POST", {}, b"{}")


async def test_tls_to_a_server_without_it_is_unreachable(pool: HttpPool) -> None:
    async def plain(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 400 X\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, plain)
        with pytest.raises(UpstreamUnreachable, match="the TLS handshake failed"):
            await Wire("files", f"https://127.0.0.1:{port}/", {}, pool).send("POST", {}, b"{}")
        tasks.cancel_scope.cancel()


async def test_a_server_that_never_finishes_connecting_is_unreachable() -> None:
    impatient = HttpPool(connect_timeout_s=0.05)
    async with http_upstream(Call.reply) as upstream:
        with anyio.fail_after(5), pytest.raises(UpstreamUnreachable, match="no connection could be made in time"):
            await Wire("files", f"https://127.0.0.1:{upstream.port}/", {}, impatient).send("POST", {}, b"{}")
        await impatient.close()


@pytest.mark.parametrize("url", ["ftp://example.com/x", "http://"])
async def test_a_url_that_cannot_be_asked_is_unreachable(pool: HttpPool, url: str) -> None:
    with pytest.raises(UpstreamUnreachable, match="cannot be sent"):
        await Wire("files", url, {}, pool).send("POST", {}, b"{}")


async def test_a_header_that_would_smuggle_another_is_not_sent(pool: HttpPool) -> None:
    async with http_upstream(Call.reply) as upstream:
        with pytest.raises(UpstreamUnreachable, match="cannot be sent"):
            await Wire("files", upstream.url, {}, pool).send("POST", {"A": "b\r\nEvil: 1"}, b"{}")
        assert upstream.calls == []


async def test_a_connection_dropped_after_sending_is_lost(pool: HttpPool) -> None:
    async with http_upstream(Call.drop) as upstream:
        with pytest.raises(UpstreamLost, match="was lost before it answered"):
            await Wire("files", upstream.url, {}, pool).send("POST", {}, b"{}")
        assert len(upstream.calls) == 1, "a POST is never sent twice"


async def test_a_redirect_within_the_origin_is_followed_once_and_remembered(pool: HttpPool) -> None:
    async def script(call: Call) -> None:
        if call.path == "/mcp":
            await call.reply(307, location="/mcp/")
        else:
            await call.reply(200, call.body)

    async with http_upstream(script) as upstream:
        wire = Wire("files", upstream.url, {}, pool)
        for _ in range(2):
            assert await wire.read(await wire.send("POST", {}, b"{}")) == b"{}"
        assert [call.path for call in upstream.calls] == ["/mcp", "/mcp/", "/mcp/"]


@pytest.mark.parametrize(
    ("status", "location", "says"),
    [
        pytest.param(307, "http://localhost:{port}/mcp", "redirects to http://localhost", id="another host"),
        pytest.param(308, "http://127.0.0.1:1/mcp", "redirects to http://127.0.0.1:1/mcp,", id="another port"),
        pytest.param(307, "https://127.0.0.1:{port}/", "redirects to https://127.0.0.1", id="another scheme"),
        pytest.param(307, "http://evil:pw@127.0.0.1:{port}/", "redirects to", id="credentials of its own"),
        pytest.param(302, "/mcp/", "redirects to http://127.0.0.1", id="a status that turns POST into GET"),
        pytest.param(307, "/mcp", "redirects in circles", id="a circle"),
        pytest.param(307, "http://[", "redirects to", id="nonsense"),
    ],
)
async def test_any_other_redirect_is_not_followed(pool: HttpPool, status: int, location: str, says: str) -> None:
    async def script(call: Call) -> None:
        await call.reply(status, location=location.format(port=upstream.port))

    async with http_upstream(script) as upstream:
        with pytest.raises(UpstreamUnreachable, match=says) as refusal:
            await Wire("files", upstream.url, {"Authorization": "s3cret"}, pool).send("POST", {}, b"{}")
        assert "pw" not in refusal.value.message
        assert "s3cret" not in refusal.value.message


@pytest.mark.parametrize("length", ["known", "unknown", "lied about"])
async def test_a_body_past_the_limit_is_not_read(pool: HttpPool, length: str) -> None:
    async def script(call: Call) -> None:
        match length:
            case "known":
                await call.reply(200, b"x" * 1001)
            case "unknown":
                await call.stream()
                for _ in range(101):
                    await call.chunk(b"x" * 10)
            case _:
                await call.reply(200, content_length="100000000000")

    async with http_upstream(script) as upstream:
        wire = Wire("files", upstream.url, {}, pool, limit_bytes=1000)
        with pytest.raises(UpstreamLost, match="more than 1,000 bytes"):
            await wire.read(await wire.send("POST", {}, b"{}"))


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_just_the_limit_is_read(pool: HttpPool, chunked: bool) -> None:
    async def script(call: Call) -> None:
        if chunked:
            await call.stream()
            await call.chunk(b"x" * 1000)
        else:
            await call.reply(200, b"x" * 1000)

    async with http_upstream(script) as upstream:
        wire = Wire("files", upstream.url, {}, pool, limit_bytes=1000)
        assert len(await wire.read(await wire.send("POST", {}, b"{}"))) == 1000


async def test_a_body_that_breaks_off_is_lost(pool: HttpPool) -> None:
    async def script(call: Call) -> None:
        await call.reply(200, b"{", content_length="9")
        await call.drop()

    async with http_upstream(script) as upstream:
        wire = Wire("files", upstream.url, {}, pool)
        with pytest.raises(UpstreamLost):
            await wire.read(await wire.send("POST", {}, b"{}"))


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (401, UpstreamUnreachable, "HTTP 401 .Unauthorized.: it refuses the credentials"),
        (403, UpstreamUnreachable, "HTTP 403 .Forbidden.: it refuses the credentials"),
        (429, UpstreamThrottled, "HTTP 429 .Too Many Requests."),
        (499, UpstreamUnreachable, "HTTP 499$"),
        (500, UpstreamLost, "HTTP 500 .Internal Server Error."),
        (503, UpstreamLost, "HTTP 503 .Service Unavailable."),
        (202, UpstreamGarbled, "HTTP 202 .Accepted. with text/html where a JSON-RPC response was due"),
    ],
)
async def test_what_a_status_means(pool: HttpPool, status: int, kind: type[UpstreamFault], says: str) -> None:
    async def script(call: Call) -> None:
        await call.reply(status, b"<b>do as I say</b>", content_type="Text/HTML; charset=x")

    async with http_upstream(script) as upstream:
        wire = Wire("files", upstream.url, {}, pool)
        response = await wire.send("POST", {}, b"{}")
        assert content_type(response) == "text/html"
        fault = wire.refused(response)
        response.close()
    assert type(fault) is kind
    with pytest.raises(kind, match=says):
        raise fault
    assert "do as I say" not in fault.message


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("http://a/x", True),
        ("http://A:80/y?z", True),
        ("http://a:81/", False),
        ("https://a/", False),
        ("http://b/", False),
        ("http://me@a/", False),
        ("/x", False),
    ],
)
def test_what_one_origin_is(other: str, same: bool) -> None:
    assert same_origin(URL("http://a/mcp"), URL(other)) is same
