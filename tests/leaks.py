"""A pytest plugin: what a test leaves behind fails it. Lost tasks, complaints of the loop, open descriptors.

Un-awaited coroutines and errors in `__del__` need nothing here: they are warnings, and warnings are errors.
"""

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

CLOSING_S = 1.0
"""How long a thread that closes a descriptor may take after its test has ended."""


@pytest.fixture(scope="session", autouse=True)
def all_loop_complaints() -> Iterator[list[str]]:
    """What asyncio tells its exception handler: exceptions that nobody retrieved, tasks destroyed while
    pending, callbacks that raised. Those that no test has answered for fail the session."""
    complaints: list[str] = []
    tell = asyncio.BaseEventLoop.default_exception_handler

    def listen(loop: asyncio.BaseEventLoop, context: dict[str, Any]) -> None:
        complaints.append(", ".join(f"{name}: {value!r}" for name, value in context.items()))
        tell(loop, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.BaseEventLoop, "default_exception_handler", listen)
        yield complaints
        gc.collect()
        _fail_on(complaints)


@pytest.fixture(autouse=True)
def loop_complaints(all_loop_complaints: list[str]) -> Iterator[list[str]]:
    """The complaints during this test, which fail it. A test that expects one removes it."""
    yield all_loop_complaints
    gc.collect(1)  # the young generations hold what this test has made, and cost next to nothing
    _fail_on(all_loop_complaints)


@pytest.fixture(autouse=True)
def umask_is_given_back() -> Iterator[None]:
    """The programs' `main` changes the umask of its process, which here is the tests'."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    """Each test closes the descriptors that it has opened."""
    before = _open_descriptors()
    yield
    after = _open_descriptors()
    deadline = time.monotonic() + CLOSING_S
    while len(after) > len(before) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
        after = _open_descriptors()
    if len(after) > len(before):
        left = [f"{number}: {_target(number)}" for number in sorted(after - before)]
        pytest.fail("descriptors left open: " + ", ".join(left), pytrace=False)


def _fail_on(complaints: list[str]) -> None:
    told = "\n".join(complaints)
    complaints.clear()
    if told:
        pytest.fail("the event loop complained:\n" + told, pytrace=False)


def _open_descriptors() -> set[str]:
    """Return the number of each open descriptor; that of this very listing is always among them."""
    return set(os.listdir("/dev/fd"))


def _target(number: str) -> str:
    """Return what a descriptor is open on."""
    try:
        return os.readlink(f"/dev/fd/{number}")
    except OSError:
        return "closed meanwhile"
