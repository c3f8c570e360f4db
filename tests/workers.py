"""A pytest plugin: which tests one worker of `--dist loadfile` runs together, and which are begun first.

A file's tests stay together, as their fixtures do. Folders whose tests share a site in real processes stay
together whole, else each worker would build a site of its own; long tests that share nothing are handed out
one by one. The longest are begun first, so that no worker is left alone with one at the end.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

ONE_SITE = ("tests/processes/", "tests/pages_live/")
ONE_BY_ONE = ("tests/simulation/", "tests/test_chaos.py", "tests/test_rolling_restart.py")
LONGEST_FIRST = (
    "tests/processes/",
    "tests/test_chaos.py",
    "tests/test_rolling_restart.py",
    "tests/pages_live/",
    "tests/simulation/",
    "tests/test_demo.py",
    "tests/test_bench.py",
    "tests/pages/",
    "tests/server/test_secrecy.py",
    "tests/server/test_openapi.py",
    "tests/agent/",
    "tests/server/pages/",
)


class Workers(LoadFileScheduling):
    """Hands out files, except for what is named above."""

    def _split_scope(self, nodeid: str) -> str:
        for folder in ONE_SITE:
            if nodeid.startswith(folder):
                return folder
        return nodeid if nodeid.startswith(ONE_BY_ONE) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Workers | None:
    """Hand out the tests of `--dist loadfile` as this module says, in the order that it gives them."""
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Workers(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first."""
    items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    places = (place for place, start in enumerate(LONGEST_FIRST) if nodeid.startswith(start))
    return next(places, len(LONGEST_FIRST))
