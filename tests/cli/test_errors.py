import pytest

from fuseboard.cli import errors


def test_a_usage_error_speaks_on_stderr_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    exit = errors.usage("write it like this")
    assert exit.exit_code == errors.USAGE == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "fuseboard: write it like this\n"


def test_every_outcome_has_a_code_of_its_own() -> None:
    codes = [errors.OK, errors.FINDINGS, errors.USAGE, errors.UNREACHABLE, errors.INTERRUPTED]
    assert codes == [0, 1, 2, 3, 130]
