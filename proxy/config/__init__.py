"""The configuration room: a file in, one frozen :class:`Config` out, or everything that is wrong with it at once.

``units`` reads amounts, ``secrets`` references, ``source`` YAML with places; ``models`` and its sections say what a
configuration is; ``judge`` and ``explain`` turn a bad one into findings; ``load`` is the only door to the disk.
"""

from fuseboard.config.auth import Auth, BearerToken
from fuseboard.config.enforcement import unenforced
from fuseboard.config.findings import ConfigInvalid, Finding
from fuseboard.config.guards import Limits, Milestone
from fuseboard.config.lint import lint, placed
from fuseboard.config.load import digest, find, load, wrapped
from fuseboard.config.models import Config
from fuseboard.config.rules import Decision, Rule
from fuseboard.config.secrets import Secret
from fuseboard.config.servers import HttpServer, Server, StdioServer, ToolFacts

__all__ = [
    "Auth",
    "BearerToken",
    "Config",
    "ConfigInvalid",
    "Decision",
    "Finding",
    "HttpServer",
    "Limits",
    "Milestone",
    "Rule",
    "Secret",
    "Server",
    "StdioServer",
    "ToolFacts",
    "digest",
    "find",
    "lint",
    "load",
    "placed",
    "unenforced",
    "wrapped",
]
