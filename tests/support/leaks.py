"""Messages that hold a secret of ours, encoded and split at random, and a judge of whether it is still in there."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, quote_plus, unquote_to_bytes

from fuseboard.cleaning.result import Cleaner

SECRETS = (
    "plainsecret0123456789",
    "p@ss/w+rd=&?#%41 ü",
    'quo"te\\back\\nslash',
    "Zm9vYmFyYmF6cXV4eA==",
    "ключ-от-всего",
)
OPEN = SimpleNamespace(
    max_bytes=10**9,
    invisible="strip",
    arguments="clean",
    phrases="off",
    redact=("secrets",),
    links=SimpleNamespace(allow=("*",)),
    media="check",
    unknown="relay",
)

_ESCAPE = re.compile(r'(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]')

Way: TypeAlias = Callable[[str, random.Random], str]


def _plain(secret: str, chance: random.Random) -> str:
    return secret


def _base64(secret: str, chance: random.Random) -> str:
    around = chance.randbytes(chance.randrange(0, 9)), chance.randbytes(chance.randrange(0, 9))
    encode = chance.choice((base64.b64encode, base64.urlsafe_b64encode))
    return encode(around[0] + secret.encode() + around[1]).decode()


def _wrapped(secret: str, chance: random.Random) -> str:
    text, width = _base64(secret, chance), chance.randrange(4, 20)
    return "\n".join(text[at : at + width] for at in range(0, len(text), width))


def _hex(secret: str, chance: random.Random) -> str:
    digits = secret.encode().hex()
    return chance.choice((digits, digits.upper()))


def _url(secret: str, chance: random.Random) -> str:
    return chance.choice((quote(secret), quote(secret, safe=""), quote_plus(secret)))


def _percent(secret: str, chance: random.Random) -> str:
    """Any character may be encoded, in digits large or small."""
    return "".join(
        chr(byte) if byte < 128 and byte != 37 and chance.random() < 0.5 else chance.choice(("%%%02x", "%%%02X")) % byte
        for byte in secret.encode()
    )


def _json(secret: str, chance: random.Random) -> str:
    """Inside a string of JSON, which is the text: any character may be escaped."""
    return "".join(
        "".join(f"\\u{int.from_bytes(pair, 'big'):04x}" for pair in _utf16(one))
        if chance.random() < 0.4
        else json.dumps(one, ensure_ascii=chance.random() < 0.5)[1:-1]
        for one in secret
    )


def _utf16(one: str) -> list[bytes]:
    raw = one.encode("utf-16-be")
    return [raw[at : at + 2] for at in range(0, len(raw), 2)]


def ways() -> Sequence[Way]:
    return (_plain, _base64, _wrapped, _hex, _url, _percent, _json)


class Message(NamedTuple):
    raw: bytes
    secret: str
    encoded: str

    def leaks(self, raw: bytes) -> bool:
        """Whether the strings of a message, read in a row in any of the usual ways, still spell it."""
        value = json.loads(raw)
        said = ["".join(_strings(value, keys=keys)) for keys in (False, True)]
        return any(self.secret.encode() in read for text in said for read in _readings(text))


def _readings(text: str) -> Iterator[bytes]:
    """A text as any decoder would read it: found by decoding, where the cleaner searches for the encoded."""
    dense = re.sub(r"\s", "", text)
    yield text.encode()
    yield dense.encode()
    yield unquote_to_bytes(text)
    yield _ESCAPE.sub(lambda found: json.loads(f'"{found[0]}"'), text).encode("utf-8", "replace")
    for run in re.findall(r"[0-9A-Fa-f]{8,}", dense):
        yield from (bytes.fromhex(run[at:][: len(run[at:]) // 2 * 2]) for at in (0, 1))
    for run in re.findall(r"[A-Za-z0-9+/]{8,}", dense.replace("-", "+").replace("_", "/")):
        yield from (base64.b64decode(run[at:][: len(run[at:]) // 4 * 4]) for at in range(4))


def _strings(value: Any, *, keys: bool) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for inner in value for text in _strings(inner, keys=keys)]
    if isinstance(value, dict):
        skipped = {"type", "mimeType"}
        return [
            text
            for key, inner in value.items()
            if key not in skipped
            for text in ([key] if keys and key not in ("content", "text", "structuredContent") else [])
            + _strings(inner, keys=keys)
        ]
    return []


def message(chance: random.Random) -> Message:
    secret = chance.choice(SECRETS)
    encoded = chance.choice(ways())(secret, chance)
    text = f"{chance.choice(('', 'token: ', 'Zm9v', '日本 '))}{encoded}{chance.choice(('', ' end', '.'))}"
    pieces = _split(text, chance.choice((1, 1, 2, 3, 5)), chance)
    if chance.random() < 0.5:
        value: dict[str, Any] = {"content": [{"type": "text", "text": piece} for piece in pieces]}
    elif len(pieces) == 1 and chance.random() < 0.5:
        value = {"content": [], "structuredContent": {"rows": [{text: 1}]}}
    else:
        value = {"content": [], "structuredContent": {f"k{at}": piece for at, piece in enumerate(pieces)}}
    ascii_only = chance.random() < 0.5
    return Message(json.dumps(value, ensure_ascii=ascii_only).encode(), secret, encoded)


def _split(text: str, parts: int, chance: random.Random) -> list[str]:
    cuts = sorted(chance.sample(range(1, len(text)), min(parts - 1, len(text) - 1)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def leaks(count: int, *, seed: int) -> list[Message]:
    """Those of ``count`` messages from which the secret did not go."""
    chance = random.Random(seed)
    cleaner = Cleaner(OPEN, SECRETS)
    made = (message(chance) for _ in range(count))
    return [one for one in made if one.leaks(cleaner.clean("tools/call", one.raw).raw)]
