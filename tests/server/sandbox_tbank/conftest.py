"""A sandbox T-Bank for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.sandbox_tbank.street import Street, a_street


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    async with a_street(tmp_path) as street:
        yield street
