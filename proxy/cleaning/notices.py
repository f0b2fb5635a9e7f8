"""Notifications that are too long: what makes them so is left out, and said to be. Pure.

Nobody waits for a notification, so that none can be looked through beside the loop, as a long result is: it is bounded
before it is looked into.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fuseboard.wire import splice

_SMALL_BYTES: Final = 1000


def bounded(params: bytes, most_bytes: int) -> bytes:
    """The parameters with a notice in the place of each long field, where they are longer than ``most_bytes``."""
    if len(params) <= most_bytes:
        return params
    try:
        fields = splice.fields(params)
    except msgspec.MsgspecError:
        return b"{}"
    reason = f"left out: the message had {len(params):,} bytes, and {most_bytes:,} are passed on"
    notice = splice.raw(f"[fuseboard: {reason}]")
    few = {name: notice if len(field) > _SMALL_BYTES else field for name, field in fields.items()}
    return splice.join(few) if len(few) * _SMALL_BYTES <= most_bytes else b"{}"
