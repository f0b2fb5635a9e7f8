"""The raw upstream with one tool more: ``work`` fails with an internal error as long as the file ``$SICK`` is there.

Started as ``raw_upstream.py`` is.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import raw_answers as answers
import raw_upstream
from raw_upstream import Exchange, Server, fault


def sick() -> bool:
    return Path(os.environ["SICK"]).exists()


async def work(server: Server, exchange: Exchange) -> bytes:
    if sick():
        raise fault(-32603, "internal error")
    return answers.text_result(b"done")


if __name__ == "__main__":
    answers.TOOLS["work"] = b'{"name":"work","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}'
    raw_upstream.TOOLS["work"] = work
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        raw_upstream.main()
