"""One site for all stories of a run: they are told together, before the first of their tests."""

import asyncio

import pytest

from tests.processes.meanwhile import Ends, selected, tell
from tests.processes.site import Site

SETTINGS = {
    "MAKE_LIFE_S": 30,
    "MAKE_RESULT_S": 25,
    "UNKNOWN_REFUND_S": 5,
    "LOG_LEVEL": "INFO",
}
"""Waits of people and of broken machines, made short; longer than what a working one needs."""


@pytest.fixture(scope="session")
def ends(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ends:
    """How each selected story has ended."""
    stories = selected(request.session.items)

    async def at_one_site() -> Ends:
        folder = tmp_path_factory.mktemp("site") / "site"
        async with Site(folder, places=2 * len(stories), **SETTINGS) as site:
            return await tell(stories, site)

    return asyncio.run(at_one_site())
