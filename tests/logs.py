"""A pytest plugin: how a test lets the program log ends with that test.

What a command sets up writes to the standard error of its test, which pytest closes afterwards; and a logger
that keeps what was set up when it was first used would write there for the rest of the process.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Log as before once the test is over. No logger keeps what was set up, though a server's do."""
    before = structlog.get_config()
    configure = structlog.configure

    def for_this_test(*positional: Any, **named: Any) -> None:
        configure(*positional, **named | {"cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", for_this_test)
        yield
    configure(**before)
