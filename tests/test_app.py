"""The composition root: a configuration in, a running proxy out, with real children, a real ledger and a real port."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from fuseboard import app
from fuseboard.config import Config, ConfigInvalid, load
from fuseboard.era import Era
from fuseboard.errors import ConfigError
from fuseboard.gateway import Board
from fuseboard.ports import Origin
from support.frame_log import FrameLog
from support.playbook import FakeClient, RpcError
from support.servers import raw_command, raw_http
from support.system import alive, children, eventually

GHOST = {"command": "no-such-program-anywhere"}


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    command = raw_command(FrameLog(tmp_path / "frames.jsonl"))
    return {"command": command[0], "args": command[1:]}


def configured(folder: Path, config: dict[str, Any], **env: str) -> Config:
    path = folder / "fuseboard.yaml"
    path.write_text(json.dumps(config))
    return load(path, env=env)


async def met(core: Board, era: Era = Era.HANDSHAKE) -> FakeClient:
    client = FakeClient(core, era, Origin("local", "stdio"), {})
    if era is Era.HANDSHAKE:
        await client.initialize()
    return client


def ledger(path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        rows = [row for table in tables for row in database.execute(f"select * from {table}")]
    database.close()
    return rows


async def test_a_call_goes_to_a_real_child_and_its_record_outlives_the_board(tmp_path: Path, raw: Any) -> None:
    async with app.board(configured(tmp_path, {"servers": {"raw": raw}}), tmp_path) as core:
        answer = await (await met(core)).call("echo", text="hi")
        assert answer["content"][0]["text"] == "hi"
    assert any("echo" in row for row in ledger(tmp_path / "ledger.db"))


async def test_the_end_of_the_board_is_the_end_of_its_children(tmp_path: Path, raw: Any) -> None:
    async with app.board(configured(tmp_path, {"servers": {"raw": raw}, "store": "memory"}), tmp_path) as core:
        await (await met(core)).listed()
        await (await met(core, Era.STATELESS)).listed()
        started = _children()
        assert len(started) == 2
    await eventually(lambda: not any(map(alive, started)))


def _children() -> Sequence[int]:
    return children(os.getpid())


async def test_one_server_keeps_its_names_and_several_get_theirs_before_them(tmp_path: Path, raw: Any) -> None:
    async with app.board(configured(tmp_path, {"servers": {"a": raw}, "store": "memory"}), tmp_path) as core:
        assert "echo" in await (await met(core)).listed()
    servers = {"a": raw, "b": raw, "ghost": GHOST}
    async with app.board(configured(tmp_path, {"servers": servers, "store": "memory"}), tmp_path) as core:
        names = await (await met(core)).listed()
        assert {"a__echo", "b__echo"} <= set(names)
        assert "no-such-program" in core.health()["ghost"]["error"]


async def test_the_rules_and_the_mode_of_the_configuration_hold(tmp_path: Path, raw: Any) -> None:
    config = {"servers": {"raw": raw}, "store": "memory", "rules": [{"id": "no", "tools": "*", "decide": "deny"}]}
    async with app.board(configured(tmp_path, config), tmp_path) as core:
        client = await met(core)
        assert await client.listed() == []
        _, decision = await client.refusal("echo")
        assert decision["rule"] == "no"
    async with app.board(configured(tmp_path, {**config, "mode": "observe"}), tmp_path) as core:
        assert "isError" not in await (await met(core)).call("echo")


async def test_a_secret_of_ours_is_nowhere_in_the_ledger(tmp_path: Path, raw: Any) -> None:
    config = {"servers": {"raw": {**raw, "env": {"TOKEN": "${env:OUR_TOKEN}"}}}}
    async with app.board(configured(tmp_path, config, OUR_TOKEN="s3cret-t0ken"), tmp_path) as core:
        client = await met(core)
        await client.call("echo", text="the token is s3cret-t0ken")
        with pytest.raises(RpcError):
            await client.call("nobody", text="s3cret-t0ken")
    rows = ledger(tmp_path / "ledger.db")
    assert rows
    assert "s3cret" not in repr(rows)


@pytest.mark.parametrize("store", ["postgres://host/db", "redis://host"])
async def test_a_store_that_this_version_lacks_is_refused_at_the_start(store: str, tmp_path: Path, raw: Any) -> None:
    with pytest.raises(ConfigError, match="is not supported by this version"):
        async with app.board(configured(tmp_path, {"servers": {"raw": raw}, "store": store}), tmp_path):
            pass


async def test_a_rule_that_cannot_be_compiled_is_refused_at_its_place(tmp_path: Path, raw: Any) -> None:
    config = {"servers": {"raw": raw}, "rules": [{"id": "broken", "when": "context.args.x ==", "decide": "deny"}]}
    with pytest.raises(ConfigInvalid) as refused:
        async with app.board(configured(tmp_path, config), tmp_path):
            pass
    assert refused.value.findings


async def test_probing_asks_everybody_side_by_side_and_leaves_nothing_running(tmp_path: Path, raw: Any) -> None:
    log = FrameLog(tmp_path / "http.jsonl")
    old = {**raw, "args": [*raw["args"], "--eras", "handshake"]}
    async with raw_http(log) as base:
        sse = {"url": f"{base}/sse", "type": "sse"}
        servers = {"raw": raw, "old": old, "ghost": GHOST, "sse": sse, "http": {"url": f"{base}/mcp"}}
        before = set(_children())
        found = {probe.alias: probe for probe in await app.probe(configured(tmp_path, {"servers": servers}))}
        await eventually(lambda: set(_children()) <= before)
    assert list(found) == list(servers)
    assert {alias: probe.era for alias, probe in found.items()} == {
        "raw": Era.STATELESS,
        "old": Era.HANDSHAKE,
        "ghost": None,
        "sse": Era.HANDSHAKE,
        "http": Era.STATELESS,
    }
    assert not found["ghost"].ok
    assert "echo" in [tool.name for tool in found["sse"].tools]


async def test_probing_some_starts_none_of_the_others(tmp_path: Path, raw: Any) -> None:
    servers = {"one": raw, "other": {"command": "/not/there"}}
    with anyio.fail_after(20):
        (found,) = await app.probe(configured(tmp_path, {"servers": servers}), only=("one",))
    assert (found.alias, found.error) == ("one", None)


async def test_over_http_it_says_its_port_when_it_is_ready_and_asks_for_the_token(tmp_path: Path, raw: Any) -> None:
    auth = {"bearer": {"ada": {"token": "${env:ADA_TOKEN}"}}}
    config = configured(tmp_path, {"servers": {"raw": raw}, "auth": auth}, ADA_TOKEN="a-long-enough-token")
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await app.serve_http(config, tmp_path, "127.0.0.1", 0, ready=bound.set_result)

        tasks.start_soon(serve)
        with anyio.fail_after(15):
            base = f"http://127.0.0.1:{await bound}"
            async with aiohttp.ClientSession() as http:
                while not (ready := await _json(http, f"{base}/readyz"))["ready"]:  # noqa: ASYNC110
                    await anyio.sleep(0.02)
                assert ready == {"ready": True}  # who asks without a token learns no more
                async with http.post(f"{base}/mcp", json={}) as refused:
                    assert refused.status == 401
                bearer = {"Authorization": "Bearer a-long-enough-token"}
                async with http.post(f"{base}/mcp", json={}, headers=bearer) as let_in:
                    assert let_in.status in (400, 406)
        tasks.cancel_scope.cancel()


async def _json(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url) as response:
        return await response.json()
