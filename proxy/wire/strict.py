"""One strict parse: a message that two parsers could read differently is refused, so what is judged is what is sent.

Every parser in use keeps the last of two equal keys silently, and some peers match keys without regard to case: either
lets a request be judged as one thing and run as another (CVE-2026-27896 was of that kind).
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, NoReturn

from fuseboard.errors import INVALID_REQUEST, PARSE_ERROR, ProtocolFault

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ProtocolFault(INVALID_REQUEST, f"the key {key!r} stands twice in one object; send it once")
            seen.add(key)
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ProtocolFault(INVALID_REQUEST, f"the number {text[:40]} is too large to be read the same way everywhere")
    return value


def _int(text: str) -> int:
    if len(text) > 400:
        raise ProtocolFault(INVALID_REQUEST, f"an integer of {len(text)} digits; at most 400 are accepted")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise ProtocolFault(PARSE_ERROR, f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)


def parse(data: bytes, *, depth: int) -> Any:
    """Parse JSON that every parser reads alike.

    Raises:
        ProtocolFault: not JSON, a key twice in an object, NaN or an infinite number, a lone surrogate, bytes that are
            not UTF-8, or more than ``depth`` levels of nesting.
    """
    try:
        value = _DECODER.decode(data.decode())
    except UnicodeDecodeError as fault:
        raise ProtocolFault(PARSE_ERROR, f"byte {fault.start} is not UTF-8") from None
    except RecursionError:
        raise _too_deep(depth) from None
    except ValueError as fault:
        raise ProtocolFault(PARSE_ERROR, f"not JSON: {fault}") from None
    # Fewer brackets than levels allowed cannot nest too deep: the walk is for the rare rest.
    if data.count(b"{") + data.count(b"[") > depth and _deeper_than(value, depth):
        raise _too_deep(depth)
    # After the depth: encoding recurses, and the stack may end a little earlier for it than it did for decoding.
    if _SURROGATE_ESCAPE.search(data):
        _refuse_lone_surrogates(value)
    return value


def refuse_near_misses(keys: Iterable[str], known: frozenset[str]) -> None:
    """Refuse keys that only a lenient parser would take for one of ``known`` (other letter case, look-alike letters).

    Raises:
        ProtocolFault: names the key that was found and the one that was meant.
    """
    if not (strange := [key for key in keys if key not in known]):
        return
    meant = {_fold(name): name for name in known}
    for key in strange:
        if (exact := meant.get(_fold(key))) is not None:
            raise ProtocolFault(INVALID_REQUEST, f"the key {key!r} is not {exact!r}; send it exactly as {exact!r}")


def _fold(key: str) -> str:
    return unicodedata.normalize("NFKC", key).casefold()


def _too_deep(depth: int) -> ProtocolFault:
    return ProtocolFault(INVALID_REQUEST, f"nested deeper than {depth} levels")


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ProtocolFault(PARSE_ERROR, "a string holds half of a surrogate pair, which is no character") from None


def _deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        level = [node for node in level if isinstance(node, dict | list)]
        if not level:
            return False
        level = [child for node in level for child in (node.values() if isinstance(node, dict) else node)]
    return True
