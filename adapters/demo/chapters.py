"""The story that ``fuseboard demo`` tells. Each thing that Fuseboard does has its chapter; a new one goes below."""

from __future__ import annotations

from fuseboard.adapters.demo.story import Call, Chapter, Look, Verb, denied, held, rewritten

TASK = "The checkout answers 502. Find out why, open a ticket, and mend it."

_GOOD = Chapter(
    "Good calls go through",
    (
        Look(
            "The agent asks what tools there are. What it may never call is not shown.",
            shown=("files__read_file", "tickets__comment", "ops__status", "ops__roll_back"),
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

_ADDRESS = "/srv/checkout/config/payments.toml"

_PAUSED = Chapter(
    "A run that has used half of its budget waits for a person, and goes on",
    (
        Call(
            "It says how far it is, for whoever reviews it. That spares it nothing.",
            "fuseboard__checkpoint",
            {"summary": "Found why: payments.toml of 2.4.1 points at localhost.", "left": ["roll back, or mend it"]},
        ),
        Call("It looks at the file itself.", "files__read_file", {"path": _ADDRESS}),
        Call(
            "6 of its 12 calls are used, and no goal was reached. The next one waits.",
            "files__list_files",
            {"folder": "/srv/checkout"},
            ends=held("run.paused"),
        ),
        Verb(
            "A person sees what waits: the roll-back from before, and now the run.",
            ("inbox",),
            said=("ops__roll_back", "let the run go on", "6 of 12 calls used", "payments.toml of 2.4.1"),
        ),
        Verb(
            "The person lets it go on, with six more calls.",
            ("resume", "{run}", "--calls", "+6", "--why", "it found why"),
            said=("goes on",),
        ),
        Call("The very same call goes through now, in the same run.", "files__list_files", {"folder": "/srv/checkout"}),
    ),
)

CHAPTERS = (_GOOD, _MALFORMED, _FORBIDDEN, _ASKED, _PAUSED)
