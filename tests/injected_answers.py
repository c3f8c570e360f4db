"""A pytest plugin: answers and errors put in place of outgoing HTTP, by aioresponses.

For an error that is hard to provoke; a real exchange is tested with a stand-in of the provider on loopback.
"""

import inspect
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import pytest


class _Response(aiohttp.ClientResponse):
    """A response made without the writer of a request, as aioresponses 0.7.9 makes it.

    aiohttp 3.14 wants `stream_writer`; bodies over 64 KiB still fail (aioresponses, pull request 292).
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*arguments, **options)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses.aioresponses]:
    """Outgoing HTTP is answered by what the test registers here; loopback passes through."""
    if "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters:
        monkeypatch.setattr(aioresponses.core, "ClientResponse", _Response)
    with aioresponses.aioresponses(passthrough=["http://127.0.0.1", "http://localhost"]) as registered:
        yield registered
