import json
import sys
from pathlib import Path

import pytest

from support.frame_log import FrameLog
from support.proxy import fuseboard, wrap_command, wrapped
from support.raw_transports import pipe
from support.servers import raw_command

ECHO = ["cat"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["wrap"], "name the server", id="wrap needs a server"),
        pytest.param(["wrap", "--http", "8080", "--", "cat"], "127.0.0.1:8080", id="an address needs host and port"),
        pytest.param(["wrap", "--http", "127.0.0.1:99999", "--", "cat"], "write it like", id="a port ends at 65535"),
        pytest.param(
            ["wrap", "--http", "0.0.0.0:8080", "--", "cat"], "needs `auth:`", id="an open door needs a doorman"
        ),
        pytest.param(
            ["wrap", "--http", "[::]:8080", "--", "cat"], "needs `auth:`", id="the open door of IPv6 needs one too"
        ),
        pytest.param(["wrap", "--env", "A", "--", "cat"], "NAME=VALUE", id="a variable needs a value"),
        pytest.param(
            ["wrap", "--env", "A=${env:NOT_SET_HERE}", "--", "cat"],
            "NOT_SET_HERE is not set",
            id="a reference to nothing",
        ),
        pytest.param(["wrap", "--header", "A=${file:nowhere}", "http://127.0.0.1:1"], "nowhere", id="no such file"),
        pytest.param(["wrap", "--name", "a__b", "--", "cat"], "a__b", id="a name must not look like a tool's prefix"),
        pytest.param(["wrap", "ftp://host/x"], "http://", id="a URL of another kind is no command"),
        pytest.param(["wrap", "http://host/mcp", "more"], "not both", id="a URL has no arguments"),
        pytest.param(["wrap", "--header", "A=b", "--", "cat"], "--env", id="a command has no headers"),
        pytest.param(["wrap", "--env", "A=b", "http://host/mcp"], "--env is for", id="a URL has no environment"),
        pytest.param(["wrap", "--sse", "--", "cat"], "--sse is for", id="a pipe is no event stream"),
        pytest.param(["serve", "--stdio", "--http", "127.0.0.1:1"], "exclude", id="one face at a time"),
        pytest.param(["serve", "--config", "nowhere.yaml"], "nowhere.yaml", id="a missing file is named"),
        pytest.param(["serve", "--nonsense"], "--nonsense", id="an unknown option is named"),
    ],
)
async def test_a_wrong_call_is_refused_with_exit_code_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = await fuseboard(*arguments, state=tmp_path, ok=False)
    assert done.returncode == 2
    assert done.stdout == b""
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    command = raw_command(FrameLog(tmp_path / "upstream.log"))
    async with wrapped(command, tmp_path, front="http") as proxy:
        address = f"127.0.0.1:{proxy.port}"
        done = await fuseboard("wrap", "--http", address, "--", *command, state=tmp_path / "other", ok=False)
    assert done.returncode == 2
    assert address in done.stderr.decode()
    assert "in use" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


async def test_keys_that_are_not_enforced_are_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("store: redis://h\n")
    done = await fuseboard("wrap", "--config", str(tmp_path / "rules.yaml"), "--", "cat", state=tmp_path, ok=False)
    assert done.returncode == 2
    assert "not enforced by this version: store" in done.stderr.decode()


RULES = "rules: [{id: r, tools: files__*, decide: deny}]\n"


async def test_rules_for_a_server_of_another_name_are_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    done = await fuseboard("wrap", "--config", str(tmp_path / "rules.yaml"), "--", "cat", state=tmp_path, ok=False)
    assert done.returncode == 2
    assert "--name files" in done.stderr.decode()


async def test_stdin_from_nowhere_ends_it_in_order(tmp_path: Path) -> None:
    done = await fuseboard("wrap", "--", "cat", state=tmp_path)
    assert done.returncode == 0


async def test_a_secret_comes_by_reference_and_a_slip_does_not_show_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    odd = [sys.executable, str(Path(__file__).parents[1] / "support/odd_upstream.py")]
    given = ["--env", f"ONE=${{file:{tmp_path / 'token'}}}", "--env", "TWO=a ${env:OUR_TOKEN}", "--env", "THREE=$${x}"]
    command = wrap_command(odd, tmp_path / "state", options=given)
    async with pipe(command, tmp_path / "log", env={"OUR_TOKEN": "s3cret"}) as client:
        environment = json.loads(json.loads(await client.call("environment"))["result"]["content"][0]["text"])
    assert [environment[name] for name in ("ONE", "TWO", "THREE")] == ["«secret»", "a «secret»", "${x}"]
    done = await fuseboard("wrap", "--header", "Authorization: s3cret", "http://127.0.0.1:1", state=tmp_path, ok=False)
    assert b"s3cret" not in done.stderr
