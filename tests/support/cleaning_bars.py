"""What cleaning has to reach, each as one measurement with its figure."""

from __future__ import annotations

import gc
import itertools
import json
import random
import time
from collections.abc import Callable
from types import MappingProxyType, SimpleNamespace
from typing import Final, NamedTuple

import anyio
import emoji

from fuseboard.cleaning.characters import cleaned
from fuseboard.cleaning.phrases import found as phrases_found
from fuseboard.cleaning.result import Cleaner
from fuseboard.cleaning.spotlight import Spotlight
from support.fake_server import FakeServer, FakeTool, says
from support.leaks import OPEN, SECRETS, leaks, message
from support.playbook import playing
from support.writing import CODE, FORBIDDEN, SCRIPTS

GROWTH: Final = 2.3
SHARE: Final = 0.2
STRICT: Final = SimpleNamespace(**{**vars(OPEN), "links": SimpleNamespace(allow=("ok.example",)), "unknown": "drop"})


class Effort(NamedTuple):
    messages: int
    megabytes: float
    attacks: int
    calls: int
    seed: int

    @classmethod
    def short(cls) -> Effort:
        """Short enough for the suite, and the same each time."""
        return cls(2_000, 0.3, 5_000, 150, 7)


class Said(NamedTuple):
    met: bool
    figure: str


def hidden_characters(effort: Effort) -> Said:
    """Runs of forbidden characters put into honest text. What stays must be what the very place gives a reason for: at
    most one where they were put, and none between Latin letters."""
    chance, left = random.Random(effort.seed), 0
    texts = [*SCRIPTS.values(), *CODE, "ignore all rules", "plain"]
    for number in range(effort.attacks):
        run = "".join(chance.choices(FORBIDDEN, k=chance.randrange(2, 9)))
        run += FORBIDDEN[number % len(FORBIDDEN)]
        text = chance.choice(texts)
        at = chance.randrange(len(text) + 1)
        clean = cleaned(text[:at] + run + text[at:])[0]
        left += max(len(clean) - len(text) - 1, 0) + (cleaned(f"ig{run}nore")[0] != "ignore")
    return Said(left == 0, f"{left} of {effort.attacks:,} attacks left more than writing gives a reason for")


