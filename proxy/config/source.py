"""A configuration file as text: parsed into plain values, each of which remembers its line and column.

The node graph is read instead of loaded objects: it knows the place of every scalar, shows every duplicate key at
once, and keeps ``1.10`` and ``true`` as they were written where a server wants text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fuseboard.config.document import Document, Path, Spot
from fuseboard.config.findings import Finding, dotted
from fuseboard.config.secrets import is_sensitive, takes_references

_DEEPEST = 64
_JSON_NOISE = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|\t', re.DOTALL)
_TOKEN_LIKE = re.compile(r"(?i)((?:authorization|token|key|secret|password)[\w-]*[\"']?\s*:\s*)(?!\$)\S.*")
_SYNONYMS = {"transport": "type", "serverUrl": "url", "httpUrl": "url"}


def parse(text: str, name: str, *, json: bool = False) -> tuple[Document, list[Finding]]:
    """Read YAML 1.2, or JSON with an editor's comments in it.

    Returns the document and what is wrong with its syntax; a document that cannot be read at all has the tree ``None``.
    """
    document = Document(name, text.splitlines() or [""], json)
    if json:
        text = _JSON_NOISE.sub(_blank, text)
    builder = _Builder(document)
    try:
        root = YAML(typ="rt").compose(text)
    except YAMLError as error:
        return document, [_syntax(error, document)]
    document.tree = {} if root is None else builder.build(root, (), ())
    # Only now is every literal secret masked, also those further right on a finding's own line.
    return document, [replace(finding, source=document.line(finding.line)) for finding in builder.findings]


def _blank(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else re.sub(r"[^\n]", " ", match[0])


def _syntax(error: YAMLError, document: Document) -> Finding:
    problem, mark = str(error).partition("\n")[0], None
    if isinstance(error, MarkedYAMLError):
        problem = " ".join(part for part in (error.context, error.problem) if part)
        mark = error.problem_mark or error.context_mark
    if "cannot start any token" in problem and "\\t" in problem:
        problem = "found a tab; YAML is indented with spaces"
    if mark is None:
        return Finding(document.name, 0, 0, "", f"cannot be read: {problem}")
    # Nothing could be parsed, so nothing is known to be a secret: what looks like one is struck out.
    source = _TOKEN_LIKE.sub(r"\1***", document.line(mark.line + 1))
    return Finding(document.name, mark.line + 1, mark.column + 1, "", f"cannot be read: {problem}", source)


@dataclass(slots=True)
class _Builder:
    """Walks the nodes once, building plain values and noting where each stands."""

    document: Document
    findings: list[Finding] = field(default_factory=list)

    def build(self, node: Node, path: Path, above: tuple[int, ...]) -> Any:
        self.document.values[path] = _spot(node)
        if id(node) in above or len(above) >= _DEEPEST:
            self._report(path, "found a value that contains itself or is nested too deep; at most 64 levels")
            return None
        above = (*above, id(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, path, above)
        if isinstance(node, SequenceNode):
            return [self.build(item, (*path, index), above) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path, above: tuple[int, ...]) -> dict[str, Any]:
        built: dict[str, Any] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if _short(key.tag) == "merge":
                merged += value.value if isinstance(value, SequenceNode) else [value]
                continue
            name = _canonical(path, _paired(str(key.value))) if isinstance(key, ScalarNode) else "?"
            inner = (*path, name)
            if inner in self.document.keys:
                line, _ = self.document.keys[inner]
                self._twice(inner, key, line)
                continue
            self.document.keys[inner] = _spot(key)
            built[name] = self.build(value, inner, above)
        for source in merged:
            self._merge(source, path, built, above)
        return built

    def _merge(self, source: Node, path: Path, built: dict[str, Any], above: tuple[int, ...]) -> None:
        if not isinstance(source, MappingNode):
            self._report(path, "found '<<' before something that is not keys and values; it merges a mapping")
            return
        for key, value in source.value:
            name = _canonical(path, _paired(str(key.value)))
            if name not in built:
                self.document.keys[(*path, name)] = _spot(key)
                built[name] = self.build(value, (*path, name), above)

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        kind, text = _short(node.tag), _paired(str(node.value))
        if is_sensitive(path) and "${" not in text:
            self.document.mask(node.start_mark, node.end_mark)
        if kind == "null":
            return None
        if kind == "str" or takes_references(path):
            return text
        if kind not in ("bool", "int", "float"):
            if kind != "timestamp":
                self._report(path, f"found the tag {node.tag}; tags are not used here")
            return text
        try:
            return _NUMBERS[kind](text)
        except ValueError:
            return text

    def _twice(self, path: Path, key: Node, line: int) -> None:
        row, column = _spot(key)
        message = f"the key stands twice, first in line {line}; it is expected once"
        self.findings.append(Finding(self.document.name, row, column, dotted(path), message, self.document.line(row)))

    def _report(self, path: Path, message: str) -> None:
        self.findings.append(self.document.finding(path, message))


def _spot(node: Node) -> Spot:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _short(tag: Any) -> str:
    return str(tag).removeprefix("tag:yaml.org,2002:")


def _canonical(path: Path, key: str) -> str:
    """The name that this key has with us, where other clients' files have another."""
    if path == () and key == "mcpServers":
        return "servers"
    return _SYNONYMS.get(key, key) if len(path) == 2 and path[0] == "servers" else key


def _paired(text: str) -> str:
    """JSON writes a character beyond the first plane as two escapes; YAML reads them as two halves."""
    if not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    return int(digits, 0) if re.match(r"[-+]?0[xob]", digits) else int(digits)


def _float(text: str) -> float:
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


_NUMBERS: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: text.lower() in ("true", "yes", "on", "y"),
    "int": _integer,
    "float": _float,
}
