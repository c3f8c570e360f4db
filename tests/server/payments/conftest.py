"""A sandbox bank for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.server.sandbox.street import Street, a_street


@pytest.fixture
async def street(database_url: str) -> AsyncIterator[Street]:
    async with a_street(database_url) as street:
        yield street
