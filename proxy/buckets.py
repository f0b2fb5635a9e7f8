"""Buckets of tokens: what may be spent on something that must stay a small part of the whole. Pure.

A bucket is a JSON array ``[tokens, at, taken_at]``: how many were in it at ``at``, and when one was taken out last. It
fills in two ways, after Finagle's and Linkerd's retry budgets: slowly by itself, so that whoever comes rarely is served
too, and by a part of a token with each piece of the work that it is to stay a part of.

The store applies writes by :func:`drawn` and policies read buckets by the others, so both count alike.
"""

from __future__ import annotations

from typing import Any, Final

from fuseboard.state import Draw

_ROUNDING: Final = 1e-9
"""Ten deposits of a tenth are one token, whatever binary fractions make of it."""


def tokens(bucket: Any, write: Draw, *, at: float) -> float:
    """What is in it at ``at``; ``write`` says how it fills."""
    if bucket is None:
        return write.floor
    held: float = bucket[0]
    if held >= write.floor:
        return min(held, write.most)
    since: float = bucket[1]
    return min(write.floor, held + write.rate_per_s * max(0.0, at - since))


def drawn(bucket: Any, write: Draw, *, at: float) -> list[float] | None:
    """The bucket after a write, ``None`` where too little is in it."""
    left = tokens(bucket, write, at=at) - write.amount
    if write.amount > 0 and left < -_ROUNDING:
        return None
    now = at if bucket is None else max(at, bucket[1])
    taken_at = now if write.amount > 0 or bucket is None else bucket[2]
    return [max(0.0, min(left, write.most)), now, taken_at]


def wait_s(bucket: Any, write: Draw, *, at: float) -> float:
    """How long until it can be drawn if nobody else does and nothing is put in; 0 where it can now."""
    short = write.amount - tokens(bucket, write, at=at)
    if short <= _ROUNDING:
        return 0.0
    return short / write.rate_per_s if write.rate_per_s > 0 else float("inf")


def quiet_s(bucket: Any, *, at: float) -> float:
    """How long ago something was taken out of it; endless where nobody ever did."""
    return float("inf") if bucket is None else max(0.0, at - float(bucket[2]))
