"""A test's way of logging ends with it: shown by a run of pytest whose first tests set up logs."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

TESTS = """
import pytest
from structlog import get_logger

from agent.logs import set_up_logging
from server.logs import set_up_logs

log = get_logger()


@pytest.mark.parametrize("set_up", [set_up_logs, set_up_logging])
def test_a_command_logs(set_up, capfd):
    set_up("INFO")
    log.warning("in the first test")
    assert "in the first test" in capfd.readouterr().err


def test_the_next_logs_as_if_nothing_had_been(capsys):
    log.warning("in the second test")
    told = capsys.readouterr()
    assert ("in the second test" in told.out, told.err) == (True, "")
"""


def test_the_logs_of_one_test_are_not_those_of_the_next(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    tests = pytester.makepyfile(TESTS)
    pytester.runpytest_subprocess("-p", "tests.logs", tests).assert_outcomes(passed=3)
