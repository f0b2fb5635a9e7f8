"""FastMCP's own proxy, as its documentation builds it. Runs in whatever Python has ``fastmcp``.

fastmcp_proxy.py (--port PORT | --stdio) --servers FILE
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--stdio", action="store_true")
parser.add_argument("--servers", type=Path, required=True)
options = parser.parse_args()

logging.disable(logging.WARNING)
from fastmcp.server import create_proxy  # noqa: E402

proxy = create_proxy(json.loads(options.servers.read_text()), name="bench")
if options.stdio:
    proxy.run(transport="stdio", show_banner=False)
else:
    uvicorn_config = {"access_log": False, "backlog": 4096}
    proxy.run(
        transport="http",
        host="127.0.0.1",
        port=options.port,
        show_banner=False,
        log_level="error",
        uvicorn_config=uvicorn_config,
        json_response=True,
    )
