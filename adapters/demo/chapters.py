"""The story that ``fuseboard demo`` tells. Each thing that Fuseboard does has its chapter; a new one goes below."""

from __future__ import annotations

from fuseboard.adapters.demo.story import Call, Chapter, Look, denied, held, rewritten

TASK = "The checkout answers 502. Find out why, open a ticket, and mend it."

_GOOD = Chapter(
    "Good calls go through",
    (
        Look(
            "The agent asks what tools there are. What it may never call is not shown.",
            shown=("ops__status", "ops__roll_back"),
            hidden=("ops__drop_database",),
        ),
        Call("It asks how the checkout fares.", "ops__status", {"service": "checkout"}),
        Call(
            "It reads the log by a crooked path. The straight one is judged and sent.",
            "files__read_file",
            {"path": "/srv/checkout/releases/../logs/error.log"},
            ends=rewritten("canonical-path"),
        ),
    ),
)

_TITLE = "Checkout answers 502 since 2.4.1"

_MALFORMED = Chapter(
    "A malformed call is told what to mend, before anything is sent",
    (
        Call(
            "It opens a ticket, with a word for a number and without the service.",
            "tickets__open_ticket",
            {"title": _TITLE, "severity": "high"},
            ends=denied("schema.arguments"),
        ),
        Call(
            "It mends what the refusal named, and nothing else.",
            "tickets__open_ticket",
            {"title": "not named, so it stays as it was", "severity": 1, "service": "checkout"},
            mends=True,
        ),
    ),
)

_FORBIDDEN = Chapter(
    "A forbidden call stays forbidden, however it is spelt",
    (
        Call(
            "It looks for a key, spelt so that a glob on the text would miss it.",
            "files__read_file",
            {"path": "/home/deploy/%2Essh/id_ed25519"},
            ends=denied("no-secret-files"),
            explained=True,
        ),
    ),
)

_ASKED = Chapter(
    "A destructive call needs a person",
    (
        Call(
            "It wants to roll back production. Nobody answers in time, so it may not.",
            "ops__roll_back",
            {"service": "checkout", "to": "2.4.0"},
            ends=held("destructive-needs-a-person"),
        ),
        Call(
            "It does what the refusal advised, and leaves the rest to people.",
            "tickets__comment",
            {"ticket": "SHOP-118", "text": "payments.toml points at localhost. Please roll back to 2.4.0."},
        ),
    ),
)

CHAPTERS = (_GOOD, _MALFORMED, _FORBIDDEN, _ASKED)
