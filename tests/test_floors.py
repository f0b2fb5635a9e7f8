"""Who may import whom: the table of the package's docstring, held. Imports go downwards only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.sources import Source, sources

FLOORS: dict[int, str] = {
    0: "errors events policy ports stated state verdicts",
    1: "accounts ambiguity answers approvals breakers buckets budgets catalog cedar checkpoint claims cleaning "
    "config confusables continuations copies definitions effects era familiarity fingerprints fuses ids influence "
    "keying labels lineage listings lock_names locks loops param_headers pauses petitions pins pipeline places "
    "policies readings recording refusals rest results retries reviews revocation routing runs schemas shadowing sinks "
    "spending tasks tokens trace_context truth vault waits windows wire",
    2: "attaching beside bridges bulkheads coalescing deadline entrance exchange gateway holds identity inbox keeping "
    "late opaque params peer provenance quarantine questioning revoking scopes sending sessions settlement turns "
    "upstreams",
    3: "adapters",
    4: "app cli naming pinning storing vaulting __main__",
}
"""The rooms of each floor: modules and packages directly under ``fuseboard``."""

THIRD_PARTY: dict[int, set[str]] = {
    0: {"msgspec"},  # a frozen dataclass costs sixteen times a frozen Struct, and every call makes a dozen of them
    1: {"ahocorasick_rs", "cedarpy", "jsonschema_rs", "msgspec", "platformdirs", "pydantic", "pydantic_core", "ruamel"},
    2: {"anyio", "msgspec"},
}
"""What a floor may import from outside; floors 3 and 4 what they like, but for the rules below."""

WAITING = {"anyio", "asyncio"}
IMPURE = {"anyio", "asyncio", "logging", "os", "random", "socket", "time"}
HEAVY = {"aiohttp", "anyio", "cedarpy", "jsonschema_rs", "mcp", "mcp_types", "pydantic", "starlette", "uvicorn"}
SDK = {"mcp", "mcp_types"}

SOURCES = sources()
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms.split()}


def room(module: str) -> str:
    """``fuseboard.config.rules`` stands in the room ``config``; the package itself in none."""
    return module.removeprefix("fuseboard").lstrip(".").partition(".")[0]


def floor(module: str) -> int:
    return FLOOR_OF.get(room(module), 0 if module == "fuseboard" else 99)


def family(module: str) -> str | None:
    """The adapter family of a module: the folder under ``adapters``; ``None`` for what all families share."""
    parts = module.split(".")
    if parts[:2] != ["fuseboard", "adapters"] or len(parts) < 3:
        return None
    is_family = any(s.module == ".".join(parts[:3]) and s.path.name == "__init__.py" for s in SOURCES)
    return parts[2] if is_family else None


def outside(source: Source) -> dict[str, int]:
    """The third-party and standard modules that a file imports, by top name, with a line of each."""
    tops = {found.module.partition(".")[0]: found.line for found in source.imports()}
    return {top: line for top, line in tops.items() if top != "fuseboard"}


@pytest.fixture(params=SOURCES, ids=lambda source: str(source.path))
def source(request: pytest.FixtureRequest) -> Source:
    given: Source = request.param
    return given


def test_every_room_has_a_floor(source: Source) -> None:
    assert floor(source.module) != 99, f"{source.path}: put `{room(source.module)}` on a floor, in FLOORS above"


def test_every_room_on_a_floor_exists() -> None:
    expected = {"__main__"}  # named by the design, not built yet
    assert set(FLOOR_OF) - expected <= {room(source.module) for source in SOURCES}


def test_imports_go_downwards(source: Source) -> None:
    here = floor(source.module)
    upwards = [
        f"line {i.line}: {i.module}" for i in source.imports() if "fuseboard" in i.module and floor(i.module) > here
    ]
    assert not upwards, f"{source.path} stands on floor {here} and imports from above: {upwards}"


def test_each_floor_imports_only_its_libraries(source: Source) -> None:
    allowed = THIRD_PARTY.get(floor(source.module))
    if allowed is None:
        return
    foreign = {top for top in outside(source) if top not in sys.stdlib_module_names}
    assert foreign <= allowed, f"{source.path}: {sorted(foreign - allowed)}"


def test_nothing_waits_below_the_motion_floor(source: Source) -> None:
    if floor(source.module) < 2:
        assert not WAITING & outside(source).keys(), source.path


def test_the_sdk_is_imported_by_adapters_only(source: Source) -> None:
    if room(source.module) != "adapters":
        assert not SDK & outside(source).keys(), source.path


def test_policies_are_pure(source: Source) -> None:
    if room(source.module) != "policies":
        return
    assert not IMPURE & outside(source).keys(), source.path
    others = [i.module for i in source.imports() if i.module.startswith("fuseboard.policies.")]
    assert not others, f"{source.path} imports another policy: {others}"


def test_adapters_know_no_policy_and_no_other_family(source: Source) -> None:
    if room(source.module) != "adapters":
        return
    modules = [i.module for i in source.imports()]
    assert not [module for module in modules if room(module) == "policies"], source.path
    strangers = {family(module) for module in modules} - {None, family(source.module)}
    if source.module == "fuseboard.adapters.connect":
        return  # chooses among the transports of one family
    assert not strangers, f"{source.path} imports other families: {strangers}"


def test_the_command_line_imports_lazily(source: Source) -> None:
    if room(source.module) != "cli":
        return
    eager = {i.module for i in source.imports() if not i.lazy}
    heavy = {module for module in eager if module.partition(".")[0] in HEAVY or floor(module) in (2, 3)}
    heavy |= {module for module in eager if room(module) == "app" or module.startswith("fuseboard.adapters")}
    assert not heavy, f"{source.path}: import these inside the functions that need them: {sorted(heavy)}"


@pytest.mark.parametrize("line", ["--help", "check --help", "check --config fuseboard.yaml"])
def test_help_and_check_never_load_the_sdk(line: str, tmp_path: Path) -> None:
    (tmp_path / "fuseboard.yaml").write_text("version: 1\nservers: {a: {command: python}}\nrules: []\n")
    program = "import sys; sys.argv[0] = 'fuseboard'; from fuseboard.cli import main; main()"
    command = [sys.executable, "-X", "importtime", "-c", program, *line.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    loaded = {row.rpartition("|")[2].strip().partition(".")[0] for row in done.stderr.splitlines() if "|" in row}
    assert not loaded & (SDK | {"aiohttp", "uvicorn", "starlette"})
