"""A shop for each test, and what the server logs during it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fakes.shop import Shop, a_shop


@pytest.fixture
async def shop(tmp_path: Path, database_url: str) -> AsyncIterator[Shop]:
    async with a_shop(tmp_path, database_url=database_url) as shop:
        yield shop


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """Every log record of the test so far."""
    with capture_logs() as records:
        yield records