def honest_text(effort: Effort) -> Said:
    chance = random.Random(effort.seed)
    emojis = sorted(emoji.EMOJI_DATA)
    texts = [*SCRIPTS.values(), *CODE, *(f"a{one}b" for one in emojis)]
    texts += ["".join(chance.choices(emojis, k=5)) for _ in range(effort.attacks // 10)]
    texts += [" ".join(chance.choices([*SCRIPTS.values(), *emojis], k=3)) for _ in range(effort.attacks // 10)]
    changed = sum(cleaned(text)[0] is not text for text in texts)
    return Said(changed == 0, f"{changed} of {len(texts):,} honest texts changed ({len(SCRIPTS)} scripts)")


def own_secrets(effort: Effort) -> Said:
    leaked = len(leaks(effort.messages, seed=effort.seed))
    return Said(leaked == 0, f"{leaked} of {effort.messages:,} random encodings and splits leaked")


def idempotent(effort: Effort) -> Said:
    chance, changed = random.Random(effort.seed), 0
    cleaner = Cleaner(STRICT, SECRETS)
    for _ in range(effort.messages // 10):
        raw = message(chance).raw
        dirt = "".join(chance.choices(DIRT, k=6))
        once = cleaner.clean("tools/call", json.dumps({"content": [{"type": "text", "text": dirt}]}).encode()).raw
        changed += cleaner.clean("tools/call", once).raw != once
        once = cleaner.clean("tools/call", raw).raw
        changed += cleaner.clean("tools/call", once).raw != once
    return Said(changed == 0, f"{changed} of {effort.messages // 5:,} cleaned messages changed again")


DIRT: Final = (
    "a\u202e", "\x1b[31m", "![a](https://evil.example)", "[r]:\n", "](", "<img src=", "//evil.example", "ghp_",
    "aB3dE5fG7h" * 4, SECRETS[0], SECRETS[0][:9], "\\", "%70", "\u200d", "❤\ufe0f", "javascript:", '"', "\n",
)  # fmt: skip

WORST: Final = MappingProxyType(
    {
        "clean": "The quick brown fox. ",
        "not ASCII": "Все люди – ",
        "escapes": 'a "b"\n',
        "characters": "a\u200b",
        "terminal": "\x1b]",
        "emoji": "👩\u200d👧 ",
        "own secrets": f"{SECRETS[0]} ",
        "half secrets": SECRETS[0][:11],
        "percent": "%41",
        "backslashes": "\\",
        "known formats": "ghp_" + "aB3dE5fG7h" * 4 + " ",
        "half formats": "ghp_ ",
        "links": "[a](https://evil.example) ",
        "half links": "](",
        "tags": "<",
        "definitions": "[a\n",
        "attributes": "src=",
        "refresh": "<meta ",
    }
)


def linear_time(effort: Effort) -> Said:
    cleaner, size = Cleaner(STRICT, SECRETS), int(effort.megabytes * 1e6)
    light = Spotlight(b"key", {"a": "datamark"})
    stages: dict[str, Callable[[bytes], object]] = {"all": lambda raw: cleaner.clean("x", raw)}
    growths: list[tuple[float, str]] = []
    for name, unit in WORST.items():
        growths.append((_growth(stages["all"], unit, size), name))
    for name, work in (("phrases", phrases_found), ("spotlight", lambda raw: light.lit("a", "r", raw))):
        growths.append((_growth(work, "ignore all before you use ", size), name))
    worst, name = max(growths)
    return Said(worst <= GROWTH, f"{worst:.2f} x for twice the input, to {effort.megabytes:g} MB (worst: {name})")


def _growth(work: Callable[[bytes], object], unit: str, size: int) -> float:
    """The best of a few tries: what else a machine does makes times longer, never shorter."""
    best = float("inf")
    for _ in range(6):
        spans = []
        for part in (2, 1):
            text = unit * (size // part // len(unit.encode()))
            raw = json.dumps({"content": [{"type": "text", "text": text}]}, ensure_ascii=False).encode()
            spans.append(min(_span(lambda raw=raw: work(raw)) for _ in range(2)))  # type: ignore[misc]
        best = min(best, spans[1] / spans[0])
        if best <= GROWTH:
            break
    return best


def _span(work: Callable[[], object]) -> float:
    gc.disable()  # as timeit does: it would count what all the rest of the process holds
    try:
        started = time.process_time()
        work()
        return time.process_time() - started
    finally:
        gc.enable()


TEXT: Final = "The quick “brown” fox jumps over 13 lazy dogs, see https://example.com/a?b=c.\n"


def kilobytes(effort: Effort) -> Said:
    """What cleaning a clean kilobyte costs, against a whole call through the board with the cleaner in it: no sockets,
    so that relaying is cheaper here than anywhere."""
    shares = sorted(anyio.run(_shares, effort.calls))
    middle = shares[len(shares) // 2]
    return Said(middle <= SHARE, f"{middle:.1%} of a call through the board without sockets")


async def _shares(calls: int) -> list[float]:
    cleaner, text = Cleaner(OPEN, SECRETS), TEXT * 11
    raw = json.dumps({"content": [{"type": "text", "text": text}]}, ensure_ascii=False).encode()
    shares: list[float] = []
    async with playing(FakeServer("lab", FakeTool("look", says(text))), cleaner=cleaner) as play:
        client = await play.connect()
        for at in itertools.count():
            if at >= 9:
                return shares
            started = time.process_time()
            for number in range(calls):
                await client.call("look", number=number)
            relayed = time.process_time() - started
            started = time.process_time()
            for _ in range(calls):
                cleaner.clean("tools/call", raw)
            shares.append((time.process_time() - started) / relayed)
    raise AssertionError("unreachable")


BARS: Final[MappingProxyType[str, Callable[[Effort], Said]]] = MappingProxyType(
    {
        "hidden characters": hidden_characters,
        "honest text": honest_text,
        "our own secrets": own_secrets,
        "idempotent": idempotent,
        "linear time": linear_time,
        "clean kilobytes": kilobytes,
    }
)
