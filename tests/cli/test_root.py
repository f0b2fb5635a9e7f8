import subprocess
import sys
from pathlib import Path

import pytest

from fuseboard import __version__
from support.proxy import fuseboard

VERBS = ("wrap", "serve", "check", "schema", "status", "trace", "demo")


async def test_the_version_is_printed(tmp_path: Path) -> None:
    done = await fuseboard("--version", state=tmp_path)
    assert done.stdout.decode().strip() == f"fuseboard {__version__}"


async def test_help_names_every_verb(tmp_path: Path) -> None:
    text = (await fuseboard("--help", state=tmp_path)).stdout.decode()
    assert [verb for verb in VERBS if verb not in text] == []


@pytest.mark.parametrize("heavy", ["mcp", "mcp_types", "pydantic", "aiohttp", "uvicorn", "jsonschema_rs", "cedarpy"])
def test_help_loads_nothing_heavy(heavy: str) -> None:
    program = (
        "import sys; sys.argv = ['fuseboard', '--help']\n"
        "from fuseboard.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"sys.exit({heavy!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


async def test_a_bad_configuration_is_told_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "fuseboard.yaml"
    file.write_text("servers: {a: {comand: x}}\n")
    done = await fuseboard("serve", "--config", str(file), state=tmp_path, ok=False)
    assert done.returncode == 2
    assert "fuseboard.yaml:1:" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
