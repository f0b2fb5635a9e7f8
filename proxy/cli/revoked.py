"""What ``fuseboard revoke`` shows: who took in what was taken back, and the clean-up list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fuseboard.cli.wording import clean, counted, day, span

if TYPE_CHECKING:
    import msgspec
    from rich.text import Text

    from fuseboard.adapters.stores.reader import LedgerReader
    from fuseboard.influence import Kept, Passed, Reached
    from fuseboard.revocation import Resulting, Revocation
    from fuseboard.revoking import Found

_HOW = {
    "saw": "took it in",
    "called": "was called by a run that took it in",
    "returned": "got an answer from an agent that took it in",
    "read": "read from memory what a run wrote that took it in",
}


def document(found: Found, ledger: LedgerReader) -> dict[str, Any]:
    """Everything that was found, as JSON has it. Arguments stand as the ledger holds them."""
    import time

    at, seen = time.time(), found.influence
    return {
        "at": at,
        "revocation": _act(found.revocation),
        "again": found.again,
        "results": [_result(one) for one in seen.results],
        "runs": [_run(one, ledger, at) for one in seen.runs.values()],
        "clean_up": [_deed(one, seen.runs[one.run]) for one in seen.acts],
        "memory": [_kept(one) for one in seen.memory],
    }


def acts(ledger: LedgerReader) -> list[dict[str, Any]]:
    """What was revoked, the newest first, each with the runs that are marked for it."""
    import time

    from fuseboard.revocation import MARKS, marks

    at = time.time()
    held: dict[str, list[dict[str, Any]]] = {}
    for key, value in ledger.state_under((MARKS,), at=at).items():
        run = key.removeprefix(MARKS)
        for id, mark in marks(value).items():
            stands = {"run": run, **_standing(run, ledger, at), "seen": mark.seen, "asked_at": mark.asked_at}
            held.setdefault(id, []).append(stands)
    return [{**_act(one), "runs": held.get(one.id, [])} for one in reversed(revocations(ledger))]


def revocations(ledger: LedgerReader) -> list[Revocation]:
    """All that was ever revoked, the oldest first."""
    import time

    import msgspec

    from fuseboard.revocation import RECORDS, Revocation

    there = ledger.state_under((RECORDS,), at=time.time()).values()
    return sorted((msgspec.convert(one, Revocation) for one in there), key=lambda one: (one.at, one.id))


def covering(known: list[Revocation], call: Resulting) -> tuple[Revocation, ...]:
    """Those that stand and mean this result."""
    return tuple(one for one in known if one.stands and one.covers(call))


def lines(found: Mapping[str, Any]) -> Iterator[Text]:
    """What a terminal shows of a document."""
    from rich.text import Text

    yield from _head(found["revocation"], again=found["again"])
    yield Text(f"{counted(len(found['results']), 'result')} of it went to {counted(len(found['runs']), 'run')}")
    for run in found["runs"]:
        line = Text("  ").append(clean(run["run"]), style="cyan").append(f"  {run['state']}")
        ago = span(max(0.0, found["at"] - run["last_at"]))
        yield line.append(f"  {clean(run['principal'])}, last call {ago} ago", style="dim")
        yield Text(f"    {_HOW[run['how']]} at {day(run['since'])} [{clean(run['seen'])}]", style="dim")
    if found["clean_up"]:
        yield Text("to clean up", style="bold")
    for deed in found["clean_up"]:
        line = Text("  ").append(clean(deed["id"]), style="bold").append(f"  {clean(deed['tool'])} ({deed['effect']})")
        yield line.append(f"  {day(deed['at'])}  {clean(deed['run'])}#{deed['seq']}  {deed['truth']}", style="dim")
        yield Text(f"    {clean(_text(deed['sent'] or deed['arguments']))}", style="dim")
    if found["memory"]:
        yield Text("written to memory", style="bold")
    for kept in found["memory"]:
        names = ", ".join(clean(name) for name in kept["keys"]) or "(arguments not on record)"
        line = Text("  ").append(clean(kept["id"]), style="bold").append(f"  {clean(kept['tool'])}  {names}")
        yield line.append(f"  read since by {', '.join(kept['read_by'])}" if kept["read_by"] else "", style="dim")
    if not found["clean_up"]:
        yield Text("Nothing was changed under its influence, as far as the ledger knows.", style="dim")


def listed(found: list[dict[str, Any]]) -> Iterator[Text]:
    """What a terminal shows of ``revoke ls``."""
    from rich.text import Text

    for act in found:
        yield from _head(act)
        for run in act["runs"]:
            line = Text("  ").append(clean(run["run"]), style="cyan").append(f"  {run['state']}")
            yield line.append(f"  {_asked(run)}", style="dim")


def _head(act: Mapping[str, Any], *, again: bool = False) -> Iterator[Text]:
    from rich.text import Text

    word = "revoked" if act["lifted_at"] is None else "lifted"
    line = Text().append(clean(act["id"]), style="bold").append(f"  {clean(act['what'])} is {word}")
    yield line.append(", and was before: looked through anew" if again else "", style="dim")
    window = f"from {day(act['since'])} " if act["since"] else ""
    window += f"up to {day(act['until'])}" if act["until"] is not None else "until it is lifted"
    meant = "" if act["what"].startswith("d-") else f"  {window}"
    yield Text(f"  by {clean(act['by'])} at {day(act['at'])}{meant}", style="dim")
    if act["why"]:
        yield Text(f"  why: {clean(act['why'])}")
    if act["lifted_at"] is not None:
        because = f": {clean(act['lifted_why'])}" if act["lifted_why"] else ""
        yield Text(f"  lifted by {clean(act['lifted_by'])} at {day(act['lifted_at'])}{because}")


def _asked(run: Mapping[str, Any]) -> str:
    if run["asked_at"] is None:
        return "is paused at its next call with effects"
    if run["state"] == "running":
        because = f": {clean(run['why'])}" if run["why"] else ""
        return f"was paused for it, and let on by {clean(run['by'])}{because}"
    return f"paused for it at {day(run['asked_at'])}"


def _act(one: Revocation) -> dict[str, Any]:
    import msgspec

    return dict(msgspec.to_builtins(one))


def _result(one: Passed) -> dict[str, Any]:
    return {"id": one.id, "run": one.run, "seq": one.seq, "tool": _tool(one), "at": one.ended_at}


def _run(one: Reached, ledger: LedgerReader, at: float) -> dict[str, Any]:
    known = ledger.run(one.run)
    said = {"run": one.run, "principal": one.principal, "since": one.since, "how": one.how, "seen": one.seen}
    return said | {"last_at": known.last_at if known is not None else one.since} | _standing(one.run, ledger, at)


def _standing(run: str, ledger: LedgerReader, at: float) -> dict[str, Any]:
    """How a run stands: its state, and who said so last."""
    from fuseboard.reviews import RunState, state_key

    now = RunState.of(ledger.state((state_key(run),), at=at).get(state_key(run)))
    return {"state": now.state, "by": now.by, "why": now.why}


def _deed(one: Passed, reached: Reached) -> dict[str, Any]:
    said = {"id": one.id, "run": one.run, "seq": one.seq, "at": one.at, "principal": one.principal}
    said |= {"tool": _tool(one), "effect": one.effect, "truth": one.truth, "how": reached.how, "seen": reached.seen}
    return said | {"arguments": _raw(one.arguments), "sent": _raw(one.sent)}


def _raw(arguments: str | None) -> msgspec.Raw | str | None:
    """Numbers stand as they were sent, digit by digit; a digest is a text."""
    import msgspec

    try:
        return None if arguments is None else msgspec.json.decode(arguments, type=msgspec.Raw)
    except msgspec.DecodeError:
        return arguments


def _text(arguments: msgspec.Raw | str | None) -> str:
    if arguments is None:
        return "arguments not on record"
    return arguments if isinstance(arguments, str) else bytes(arguments).decode()


def _kept(one: Kept) -> dict[str, Any]:
    from fuseboard.influence import named

    write = one.write
    said = {"id": write.id, "run": write.run, "principal": write.principal, "tool": _tool(write)}
    return said | {"keys": list(named(write)), "read_by": one.readers}


def _tool(one: Passed) -> str:
    return f"{one.upstream}__{one.tool}"
