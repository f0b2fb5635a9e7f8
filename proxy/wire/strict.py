"""One strict parse: a message that two parsers could read differently is refused, so what is judged is what is sent.

Every parser in use keeps the last of two equal keys silently, and some peers match keys without regard to case: either
lets a request be judged as one thing and run as another (CVE-2026-27896 was of that kind).
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Collection
from typing import Any, Final, NoReturn

from fuseboard.errors import INVALID_REQUEST, PARSE_ERROR, ProtocolFault

_USUAL = frozenset({"jsonrpc", "id", "method", "params", "name", "arguments", "_meta"})
"""Keys of nearly every message, no two of which are near twins."""

_DIGITS: Final = 400
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        _refuse_twins(pairs)
    return value


def _folding_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        _refuse_twins(pairs)
    if len(value) > 1 and not _USUAL.issuperset(value):
        keys = "".join(value)
        if not (keys.islower() and keys.isascii()):  # else they are what they fold to, and distinct already
            _refuse_near_twins(list(value), ascii_only=keys.isascii())
    return value


def _refuse_twins(pairs: list[tuple[str, Any]]) -> NoReturn:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    raise ProtocolFault(INVALID_REQUEST, f"the key {key!r} stands twice in one object; send it once")


def _refuse_near_twins(keys: list[str], *, ascii_only: bool) -> None:
    """Refuse two keys that are one to a reader without regard to letter case, as Go's is and many another."""
    if len(set(map(str.lower if ascii_only else fold, keys))) == len(keys):
        return
    seen: dict[str, str] = {}
    for key in keys:
        if (twin := seen.setdefault(fold(key), key)) is not key:
            message = f"the keys {twin!r} and {key!r} of one object are one key to some readers; send only one of them"
            raise ProtocolFault(INVALID_REQUEST, message)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ProtocolFault(INVALID_REQUEST, f"the number {text[:40]} is too large to be read the same way everywhere")
    return value


def _int(text: str) -> int:
    if len(text) > _DIGITS:
        raise ProtocolFault(INVALID_REQUEST, f"an integer of {len(text)} digits; at most {_DIGITS} are accepted")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise ProtocolFault(PARSE_ERROR, f"{text} is not JSON")


def _decoder(
    hook: Callable[[list[tuple[str, Any]]], dict[str, Any]], parse_int: Callable[[str], int]
) -> Callable[[str], Any]:
    return json.JSONDecoder(
        object_pairs_hook=hook, parse_float=_float, parse_int=parse_int, parse_constant=_constant
    ).decode


_DECODE = _decoder(_folding_object, _int)
_DECODE_LOWER_CASE = _decoder(_object, _int)
_DECODE_SHORT_LOWER_CASE = _decoder(_object, int)


def parse(data: bytes, *, depth: int) -> Any:
    """Parse JSON that every parser reads alike.

    Raises:
        ProtocolFault: not JSON, a key twice in an object (be it in other letter case), NaN or an infinite number, a
            lone surrogate, bytes that are not UTF-8, or more than ``depth`` levels of nesting.
    """
    try:
        # Where all is lower-case ASCII, unescaped, no two keys can be near twins: no need to look at each object. Nor
        # can a number be longer than the text.
        escaped = b"\\" in data
        if escaped or not (data.islower() and data.isascii()):
            decode = _DECODE
        else:
            decode = _DECODE_SHORT_LOWER_CASE if len(data) <= _DIGITS else _DECODE_LOWER_CASE
        value = decode(data.decode())
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
    if escaped and _SURROGATE_ESCAPE.search(data):
        _refuse_lone_surrogates(value)
    return value


def refuse_near_misses(keys: Collection[str], known: frozenset[str]) -> None:
    """Refuse keys that only a lenient parser would take for one of ``known`` (other letter case, look-alike letters).

    Raises:
        ProtocolFault: names the key that was found and the one that was meant.
    """
    if known.issuperset(keys):
        return
    strange = [key for key in keys if key not in known]
    meant = {fold(name): name for name in known}
    for key in strange:
        if (exact := meant.get(fold(key))) is not None:
            raise ProtocolFault(INVALID_REQUEST, f"the key {key!r} is not {exact!r}; send it exactly as {exact!r}")


def fold(key: str) -> str:
    """What two names that only look or spell alike have in common."""
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
