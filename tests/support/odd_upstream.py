"""A stdio server that misbehaves as its tools are told, and that can be asked about its own process.

    odd_upstream.py [--deaf] [--stubborn] [--chatty]

``--deaf`` never answers ``initialize``; ``--stubborn`` neither ends with its stdin nor at SIGTERM; ``--chatty`` prints
on stderr and, before anything is asked, junk on stdout.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

LINE = b'{"jsonrpc":"2.0","id":%b,"result":{"content":[],"x":%b}}'
TOOLS = ("good", "nan", "surrogate", "deep", "latin", "no_version", "neither", "batch", "no_json", "huge")
TOOLS += ("other_id", "twice", "half", "silent", "gone", "asks_nonsense")
TOOLS += ("environment", "pid", "spawn", "spawn_detached")


def main() -> None:
    options = sys.argv[1:]
    if "--stubborn" in options:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "--chatty" in options:
        sys.stderr.write("on stderr \u2028 \x1b[31mred\n" * 50)
        sys.stderr.flush()
        write(b"Starting up...")
        write(b"\x00\xff\xfe")
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" in message and "method" in message:
            answer(message, options)
    while "--stubborn" in options:
        time.sleep(3600)


def answer(message: dict[str, Any], options: list[str]) -> None:
    id = json.dumps(message["id"]).encode()
    match message["method"]:
        case "initialize" if "--deaf" in options:
            pass
        case "initialize":
            version = message["params"]["protocolVersion"]
            info = {"name": "odd", "version": "1"}
            reply(id, {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info})
        case "tools/list":
            reply(id, {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]})
        case "tools/call":
            call(message["params"]["name"], id, message["params"].get("arguments") or {})
        case method:
            error = {"code": -32601, "message": f"Method not found: {method}"}
            write(b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (id, json.dumps(error).encode()))


def call(name: str, id: bytes, arguments: dict[str, Any]) -> None:
    match name:
        case "nan":
            write(LINE % (id, b"NaN"))
        case "surrogate":
            write(LINE % (id, rb'"\ud800 half"'))
        case "deep":
            write(LINE % (id, b"[" * 10_000 + b"]" * 10_000))
        case "latin":
            write(LINE % (id, b'"\xe9"'))
        case "no_version":
            write(b'{"id":%b,"result":{"content":[]}}' % id)
        case "neither":
            write(b'{"jsonrpc":"2.0","id":%b}' % id)
        case "batch":
            write(b'[{"jsonrpc":"2.0","id":%b,"result":{"content":[]}}]' % id)
        case "no_json":
            write(b'{"jsonrpc":"2.0","id":%b,"result":{"content":[}}' % id)
        case "huge":
            write(LINE % (id, b'"' + b"x" * arguments["bytes"] + b'"'))
        case "other_id":
            write(LINE % (b'"who?"', b"1"))
            write(LINE % (b"1e999", b"1"))
            reply(id, said("after all"))
        case "twice":
            reply(id, said("once"))
            reply(id, said("twice"))
        case "half":
            sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%b,"resu' % id)
            sys.stdout.buffer.flush()
        case "silent":
            pass
        case "gone":
            sys.stderr.write("Segmentation fault, or so\n")
            sys.stderr.flush()
            os._exit(3)
        case "asks_nonsense":
            write(b'{"jsonrpc":"2.0","id":1.0,"method":"roots/list"}')
            write(b'{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{"name":1,"name":2}}')
            write(b'{"jsonrpc":"2.0","method":7}')
            reply(id, said("done"))
        case "environment":
            reply(id, said(json.dumps(dict(os.environ))))
        case "pid":
            reply(id, said(str(os.getpid())))
        case "spawn" | "spawn_detached":
            detached = name == "spawn_detached"
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
            child = subprocess.Popen(["sleep", "600"], start_new_session=detached, **quiet)
            reply(id, said(str(child.pid)))
        case _:
            reply(id, said("good"))


def said(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def reply(id: bytes, result: dict[str, Any]) -> None:
    write(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, json.dumps(result).encode()))


def write(frame: bytes) -> None:
    sys.stdout.buffer.write(frame + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
