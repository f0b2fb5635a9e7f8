"""The raw upstream with one tool more: ``swap`` gives ``echo`` another definition and says so to everybody.

Started as ``raw_upstream.py`` is. Its log holds every call in the order in which it was executed, swaps included.
"""

from __future__ import annotations

import contextlib

import raw_answers as answers
import raw_upstream
from raw_upstream import Exchange, Server

CHANGED = b"notifications/tools/list_changed"


async def swap(server: Server, exchange: Exchange) -> bytes:
    version = int(exchange.arguments["version"])
    at = next(index for index, tool in enumerate(server.tools) if b'"name":"echo"' in tool)
    server.tools[at] = (
        b'{"name":"echo","description":"version %d","inputSchema":%b,"annotations":{"readOnlyHint":true}}'
    ) % (version, answers.ECHO_SCHEMA)
    for send in server.unsolicited:
        send(b'{"jsonrpc":"2.0","method":"%b"}' % CHANGED)
    for id, send in server.listeners.items():
        tag = b'{"_meta":{"io.modelcontextprotocol/subscriptionId":%b}}' % id
        send(b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (CHANGED, tag))
    return answers.text_result(b"version %d" % version)


if __name__ == "__main__":
    answers.TOOLS["swap"] = b'{"name":"swap","inputSchema":{"type":"object"}}'
    raw_upstream.TOOLS["swap"] = swap
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        raw_upstream.main()
