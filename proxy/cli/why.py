"""One call explained: what was asked, what each policy said and on what evidence, what was sent, what came back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from rich.text import Text

from fuseboard.cli.timeline import decision, style, tool
from fuseboard.cli.wording import clean, day, size, span

if TYPE_CHECKING:
    from fuseboard.adapters.stores.reader import Call

_MARKS = {"allow": ("✓", "green"), "deny": ("✗", "bold red"), "hold": ("‖", "bold magenta")}
_MARKS |= {"rewrite": ("~", "bold yellow")}
_ABSTAINED = ("·", "dim")
_LABEL = 12
_LONG = 100
_MOMENTS = ("at", "since", "until")
_EXACT = 2**53


def why(call: Call) -> Iterator[Text]:
    """The lines of ``trace why``, none of them folded."""
    yield from _verdict(call)
    yield from _labelled("call", Text(f"{clean(call.id)}  {day(call.at)}", style="dim"))
    who = f"{clean(call.run)}#{call.seq}  principal {clean(call.principal)}  {clean(call.client or 'unknown client')}"
    known = f"  known by {clean(call.run_source)}, {clean(call.confidence)}" if call.confidence else ""
    yield from _labelled("run", Text(who + known, style="dim"))
    if call.parent:
        root = f", at the bottom of it run {clean(call.root)}" if call.root else ""
        yield from _labelled("called by", Text(f"{clean(call.parent)}, depth {call.depth}{root}", style="dim"))
    if call.continues:
        yield from _labelled(
            "goes on", Text(f"from {clean(call.continues)}: a later round of the same call", style="dim")
        )
    yield from _labelled("arguments", *_arguments(call))
    yield from _labelled("checks", *checks(call.checks))
    if call.reason:
        yield from _labelled(_told(call), *[Text(clean(line)) for line in call.reason.splitlines()])
    yield from _labelled("sent", _sent(call))
    yield from _labelled("came back", *_came_back(call))
    yield from _labelled("truth", Text(call.truth.replace("_", " ")))


def _told(call: Call) -> str:
    """What became of the reason: the model read it, or would have (mode observe), or the call was only rewritten."""
    if call.verdict == "rewrite":
        return "rewritten"
    refused = call.final or call.truth in ("denied", "schema_violation")
    return "told" if refused else "would say"


def _verdict(call: Call) -> Iterator[Text]:
    line = Text().append(tool(call), style="bold").append("  ").append(decision(call), style=style(call))
    by = " / ".join(clean(name) for name in (call.policy, call.rule) if name)
    line.append(f" by {by}" if by else "", style="")
    yield line.append(f"  (config {clean(call.config)[:8]}, effect {call.effect})", style="dim")


def _arguments(call: Call) -> Iterator[Text]:
    if call.arguments is None:
        yield Text("not recorded (trace.args: none)", style="dim")
    elif call.arguments.startswith("sha256:"):
        yield Text(f"{call.arguments}  (trace.args: hashed)", style="dim")
    else:
        flat = _reformatted(call.arguments, indent=0)
        text = flat if len(flat) <= _LONG else _reformatted(call.arguments, indent=2)
        yield from (Text(clean(line)) for line in text.splitlines())


def _reformatted(raw: str, *, indent: int) -> str:
    """Other white space, the same tokens: what was judged is shown digit by digit."""
    try:
        return msgspec.json.format(raw, indent=indent)
    except msgspec.DecodeError:
        return raw


def checks(made: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """What each policy said, with its facts below."""
    if not made:
        yield Text("none on record", style="dim")
        return
    names = max(len(clean(check["policy"])) for check in made)
    for check in made:
        mark, colour = _MARKS.get(check["verdict"], _ABSTAINED)
        if check["verdict"] == "allow" and not check.get("rule") and not check.get("facts"):
            mark, colour = _ABSTAINED
        line = Text().append(f"{mark} ", style=colour)
        line.append(f"{clean(check['policy']):<{names}}  ").append(f"{check['verdict']:<7}", style=colour)
        line.append(f"  {clean(check['rule'])}" if check.get("rule") else "")
        line.append("  (of the result)" if check.get("on") == "result" else "", style="dim")
        line.rstrip()
        yield line
        yield from (Text("    ").append_text(fact) for fact in _facts(check.get("facts") or {}))


def _facts(facts: Mapping[str, Any]) -> Iterator[Text]:
    for name, value in facts.items():
        if _all_have(value, {"path", "found", "expected"}):
            yield from _mismatches(value)
        elif _all_have(value, {"term", "points", "reason"}):
            yield from terms(value)
        elif _all_have(value, {"path", "how", "from", "decision"}):
            yield from copies(value)
        else:
            read = _readable(name, value)
            shown = read if isinstance(read, str) else json.dumps(read, ensure_ascii=False)
            yield Text().append(f"{clean(name)} = ", style="dim").append(clean(shown))


def _readable(name: str, value: Any) -> Any:
    """A moment as the date that it is, and a count without the ``.0`` that the store gave it."""
    if isinstance(value, dict):
        return {key: _readable(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_readable(name, inner) for inner in value]
    if not isinstance(value, float):
        return value
    if name in _MOMENTS and value > 0:
        return day(value)
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def _all_have(value: object, keys: set[str]) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and keys <= item.keys() for item in value)
    )


def terms(given: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """What each term gave to the ambiguity score."""
    wide = max(len(clean(str(one["term"]))) for one in given)
    for one in given:
        line = Text().append(f"{one['points']:>3}", style="bold").append(f"  {clean(str(one['term'])):<{wide}}  ")
        yield line.append(clean(str(one["reason"])), style="dim")


def copies(found: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """Which argument was copied from which result, and what excuses it."""
    for one in found:
        line = Text().append(f"{clean(str(one['path'])) or '(all)'}", style="bold")
        line.append(" copied from ", style="dim").append(clean(f"{one['from']} {one['decision']}"), style="red")
        line.append(f"  {clean(str(one['how']))}, {one.get('length', 0)} characters", style="dim")
        yield line.append(f"  excused: {clean(str(one['excuse']))}" if one.get("excuse") else "", style="dim")


def _mismatches(mismatches: list[dict[str, Any]]) -> Iterator[Text]:
    """Path, found and expected in three columns; the empty path is the whole value."""
    rows = [[clean(str(item[key])) for key in ("path", "found", "expected")] for item in mismatches]
    paths = [path or "(all)" for path, _, _ in rows]
    wide, found_wide = max(map(len, paths)), max(len(found) for _, found, _ in rows)
    for path, (_, found, expected) in zip(paths, rows, strict=True):
        line = Text().append(f"{path:<{wide}}  ", style="bold")
        line.append("found ", style="dim").append(f"{found:<{found_wide}}", style="red")
        yield line.append("  expected ", style="dim").append(expected, style="green")


def _sent(call: Call) -> Text:
    if call.final:
        return Text(f"nothing: the call was refused before it reached {clean(call.upstream)}")
    what = clean(call.sent) if call.sent else f"arguments with SHA-256 {call.arguments_sha256[:12]}…"
    return Text(f"{clean(call.tool)} to {clean(call.upstream)}, {what}")


def _came_back(call: Call) -> Iterator[Text]:
    if call.final:
        yield Text("nothing", style="dim")
        return
    if call.duration_ms is None:
        yield Text("no end on record: the call is under way, or the process died with it", style="yellow")
        return
    if call.truth == "task":
        yield Text("a task, which was not asked yet for what came of it", style="yellow")
    yield Text(f"{size(call.result_bytes or 0)} after {span(call.duration_ms / 1000)}")
    if call.error:
        yield Text(clean(call.error), style="red")
    if call.preview:
        yield Text(clean(call.preview), style="dim")


def _labelled(label: str, *lines: Text) -> Iterator[Text]:
    for number, line in enumerate(lines):
        # A style given to Text() would be that of the whole line, whatever is appended to it.
        yield Text().append(f"  {label if number == 0 else '':<{_LABEL - 2}}", style="dim").append_text(line)
