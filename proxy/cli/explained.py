"""A decision about a call that nobody makes, as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.text import Text

from fuseboard.cli.why import checks, terms
from fuseboard.cli.wording import clean, span

_LABEL: Final = 12
_OUTCOMES: Final = {
    "sent": ("would be sent", "green"),
    "asked": ("a person would be asked", "bold magenta"),
    "refused": ("would be refused", "bold red"),
}


def explained(document: Mapping[str, Any]) -> Iterator[Text]:
    """The lines of ``fuseboard explain``."""
    told, style = _OUTCOMES[document["outcome"]]
    head = Text().append(clean(document["tool"]["exposed"]), style="bold").append("  ").append(told, style=style)
    by = " / ".join(clean(name) for name in (document["policy"], document["rule"]) if name)
    head.append(f" by {by}" if by else "")
    observed = "" if document["enforced"] else ", mode observe: nothing is held back"
    yield head.append(f"  (effect {document['tool']['effect']}{observed})", style="dim")
    roles = f" ({', '.join(map(clean, document['roles']))})" if document["roles"] else ""
    run = f"run {clean(document['run'])}" if document["run"] else "a new run"
    yield from _labelled("caller", Text(f"{clean(document['principal'])}{roles}, {run}", style="dim"))
    # The score stands below, with its terms.
    without = [check if check["policy"] != "ambiguity" else {**check, "facts": {}} for check in document["checks"]]
    yield from _labelled("checks", *checks(without))
    if document["reason"]:
        label = "told" if document["outcome"] != "sent" else "would say"
        yield from _labelled(label, *[Text(clean(line)) for line in document["reason"].splitlines()])
    if document["sent"] is not None:
        import json

        yield from _labelled("sent", Text(clean(json.dumps(document["sent"], ensure_ascii=False))))
    if document["asked"]:
        yield from _labelled("asked", *_asked(document["asked"]))
    yield from _labelled("ambiguity", *_score(document["ambiguity"], document["tool"]["effect"]))
    for note in document["notes"]:
        yield Text(f"note: {clean(note)}", style="yellow")


def _asked(asked: Mapping[str, Any]) -> Iterator[Text]:
    ways = ", then ".join(asked["via"])
    after = "goes on" if asked["on_timeout"] == "allow" else "is refused, and may be made again once there is one"
    yield Text(
        f"about {asked['about']}, by {ways}; after {span(asked['timeout_s'])} without an answer the call {after}"
    )
    if approval := asked["approval"]:
        by = f" by {clean(approval['by'])}" if approval["by"] else ""
        yield Text(f"{clean(approval['id'])} of the very same call is {approval['status']}{by}", style="bold")


def _score(found: Mapping[str, Any], effect: str) -> Iterator[Text]:
    above = found["ask_above"]
    if effect == "read":
        rest = "of 100; a read is never held for it"
    else:
        rest = "of 100; nobody is asked for it" if above is None else f"of 100; a person is asked from {above}"
    yield Text().append(str(found["score"]), style="bold").append(f" {rest}", style="dim")
    if found["terms"]:
        yield from terms(found["terms"])


def _labelled(label: str, *lines: Text) -> Iterator[Text]:
    for number, line in enumerate(lines):
        yield Text().append(f"  {label if number == 0 else '':<{_LABEL - 2}}", style="dim").append_text(line)
