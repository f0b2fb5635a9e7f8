"""Who answers at this machine: the user of the operating system, as the trace will name them."""

from __future__ import annotations

import getpass


def operator() -> str:
    """Where the system has no name for the user, as in a bare container, one stands for all."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "operator"
