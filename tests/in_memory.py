"""A pytest plugin: the files of tests are in memory where there is room, since syncing them proves nothing.

Nobody cares what a power cut would leave of a test, and its databases sync each commit.
`PYTEST_DEBUG_TEMPROOT`, which is pytest's own, names another place; so does `--basetemp`.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ROOM = 2 * 1024**3
"""Bytes that must be free there; a container often has 64 MiB. A whole run takes less than half of this."""


def temporary_folder() -> Path:
    """Return where the files of tests are made."""
    given = os.environ.get("PYTEST_DEBUG_TEMPROOT")
    if given:
        return Path(given)
    if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
        return MEMORY
    return Path(tempfile.gettempdir())


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Tell pytest, and the processes that it starts."""
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(temporary_folder())
