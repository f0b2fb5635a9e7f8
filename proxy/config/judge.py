"""From a parsed file to a configuration, or to everything that is wrong with it in one go."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from fuseboard.config.document import Document, Path, walk
from fuseboard.config.explain import Problem, explain
from fuseboard.config.findings import Finding, did_you_mean
from fuseboard.config.models import Config
from fuseboard.config.outline import fields
from fuseboard.config.secrets import References, takes_references
from fuseboard.config.servers import IGNORED

_ROUNDS = 4


def judge(document: Document, references: References) -> tuple[Config | None, list[Finding]]:
    """Resolve, validate and cross-check a document.

    A misspelt key hides what stands under it, so the tree is judged again with the spelling that was probably meant;
    the findings of all rounds count, the configuration does not.
    """
    findings: dict[tuple[Path, str], Finding] = {}
    tree, moved = document.tree, dict[Path, Path]()
    config, problems = _judge(document, tree, references)
    for _ in range(_ROUNDS):
        for problem in problems:
            origin = _origin(problem.path, moved)
            finding = document.finding(origin, problem.message, on_key=problem.on_key)
            findings.setdefault((origin, problem.message), finding)
        renames = [problem for problem in problems if problem.rename]
        if not renames:
            break
        for problem in renames:
            tree = _renamed(tree, problem.path, str(problem.rename))
            moved[(*problem.path[:-1], str(problem.rename))] = _origin(problem.path, moved)
        _, problems = _judge(document, tree, references)
    return (None if findings else config), list(findings.values())


def _judge(document: Document, tree: Any, references: References) -> tuple[Config | None, list[Problem]]:
    if not isinstance(tree, dict):
        return None, [Problem((), "found no keys; a configuration is made of keys and values, `servers` among them")]
    tree, notes = _tidy(tree, json=document.json)
    resolved, problems = _resolved(tree, references)
    problems += _conflicts(resolved)
    try:
        config = Config.model_validate(resolved, context={"folder": references.folder}, by_alias=True, by_name=False)
    except ValidationError as error:
        # A reference that could not be resolved would only be complained about a second time.
        unresolved = {problem.path for problem in problems}
        problems += [problem for problem in explain(error, tree) if problem.path not in unresolved]
        return None, [problem for problem in problems if not _hidden(problem, problems)]
    config._document, config._notes = document, notes
    return config, problems


def _hidden(problem: Problem, problems: list[Problem]) -> bool:
    """Under an unknown key nothing can be in the wrong place, and what was misspelt is not missing besides."""
    if any(other.rename and (*other.path[:-1], other.rename) == problem.path for other in problems):
        return True
    above = (other.path for other in problems if other.unknown)
    return any(len(path) < len(problem.path) and problem.path[: len(path)] == path for path in above)


def _resolved(tree: Any, references: References) -> tuple[Any, list[Problem]]:
    """A copy of the tree with its references replaced."""
    problems: list[Problem] = []

    def resolve(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: resolve(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [resolve(inner, (*path, index)) for index, inner in enumerate(value)]
        if not isinstance(value, str) or not takes_references(path):
            return value
        value, wrong = references.resolve(value)
        problems.extend(Problem(path, message) for message in wrong)
        return value

    return resolve(tree, ()), problems


def _conflicts(tree: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong only in company: ids and tokens that stand twice, references where none are read."""
    rules = tree.get("rules")
    ids = [rule.get("id") if isinstance(rule, dict) else None for rule in rules] if isinstance(rules, list) else []
    for index, name in enumerate(ids):
        if name is not None and name in ids[:index]:
            yield Problem(("rules", index, "id"), f"found '{name}', which is the id of another rule; ids are unique")
        elif name == "default":
            yield Problem(("rules", index, "id"), "found 'default', which cites the key `default`; choose another id")
    bearers = _mapping(_mapping(tree.get("auth")).get("bearer"))
    holders: dict[Any, list[str]] = defaultdict(list)
    for name, bearer in bearers.items():
        token = bearer.get("token") if isinstance(bearer, dict) else bearer
        holders[str(token)] += [name] if token is not None else []
    for first, *others in (names for names in holders.values() if names):
        for name in others:
            message = f"found the token of '{first}'; each principal needs its own"
            yield Problem(("auth", "bearer", name), message, on_key=True)
    for path, value in walk(tree):
        if isinstance(value, str) and not takes_references(path) and re.search(r"\$\{(env|file|keyring):", value):
            yield Problem(path, "found a reference; they are read in servers, auth and store alone")


def _tidy(tree: dict[str, Any], *, json: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The tree without what other clients' files hold and we do not need, and a note on each such thing."""
    notes: list[str] = []
    tree = {key: value for key, value in tree.items() if key != "$schema"}
    if isinstance(tree.get("servers"), dict):
        tree["servers"] = dict(_servers(tree["servers"], notes))
    if json and not (set(tree) - {"servers"}) & set(fields(Config)):
        for key in [key for key in tree if key != "servers" and not did_you_mean(key, fields(Config), cutoff=0.8)]:
            notes.append(f"{key}: read over: it is no key of Fuseboard's")
            del tree[key]
    return tree, tuple(notes)


def _servers(servers: dict[str, Any], notes: list[str]) -> Iterator[tuple[str, Any]]:
    for alias, server in servers.items():
        if not isinstance(server, dict):
            yield alias, server
            continue
        if server.get("disabled") is True:
            notes.append(f"servers.{alias}: left out: it is disabled")
            continue
        for key in ("alwaysAllow", "autoApprove"):
            if server.get(key):
                notes.append(f"servers.{alias}.{key}: read over: the rules decide")
        yield alias, {key: value for key, value in server.items() if key not in IGNORED}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _origin(path: Path, moved: dict[Path, Path]) -> Path:
    """Where a path of a renamed tree stands in the file."""
    for length in range(len(path), 0, -1):
        if path[:length] in moved:
            return (*moved[path[:length]], *path[length:])
    return path


def _renamed(tree: Any, path: Path, name: str) -> Any:
    step, *rest = path
    if isinstance(tree, list):
        return [_renamed(item, tuple(rest), name) if index == step else item for index, item in enumerate(tree)]
    if not rest:
        return {name if key == step else key: value for key, value in tree.items()}
    return {key: _renamed(value, tuple(rest), name) if key == step else value for key, value in tree.items()}
